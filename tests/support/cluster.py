"""The local cluster, as `hack/setup.sh` makes it, and kubectl on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx

from support.toolchain import ROOT

SANDBOXES = "isola-sandboxes"
SYSTEM = "isola-system"
NODES = "isola-nodes"
# Components that touch nodes.
_ON_NODES = {"snapshot-mounter", "gvisor-installer"}
# How much slower than an idle one a machine may be that others use too.
SLOWNESS = 3


@dataclass(frozen=True)
class Cluster:
    """A cluster with Isola in it.

    Attributes:
        url: The gateway's address.
        environment: What kubectl needs.
        images: Images in the nodes, by name.
    """

    url: str
    environment: dict[str, str]
    images: dict[str, str]

    @property
    def image(self) -> str:
        """Return an image with a shell, a Python and the usual tools."""
        return self.images["sandbox-python"]

    def kubectl(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return what came of it."""
        return subprocess.run(
            ["kubectl", *arguments],
            env=self.environment,
            input=stdin,
            text=True,
            capture_output=True,
            check=check,
            timeout=120,
        )

    def get(self, kind: str, name: str = "", namespace: str = SANDBOXES, **query: str) -> Any:
        """Return what `kubectl get` finds, as JSON; None for a name that is not there."""
        flags = [f"--{key}={value}" for key, value in query.items()]
        command = ["get", kind, *([name] if name else []), "-n", namespace, "-o", "json", *flags]
        found = self.kubectl(*command, "--ignore-not-found")
        return json.loads(found.stdout) if found.stdout else None

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return a sandbox's entries, oldest first."""
        status: dict[str, Any] = self.get("sandbox", name).get("status", {})
        return status.get("conditions", [])[::-1]

    def delete_pod_of(self, component: str) -> None:
        """Kill a component without any grace."""
        selector = f"app.kubernetes.io/component={component}"
        self.kubectl(
            *(
                "delete",
                "pod",
                "-n",
                home_of(component),
                "-l",
                selector,
                "--grace-period=0",
                "--force",
            ),
            "--wait=false",
        )

    def on_node(self, node: str, script: str) -> str:
        """Return what a shell on a node prints."""
        command = ["docker", "exec", node, "sh", "-c", script]
        return subprocess.run(
            command, text=True, capture_output=True, check=True, timeout=60
        ).stdout

    def pause(self, node: str) -> None:
        """Let a node stop in the middle of everything, and answer nobody."""
        subprocess.run(["docker", "pause", node], check=True, capture_output=True)

    def resume(self, node: str) -> None:
        """Let a paused node go on; one that goes on is left alone."""
        subprocess.run(["docker", "unpause", node], check=False, capture_output=True)

    def wait_for_isola(self) -> None:
        """Return once operator and gateway are as the chart wants them, and all callers reach them.

        A gateway that was killed is still routed to for a moment after the object of its pod is
        gone, and resets what arrives: so every new connection has to be answered for a while.
        """
        for deployment in ("isola-operator", "isola-api-gateway"):
            self.kubectl(
                *("rollout", "status", f"deployment/{deployment}", "-n", SYSTEM, "--timeout=60s")
            )
        until(lambda: all(self._answers() for _ in range(30)), seconds=60, what="a steady gateway")

    def _answers(self) -> bool:
        time.sleep(0.1)
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.TransportError:
            return False


def home_of(component: str) -> str:
    """Return the namespace in which a component's pods are."""
    return NODES if component in _ON_NODES else SYSTEM


def fresh(stem: str) -> str:
    """Return a name that nothing has that an earlier run left, in a bucket for instance."""
    return f"{stem}-{token_hex(4)}"


def up() -> Cluster:
    """Bring the cluster up, which takes seconds where it is up, and return it."""
    script = [ROOT / "hack" / "setup.sh", "--no-demo"]
    done = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True)
    exports = dict(re.findall(r"^export (\w+)=(.*)$", done.stdout, re.MULTILINE))
    path = exports["PATH"].replace("$PATH", os.environ["PATH"])
    images = Path(exports["ISOLA_IMAGES"]).read_text().splitlines()
    return Cluster(
        url=exports["ISOLA_URL"],
        environment={**os.environ, "PATH": path, "KUBECONFIG": exports["KUBECONFIG"]},
        images=dict(line.split("=", 1) for line in images),
    )


def until(done: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Return the first true value that `done` gives, tried again and again.

    Args:
        done: What is waited for.
        seconds: How long that takes at most on a machine that is not busy.
        what: How the error names it.
    """
    deadline = time.monotonic() + seconds * SLOWNESS
    while time.monotonic() < deadline:
        if value := done():
            return value
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds * SLOWNESS:.0f} s: {what}")
