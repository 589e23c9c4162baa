"""A sandbox's life, and how `kubectl` alone tells it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from isola_lifecycle.chain import faults
from support.cluster import SANDBOXES, Cluster, until

Create = Callable[..., dict[str, Any]]
Apply = Callable[..., None]
BORN = ["Accepted", "NetworkConfigured", "PodCreated", "Scheduled", "Started", "Ready"]


def ready(cluster: Cluster, name: str) -> None:
    cluster.kubectl(
        "wait", "--for=condition=Ready", f"sandbox/{name}", "-n", SANDBOXES, "--timeout=60s"
    )


def ended(http: httpx.Client, name: str, seconds: float = 90) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = http.get(f"/sandboxes/{name}").json()
        return shown if shown["status"] in {"Succeeded", "Failed"} else None

    return until(look, seconds=seconds, what=f"{name} ends")


def test_kubectl_tells_the_whole_story(cluster: Cluster, http: httpx.Client) -> None:
    answer = http.post(
        "/sandboxes",
        json={"podTemplate": {"containers": [{"image": cluster.image}]}},
        headers={"X-Request-Id": "story-1"},
    )
    name = answer.json()["id"]
    ready(cluster, name)
    http.delete(f"/sandboxes/{name}", headers={"X-Request-Id": "story-2"})
    leaving = until(lambda: _requested(cluster, name), seconds=20, what="the request is recorded")
    assert [e["type"] for e in leaving][:7] == [*BORN, "TerminationRequested"]
    assert (leaving[0]["requestId"], leaving[6]["requestId"]) == ("story-1", "story-2")
    assert leaving[0]["actor"].startswith("operator on behalf of ")
    assert leaving[6]["actor"].startswith("gateway on behalf of ")
    assert leaving[3]["data"]["node"].startswith("isola")
    until(lambda: cluster.get("sandbox", name) is None, seconds=60, what="it is gone")
    assert cluster.get("pod", f"{name}-pod") is None
    assert http.get(f"/sandboxes/{name}").status_code == 404


def _requested(cluster: Cluster, name: str) -> list[dict[str, Any]] | None:
    found = cluster.get("sandbox", name)
    entries = found["status"]["conditions"][::-1]
    return entries if entries[-1]["type"] != "Ready" or entries[-1]["status"] == "False" else None


def test_get_reads_like_a_dashboard_and_describe_tells_the_story(
    cluster: Cluster, create: Create
) -> None:
    name = create()["id"]
    ready(cluster, name)
    columns, row = cluster.kubectl("get", "sandbox", name, "-n", SANDBOXES).stdout.splitlines()
    assert columns.split() == ["NAME", "PHASE", "REASON", "NODE", "AGE"]
    assert row.split()[1:3] == ["Running", "PodReady"]
    story = cluster.kubectl("describe", "sandbox", name, "-n", SANDBOXES).stdout
    for words in ("The sandbox accepts commands", "was assigned to node", "The specification is"):
        assert words in story


def test_the_past_cannot_be_edited_and_the_refusal_says_why(
    cluster: Cluster, create: Create
) -> None:
    name = create()["id"]
    ready(cluster, name)
    patch = json.dumps([{"op": "replace", "path": "/status/conditions/4/message", "value": "x"}])
    # What `kubectl edit --subresource=status` sends.
    refused = cluster.kubectl(
        *("patch", "sandbox", name, "-n", SANDBOXES, "--subresource=status", "--type=json"),
        *("-p", patch),
        check=False,
    )
    assert refused.returncode != 0
    assert "the log is append-only: a recorded entry was changed or removed" in refused.stderr
    found = cluster.get("sandbox", name)
    assert faults(found["metadata"]["uid"], found["status"]["conditions"][::-1]) == ()


def test_deleting_with_kubectl_leaves_nothing_behind(cluster: Cluster, create: Create) -> None:
    name = create()["id"]
    ready(cluster, name)
    cluster.kubectl("delete", "sandbox", name, "-n", SANDBOXES, "--timeout=60s")
    assert cluster.get("pod", f"{name}-pod") is None


def test_one_made_with_kubectl_is_served_like_any_other(
    cluster: Cluster, http: httpx.Client, apply: Apply
) -> None:
    apply("made-by-hand", {"containers": [{"name": "main", "image": cluster.image}]})
    ready(cluster, "made-by-hand")
    answer = http.post("/sandboxes/made-by-hand/commands", json={"args": ["sh", "-c", "exit 7"]})
    command = answer.json()["id"]
    status = http.get(f"/sandboxes/made-by-hand/commands/{command}/status?waitSeconds=20")
    assert status.json()["exitCode"] == 7
    assert cluster.log("made-by-hand")[0]["actor"].endswith("kubernetes-admin (Kubernetes API)")


class TestEnds:
    """Each told apart in REST and in the log, with a reason that a person can act on."""

    def test_an_image_that_cannot_be_pulled(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        image = "127.0.0.1:1/nothing:here"  # refused at once, whatever resolves names here
        # A pull that fails at once shows in the pod's status with the second attempt, 10 s later.
        name = create(image=image, startupTimeoutSeconds=25)["id"]
        until(
            lambda: any(e["reason"] == "ImagePullFailed" for e in cluster.log(name)),
            seconds=30,
            what="the trouble is recorded",
        )
        pending = http.get(f"/sandboxes/{name}").json()
        assert pending["status"] in {"Pending", "Failed"}
        assert image in pending["message"]
        failed = ended(http, name, seconds=60)
        assert (failed["status"], failed["reason"]) == ("Failed", "ImagePullFailed")
        assert "check the image's name" in failed["message"]
        assert [e["type"] for e in cluster.log(name)][-2:] == ["Started", "Succeeded"]

    def test_a_container_that_exits_0_at_once(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        name = create(command=["true"])["id"]
        shown = ended(http, name)
        assert (shown["status"], shown["reason"], shown["exitCode"]) == (
            "Succeeded",
            "Completed",
            0,
        )
        assert cluster.log(name)[-1]["data"]["phase"] == "Succeeded"

    def test_a_container_that_exits_3(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        name = create(command=["sh", "-c", "sleep 1; exit 3"])["id"]
        shown = ended(http, name)
        assert (shown["status"], shown["reason"], shown["exitCode"]) == ("Failed", "Error", 3)
        assert "exited with code 3" in shown["message"]
        exited = next(e for e in cluster.log(name) if e["type"] == "ContainerExited")
        assert exited["data"]["exitCode"] == "3"

    def test_a_container_killed_for_memory(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        limits = {"memory": "128Mi"}
        hungry = ["python3", "-c", "import time; time.sleep(1); b'x' * (400 << 20)"]
        name = create(command=hungry, resources={"limits": limits, "requests": limits})["id"]
        shown = ended(http, name)
        assert (shown["status"], shown["reason"]) == ("Failed", "OOMKilled"), shown
        assert "memory" in shown["message"]
        assert cluster.log(name)[-1]["reason"] == "OOMKilled"

    def test_a_program_that_is_not_in_the_image(self, http: httpx.Client, create: Create) -> None:
        name = create(command=["/no/such/program"])["id"]
        shown = ended(http, name)
        assert (shown["status"], shown["reason"]) == ("Failed", "StartError"), shown
        assert "/no/such/program" in shown["message"]

    def test_one_that_ended_stays_readable_after_its_startup_timeout(
        self, http: httpx.Client, create: Create
    ) -> None:
        name = create(command=["sh", "-c", "sleep 12; exit 5"], startupTimeoutSeconds=9)["id"]
        first = ended(http, name)
        later = until(
            lambda: http.get(f"/sandboxes/{name}").json(), seconds=5, what="it is still there"
        )
        assert first["exitCode"] == later["exitCode"] == 5

    def test_a_lifetime_that_is_over(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        name = create(timeoutSeconds=4)["id"]
        until(
            lambda: http.get(f"/sandboxes/{name}").status_code == 404,
            seconds=60,
            what="it is removed",
        )
        assert cluster.get("pod", f"{name}-pod") is None

    def test_a_pod_that_somebody_deletes(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        name = create()["id"]
        ready(cluster, name)
        cluster.kubectl("delete", "pod", f"{name}-pod", "-n", SANDBOXES, "--wait=false")
        shown = ended(http, name)
        assert (shown["status"], shown["reason"]) == ("Failed", "PodDeleted")
        assert [e["type"] for e in cluster.log(name)][-2:] == ["Ready", "Succeeded"]

    @pytest.mark.parametrize(
        "options",
        [{"hostNetwork": True}, {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}],
        ids=lambda o: next(iter(o)),
    )
    def test_a_template_that_reaches_for_the_node_is_refused_before_it_is_there(
        self, cluster: Cluster, apply: Apply, options: dict[str, Any]
    ) -> None:
        containers = [{"name": "main", "image": cluster.image}]
        with pytest.raises(subprocess.CalledProcessError) as refused:
            apply("reaches-out", {"containers": containers, **options})
        assert f"spec.podTemplate.spec.{next(iter(options))}" in refused.value.stderr
        assert cluster.get("sandbox", "reaches-out") is None
