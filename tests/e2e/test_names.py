"""The way out by name, from within gVisor, on a cluster that enforces policies."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import isola
import pytest

from e2e.world import NAMESERVER, SERVER, world
from support.cluster import SANDBOXES, SYSTEM, Cluster, until

ALLOWED = ["allowed.test", "*.wild.test", "rebind.test", "metadata.test", "loopback.test"]

# What runs in the sandbox: each attempt in words, so that a failure tells what came of it.
ATTEMPTS = textwrap.dedent("""
    import json, socket, ssl, struct, sys

    def resolve(name):
        try:
            return "resolved" if socket.gethostbyname(name) else ""
        except socket.gaierror as error:
            return "no such name" if error.errno == socket.EAI_NONAME else f"error {error.errno}"

    def resolve_6(name):
        try:
            return "resolved" if socket.getaddrinfo(name, 443, socket.AF_INET6) else ""
        except socket.gaierror as error:
            return "no such name" if error.errno == socket.EAI_NONAME else f"error {error.errno}"

    def tls(name, port=443, address=None):
        context = ssl.create_default_context(cafile="/tmp/ca.pem")
        try:
            with socket.create_connection((address or name, int(port)), 5) as plain:
                with context.wrap_socket(plain, server_hostname=name) as secure:
                    return get(secure, name)
        except (OSError, ssl.SSLError) as error:
            return told(error)

    def http(name, port=80, address=None, host=None):
        try:
            with socket.create_connection((address or name, int(port)), 5) as plain:
                return get(plain, host or name)
        except OSError as error:
            return told(error)

    def get(stream, host):
        lines = "GET / HTTP/1.1", f"Host: {host}", "Connection: close", "", ""
        stream.sendall("\\r\\n".join(lines).encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
        status = answer.split()[1].decode() if answer else "nothing"
        return "world" if b"world " in answer else status

    def ask(server, protocol):
        question = b"\\x07allowed\\x04test\\x00\\x00\\x01\\x00\\x01"
        query = struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + question
        framed = struct.pack(">H", len(query)) + query
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, kind) as asking:
            asking.settimeout(3)
            try:
                asking.connect((server, 53))
                asking.sendall(query if protocol == "udp" else framed)
                return "answered" if asking.recv(512) else "closed"
            except OSError as error:
                return told(error)

    def told(error):
        text = str(error).lower()
        for word in ("unrecognized name", "internal error"):
            if word in text.replace("_", " "):
                return word
        for word in ("refused", "timed out", "unreachable", "no route"):
            if word in text:
                return word
        return "no such name" if isinstance(error, socket.gaierror) else text

    attempts = json.load(sys.stdin)
    print(json.dumps([globals()[each[0]](*each[1:]) for each in attempts]))
""")

Attempt = tuple[Any, ...]


@dataclass
class Inside:
    """A sandbox, and what becomes of attempts in it.

    Attributes:
        sandbox: The sandbox.
        gateway: The address of what it goes out by.
    """

    sandbox: isola.Sandbox
    gateway: str

    def tries(self, *attempts: Attempt) -> list[str]:
        """Return what came of each attempt."""
        done = self.sandbox.commands.run("python3", "/tmp/a.py", input=json.dumps(attempts))
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def certificate(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(cluster, tmp_path_factory.mktemp("world")) as path:
        yield path


@pytest.fixture(scope="module")
def start(cluster: Cluster, certificate: Path) -> Iterator[Callable[[list[str]], Inside]]:
    """Start sandboxes with lists of names."""
    service = cluster.get("service", "isola-egress", SYSTEM)
    made: list[str] = []
    with isola.Isola(url=cluster.url) as client, httpx.Client(base_url=cluster.url) as http:

        def start(names: list[str]) -> Inside:
            body = {
                "podTemplate": {"containers": [{"image": cluster.image}]},
                "timeoutSeconds": 900,
                "network": {"allowedEgressDomains": names},
            }
            answer = http.post(
                "/v1/sandboxes", json=body, headers={"Prefer": "wait=25"}, timeout=40
            )
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["id"])

            def running() -> bool:
                told = http.get(f"/v1/sandboxes/{made[-1]}").json()
                assert told["status"] in {"Pending", "Running"}, told
                return told["status"] == "Running"

            until(running, seconds=90, what="a running sandbox")
            sandbox = client.sandboxes.get(made[-1])
            sandbox.filesystem.write("/tmp/a.py", ATTEMPTS)
            sandbox.filesystem.write("/tmp/ca.pem", certificate.read_text())
            return Inside(sandbox, service["spec"]["clusterIP"])

        yield start
        for name in made:
            http.delete(f"/v1/sandboxes/{name}")


@pytest.fixture(scope="module")
def inside(start: Callable[[list[str]], Inside]) -> Inside:
    return start(ALLOWED)


def test_allowed_names_are_reached_by_tls_and_by_http_and_their_certificates_are_their_own(
    inside: Inside,
) -> None:
    attempts: list[Attempt] = [
        ("resolve", "allowed.test"),
        ("tls", "allowed.test"),
        ("http", "allowed.test"),
        ("tls", "www.wild.test"),
        ("tls", "a.b.wild.test"),
        ("http", "www.wild.test"),
    ]
    assert inside.tries(*attempts) == ["resolved", *["world"] * 5]


def test_other_names_do_not_exist_and_are_refused_whatever_way_they_are_asked_for(
    inside: Inside,
) -> None:
    way_out = inside.gateway
    found = inside.tries(
        ("resolve", "forbidden.test"),
        ("resolve", "wild.test"),
        ("tls", "forbidden.test", 443, way_out),
        ("tls", "wild.test", 443, way_out),
        ("http", "forbidden.test", 80, way_out),
        ("http", "allowed.test", 80, way_out, "forbidden.test"),
        ("http", "allowed.test", 80, way_out, SERVER),
    )
    assert found == [
        *["no such name"] * 2,
        *["unrecognized name"] * 2,
        *["403"] * 2,
        "400",
    ]


def test_no_other_port_address_or_name_server_is_reached(inside: Inside, cluster: Cluster) -> None:
    resolver = cluster.get("service", "kube-dns", "kube-system")["spec"]["clusterIP"]
    attempts: list[Attempt] = [
        ("tls", "allowed.test", 8443),
        ("tls", "allowed.test", 443, SERVER),
        ("http", "allowed.test", 80, SERVER),
        *(("ask", NAMESERVER, protocol) for protocol in ("udp", "tcp")),
        *(("ask", resolver, protocol) for protocol in ("udp", "tcp")),
        *(("ask", "8.8.8.8", protocol) for protocol in ("udp", "tcp")),
        ("http", "allowed.test", 443, "10.96.0.1"),
        ("http", "allowed.test", 80, "169.254.169.254"),
        ("http", "allowed.test", 10042, inside.gateway),
        ("http", "allowed.test", 10040, inside.gateway),
    ]
    found = inside.tries(*attempts)
    # A matrix of what was tried and what came of it, for whoever reads the failure.
    told = "\n".join(f"{came}: {attempt}" for attempt, came in zip(attempts, found, strict=True))
    assert set(found) <= {"refused", "timed out", "unreachable", "no route"}, told
    assert inside.tries(("ask", inside.gateway, "udp"), ("ask", inside.gateway, "tcp")) == [
        "answered",
        "answered",
    ]


def test_by_ipv6_the_way_out_is_the_same_and_there_is_no_way_round_it(
    inside: Inside, cluster: Cluster
) -> None:
    addresses = cluster.get("service", "isola-egress", SYSTEM)["spec"]["clusterIPs"]
    if len(addresses) == 1:
        pytest.skip("the pods of this cluster have no IPv6")
    way_out, canary = addresses[1], cluster.get("service", "isola-operator-canary", SYSTEM)
    found = inside.tries(
        ("resolve_6", "allowed.test"),
        ("resolve_6", "forbidden.test"),
        ("tls", "allowed.test", 443, way_out),
        ("tls", "forbidden.test", 443, way_out),
        ("http", "forbidden.test", 80, way_out),
        ("ask", way_out, "udp"),
        ("ask", way_out, "tcp"),
    )
    unknown = "unrecognized name"
    said = ["resolved", "no such name", "world", unknown, "403", "answered", "answered"]
    assert found == said
    nodes = [each["status"]["addresses"] for each in cluster.get("nodes", namespace="")["items"]]
    closed = inside.tries(
        *(("http", "allowed.test", 10250, a["address"]) for n in nodes for a in n[:2]),
        ("http", "allowed.test", 8089, canary["spec"]["clusterIPs"][1]),
        ("http", "allowed.test", 10040, way_out),
        ("http", "allowed.test", 80, "fd00:ec2::254"),
        ("http", "allowed.test", 80, "2606:4700::1"),
        *(("ask", "2606:4700:4700::1111", protocol) for protocol in ("udp", "tcp")),
    )
    assert set(closed) <= {"refused", "timed out", "unreachable", "no route"}, closed


def test_a_name_that_leads_to_a_blocked_range_is_refused_also_when_it_changes_its_mind(
    inside: Inside, cluster: Cluster
) -> None:
    assert inside.tries(("http", "metadata.test"), ("http", "loopback.test")) == ["403", "403"]
    found = inside.tries(*[("http", "rebind.test")] * 10)
    assert set(found) == {"world", "403"}, found
    blocked = {
        (each["name"], each["address"])
        for each in refusals(cluster, inside)
        if each["reason"] == "AddressBlocked"
    }
    assert blocked == {
        ("metadata.test", "169.254.169.254"),
        ("loopback.test", "127.0.0.1"),
        ("rebind.test", "10.96.0.1"),
    }


def refusals(cluster: Cluster, inside: Inside) -> list[dict[str, Any]]:
    answer = httpx.get(f"{cluster.url}/v1/sandboxes/{inside.sandbox.id}/network/refusals")
    assert answer.status_code == 200, answer.text
    assert answer.json()["silent"] == 0
    return answer.json()["refusals"]


def test_what_was_refused_is_told_by_rest_with_name_port_and_time(
    start: Callable[[list[str]], Inside], cluster: Cluster
) -> None:
    inside = start(["allowed.test"])
    inside.tries(
        ("resolve", "forbidden.test"),
        *[("tls", "forbidden.test", 443, inside.gateway)] * 6,
        ("http", "forbidden.test", 80, inside.gateway),
        ("tls", "allowed.test"),
    )
    found = {
        (each["protocol"], each["name"], each.get("port"), each["reason"]): each["count"]
        for each in refusals(cluster, inside)
    }
    assert found.pop(("dns", "forbidden.test", None, "NameNotAllowed")) >= 1
    assert found == {
        ("tls", "forbidden.test", 443, "NameNotAllowed"): 6,
        ("http", "forbidden.test", 80, "NameNotAllowed"): 1,
    }
    assert all(each["lastTime"] >= each["firstTime"] for each in refusals(cluster, inside))


def test_a_replica_that_dies_takes_nobody_s_way_out_with_it(
    inside: Inside, cluster: Cluster
) -> None:
    def pods() -> list[str]:
        found = cluster.get("pods", namespace=SYSTEM, selector="app.kubernetes.io/component=egress")
        return [pod["metadata"]["name"] for pod in found["items"]]

    before = pods()
    assert len(before) == 2
    cluster.kubectl(
        *("delete", "pod", "-n", SYSTEM, before[0], "--grace-period=0", "--force", "--wait=false")
    )
    # A connection to the one that is gone fails until the cluster knows; the next finds the other.
    for _ in range(10):
        until(
            lambda: inside.tries(("tls", "allowed.test")) == ["world"],
            seconds=30,
            what="the way out by the other replica",
        )
    status = ("rollout", "status", "-n", SYSTEM, "deployment/isola-egress", "--timeout=90s")
    cluster.kubectl(*status)
    assert before[0] not in pods()


def test_what_applies_is_told_by_kubectl(inside: Inside, cluster: Cluster) -> None:
    log = cluster.log(inside.sandbox.id)
    (told,) = [each["message"] for each in log if each["type"] == "NetworkConfigured"]
    assert "by name allowed.test and *.wild.test" in told
    policy = cluster.get("networkpolicy", f"{inside.sandbox.id}-custom-netpol", SANDBOXES)
    (rule,) = policy["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53, 80, 443}
