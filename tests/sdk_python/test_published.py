"""The published client's calls, by it and by ours, against the same gateway: a real one."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import isola as published
import pytest

import isola_sdk as ours
from sdk_python.calls import TABLE
from support.cluster import until
from support.toolchain import ROOT

SDK = ROOT / "api" / "sdk" / "python"
CALLS = Path(__file__).with_name("calls.py")
ROWS = [call.__name__ for call in TABLE] + ["asynchronously"]

pytestmark = pytest.mark.apiserver


def called(url: str, *path: Path) -> Any:
    """Return what came of all calls, in a process of its own, with `path` before all others."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, CALLS, url]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def both(whole: str) -> tuple[Any, Any]:
    """What came of them by the published client, and by ours."""
    own = called(whole, SDK)
    return called(whole), own


def test_they_are_two_clients(both: tuple[Any, Any]) -> None:
    theirs, own = (Path(each["isola"]) for each in both)
    assert "site-packages" in theirs.parts
    assert own == SDK / "isola" / "__init__.py"


@pytest.mark.parametrize("row", ROWS)
def test_every_call_gives_the_same(both: tuple[Any, Any], row: str) -> None:
    theirs, own = both
    assert own[row] == theirs[row]


def test_every_public_name_is_there_with_every_parameter_and_default() -> None:
    for name in published.__all__:
        theirs, own = getattr(published, name), getattr(ours, name)
        if not inspect.isclass(theirs):
            continue
        for member, value in vars(theirs).items():
            if member.startswith("_") and member not in ("__enter__", "__aenter__"):
                continue
            if isinstance(value, property):
                assert hasattr(own, member) or member in _set_at_construction(own), (name, member)
            elif callable(value):
                _accepts(getattr(own, member), value)


def _set_at_construction(kind: Any) -> set[str]:
    return {each.split(":")[0].strip() for each in (kind.__doc__ or "").splitlines()}


def _accepts(own: Any, theirs: Any) -> None:
    """Hold every way to call `theirs` to be one to call `own`."""
    accepted = inspect.signature(own).parameters
    for name, parameter in inspect.signature(theirs).parameters.items():
        assert name in accepted, (own, name)
        assert accepted[name].default == parameter.default, (own, name)
        assert accepted[name].kind == parameter.kind, (own, name)


def test_models_have_the_same_fields_and_spellings() -> None:
    for name in ("Container", "ContainerInfo", "Network", "ResourceList", "SandboxSummary"):
        theirs, own = getattr(published, name), getattr(ours, name)
        spelt = {field: info.alias for field, info in own.model_fields.items()}
        for field, info in theirs.model_fields.items():
            assert spelt[field] == info.alias


# What the published client has no words for, on the same gateway


def test_a_history_is_told_and_verified_to_its_end_and_after_it(whole: str) -> None:
    with ours.Isola(url=whole) as client:
        sandbox = client.sandboxes.create(image="busybox")
        follow = client.sandboxes.follow(sandbox.id)
        first = next(follow)
        assert (first.type, first.sequence) == ("Accepted", 1)
        assert first.request_id
        sandbox.delete()
        seen = [first, *follow]
        assert seen[-1].type == "Terminated"
        history = client.sandboxes.history(sandbox.id)
        assert history.entries[: len(seen)] == tuple(seen)
        assert (history.id, history.verify()) == (sandbox.id, history.entries[-1].digest)
        until(
            lambda: any(each.id == sandbox.id for each in client.sandboxes.records()),
            seconds=60,
            what="it is on record",
        )
        # The record is whole before the sandbox goes.
        until(
            lambda: client.sandboxes.history(sandbox.id, uid=history.uid).deleted,
            seconds=60,
            what="it is gone",
        )
        assert list(client.sandboxes.follow(sandbox.id)) == list(history.entries)


def test_a_snapshot_that_cannot_be_says_why(whole: str) -> None:
    with ours.Isola(url=whole) as client, client.sandboxes.create(image="busybox") as sandbox:
        with pytest.raises(ours.SnapshotFailedError) as raised:
            client.rootfs_snapshots.create(sandbox_id=sandbox.id)
        assert raised.value.reason == "SnapshotsDisabled"
        found = client.rootfs_snapshots.list(sandbox_id=sandbox.id, status="Failed")
        assert [each.id for each in found] == [raised.value.snapshot_id]
        assert client.rootfs_snapshots.history(raised.value.snapshot_id).verify()
        client.rootfs_snapshots.delete(raised.value.snapshot_id)


def test_a_sandbox_lives_longer_when_it_is_told_to(whole: str) -> None:
    with (
        ours.Isola(url=whole) as client,
        client.sandboxes.create(image="busybox", timeout_seconds=600) as sandbox,
    ):
        before = sandbox.expires_at
        sandbox.set_timeout(1200)
        assert before
        assert sandbox.expires_at
        assert (sandbox.expires_at - before).total_seconds() == 600
