"""Operator and gateway are killed at random moments while sandboxes live and die."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from isola_lifecycle.chain import faults
from support.cluster import Cluster, until

LIVES = 10
# What the story of each life must be, whatever was killed meanwhile.
STORY = [
    "Accepted",
    "NetworkConfigured",
    "PodCreated",
    "Scheduled",
    "Started",
    "Ready",
    "ContainerExited",
    "Ready",
]


class Assassin(threading.Thread):
    """Kills a component every few seconds until told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster
        self.kills = 0
        self.enough = threading.Event()

    def run(self) -> None:
        # The moments need not be the same in every run: they are what the test varies.
        while not self.enough.wait(random.uniform(0.5, 4)):
            self.cluster.delete_pod_of(random.choice(["operator", "api-gateway"]))
            self.kills += 1


@pytest.mark.timeout(400)
def test_every_log_stays_gapless_and_every_sandbox_ends_where_it_should(cluster: Cluster) -> None:
    assassin = Assassin(cluster)
    assassin.start()
    try:
        with ThreadPoolExecutor(LIVES) as lives:
            logs = list(lives.map(partial(_life, cluster), range(LIVES)))
    finally:
        assassin.enough.set()
        assassin.join()
        cluster.wait_for_isola()
    assert assassin.kills >= 3
    for uid, log in logs:
        assert faults(uid, log) == ()
        story = [entry["type"] for entry in log]
        assert [each for each in story if each != "Ready"] == [
            *(each for each in STORY if each != "Ready"),
            "Succeeded",
        ]
        assert log[-1]["reason"] == "Error"
        assert log[-1]["data"]["exitCode"] == "9"


def _life(cluster: Cluster, number: int) -> tuple[str, list[dict[str, Any]]]:
    """Create a sandbox, have it exit with 9 after a while, and return its log; then delete it."""
    script = f"sleep {4 + number % 5}; exit 9"
    body = {
        "podTemplate": {"containers": [{"image": cluster.image, "command": ["sh", "-c", script]}]},
        "startupTimeoutSeconds": 300,
        "timeoutSeconds": 300,  # a create that was answered by nobody may have made one more
    }
    with httpx.Client(base_url=f"{cluster.url}/v1", timeout=10) as http:
        name = _insist(http, "POST", "/sandboxes", json=body).json()["id"]
        until(
            lambda: cluster.log(name)[-1]["type"] == "Succeeded" if _begun(cluster, name) else None,
            seconds=200,
            what=f"{name} ends",
        )
        found = cluster.get("sandbox", name)
        _insist(http, "DELETE", f"/sandboxes/{name}")
        until(lambda: cluster.get("sandbox", name) is None, seconds=120, what=f"{name} is gone")
        assert cluster.get("pod", f"{name}-pod") is None
        return found["metadata"]["uid"], found["status"]["conditions"][::-1]


def _begun(cluster: Cluster, name: str) -> bool:
    found = cluster.get("sandbox", name)
    return bool(found and found.get("status"))


def _insist(http: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    """Repeat a request as the published client does, until a gateway answers."""
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = http.request(method, path, **request)
            if answer.status_code < 500:
                return answer
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{method} {path}")
        time.sleep(0.5)
