"""What a closed network costs a sandbox's start: with the gate that waits for it, and without.

The operator is told by its environment, and started anew each time: so in blocks, on off on off.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.figures import compare
from support.cluster import SYSTEM, Cluster
from support.toolchain import ROOT

BLOCKS, ROUNDS = 3, 5
OPERATOR = "deployment/isola-operator"
SECONDS = "ISOLA_GATE_SECONDS"
OPENED = {"allowInternetEgress": True}


def measure(cluster: Cluster) -> None:
    """Print the figures."""
    closed: list[float] = []
    opened: list[float] = []
    without: list[float] = []
    with (
        httpx.Client(base_url=f"{cluster.url}/v1", timeout=60) as http,
        _switch(cluster) as gate,
    ):
        for _ in range(BLOCKS):
            gate("40")
            _start(http, cluster.image, {})
            for _ in range(ROUNDS):
                closed.append(_start(http, cluster.image, {}))
                opened.append(_start(http, cluster.image, OPENED))
            gate("0")
            _start(http, cluster.image, {})
            without += [_start(http, cluster.image, {}) for _ in range(ROUNDS)]
    without_any = "no gate and no policy of its own"
    compare("create → Ready, nothing opened", closed, without_any, without, target="<= 1.05")
    compare("create → Ready, the internet", opened, without_any, without, target="<= 1.05")


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


def _start(http: httpx.Client, image: str, network: dict[str, Any]) -> float:
    body = {
        "podTemplate": {"containers": [{"image": image}]},
        "timeoutSeconds": 300,
        "network": network,
    }
    began = time.perf_counter()
    path = f"/sandboxes/{http.post('/sandboxes', json=body).raise_for_status().json()['id']}"
    while http.get(path, params={"waitSeconds": 0}).json()["status"] != "Running":
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    http.delete(path)
    while http.get(path, params={"waitSeconds": 0}).is_success:
        time.sleep(0.1)
    return seconds
