"""Entries on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isola_lifecycle.chain import faults
from isola_lifecycle.codec import decode, decode_log, encode
from isola_lifecycle.log import Log
from isola_lifecycle.sandbox.fold import fold
from support.stories import READY, REQUESTED, RUNNING, UID, log_of
from support.toolchain import ROOT

LOG = log_of([*RUNNING, REQUESTED])


def items(log: Log = LOG) -> list[dict[str, Any]]:
    return [encode(entry) for entry in log]


def test_an_entry_survives_the_wire() -> None:
    assert [decode(item) for item in items()] == list(LOG)


def test_a_status_holds_the_log_newest_first() -> None:
    status = {"conditions": items()[::-1], "archived": 0}
    assert decode_log(UID, status) == LOG
    assert decode_log(UID, {}) == Log(UID)


def test_what_is_empty_is_left_out() -> None:
    (item,) = items(log_of([READY]))
    assert "requestId" not in item
    assert item["data"] == {"phase": "Running", "podIP": "10.0.0.1"}


def test_an_entry_that_is_not_sealed_yet_has_no_digest() -> None:
    assert {"digest", "data"}.isdisjoint(encode(replace(LOG.entries[0], digest="", data={})))


def test_times_have_microseconds_and_sort_as_text() -> None:
    assert items()[0]["lastTransitionTime"] == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "lifecycle" / "golden").glob("*.json")), ids=lambda p: p.stem
)
def test_a_log_of_a_past_release_still_verifies_and_folds(path: Path) -> None:
    golden = json.loads(path.read_text())
    assert faults(golden["uid"], golden["status"]["conditions"][::-1]) == ()
    state = fold(decode_log(golden["uid"], golden["status"]))
    assert state.phase == golden["phase"]
    assert state.terminated


def test_a_log_of_a_sandbox_that_started_from_a_snapshot_still_tells_what_was_staged() -> None:
    path = ROOT / "tests" / "lifecycle" / "golden" / "0.1.0-restored.json"
    golden = json.loads(path.read_text())
    (staged,) = fold(decode_log(golden["uid"], golden["status"])).staging
    assert (staged.container, staged.staged, staged.reason) == ("sandbox0", True, "ArchiveStaged")
    assert staged.sha256.startswith("8f267bd2")
    assert staged.image_id == "python@sha256:1"


def test_a_log_that_a_past_release_rolled_over_still_knows_what_it_carried() -> None:
    path = ROOT / "tests" / "lifecycle" / "golden" / "0.1.0-rolled-over.json"
    golden = json.loads(path.read_text())
    log = decode_log(golden["uid"], golden["status"])
    assert (log.archived, log.entries[0].sequence) == (24, 25)
    state = fold(log)
    assert (state.node, state.exited, state.ever_ready) == ("n1", {"helper"}, True)
    assert state.changed_lifetime == timedelta(hours=2)
    assert state.accepted_at == datetime(2026, 1, 1, 0, 0, 7, 123, tzinfo=UTC)
