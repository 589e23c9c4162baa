"""The policy of a sandbox, its pod's name servers and rate, and where the cluster's ranges lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest

from isola_lifecycle.sandbox.network import NOTHING, Network
from isola_lifecycle.sandbox.ranges import Block, blocked
from isola_operator.credentials import fresh
from isola_operator.manifests.faults import faults
from isola_operator.manifests.network import (
    SINK_DNS,
    ClusterDns,
    Doors,
    build_policy,
    dns_of,
    rate_annotations,
)
from isola_operator.manifests.pod import PodSettings, build, labels
from isola_store.port import Sandbox
from isola_store.ranges import (
    ClusterRanges,
    Configured,
    Holder,
    decode_node,
    decode_service_ranges,
)
from support.store import NOW, SPEC
from support.stories import UID

SANDBOX = Sandbox(name="s", uid=UID, generation=1, resource_version="1", created_at=NOW, spec=SPEC)
CLUSTER = blocked([Block(ip_network("1.2.3.0/24"), "pods of this cluster")])
DNS = ClusterDns()


def egress(network: Network) -> list[dict[str, Any]]:
    policy = build_policy(SANDBOX, network, CLUSTER, DNS)
    assert policy is not None
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert "ingress" not in policy["spec"]
    return policy["spec"]["egress"]


def opens(network: Network, address: str, port: int = 443, protocol: str = "TCP") -> bool:
    """Return whether the policy lets a packet to an address outside of the cluster pass."""
    policy = build_policy(SANDBOX, network, CLUSTER, DNS)
    for rule in policy["spec"]["egress"] if policy else ():
        ports = rule.get("ports", [{"protocol": protocol, "port": port}])
        for peer in rule["to"]:
            block = peer.get("ipBlock", {"cidr": "255.255.255.255/32"})
            target = ip_address(address)
            inside = target in ip_network(block["cidr"])
            cut_out = any(target in ip_network(each) for each in block.get("except", ()))
            if inside and not cut_out and {"protocol": protocol, "port": port} in ports:
                return True
    return False


@pytest.mark.parametrize(
    "network",
    [Network(internet=True, ipv6=True), Network(cidrs=("0.0.0.0/0", "::/0"), ipv6=True)],
    ids=["the internet", "as a range"],
)
def test_all_of_ipv6_is_written_in_halves_as_an_engine_opens_private_ranges_with_the_whole(
    network: Network,
) -> None:
    blocks = {peer["ipBlock"]["cidr"]: peer["ipBlock"] for r in egress(network) for peer in r["to"]}
    assert set(blocks) - {"8.8.8.8/32", "1.1.1.1/32"} == {"0.0.0.0/0", "::/1", "8000::/1"}
    assert "fc00::/7" in blocks["8000::/1"]["except"]
    assert "64:ff9b:1::/48" in blocks["::/1"]["except"]
    assert not opens(network, "fd00::1")
    assert opens(network, "2606:4700::1")


def test_nothing_needs_no_policy() -> None:
    for network in (NOTHING, Network(ipv6=True, rate=7)):
        assert build_policy(SANDBOX, network, CLUSTER, DNS) is None


def test_a_policy_belongs_to_its_sandbox_and_selects_its_pod_alone() -> None:
    policy = build_policy(SANDBOX, Network(internet=True), CLUSTER, DNS)
    assert policy is not None
    metadata = policy["metadata"]
    assert metadata["name"] == "s-custom-netpol"
    assert metadata["labels"]["app.kubernetes.io/component"] == "sandbox-network"
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == [UID]
    selector = policy["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= labels("s").items()
    assert not selector.items() <= labels("t").items()


@pytest.mark.parametrize(
    ("network", "open_to", "closed_to"),
    [
        pytest.param(
            Network(internet=True),
            ["9.9.9.9", "1.2.4.1"],
            ["10.0.0.1", "169.254.169.254", "1.2.3.4", "168.63.129.16", "2606:4700::1"],
            id="the internet",
        ),
        pytest.param(
            Network(internet=True, ipv6=True),
            ["9.9.9.9", "2606:4700::1"],
            ["fd00::1", "fe80::1", "64:ff9b::a00:1", "64:ff9b::102:304"],
            id="the internet in both protocols",
        ),
        pytest.param(
            Network(cidrs=("1.2.0.0/16", "9.0.0.0/7")),
            ["1.2.4.4", "9.9.9.9", "8.8.4.4"],
            ["1.2.3.4", "1.3.0.1", "10.0.0.1"],
            id="ranges, without what is blocked inside them",
        ),
        pytest.param(
            Network(cidrs=("1.2.3.0/25", "9.9.9.0/24")),
            ["9.9.9.9"],
            ["1.2.3.4"],
            id="a range that has become this cluster's own",
        ),
    ],
)
def test_exactly_what_was_asked_is_open(
    network: Network, open_to: list[str], closed_to: list[str]
) -> None:
    assert [address for address in open_to if not opens(network, address)] == []
    assert [address for address in closed_to if opens(network, address)] == []


def test_name_servers_are_reached_at_their_port_alone() -> None:
    network = Network(nameservers=("9.9.9.9", "2620:fe::fe"), ipv6=True)
    for protocol in ("UDP", "TCP"):
        assert opens(network, "9.9.9.9", 53, protocol)
        assert opens(network, "2620:fe::fe", 53, protocol)
    assert not opens(network, "9.9.9.9", 443)
    assert not opens(network, "8.8.8.8", 53)


def test_the_public_name_servers_come_with_a_range() -> None:
    assert opens(Network(cidrs=("1.2.0.0/16",)), "8.8.8.8", 53, "UDP")


def test_the_cluster_s_name_servers_are_told_by_where_and_what_they_are() -> None:
    (rule,) = egress(Network(cluster_dns=True))
    assert rule["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]
    assert [port["port"] for port in rule["ports"]] == [53, 53]


# --- the pod -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "policy", "servers"),
    [
        (NOTHING, "None", ["127.0.0.1"]),
        (Network(internet=True), "None", ["8.8.8.8", "1.1.1.1"]),
        (Network(nameservers=("9.9.9.9",)), "None", ["9.9.9.9"]),
        (Network(cluster_dns=True), "ClusterFirst", None),
        (Network(cluster_dns=True, nameservers=("9.9.9.9",)), "ClusterFirst", ["9.9.9.9"]),
        (Network(cluster_dns=True, internet=True), "ClusterFirst", None),
    ],
)
def test_names_are_resolved_as_the_contract_has_it(
    network: Network, policy: str, servers: list[str] | None
) -> None:
    template = {"nameservers": ["10.0.0.1"], "searches": ["a.example"]}
    found = dns_of(network, template)
    assert found["dnsPolicy"] == policy
    assert found["dnsConfig"].get("nameservers") == servers
    assert found["dnsConfig"].get("searches") == (["a.example"] if network.cluster_dns else None)


def test_lookups_fail_fast_where_nothing_is_allowed() -> None:
    options = {option["name"]: option["value"] for option in cast("Any", SINK_DNS["options"])}
    assert options == {"timeout": "1", "attempts": "1", "ndots": "1"}


@pytest.mark.parametrize(
    ("rate", "burst"),
    [(10_000_000, "1000000"), (1000, "131072"), (10**12, "4294967295")],
)
def test_gvisor_is_told_the_rate_and_a_burst(rate: int, burst: str) -> None:
    assert rate_annotations(Network(rate=rate)) == {
        "dev.gvisor.flag.qdisc": "tbf",
        "dev.gvisor.flag.qdisc-tbf-rate": str(rate),
        "dev.gvisor.flag.qdisc-tbf-burst": burst,
    }


def test_a_template_cannot_lift_the_rate() -> None:
    annotations = {"dev.gvisor.flag.qdisc": "fifo", "dev.gvisor.flag.qdisc-tbf-rate": "1"}
    template = {"metadata": {"annotations": annotations}, **SPEC["podTemplate"]}
    sandbox = Sandbox(
        name="s",
        uid=UID,
        generation=1,
        resource_version="1",
        created_at=NOW,
        spec={"podTemplate": template},
    )
    settings = PodSettings(runtime_class="gvisor", sidecar_image="i")
    given = build(sandbox, Network(rate=5000), settings, fresh())["metadata"]["annotations"]
    assert given["dev.gvisor.flag.qdisc-tbf-rate"] == "5000"
    assert given["dev.gvisor.flag.qdisc"] == "tbf"
    unlimited = build(sandbox, NOTHING, settings, fresh())["metadata"]["annotations"]
    assert not [key for key in unlimited if "qdisc" in key]


def test_faults_of_the_network_say_where_they_are() -> None:
    spec = {**SPEC, "network": {"allowedEgressCIDRs": ["1.2.3.0/24"], "nameservers": ["10.0.0.1"]}}
    first, second = faults(spec, CLUSTER)
    assert first.startswith("spec.network.allowedEgressCIDRs[0]: ")
    assert "pods of this cluster" in first
    assert second.startswith("spec.network.nameservers[0]: ")


# --- the cluster's own ranges ------------------------------------------------------------------


class Copy:
    """A local copy that a test fills."""

    def __init__(self, *holders: Holder, synced: bool = True) -> None:
        self.holders, self.synced = list(holders), synced
        self.listeners: list[Any] = []

    def list(self) -> Sequence[Holder]:
        return tuple(self.holders)

    def subscribe(self, listener: Any) -> None:
        self.listeners.append(listener)

    def add(self, holder: Holder) -> None:
        self.holders.append(holder)
        for listener in self.listeners:
            listener(holder.name)


def node(
    name: str = "n1", pods: str = "11.1.0.0/24", address: str = "12.0.0.1", *also: str
) -> Holder:
    """Return one; `also` is a further range of pods and a further address of its own."""
    ranges, addresses = [pods, *also[:1]], [address, *also[1:]]
    return decode_node(
        {
            "metadata": {"name": name},
            "spec": {"podCIDRs": ranges} if pods else {},
            "status": {
                "addresses": [
                    *({"type": "InternalIP", "address": each} for each in addresses),
                    {"type": "Hostname", "address": "n1"},
                ]
            },
        }
    )


SERVICES = decode_service_ranges(
    {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["13.0.0.0/16"]}}
)


def ranges(
    nodes: Copy | None = None,
    services: Copy | None = None,
    configured: Configured | None = None,
    own_addresses: tuple[str, ...] = (),
) -> ClusterRanges:
    copies: Any = (nodes, services)
    return ClusterRanges(configured or Configured(), *copies, own_addresses=own_addresses)


def test_what_the_cluster_says_of_itself_is_blocked() -> None:
    found = ranges(Copy(node()), Copy(SERVICES), own_addresses=("11.1.0.7",))
    assert found.unknown() == ""
    for address, why in (("11.1.0.9", "pods"), ("12.0.0.1", "nodes"), ("13.0.5.5", "services")):
        block = found.blocked().around(ip_network(address))
        assert block is not None
        assert why in block.why


BOTH = node("n1", "11.1.0.0/24", "12.0.0.1", "2600:11::/64", "2600:12::1")
SERVICES_OF_BOTH = decode_service_ranges(
    {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["13.0.0.0/16", "2600:13::/112"]}}
)


def test_where_a_cluster_has_both_protocols_its_own_is_blocked_in_both() -> None:
    found = ranges(Copy(BOTH), Copy(SERVICES_OF_BOTH), own_addresses=("11.1.0.7", "2600:11::7"))
    assert found.unknown() == ""
    for address in ("11.1.0.9", "2600:11::9", "12.0.0.1", "2600:12::1", "13.0.5.5", "2600:13::5"):
        assert found.blocked().around(ip_network(address)) is not None, address
    assert found.blocked().around(ip_network("2600:14::1")) is None


def test_a_node_that_comes_is_blocked_and_whoever_asked_is_told() -> None:
    nodes = Copy(node())
    found = ranges(nodes, Copy(SERVICES))
    told: list[str] = []
    found.subscribe(lambda: told.append("changed"))
    nodes.add(node())  # news of a node that says the same as before
    assert told == []
    nodes.add(node("n2", "11.2.0.0/24", "14.0.0.1"))
    assert told == ["changed"]
    assert found.blocked().around(ip_network("14.0.0.1")) is not None


@pytest.mark.parametrize(
    ("found", "setting"),
    [
        pytest.param(ranges(), "podCIDRs", id="nothing may be read"),
        pytest.param(ranges(Copy(synced=False), Copy(SERVICES)), "podCIDRs", id="not read yet"),
        pytest.param(ranges(Copy(node(pods="")), Copy(SERVICES)), "podCIDRs", id="no pod range"),
        pytest.param(
            ranges(Copy(node(), node("n2", pods="")), Copy(SERVICES)),
            "podCIDRs",
            id="one node without a pod range",
        ),
        pytest.param(ranges(Copy(node()), Copy()), "serviceCIDRs", id="no service range"),
        pytest.param(
            ranges(Copy(node()), Copy(SERVICES), own_addresses=("99.0.0.1",)),
            "podCIDRs",
            id="the operator itself is somewhere else",
        ),
        pytest.param(
            ranges(Copy(node()), Copy(SERVICES), own_addresses=("11.1.0.7", "2600:11::7")),
            "podCIDRs",
            id="the operator itself is somewhere else by IPv6",
        ),
        pytest.param(
            ranges(configured=Configured(pods=(ip_network("11.0.0.0/8"),))),
            "nodeCIDRs",
            id="some of it configured",
        ),
    ],
)
def test_what_is_not_known_is_said_with_what_to_do(found: ClusterRanges, setting: str) -> None:
    assert f"operator.network.{setting}" in found.unknown()


def test_what_is_configured_counts_instead_of_what_is_found() -> None:
    configured = Configured(
        pods=(ip_network("21.0.0.0/8"),),
        services=(ip_network("22.0.0.0/8"),),
        nodes=(ip_network("23.0.0.0/8"),),
        further=(ip_network("24.0.0.0/8"),),
    )
    found = ranges(configured=configured, own_addresses=("21.0.0.1",))
    assert found.unknown() == ""
    for first in (21, 22, 23, 24):
        assert found.blocked().around(ip_network(f"{first}.1.1.1")) is not None
    assert ranges(Copy(node()), None, configured).blocked().around(ip_network("11.1.0.9")) is None


# --- doors -------------------------------------------------------------------------------------

DOORS = Doors(
    addresses=("10.0.0.5",), ports=(18000, 18001, 18002), namespace="isola", labels={"a": "b"}
)


def test_each_of_several_changes_in_a_row_has_a_door_of_its_own() -> None:
    assert [DOORS.of(change) for change in (7, 8, 9)] == [
        "10.0.0.5:18001",
        "10.0.0.5:18002",
        "10.0.0.5:18000",
    ]
    both = replace(DOORS, addresses=("10.0.0.5", "fd00::5"))
    assert both.of(7) == "10.0.0.5:18001,[fd00::5]:18001"


@pytest.mark.parametrize("less", [{"addresses": ()}, {"ports": ()}, {"labels": {}}])
def test_where_something_is_missing_there_are_no_doors(less: dict[str, Any]) -> None:
    assert replace(DOORS, **less).of(7) == ""


@pytest.mark.parametrize("door", ["10.0.0.5:18001", "10.0.0.5:18001,[fd00::5]:18001"])
def test_a_door_opens_one_port_of_the_operators_and_nothing_else(door: str) -> None:
    opened = DOORS.rules(door)
    policy = build_policy(SANDBOX, NOTHING, CLUSTER, DNS, door=opened)
    assert policy is not None
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "isola"}},
        "podSelector": {"matchLabels": {"a": "b"}},
    }
    rule = {"to": [peer], "ports": [{"protocol": "TCP", "port": 18001}]}
    assert policy["spec"]["egress"] == [rule]
    without = egress(Network(internet=True))
    with_door = build_policy(SANDBOX, Network(internet=True), CLUSTER, DNS, door=opened)
    assert with_door
    assert with_door["spec"]["egress"] == [*without, rule]


@pytest.mark.parametrize("door", ["", "somewhere", "10.0.0.5:", "10.0.0.5:x"])
def test_what_is_no_door_opens_nothing(door: str) -> None:
    assert DOORS.rules(door) == ()
