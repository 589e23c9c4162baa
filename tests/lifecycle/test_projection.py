"""What holds for the log of every resource, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Fact, Log, Status
from isola_lifecycle.projection import Projection, carried
from isola_lifecycle.sandbox import conditions as sandbox
from isola_lifecycle.sandbox.fold import SANDBOX
from isola_lifecycle.snapshot import conditions as snapshot
from isola_lifecycle.snapshot.fold import SNAPSHOT
from support.stories import START, UID, fact


@dataclass(frozen=True)
class Kind:
    """A resource: what its logs amount to, and its words."""

    projection: Projection[Any]
    words: Any

    def log_of(self, story: Iterable[Fact]) -> Log:
        log, at = Log(UID), START
        for each in story:
            at += timedelta(seconds=1)
            entries = self.projection.extend(log, (each,), at=at, generation=1)
            log = log.extended(entries)
        return log


KINDS = [
    pytest.param(Kind(SANDBOX, sandbox), id="Sandbox"),
    pytest.param(Kind(SNAPSHOT, snapshot), id="RootfsSnapshot"),
]
every_kind = pytest.mark.parametrize("kind", KINDS)

keys = sorted({*sandbox.Key, *snapshot.Key, "other"} - {"phase"})  # `phase` is the writer's own
values = st.one_of(st.text(max_size=10), st.integers(0, 10**25).map(str))
facts = st.builds(
    Fact,
    type=st.sampled_from([*sandbox.Type, *snapshot.Type, "Unheard"]).map(str),
    status=st.sampled_from(Status),
    reason=st.sampled_from([*sandbox.Reason, *snapshot.Reason, "Unheard"]).map(str),
    message=st.text(max_size=40),
    actor=st.just("operator"),
    data=st.dictionaries(st.sampled_from(keys).map(str), values, max_size=4),
)
stories = st.lists(facts, max_size=20)


@every_kind
@forall(stories)
def test_every_prefix_of_every_log_folds(kind: Kind, story: list[Fact]) -> None:
    log = kind.log_of(story)
    for length in range(len(log) + 1):
        state = kind.projection.fold(log.entries[:length])
        assert kind.projection.phase(state) in set(kind.words.Phase)


@every_kind
@forall(stories, st.integers(0, 20))
def test_folding_in_two_goes_is_folding_in_one(kind: Kind, story: list[Fact], cut: int) -> None:
    entries = kind.log_of(story).entries
    state = kind.projection.fold(entries[:cut])
    for entry in entries[cut:]:
        state = kind.projection.evolve(state, entry)
    assert state == kind.projection.fold(entries)


@every_kind
@forall(stories)
def test_the_phase_written_down_for_kubectl_is_the_fold_s(kind: Kind, story: list[Fact]) -> None:
    log = kind.log_of(story)
    for length, entry in enumerate(log, start=1):
        phase = kind.projection.phase(kind.projection.fold(log.entries[:length]))
        assert entry.data["phase"] == phase


@every_kind
@forall(st.lists(facts, max_size=10), st.lists(facts, max_size=10))
def test_entries_appended_together_fold_like_entries_appended_apart(
    kind: Kind, before: list[Fact], together: list[Fact]
) -> None:
    log = kind.log_of(before)
    at_once = kind.projection.extend(log, together, at=START, generation=1)
    apart = log
    for each in together:
        apart = apart.extended(kind.projection.extend(apart, (each,), at=START, generation=1))
    assert log.extended(at_once) == apart


@every_kind
@forall(stories)
def test_an_unknown_type_changes_nothing(kind: Kind, story: list[Fact]) -> None:
    known = kind.projection.fold(kind.log_of(story))
    after = kind.projection.fold(kind.log_of([*story, fact("Unheard", "OfSuch")]))
    assert after == known


@every_kind
@forall(stories)
def test_a_log_of_ours_verifies(kind: Kind, story: list[Fact]) -> None:
    assert faults(UID, [encode(entry) for entry in kind.log_of(story)]) == ()


@every_kind
@forall(stories, st.integers(0, 20))
def test_a_log_that_was_cut_folds_like_the_whole_one(
    kind: Kind, story: list[Fact], cut: int
) -> None:
    log = kind.log_of([*story[:cut], fact("Archived", "LogRolledOver"), *story[cut:]])
    if carried(kind.projection.fold(log.entries[:cut]), kind.projection.initial) is None:
        return  # such a log is not rolled over
    left = log.archived_to(min(cut, len(story)))
    assert kind.projection.fold(left) == kind.projection.fold(log)


@every_kind
def test_an_empty_log_is_the_initial_state(kind: Kind) -> None:
    assert kind.projection.fold(()) == kind.projection.initial


def test_every_field_of_a_state_s_values_is_carried() -> None:
    """A dataclass in a state is carried by position: a field that is added goes last."""
    outcome = SANDBOX.fold(
        SANDBOX.extend(Log(UID), [fact("Succeeded", "Error", exitCode="3")], at=START, generation=1)
    ).outcome
    assert outcome is not None
    names = [each.name for each in fields(outcome)]
    assert names == ["succeeded", "reason", "message", "at", "exit_code"]
