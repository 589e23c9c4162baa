"""Pods as the mounter reads them."""

from __future__ import annotations

from typing import Any

import pytest

from isola_mounter.pods import decode_pod

UID = "11111111-1111-4111-8111-111111111111"
RESTORES = {"dev.gvisor.tar.rootfs.upper.a": "/var/lib/isola/u/a.tar"}


def item(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    owner = {"kind": "Sandbox", "name": "s", "uid": UID, "controller": True}
    return {
        "metadata": {
            "name": "s-pod",
            "uid": "p-1",
            "ownerReferences": [owner],
            "annotations": RESTORES,
            **metadata,
        },
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
        "status": status or {},
    }


def begun(*states: str) -> dict[str, Any]:
    return {
        "containerStatuses": [
            {"name": name, "state": {state: {}}} for name, state in zip("ab", states, strict=False)
        ]
    }


def test_a_pod_that_starts_from_snapshots() -> None:
    pod = decode_pod(item())
    assert (pod.name, pod.uid, pod.sandbox, pod.sandbox_uid) == ("s-pod", "p-1", "s", UID)
    assert (pod.restores, pod.started, pod.over) == (True, False, False)


@pytest.mark.parametrize("annotations", [None, {}, {"dev.gvisor.flag.overlay2": "root:self"}])
def test_one_that_does_not(annotations: dict[str, str] | None) -> None:
    assert not decode_pod(item(annotations=annotations)).restores


@pytest.mark.parametrize(
    ("status", "started"),
    [
        ({}, False),
        (begun("waiting", "waiting"), False),
        (begun("running"), False),
        (begun("running", "waiting"), False),
        (begun("running", "running"), True),
        (begun("running", "terminated"), True),
    ],
)
def test_it_has_started_when_all_its_containers_have(
    status: dict[str, Any], *, started: bool
) -> None:
    assert decode_pod(item(status)).started is started


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_one_that_has_ended_is_over(phase: str) -> None:
    assert decode_pod(item({"phase": phase})).over


def test_one_on_its_way_out_is_over() -> None:
    assert decode_pod(item(deletionTimestamp="2026-01-01T00:00:00Z")).over


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "Job", "uid": UID, "controller": True},
        {"kind": "Sandbox", "uid": UID},
        {"kind": "Sandbox", "uid": "../../etc", "controller": True},
        {"kind": "Sandbox", "uid": "", "controller": True},
    ],
)
def test_what_no_api_server_gave_is_nobody_s_folder(owner: dict[str, Any]) -> None:
    assert decode_pod(item(ownerReferences=[owner])).sandbox_uid == ""


def test_a_pod_that_says_next_to_nothing() -> None:
    pod = decode_pod({"metadata": {"name": "x", "uid": "p"}})
    assert (pod.sandbox_uid, pod.restores, pod.started) == ("", False, False)
