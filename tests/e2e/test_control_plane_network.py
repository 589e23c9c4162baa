"""What reaches the control plane, and what it reaches: what it needs, and nothing else.

Whatever must not be reached is shown to answer: pods that no policy protects get there, and each
node gets to the probes of its own pods. That all works nevertheless is shown by every other test.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.surroundings import ALLOWED, LABELS, PORT, SIDECAR, Surroundings, Target, source
from support.cluster import Cluster, home_of

COMPONENTS = ["operator", "api-gateway", "egress", "snapshot-mounter"]
# What each listens on: who gets there from another pod, and who does not.
OPEN = {
    "operator": [8080, 8089],
    "api-gateway": [8080],
    "egress": [10040, 10041],
    "snapshot-mounter": [8080],
}
CLOSED = {"operator": [8081], "egress": [443, 10042], "snapshot-mounter": [8081]}


def pods(cluster: Cluster, component: str) -> list[Any]:
    selector = f"app.kubernetes.io/component={component}"
    found = cluster.get("pods", namespace=home_of(component), selector=selector)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def at(pod: Any, port: int) -> Target:
    return Target(pod["metadata"]["name"], "tcp", pod["status"]["podIP"], port)


def described(targets: list[Target], came: list[str]) -> list[tuple[str, str, int, str]]:
    return [(t.what, t.host, t.port, came) for t, came in zip(targets, came, strict=True)]


def reached(targets: list[Target], came: list[str]) -> list[tuple[str, str, int, str]]:
    return [each for each in described(targets, came) if each[-1] == "reached"]


def test_other_pods_reach_what_is_for_them_and_no_more(
    cluster: Cluster, around: Surroundings
) -> None:
    for label in LABELS:
        opened = [at(p, port) for name in OPEN for p in pods(cluster, name) for port in OPEN[name]]
        closed = [
            at(p, port) for name in CLOSED for p in pods(cluster, name) for port in CLOSED[name]
        ]
        came = around.probe(around.open(label), opened + closed)
        assert set(came[: len(opened)]) == {"reached"}, described(opened, came[: len(opened)])
        assert reached(closed, came[len(opened) :]) == []


def test_what_is_closed_answers_its_own_node(cluster: Cluster, around: Surroundings) -> None:
    for label in LABELS:
        closed = [
            at(pod, port)
            for name in CLOSED
            for pod in pods(cluster, name)
            if pod["spec"]["nodeName"] == around.node(label)
            for port in CLOSED[name]
        ]
        came = around.probe(around.host(label), closed)
        assert set(came) == {"reached"}, described(closed, came)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_reaches_the_api_server_and_nothing_that_it_does_not_need(
    cluster: Cluster, around: Surroundings, component: str
) -> None:
    api = Target("API server", "tcp", service(cluster, "kubernetes", "default"), 443)
    neighbours = [
        Target("a pod", "tcp", around.address(around.open(label)), PORT) for label in LABELS
    ]
    strangers = [
        *neighbours,
        Target("what passes for a sidecar", "tcp", neighbours[0].host, SIDECAR),
        Target("a server outside", "tcp", ALLOWED, PORT),
        Target("the same", "udp", ALLOWED, PORT),
        *(Target("a node's kubelet", "tcp", address, 10250) for address in around.addresses),
        *(at(pod, 8081) for pod in pods(cluster, "operator")),
        *(at(pod, 8080) for pod in pods(cluster, "api-gateway")),
        Target("the metrics of name servers", "tcp", around.resolver(), 9153),
    ]
    bucket = Target("the bucket", "tcp", service(cluster, "minio", "isola-storage"), 9000)
    resolver = Target("name servers", "udp", around.resolver(), 53)
    others = [bucket, resolver]
    own = {
        "operator": [],
        "api-gateway": [at(pod, 10042) for pod in pods(cluster, "egress")],
        "egress": [resolver],
        "snapshot-mounter": others,
    }[component]
    closed = [*strangers, *(each for each in others if each not in own)]

    from_outside = around.probe(around.open("A"), strangers[:5])
    assert set(from_outside) == {"reached"}, described(strangers[:5], from_outside)
    for pod in pods(cluster, component):
        local = pod["status"]["podIP"], pod["status"]["hostIP"]
        others_only = [each for each in closed if each.host not in local]
        targets = [api, *own, *others_only]
        came = probe(cluster, pod, targets)
        wanted = 1 + len(own)
        assert set(came[:wanted]) == {"reached"}, described(targets[:wanted], came[:wanted])
        assert reached(targets[wanted:], came[wanted:]) == []


def service(cluster: Cluster, name: str, namespace: str) -> str:
    return cluster.get("service", name, namespace)["spec"]["clusterIP"]


def probe(cluster: Cluster, pod: Any, targets: list[Target]) -> list[str]:
    """Return what comes of connecting from a component's own container."""
    given = [(each.protocol, each.host, each.port) for each in targets]
    command = (
        "exec",
        "-i",
        "-n",
        pod["metadata"]["namespace"],
        pod["metadata"]["name"],
        "--",
        "python3",
        "-c",
    )
    done = cluster.kubectl(*command, source("probe.py"), stdin=json.dumps(given))
    return json.loads(done.stdout)
