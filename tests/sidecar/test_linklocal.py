"""A pod gives up its link-local IPv6 address. That it does under gVisor, `tests/e2e` shows."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from isola_sidecar import linklocal
from isola_sidecar.linklocal import Address, link_local, removal

# As gVisor writes it, of a pod with both protocols.
TABLE = """\
00000000000000000000000000000001 01 80 00 00       lo
fd000010024400020000000000000008 02 40 00 00     eth0
fe80000000000000941359fffebe71c0 02 40 00 00     eth0
"""
FOUND = Address(socket.inet_pton(socket.AF_INET6, "fe80::9413:59ff:febe:71c0"), 64, 2)


def test_of_a_pod_s_addresses_the_link_local_one_is_found() -> None:
    assert link_local(TABLE) == [FOUND]


@pytest.mark.parametrize(
    ("first", "is_one"),
    [("fe7f", False), ("fe80", True), ("febf", True), ("fec0", False), ("fdfe", False)],
)
def test_link_local_is_fe80_to_febf(first: str, *, is_one: bool) -> None:
    assert bool(link_local(f"{first}{'0' * 28} 02 40 00 00 eth0")) == is_one


def test_the_message_asks_netlink_to_take_that_address_and_no_other_away() -> None:
    # nlmsghdr, ifaddrmsg, and two attributes, by hand from linux/rtnetlink.h
    head = bytes.fromhex("40000000 1500 0500 01000000 00000000")
    address = FOUND.address
    body = bytes([socket.AF_INET6, 64, 0, 0, 2, 0, 0, 0])
    attributes = bytes.fromhex("14000200") + address + bytes.fromhex("14000100") + address
    assert removal(FOUND) == head + body + attributes


def test_outside_of_gvisor_nothing_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "if_inet6").write_text(TABLE)
    linklocal.leave(str(tmp_path))  # would raise: interface 2 has no such address


def test_what_cannot_be_taken_away_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gvisor").mkdir()
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "if_inet6").write_text(TABLE.replace(" 02 ", " ff "))
    with pytest.raises(OSError, match="fe80::9413:59ff:febe:71c0"):
        linklocal.leave(str(tmp_path))


def test_where_there_is_no_ipv6_there_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "gvisor").mkdir()
    linklocal.leave(str(tmp_path))
