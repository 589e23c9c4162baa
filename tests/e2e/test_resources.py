"""What a sandbox may use is what it was given, under gVisor too, and its log says what it broke."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import isola
import pytest

from support.cluster import Cluster, until

Create = Callable[..., dict[str, Any]]
READY = {"Prefer": "wait=25"}
CAUSE = {"OOMKilled": "memory", "Evicted": "ephemeral"}


def ended(cluster: Cluster, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = httpx.get(f"{cluster.url}/v1/sandboxes/{name}").json()
        return shown if shown["status"] in {"Succeeded", "Failed"} else None

    return until(look, seconds=60, what=f"{name} ends")


def given(**limits: str) -> dict[str, Any]:
    """Return what the published client asks for: limits and requests alike."""
    return {"resources": {"limits": limits, "requests": limits}}


@pytest.mark.parametrize(
    ("limits", "script", "reason"),
    [
        pytest.param(
            {"memory": "128Mi"},
            "python3 -c \"b'x' * (400 << 20)\"",
            "OOMKilled",
            id="400 MiB of memory in 128 MiB",
        ),
        pytest.param(
            {"memory": "128Mi"},
            "head -c 400M /dev/zero >/tmp/large",
            "OOMKilled",
            id="400 MiB in /tmp, which is memory",
        ),
        pytest.param(
            {"memory": "256Mi", "ephemeralStorage": "128Mi"},
            "head -c 400000000 /dev/zero >/large",
            "Evicted",
            id="400 MB on a disk of 128 MiB",
        ),
    ],
)
def test_a_command_that_takes_more_ends_the_sandbox_with_the_cause(
    cluster: Cluster, create: Create, limits: dict[str, str], script: str, reason: str
) -> None:
    name = create(**given(**limits), headers=READY)["id"]
    with isola.Isola(url=cluster.url) as client, suppress(isola.IsolaError):
        # It may be gone before the command was answered.
        client.sandboxes.get(name).commands.spawn("sh", "-c", f"{script}; sleep 600")
    shown = ended(cluster, name)
    assert (shown["status"], shown["reason"]) == ("Failed", reason), shown
    last = cluster.log(name)[-1]
    assert (last["type"], last["status"], last["reason"]) == ("Succeeded", "False", reason)
    assert CAUSE[reason] in last["message"]
    assert shown["message"] == last["message"]


def test_what_stays_within_its_limits_goes_on(client: isola.Isola, create: Create) -> None:
    limits = given(cpu="500m", memory="256Mi", ephemeralStorage="512Mi")
    name = create(**limits, headers=READY)["id"]
    sandbox = client.sandboxes.get(name)
    script = "head -c 64M /dev/zero >/tmp/file && head -c 128M /dev/zero >/file && sleep 15"
    assert sandbox.commands.run("sh", "-c", script).exit_code == 0
    assert client.sandboxes.get(name).status == "Running"


def test_processor_time_is_limited(cluster: Cluster, client: isola.Isola, create: Create) -> None:
    name = create(**given(cpu="200m", memory="256Mi"), headers=READY)["id"]
    sandbox = client.sandboxes.get(name)
    before = throttled(cluster, name)
    busy = "import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end: pass"
    assert sandbox.commands.run("python3", "-c", busy).exit_code == 0
    assert throttled(cluster, name) > before


def throttled(cluster: Cluster, name: str) -> int:
    """Return how often the kernel took the processor from a sandbox that had used up its share."""
    pod = cluster.get("pod", f"{name}-pod")
    uid = pod["metadata"]["uid"]
    found = cluster.on_node(
        pod["spec"]["nodeName"],
        f"find /sys/fs/cgroup -path '*{uid}*' -name cpu.stat -exec cat {{}} +",
    )
    counts = [line.split()[1] for line in found.splitlines() if line.startswith("nr_throttled")]
    assert counts, f"no cgroup of pod {uid}"
    return sum(map(int, counts))
