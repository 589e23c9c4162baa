"""Entries on the wire, and what the chain of digests gives away."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.codec import decode, decode_log, digest, encode, faults
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


def test_the_digest_is_the_documented_one() -> None:
    first = items()[0]
    content = {key: value for key, value in first.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first["digest"] == sha256(f"{UID}\n{text}".encode()).hexdigest()
    assert first["digest"] == digest(first, UID)


def test_an_untouched_log_has_no_faults() -> None:
    assert faults(UID, items()) == ()
    assert faults(UID, items()[2:]) == ()
    assert faults(UID, []) == ()


@forall(st.integers(0, 5), st.sampled_from(["message", "reason", "actor", "lastTransitionTime"]))
def test_an_edit_is_found_where_it_is(index: int, key: str) -> None:
    forged = items()
    forged[index][key] += "x"
    assert faults(UID, forged)[0].sequence == index + 1


def test_a_field_smuggled_in_is_found() -> None:
    forged = items()
    forged[3]["note"] = "nothing to see"
    assert [fault.sequence for fault in faults(UID, forged)] == [4]


@forall(st.integers(1, 4))
def test_a_removal_is_found(index: int) -> None:
    forged = items()
    del forged[index]
    assert faults(UID, forged)[0].sequence == index + 1


@forall(st.integers(0, 4))
def test_a_reordering_is_found(index: int) -> None:
    forged = items()
    forged[index], forged[index + 1] = forged[index + 1], forged[index]
    forged[index]["sequence"], forged[index + 1]["sequence"] = index + 1, index + 2
    assert faults(UID, forged)[0].sequence == index + 1


def test_an_insertion_is_found() -> None:
    forged = items()
    forged.insert(2, dict(forged[1]))
    for number, item in enumerate(forged, start=1):
        item["sequence"] = number
    assert faults(UID, forged)[0].sequence == 3


def test_a_log_moved_to_another_object_is_found() -> None:
    assert faults("another", items())[0].sequence == 1


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "lifecycle" / "golden").glob("*.json")), ids=lambda p: p.stem
)
def test_a_log_of_a_past_release_still_verifies_and_folds(path: Path) -> None:
    golden = json.loads(path.read_text())
    assert faults(golden["uid"], golden["status"]["conditions"][::-1]) == ()
    state = fold(decode_log(golden["uid"], golden["status"]))
    assert state.phase == golden["phase"]
    assert state.terminated
