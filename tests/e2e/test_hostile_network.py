"""A program that wants out, as root in a sandbox that may reach nothing: it tells what it tried.

The same program in a pod like a sandbox's, without policies and with gVisor's raw sockets, gets
there in each way that it has: so what a sandbox is kept from does exist. What no answer would tell
of is watched for on both nodes: nothing that it sent is passed on.

But for one thing, which is kube-router's: it lets everybody ping a pod that has no policies, and as
it comes to the pods of a node in no order of its own, at times it does so before it comes to the
policies of who pings. `controlplane/network.md` says what follows from that.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

import isola
import pytest

from e2e.surroundings import (
    ALLOWED,
    ALLOWED_6,
    LABELS,
    NAMESERVER,
    PORT,
    PUBLIC_DNS,
    SIDECAR,
    Surroundings,
    source,
)
from support.cluster import SYSTEM

# What a program under gVisor gets somewhere with where no policy is in the way: the least of it.
EFFECTIVE = {
    *("tcp", "udp", "scan", "ping", "bind to eth0", "packet mark", "from port 53", "ipv6"),
    *("dns over udp", "dns over tcp", "dns over tls", "dns over https"),
    *("fragments of 4000", "fragments of 60000"),
    *("raw ipip", "raw gre", "raw esp", "raw udp", "raw icmp"),
    *("own sidecar",),
}
# And where the cluster has IPv6. Raw sockets send no datagrams of IPv6 under gVisor.
EFFECTIVE_6 = {
    *("ipv6 udp", "ipv6 ping", "link-local", "link-local ping", "from a link-local address"),
    *("ipv6 from port 53", "ipv6 fragments of 4000", "ipv6 fragments of 60000"),
}


class Attempt(NamedTuple):
    """What the program tells of an attempt."""

    way: str
    where: str
    came: str


@dataclass
class Outcome:
    """What came of the program.

    Attributes:
        addresses: Of where it ran.
        neighbours: Of the pod on the same node that no policy protects.
        attempts: All that it tried.
        arrived: Ways of which a packet was seen at a node.
        passed_on: Ways of which a packet was seen to leave a node for somebody else.
        heard: Ways that a listener heard of.
    """

    addresses: list[str]
    neighbours: list[str]
    attempts: list[Attempt] = field(default_factory=list[Any])
    arrived: set[str] = field(default_factory=set[str])
    passed_on: set[str] = field(default_factory=set[str])
    heard: set[str] = field(default_factory=set[str])

    @property
    def reached(self) -> list[Attempt]:
        return [each for each in self.attempts if each.came.startswith("REACHED")]

    def of(self, way: str) -> list[Attempt]:
        return [each for each in self.attempts if each.way == way]

    @property
    def effective(self) -> set[str]:
        return {each.way for each in self.reached} | self.passed_on | self.heard


def known(around: Surroundings, mark: str, label: str, own: list[str]) -> dict[str, Any]:
    """Return what an attacker would know who is on a node, at some addresses."""
    targets = [*around.targets(), *around.by_name()]
    nodes = around.cluster.get("nodes", namespace="")["items"]
    pods = [each.partition("/")[0] for node in nodes for each in node["spec"]["podCIDRs"]]
    services = around.cluster.get("service", "kubernetes", "default")["spec"]["clusterIP"]
    open_pods = [a for each in LABELS for a in around.addresses_of(around.open(each))]
    gateways = around.cluster.get(
        "pods", namespace=SYSTEM, selector="app.kubernetes.io/component=api-gateway"
    )["items"]
    foreign = [each["ip"] for each in gateways[0]["status"]["podIPs"]]
    return {
        "mark": mark,
        "port": PORT,
        "sidecar": SIDECAR,
        "outside": ALLOWED,
        "foreign": foreign[0],
        "known": sorted({(each.host, each.port) for each in targets}),
        "networks": [
            *((network, port) for network in pods for port in (PORT, SIDECAR)),
            (services, 443),
            *((around.addresses[0], port) for port in (PORT, 10250, 22)),
            *((f"{a.rpartition(':')[0]}:", 10250) for a in around.addresses_6[:1]),
        ],
        "nameservers": [*PUBLIC_DNS, NAMESERVER, around.resolver()],
        "listening": [ALLOWED, *of(4, open_pods), *around.addresses],
        "six": [*around.six(), f"::ffff:{ALLOWED}", "64:ff9b::b00:14", "fe80::1%eth0", "ff02::1"],
        "own six": of(6, own),
        "own gateway six": gateway_of(of(6, own)),
        "foreign six": foreign[1] if around.dual else "",
        "outside six": ALLOWED_6,
        "listening six": [ALLOWED_6, *of(6, open_pods), *around.addresses_6],
        "nodes six": around.addresses_6,
        "link local": around.other_end(around.node(label), own[0]),
        "containerd": "/run/containerd/containerd.sock",
    }


def of(version: int, addresses: list[str]) -> list[str]:
    """Return those of IPv4 or IPv6."""
    return [each for each in addresses if ip_address(each).version == version]


def gateway_of(own: list[str]) -> str:
    """Return a node's own address among its pods, which is the first of their range."""
    return str(ip_network(f"{own[0]}/64", strict=False)[1]) if own else ""


@contextmanager
def watched(around: Surroundings, outcome: Outcome, mark: str) -> Generator[None]:
    """Watch both nodes for what a pod sends, and have the listeners tell what they heard."""
    watchers = [
        subprocess.Popen(
            ["kubectl", *around.command(around.host(label), "watch.py", mark, *outcome.addresses)],
            env=around.cluster.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for label in LABELS
    ]
    try:
        for watcher in watchers:
            assert watcher.stderr
            assert watcher.stderr.readline() == "watching\n"
        yield
    finally:
        told = [watcher.communicate(timeout=60)[0] for watcher in watchers]
    for each in map(json.loads, told):
        outcome.arrived |= set(each["arrived"])
        outcome.passed_on |= set(each["left"])
    for listener in (pod for label in LABELS for pod in (around.open(label), around.host(label))):
        logs = around.cluster.kubectl("logs", "-n", listener.namespace, listener.name).stdout
        outcome.heard |= set(re.findall(rf"{mark}:([^:]+):", logs))


@pytest.fixture(scope="module")
def sandboxed(around: Surroundings) -> Outcome:
    """What comes of it in a sandbox, started as a user would."""
    mark, cluster = secrets.token_hex(4), around.cluster
    with (
        isola.Isola(url=cluster.url) as client,
        client.sandboxes.create(image=cluster.image, timeout_seconds=900) as sandbox,
    ):
        pod = cluster.get("pod", f"{sandbox.id}-pod")
        label = LABELS[around.nodes.index(pod["spec"]["nodeName"])]
        own = [each["ip"] for each in pod["status"]["podIPs"]]
        outcome = Outcome(own, around.addresses_of(around.open(label)))
        with watched(around, outcome, mark):
            command = ("python3", "-c", source("hostile.py"))
            done = sandbox.commands.run(*command, input=json.dumps(known(around, mark, label, own)))
            assert done.exit_code == 0, done.stderr
            outcome.attempts = [Attempt(*each) for each in json.loads(done.stdout)]
    return outcome


@pytest.fixture(scope="module")
def unprotected(around: Surroundings) -> Outcome:
    """What comes of it where no policy is in the way."""
    mark, pod = secrets.token_hex(4), around.open("B")
    link = [each for each in around.run(pod, "own_six.py") if each.startswith("fe80")]
    own = [*around.addresses_of(pod), *link]
    outcome = Outcome(own, own)
    with watched(around, outcome, mark):
        told = around.run(pod, "hostile.py", given=known(around, mark, "B", own))
        outcome.attempts = [Attempt(*each) for each in told]
    return outcome


def test_what_it_tried_is_told(
    sandboxed: Outcome, unprotected: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [("way, and how often", "what came of it in a sandbox", "and without policies")]
    for way in dict.fromkeys(each.way for each in sandboxed.attempts):
        ours, theirs = sandboxed.of(way), unprotected.of(way)
        lines.append((f"{way}, {len(ours)}", summary(ours), summary(theirs)))
    packets = ("at a node", "arrived"), ("passed on", "passed_on"), ("heard", "heard")
    for what, field_name in packets:
        counts = [f"{len(getattr(each, field_name))} ways" for each in (sandboxed, unprotected)]
        lines.append((f"packets {what}", counts[0], counts[1]))
    with capsys.disabled():
        for tried, ours, theirs in [("", "", ""), *lines]:
            print(f"{tried:50} {ours:62} {theirs}")  # noqa: T201 - whoever runs the tests reads it
    assert len(sandboxed.attempts) == len(unprotected.attempts)


def summary(attempts: list[Attempt]) -> str:
    """Return what came of attempts, each once, without what was reached."""
    return ", ".join(sorted({re.sub(r"(REACHED|none of 254).*", r"\1", a.came) for a in attempts}))


def test_without_policies_it_gets_there(around: Surroundings, unprotected: Outcome) -> None:
    expected = EFFECTIVE | (EFFECTIVE_6 if around.dual else set[str]())
    assert unprotected.effective >= expected, expected - unprotected.effective


def known_pings(outcome: Outcome) -> set[tuple[str, str]]:
    """Return what kube-router lets through at times: see above."""
    return {(way, each) for way in ("ping", "ipv6 ping") for each in outcome.neighbours}


def test_it_reaches_nobody(sandboxed: Outcome) -> None:
    known = known_pings(sandboxed)
    assert [each for each in sandboxed.reached if (each.way, each.where) not in known] == []


def test_nothing_that_it_sends_is_passed_on_or_heard(sandboxed: Outcome) -> None:
    assert "udp" in sandboxed.arrived, "the watchers saw nothing"
    # The mark ends at a colon.
    pings = {f"{way} {each}".replace(":", ".") for way, each in known_pings(sandboxed)}
    assert sandboxed.passed_on <= pings
    assert sandboxed.heard == set()


def test_its_own_sidecar_refuses_it(sandboxed: Outcome) -> None:
    came = [each for each in sandboxed.attempts if each.way.startswith("own sidecar")]
    refused = {each.where for each in came if each.came == "refused by 403"}
    assert {"127.0.0.1", "127.0.0.2", *sandboxed.addresses} <= refused, came


def test_it_has_no_address_that_is_of_its_link_alone(
    around: Surroundings, sandboxed: Outcome
) -> None:
    """By which kube-router does not know a pod, and lets it get at its own node."""
    if not around.dual:
        pytest.skip("the pods of this cluster have no IPv6")
    came = {each.came for each in sandboxed.of("from a link-local address")}
    assert came == {"cannot assign requested address"}
