"""Where no name leads a sandbox."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from isola_egress.upstream import is_blocked
from isola_lifecycle.sandbox.ranges import Block, blocked

CLUSTER = blocked([Block(ip_network("5.6.0.0/16"), "pods"), Block(ip_network("2a00:1::/32"), "")])


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "5.6.7.8",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::506:708",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
        "2002:7f00:1::",
        "2a00:1::7",
    ],
)
def test_special_private_and_the_cluster_s_own_addresses_are_blocked(address: str) -> None:
    assert is_blocked(ip_address(address), CLUSTER)


@pytest.mark.parametrize("address", ["8.8.8.8", "5.7.0.1", "11.0.0.10", "2a00:1450::1"])
def test_others_are_not(address: str) -> None:
    assert not is_blocked(ip_address(address), CLUSTER)
