"""No container of a sandbox starts before its network policies are seen to be in force."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import yaml

from support.cluster import SYSTEM, Cluster, until
from support.toolchain import ROOT

SIDECAR, GATE = "sandbox-sidecar", "network-gate"

Create = Callable[..., dict[str, Any]]

# Tries from its first millisecond, for two seconds, and tells of every connection that came about.
EARLY = """
import socket, sys, time
began, reached, tried = time.monotonic(), [], 0
while time.monotonic() - began < 2:
    for host, port in TARGETS:
        tried += 1
        with socket.socket() as each:
            each.settimeout(0.05)
            if each.connect_ex((host, port)) == 0:
                reached.append((host, port, round(time.monotonic() - began, 3)))
print(tried, reached, flush=True)
time.sleep(600)
"""


@pytest.fixture
def no_policy_engine(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Take the policy engine away, for as long as the test lasts; what it returns puts it back.

    By applying its manifest, not by a patch: should this be killed in between, the next
    `hack/setup.sh` puts the engine back, as it would not take off what it never wrote.
    """
    if cluster.get("daemonset", "kube-router", "kube-system") is None:
        pytest.skip("the policy engine of this cluster is not ours to stop")
    manifest = ROOT / "hack" / "cluster" / "kube-router.yaml"
    (engine,) = (e for e in yaml.safe_load_all(manifest.read_text()) if e["kind"] == "DaemonSet")

    def put_back() -> None:
        cluster.kubectl("apply", "-f", str(manifest))
        status = ("rollout", "status", "-n", "kube-system", "daemonset/kube-router")
        cluster.kubectl(*status, "--timeout=90s")

    nowhere = copy.deepcopy(engine)
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = {"isola.test/none": "x"}
    try:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(nowhere))
        pods = ("-n", "kube-system", "pods", "-l", "app=kube-router", "-o", "name")
        until(lambda: not cluster.kubectl("get", *pods).stdout, seconds=60, what="it is gone")
        yield put_back
    finally:
        put_back()


def started(cluster: Cluster, name: str) -> set[str]:
    """Return which containers of a sandbox's pod a kubelet ever started, by its events."""
    about = f"involvedObject.name={name}-pod,reason=Started"
    path = "{range .items[*]}{.involvedObject.fieldPath}{'\\n'}{end}"
    found = ("get", "events", "-n", "isola-sandboxes", f"--field-selector={about}")
    told = cluster.kubectl(*found, "-o", f"jsonpath={path}").stdout
    return {line.partition("{")[2].rstrip("}") for line in told.splitlines()}


def service(cluster: Cluster, name: str, namespace: str) -> str:
    return cluster.get("service", name, namespace)["spec"]["clusterIP"]


def test_a_program_that_tries_from_its_first_millisecond_gets_nowhere(
    cluster: Cluster, http: httpx.Client, create: Create
) -> None:
    targets = [
        (service(cluster, "kubernetes", "default"), 443),
        (service(cluster, "kube-dns", "kube-system"), 53),
        (service(cluster, "isola-operator-canary", SYSTEM), 8089),
        (service(cluster, "isola-api-gateway", SYSTEM), 80),
    ]
    program = EARLY.replace("TARGETS", repr(targets))
    name = create(command=["python3", "-c", program])["id"]
    http.get(f"/sandboxes/{name}", params={"waitSeconds": 25})
    logs = ("logs", "-n", "isola-sandboxes", f"{name}-pod", "-c", "sandbox0")
    told = until(lambda: cluster.kubectl(*logs, check=False).stdout, seconds=60, what="its report")
    tried, reached = told.split(" ", 1)
    print(f"tried {tried} connections to {targets}, came about: {reached}")  # noqa: T201 - what it tried is told
    assert int(tried) > len(targets)
    assert reached.strip() == "[]"


def test_where_nothing_enforces_policies_the_sandbox_fails_and_never_runs(
    cluster: Cluster, http: httpx.Client, create: Create, no_policy_engine: Callable[[], None]
) -> None:
    assert no_policy_engine
    name = create()["id"]
    shown = until(
        lambda: (s := http.get(f"/sandboxes/{name}").json())["status"] == "Failed" and s,
        seconds=100,
        what="its end",
    )
    assert shown["reason"] == "NetworkNotEnforced"
    assert "still reached" in shown["message"]
    assert "Started" not in [entry["type"] for entry in cluster.log(name)]
    assert started(cluster, name) == {SIDECAR, GATE}


def test_where_enforcement_comes_late_the_sandbox_waits_for_it(
    cluster: Cluster, http: httpx.Client, create: Create, no_policy_engine: Callable[[], None]
) -> None:
    name = create()["id"]
    until(lambda: GATE in started(cluster, name), seconds=60, what="its gate")
    time.sleep(1)
    assert "Started" not in [entry["type"] for entry in cluster.log(name)]
    no_policy_engine()
    shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 25}).json()
    assert shown["status"] == "Running"


def test_a_kubelet_that_dies_while_it_waits_lets_nothing_through(
    cluster: Cluster, http: httpx.Client, create: Create, no_policy_engine: Callable[[], None]
) -> None:
    """The next kubelet finds the gate's container running, and would take its hook for done."""
    assert no_policy_engine
    name = create()["id"]
    until(lambda: GATE in started(cluster, name), seconds=60, what="its gate")
    node = cluster.get("pod", f"{name}-pod")["spec"]["nodeName"]
    cluster.on_node(node, "systemctl kill --signal=KILL kubelet && systemctl restart kubelet")
    shown = until(
        lambda: (s := http.get(f"/sandboxes/{name}").json())["status"] == "Failed" and s,
        seconds=150,
        what="its end",
    )
    assert shown["reason"] == "NetworkNotEnforced"
    assert started(cluster, name) == {SIDECAR, GATE}
