"""Sandboxes of several containers: each reached by name, none dragged along by another's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import isola
import pytest

from support.cluster import Cluster, until

Create = Callable[..., dict[str, Any]]
READY = {"Prefer": "wait=25"}


def test_each_container_is_reached_by_its_name(
    cluster: Cluster, client: isola.Isola, http: httpx.Client, create: Create
) -> None:
    noshell = {"image": cluster.images["sandbox-noshell"], "command": ["/busybox", "sleep", "600"]}
    made = create({"env": {"WHO": "zero"}}, {"env": {"WHO": "one"}}, noshell, headers=READY)
    assert [c["name"] for c in made["podTemplate"]["containers"]] == [
        "sandbox0",
        "sandbox1",
        "sandbox2",
    ]
    sandbox = client.sandboxes.get(made["id"])
    for name, who in (("sandbox0", "zero"), ("sandbox1", "one")):
        told = sandbox.commands.run("sh", "-c", "echo $WHO", container=name)
        assert told.stdout == f"{who}\n"
        sandbox.filesystem.write("/where", name, container=name)
    assert sandbox.commands.run("/busybox", "true", container="sandbox2").exit_code == 0
    assert sandbox.commands.run("sh", container="sandbox2").exit_code == 127
    assert sandbox.filesystem.read("/where", container="sandbox1") == b"sandbox1"

    files, here = f"/sandboxes/{sandbox.id}/filesystem", {"container": "sandbox1"}
    move = {"from": "/where", "to": "/dir/moved"}
    for answer in (
        http.post(f"{files}/directories", params={"path": "/dir", **here}),
        http.post(f"{files}/move", params={**move, **here}),
        http.get(f"{files}/stat", params={"path": "/dir/moved", **here}),
        http.get(f"{files}/entries", params={"path": "/dir", **here}),
        http.delete(files, params={"path": "/dir", "recursive": "true", **here}),
    ):
        assert answer.is_success, answer.text
    assert sandbox.filesystem.read("/where", container="sandbox0") == b"sandbox0"


def test_who_names_none_or_a_wrong_one_is_told_which_there_are(
    client: isola.Isola, create: Create
) -> None:
    made = create({"name": "web"}, {"name": "db"}, headers=READY)
    sandbox = client.sandboxes.get(made["id"])
    for ask in (
        lambda: sandbox.commands.run("true"),
        lambda: sandbox.commands.run("true", container="cache"),
        lambda: sandbox.filesystem.read("/etc/passwd"),
        lambda: sandbox.filesystem.write("/x", b"", container="cache"),
    ):
        with pytest.raises(isola.BadRequestError, match="db, web"):
            ask()


def test_each_has_limits_of_its_own(cluster: Cluster, create: Create) -> None:
    small, large = ({"cpu": cpu, "memory": m} for cpu, m in (("250m", "64Mi"), ("500m", "128Mi")))
    made = create({"resources": {"limits": small}}, {"resources": {"limits": large}})
    assert [c["resources"]["limits"] for c in made["podTemplate"]["containers"]] == [small, large]
    pod = until(
        lambda: cluster.get("pod", f"{made['id']}-pod"), seconds=30, what="its pod is there"
    )
    assert [c["resources"]["limits"] for c in pod["spec"]["containers"]] == [small, large]


def test_one_that_exits_does_not_end_the_others_sandbox(
    cluster: Cluster, client: isola.Isola, create: Create
) -> None:
    script = "until test -e /enough; do sleep 0.2; done; exit 7"
    made = create({"command": ["sh", "-c", script]}, {}, headers=READY)
    name = made["id"]
    sandbox = client.sandboxes.get(name)
    sandbox.commands.run("touch", "/enough", container="sandbox0")
    exited = until(
        lambda: [e for e in cluster.log(name) if e["type"] == "ContainerExited"],
        seconds=30,
        what="the exit is recorded",
    )
    assert exited[0]["data"]["container"] == "sandbox0"
    assert exited[0]["data"]["exitCode"] == "7"
    assert client.sandboxes.get(name).status == "Running"
    assert sandbox.commands.run("echo", "alive", container="sandbox1").stdout == "alive\n"
    with pytest.raises(isola.ConflictError, match="has exited"):
        sandbox.commands.run("true", container="sandbox0")
    assert "Succeeded" not in {entry["type"] for entry in cluster.log(name)}


def test_the_last_exit_ends_it_and_the_log_tells_both(
    cluster: Cluster, http: httpx.Client, create: Create
) -> None:
    made = create({"command": ["sh", "-c", "exit 7"]}, {"command": ["sleep", "3"]})
    name = made["id"]

    def over() -> dict[str, Any] | None:
        shown = http.get(f"/sandboxes/{name}").json()
        return shown if shown["status"] == "Failed" else None

    shown = until(over, seconds=60, what="it ends")
    assert (shown["reason"], shown["exitCode"]) == ("Error", 7)
    assert "sandbox0" in shown["message"]
    exits = [
        (e["data"]["container"], e["data"]["exitCode"])
        for e in cluster.log(name)
        if e["type"] == "ContainerExited"
    ]
    assert exits == [("sandbox0", "7"), ("sandbox1", "0")]
