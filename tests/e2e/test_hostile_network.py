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
from typing import Any, NamedTuple

import isola
import pytest

from e2e.surroundings import (
    ALLOWED,
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


class Attempt(NamedTuple):
    """What the program tells of an attempt."""

    way: str
    where: str
    came: str


@dataclass
class Outcome:
    """What came of the program.

    Attributes:
        address: Where it ran.
        neighbour: Address of the pod on the same node that no policy protects.
        attempts: All that it tried.
        arrived: Ways of which a packet was seen at a node.
        passed_on: Ways of which a packet was seen to leave a node for somebody else.
        heard: Ways that a listener heard of.
    """

    address: str
    neighbour: str
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


def known(around: Surroundings, mark: str) -> dict[str, Any]:
    """Return what an attacker would know."""
    targets = [*around.targets(), *around.by_name()]
    nodes = around.cluster.get("nodes", namespace="")["items"]
    pods = [node["spec"]["podCIDR"].partition("/")[0] for node in nodes]
    services = around.cluster.get("service", "kubernetes", "default")["spec"]["clusterIP"]
    open_pods = [around.address(around.open(label)) for label in LABELS]
    gateways = around.cluster.get(
        "pods", namespace=SYSTEM, selector="app.kubernetes.io/component=api-gateway"
    )["items"]
    return {
        "mark": mark,
        "port": PORT,
        "sidecar": SIDECAR,
        "outside": ALLOWED,
        "foreign": gateways[0]["status"]["podIP"],
        "known": sorted({(each.host, each.port) for each in targets}),
        "networks": [
            *((network, port) for network in pods for port in (PORT, SIDECAR)),
            (services, 443),
            *((around.addresses[0], port) for port in (PORT, 10250, 22)),
        ],
        "nameservers": [*PUBLIC_DNS, NAMESERVER, around.resolver()],
        "listening": [ALLOWED, *open_pods, *around.addresses],
        "six": [*around.six(), f"::ffff:{ALLOWED}", "64:ff9b::b00:14", "fe80::1%eth0", "ff02::1"],
        "containerd": "/run/containerd/containerd.sock",
    }


@contextmanager
def watched(around: Surroundings, outcome: Outcome, mark: str) -> Generator[None]:
    """Watch both nodes for what a pod sends, and have the listeners tell what they heard."""
    watchers = [
        subprocess.Popen(
            ["kubectl", *around.command(around.host(label), "watch.py", mark, outcome.address)],
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
        outcome = Outcome(pod["status"]["podIP"], around.address(around.open(label)))
        with watched(around, outcome, mark):
            command = ("python3", "-c", source("hostile.py"))
            done = sandbox.commands.run(*command, input=json.dumps(known(around, mark)))
            assert done.exit_code == 0, done.stderr
            outcome.attempts = [Attempt(*each) for each in json.loads(done.stdout)]
    return outcome


@pytest.fixture(scope="module")
def unprotected(around: Surroundings) -> Outcome:
    """What comes of it where no policy is in the way."""
    mark, pod = secrets.token_hex(4), around.open("B")
    outcome = Outcome(around.address(pod), around.address(pod))
    with watched(around, outcome, mark):
        told = around.run(pod, "hostile.py", given=known(around, mark))
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


def test_without_policies_it_gets_there(unprotected: Outcome) -> None:
    assert unprotected.effective >= EFFECTIVE, EFFECTIVE - unprotected.effective


def test_it_reaches_nobody(sandboxed: Outcome) -> None:
    known = ("ping", sandboxed.neighbour)
    assert [each for each in sandboxed.reached if (each.way, each.where) != known] == []


def test_nothing_that_it_sends_is_passed_on_or_heard(sandboxed: Outcome) -> None:
    assert "udp" in sandboxed.arrived, "the watchers saw nothing"
    assert sandboxed.passed_on <= {f"ping {sandboxed.neighbour}"}
    assert sandboxed.heard == set()


def test_its_own_sidecar_refuses_it(sandboxed: Outcome) -> None:
    came = [each for each in sandboxed.attempts if each.way.startswith("own sidecar")]
    refused = {each.where for each in came if each.came == "refused by 403"}
    assert {"127.0.0.1", "127.0.0.2", sandboxed.address} <= refused, came
