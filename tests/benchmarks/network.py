"""What a closed network costs a sandbox's start: with the gate that waits for it, and without.

The operator is told by its environment, and started anew each time: so in blocks, on off on off.
Of what it costs, the sidecar says how long it waited for the policy engine.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.figures import compare, milliseconds, row
from support.cluster import SYSTEM, Cluster
from support.toolchain import ROOT

BLOCKS, ROUNDS = 3, 5
OPERATOR = "deployment/isola-operator"
SECONDS = "ISOLA_GATE_SECONDS"
OPENED = {"allowInternetEgress": True}
# The policy engine is busy with the end of the sandbox before for a while.
SETTLING_SECONDS = 1.5


def measure(cluster: Cluster) -> None:
    """Print the figures."""
    closed: list[float] = []
    opened: list[float] = []
    without: list[float] = []
    engine: list[float] = []

    def start(network: dict[str, Any], *, gated: bool = True) -> float:
        name, seconds = _start(http, cluster.image, network)
        if gated and not network:
            engine.append(_waited(cluster, name))
        _end(http, name)
        return seconds

    with (
        httpx.Client(base_url=f"{cluster.url}/v1", timeout=60) as http,
        _switch(cluster) as gate,
    ):
        for _ in range(BLOCKS):
            gate("40")
            start({})
            engine.pop()
            for _ in range(ROUNDS):
                closed.append(start({}))
                opened.append(start(OPENED))
            gate("0")
            start({}, gated=False)
            without += [start({}, gated=False) for _ in range(ROUNDS)]
    without_any = "no gate and no policy of its own"
    compare("create → Ready, nothing opened", closed, without_any, without, target="<= 1.05")
    compare("create → Ready, the internet", opened, without_any, without, target="<= 1.05")
    row("until the policy engine was done, from the sidecar's start", milliseconds(engine))
    beyond = [seconds - waited for seconds, waited in zip(closed, engine, strict=True)]
    compare("nothing opened, less that", beyond, without_any, without, target="<= 1.05")


@contextmanager
def _switch(cluster: Cluster) -> Generator[Callable[[str], None]]:
    """Return what sets the seconds that the gate waits; as it was afterwards."""
    environment = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='%s')].value}"
    found = cluster.kubectl("get", "-n", SYSTEM, OPERATOR, "-o", environment % SECONDS).stdout

    def switch(seconds: str) -> None:
        value = f"operator.network.enforcementSeconds={seconds}"
        command = ["helm", "upgrade", "isola", ROOT / "chart", "--reuse-values", "--set", value]
        flags = ["--namespace", SYSTEM]
        subprocess.run([*command, *flags], env=cluster.environment, check=True, capture_output=True)
        cluster.wait_for_isola()

    try:
        yield switch
    finally:
        switch(found)


def _start(http: httpx.Client, image: str, network: dict[str, Any]) -> tuple[str, float]:
    body = {
        "podTemplate": {"containers": [{"image": image}]},
        "timeoutSeconds": 300,
        "network": network,
    }
    began = time.perf_counter()
    name = http.post("/sandboxes", json=body).raise_for_status().json()["id"]
    while http.get(f"/sandboxes/{name}", params={"waitSeconds": 0}).json()["status"] != "Running":
        time.sleep(0.01)
    return name, time.perf_counter() - began


def _waited(cluster: Cluster, name: str) -> float:
    logs = ("logs", "-n", "isola-sandboxes", f"{name}-pod", "-c", "sandbox-sidecar")
    (said,) = re.findall(r"closed after ([0-9.]+) s", cluster.kubectl(*logs).stdout)
    return float(said)


def _end(http: httpx.Client, name: str) -> None:
    http.delete(f"/sandboxes/{name}")
    while http.get(f"/sandboxes/{name}", params={"waitSeconds": 0}).is_success:
        time.sleep(0.1)
    time.sleep(SETTLING_SECONDS)
