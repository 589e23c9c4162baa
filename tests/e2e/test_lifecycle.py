"""Ends that somebody asks for, and starts that never come: each in a state with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import isola
import pytest

from support.cluster import SANDBOXES, Cluster, until

Create = Callable[..., dict[str, Any]]
Apply = Callable[..., None]
READY = {"Prefer": "wait=25"}
NOWHERE = "127.0.0.1:1/nothing:here"  # refused at once, whatever resolves names here


def gone(http: httpx.Client, name: str, seconds: float = 60) -> list[dict[str, Any]]:
    """Return the whole history of a sandbox once it is gone."""
    until(
        lambda: http.get(f"/sandboxes/{name}").status_code == 404,
        seconds=seconds,
        what=f"{name} is gone",
    )
    told = http.get(f"/sandboxes/{name}/history").json()
    assert told["deleted"] is True
    return told["entries"]


def ended(http: httpx.Client, name: str, seconds: float = 60) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 0}).json()
        return shown if shown["status"] in {"Succeeded", "Failed"} else None

    return until(look, seconds=seconds, what=f"{name} ends")


class TestDelete:
    """At any moment, and as often as anybody likes."""

    def test_while_it_is_pending(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        name = create(image=NOWHERE)["id"]
        until(lambda: cluster.get("pod", f"{name}-pod"), seconds=30, what="its pod is there")
        assert http.get(f"/sandboxes/{name}?waitSeconds=0").json()["status"] == "Pending"
        assert http.delete(f"/sandboxes/{name}").status_code == 204
        entries = gone(http, name)
        assert entries[-2]["type"] == "TerminationRequested"
        assert entries[-1]["type"] == "Terminated"
        assert "Ready" not in {entry["type"] for entry in entries}
        assert cluster.get("pod", f"{name}-pod") is None

    def test_right_after_it_was_created(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        name = create()["id"]
        assert http.delete(f"/sandboxes/{name}").status_code == 204
        entries = gone(http, name)
        assert "TerminationRequested" in {entry["type"] for entry in entries}
        assert cluster.get("pod", f"{name}-pod") is None

    def test_twice_at_once_and_then_again(self, http: httpx.Client, create: Create) -> None:
        name = create(headers=READY)["id"]
        first = http.delete(f"/sandboxes/{name}")
        assert http.get(f"/sandboxes/{name}").json()["status"] == "Terminating"
        second = http.delete(f"/sandboxes/{name}")
        entries = gone(http, name)
        third = http.delete(f"/sandboxes/{name}")
        assert [each.status_code for each in (first, second, third)] == [204, 204, 204]
        assert [entry["type"] for entry in entries].count("TerminationRequested") == 1

    def test_in_the_middle_of_a_command(
        self, client: isola.Isola, http: httpx.Client, create: Create
    ) -> None:
        """Whoever reads its output learns that it broke off: it does not look complete."""
        name = create(headers=READY)["id"]
        command = client.sandboxes.get(name).commands.spawn("sh", "-c", "echo begun; sleep 600")
        url = f"/sandboxes/{name}/commands/{command.id}"
        with http.stream("GET", f"{url}/stdout") as stream:
            parts = stream.iter_text()
            assert "begun" in next(parts)
            assert http.delete(f"/sandboxes/{name}").status_code == 204
            with pytest.raises(httpx.TransportError):
                list(parts)
        refused = http.post(f"/sandboxes/{name}/commands", json={"args": ["true"]})
        assert refused.status_code in {404, 409}
        assert gone(http, name)[-1]["type"] == "Terminated"
        assert http.get(f"{url}/status").status_code == 404

    def test_under_the_policy_delete(self, http: httpx.Client, cluster: Cluster) -> None:
        body = {
            "podTemplate": {"containers": [{"image": cluster.image}]},
            "terminationPolicy": {"type": "Delete"},
        }
        made = http.post("/sandboxes", json=body, headers=READY).json()
        assert made["terminationPolicy"] == {"type": "Delete"}
        http.delete(f"/sandboxes/{made['id']}")
        assert gone(http, made["id"])[-1]["type"] == "Terminated"


def test_a_start_that_takes_too_long_fails_and_stays_readable(
    http: httpx.Client, apply: Apply, cluster: Cluster
) -> None:
    """A container that never becomes ready, for no reason that Kubernetes would give."""
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    container = {"name": "main", "image": cluster.image, "readinessProbe": probe}
    apply("never-ready", {"containers": [container]}, startupTimeoutSeconds=5)
    shown = ended(http, "never-ready", seconds=30)
    assert (shown["status"], shown["reason"]) == ("Failed", "StartupTimeout")
    assert "5 s" in shown["message"]
    until(lambda: cluster.get("pod", "never-ready-pod") is None, seconds=60, what="its pod is gone")
    assert http.get("/sandboxes/never-ready").json()["reason"] == "StartupTimeout"


class TestWhatKubernetesRejects:
    """The reason and Kubernetes' own words reach the client, and nothing is tried for ever."""

    def test_a_pod_that_is_invalid(self, http: httpx.Client, create: Create) -> None:
        limits, requests = {"memory": "64Mi"}, {"memory": "128Mi"}
        made = create(resources={"limits": limits, "requests": requests})
        shown = ended(http, made["id"])
        assert (shown["status"], shown["reason"]) == ("Failed", "PodRejected")
        assert "less than or equal to memory limit" in shown["message"]

    def test_a_quota_that_is_used_up_and_then_freed(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        big = {"requests": {"cpu": "1m", "memory": "900Gi"}, "limits": {"memory": "900Gi"}}
        with policy(cluster, "ResourceQuota", {"hard": {"requests.memory": "800Gi"}}):
            made = create(resources=big, startupTimeoutSeconds=8)
            shown = ended(http, made["id"])
            assert (shown["status"], shown["reason"]) == ("Failed", "PodForbidden")
            assert "exceeded quota" in shown["message"]
            waiting = create(resources=big, startupTimeoutSeconds=60)["id"]
            until(
                lambda: http.get(f"/sandboxes/{waiting}").json().get("reason") == "PodForbidden",
                seconds=20,
                what="it is told what it waits for",
            )
        until(
            lambda: cluster.get("pod", f"{waiting}-pod"), seconds=30, what="its pod is let in now"
        )
        until(
            lambda: http.get(f"/sandboxes/{waiting}").json().get("reason") == "Unschedulable",
            seconds=20,
            what="no node is that large",
        )

    def test_more_than_a_container_may_have(
        self, cluster: Cluster, http: httpx.Client, create: Create
    ) -> None:
        limit = {"limits": [{"type": "Container", "max": {"memory": "2Gi"}}]}
        with policy(cluster, "LimitRange", limit):
            many = {"memory": "3Gi"}
            resources = {"requests": many, "limits": many}
            made = create(resources=resources, startupTimeoutSeconds=5)
            shown = ended(http, made["id"])
        assert (shown["status"], shown["reason"]) == ("Failed", "PodForbidden")
        assert "maximum memory usage per Container is 2Gi" in shown["message"]


@contextmanager
def policy(cluster: Cluster, kind: str, spec: dict[str, Any]) -> Generator[None]:
    """Keep a policy object in the namespace of the sandboxes for a while."""
    manifest = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "for-a-while", "namespace": SANDBOXES},
        "spec": spec,
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    try:
        yield
    finally:
        cluster.kubectl("delete", kind, "for-a-while", "-n", SANDBOXES)


class TestHistory:
    def test_it_is_told_in_both_orders_with_the_time_between(
        self, http: httpx.Client, create: Create
    ) -> None:
        name = create(headers=READY)["id"]
        up = http.get(f"/sandboxes/{name}/history", params={"order": "asc"}).json()
        down = http.get(f"/sandboxes/{name}/history", params={"order": "desc"}).json()
        assert [e["sequence"] for e in up["entries"]] == list(range(1, len(up["entries"]) + 1))
        assert down["entries"] == up["entries"][::-1]
        durations = up["sincePreviousSeconds"]
        assert down["sincePreviousSeconds"] == durations[::-1]
        assert durations[0] is None
        assert 0 < sum(durations[1:]) < 25

    def test_it_is_followed_to_the_end_and_resumed_by_sequence(
        self, http: httpx.Client, create: Create
    ) -> None:
        name = create()["id"]
        url, events = f"/sandboxes/{name}/history", {"Accept": "text/event-stream"}
        seen: list[dict[str, Any]] = []
        with http.stream("GET", url, headers=events) as stream:
            for entry in entries_of(stream):
                seen.append(entry)
                if entry["type"] == "Ready":
                    break
        http.delete(f"/sandboxes/{name}")
        resumed = {**events, "Last-Event-ID": str(seen[-1]["sequence"])}
        with http.stream("GET", url, headers=resumed) as stream:
            seen += entries_of(stream)
        assert [entry["sequence"] for entry in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["type"] == "Terminated"
        assert seen == http.get(url).json()["entries"]


def entries_of(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in stream.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


class TestFinding:
    def test_labels_choose_and_pages_show_each_once(
        self, http: httpx.Client, create: Create
    ) -> None:
        def listed(**query: Any) -> dict[str, Any]:
            answer = http.get("/sandboxes", params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()

        made = [create(labels={"test": "pages", "part": str(n % 2)})["id"] for n in range(5)]
        assert {each["id"] for each in listed(labels="test=pages")["sandboxes"]} == set(made)
        odd = listed(labels="test=pages,part=1")["sandboxes"]
        assert {each["id"] for each in odd} == {made[1], made[3]}
        assert odd[0]["labels"] == {"test": "pages", "part": "1"}
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = listed(labels="test=pages", limit=2, **cursor)
            found += [each["id"] for each in page["sandboxes"]]
            if "nextCursor" not in page:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert len(found) == 5
        assert set(found) == set(made)

    def test_by_status(self, http: httpx.Client, create: Create) -> None:
        name = create(command=["true"], labels={"test": "status"})["id"]
        ended(http, name)
        for status, expected in (("Succeeded", [name]), ("Running", [])):
            query = {"labels": "test=status", "status": status}
            found = http.get("/sandboxes", params=query).json()["sandboxes"]
            assert [each["id"] for each in found] == expected


class TestWaiting:
    def test_the_answer_to_a_create_waits_until_it_runs(
        self, client: isola.Isola, create: Create
    ) -> None:
        made = create(headers=READY)
        assert made["status"] == "Running"
        assert client.sandboxes.get(made["id"]).commands.run("true").exit_code == 0

    def test_the_answer_to_a_get_waits_until_it_runs(
        self, http: httpx.Client, create: Create
    ) -> None:
        name = create()["id"]
        shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 25}).json()
        assert shown["status"] == "Running"

    def test_a_wait_ends_with_what_is_in_the_way(self, http: httpx.Client, create: Create) -> None:
        name = create(image=NOWHERE, startupTimeoutSeconds=60)["id"]
        shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 25}).json()
        assert (shown["status"], shown["reason"]) == ("Pending", "ImagePullFailed")
