"""By name: a sandbox reaches the egress component and nothing else, and asks it alone for names."""

from __future__ import annotations

from isola_lifecycle.sandbox.network import Network
from isola_lifecycle.sandbox.ranges import blocked
from isola_operator.manifests.faults import faults
from isola_operator.manifests.network import ClusterDns, Egress, build_policy, dns_of
from isola_store.port import Sandbox
from isola_store.services import Service, decode_service
from support.store import NOW, SPEC
from support.stories import UID

SANDBOX = Sandbox(name="s", uid=UID, generation=1, resource_version="1", created_at=NOW, spec=SPEC)
BY_NAME = Egress(
    namespace="isola-system",
    labels={"app.kubernetes.io/component": "egress"},
    ports=(80, 443, 5432),
    addresses=("10.96.0.7", "fd00::7"),
)
NAMES = Network(domains=("example.com", "db.example.com:5432"))


def policy(network: Network) -> list[object]:
    made = build_policy(SANDBOX, network, blocked(), ClusterDns(), BY_NAME)
    assert made
    assert made["spec"]["policyTypes"] == ["Egress"]
    return made["spec"]["egress"]


def peer() -> dict[str, object]:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "isola-system"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "egress"}},
    }


def ports(*tcp: int) -> list[dict[str, object]]:
    pairs = [("UDP", 53), ("TCP", 53), *(("TCP", port) for port in tcp)]
    return [{"protocol": protocol, "port": port} for protocol, port in pairs]


def test_the_component_is_reached_for_names_and_on_their_ports_and_nothing_else_is() -> None:
    assert policy(NAMES) == [{"to": [peer()], "ports": ports(80, 443, 5432)}]
    assert policy(Network(domains=("a.com:443",))) == [{"to": [peer()], "ports": ports(443)}]


def test_without_a_name_yet_it_is_asked_and_says_no() -> None:
    assert policy(Network(domains=())) == [{"to": [peer()], "ports": ports()}]


def test_ranges_beside_names_open_these_and_no_name_server() -> None:
    network = Network(domains=("example.com",), cidrs=("9.9.9.9/32",))
    assert policy(network) == [
        {"to": [peer()], "ports": ports(80, 443)},
        {"to": [{"ipBlock": {"cidr": "9.9.9.9/32"}}]},
    ]


def test_the_pod_asks_the_component_alone_whatever_its_template_says() -> None:
    template = {"nameservers": ["8.8.8.8"], "searches": ["cluster.local"]}
    dns = dns_of(NAMES, template, BY_NAME)
    assert dns["dnsPolicy"] == "None"
    assert dns["dnsConfig"]["nameservers"] == ["10.96.0.7", "fd00::7"]
    assert "searches" not in dns["dnsConfig"]


def test_names_need_the_component_and_its_ports() -> None:
    def found(*names: str, by_name: Egress) -> tuple[str, ...]:
        spec = {**SPEC, "network": {"allowedEgressDomains": list(names)}}
        return faults(spec, blocked(), by_name)

    assert found("example.com", "db.example.com:5432", by_name=BY_NAME) == ()
    (fault,) = found("example.com:8443", "example.com", by_name=BY_NAME)
    assert "leads to no port 8443: add it to egress.ports" in fault
    for nowhere in (Egress(), Egress(ports=(80, 443))):
        (fault,) = found("example.com", by_name=nowhere)
        assert "no way out by name: set egress.enabled" in fault


def test_a_service_has_the_addresses_that_the_cluster_gave_it() -> None:
    def service(*addresses: str) -> Service:
        return decode_service({"metadata": {"name": "e"}, "spec": {"clusterIPs": list(addresses)}})

    assert service("10.96.0.7", "fd00::7") == Service("e", ("10.96.0.7", "fd00::7"))
    assert service("None") == Service("e", ())
