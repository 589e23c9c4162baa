"""What follows for a snapshot, from each state and each thing seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.archive import MOVED_ENTRIES, Moved
from isola_lifecycle.commands import (
    AddFinalizer,
    Decision,
    DeleteObject,
    RemoveFinalizer,
    RollOver,
    WriteRecord,
)
from isola_lifecycle.log import Fact, Log, Status
from isola_lifecycle.seen import Refusal
from isola_lifecycle.snapshot.commands import (
    Command,
    CreateJob,
    CreateRemoval,
    DeleteJob,
    DeleteRemoval,
)
from isola_lifecycle.snapshot.conditions import CATALOGUE, Phase, Reason, Type
from isola_lifecycle.snapshot.decide import decide
from isola_lifecycle.snapshot.fold import extend, fold
from isola_lifecycle.snapshot.leaving import REMOVAL_PATIENCE
from isola_lifecycle.snapshot.observation import (
    Container,
    Job,
    Namesake,
    Observation,
    Sandbox,
)
from isola_lifecycle.snapshot.state import Archive, State, carried, restored
from isola_lifecycle.snapshot.uploading import Upload, captured, fits, not_stored, started
from support.stories import SECOND, START, UID, fact

FALSE = Status.FALSE
MINUTE = timedelta(seconds=60)
CONTAINER = Container(
    name="sandbox0", running=True, id="containerd://abc", image="i", image_id="i@sha256:1"
)
SANDBOX = Sandbox(uid="u-1", running=True, node="n1", containers=(CONTAINER,))
JOB = Job(uid="j-1")

ACCEPTED = fact(
    "Accepted", "SpecValid", node="n1", container="sandbox0", containerID="abc", sandboxUID="u-1"
)
CAPTURING = fact("Capturing", "JobCreated", jobUID="j-1")
CAPTURED = fact("Captured", "ArchiveWritten", bytes="10240", sha256="ab")
UPLOADING = fact("Uploading", "UploadStarted", uploadedBytes="1", uploadID="up")
STORED = fact("Stored", "ObjectWritten", key="k", storedBytes="512", etag="e", compression="zstd")
SUCCEEDED = fact("Succeeded", "SnapshotStored")
FAILED = fact("Succeeded", "CaptureFailed", FALSE)
TAKING = (ACCEPTED, CAPTURING)
DONE = (*TAKING, CAPTURED, UPLOADING, STORED, SUCCEEDED)
GONE = fact("DeletionRequested", "ClientRequest", object="Delete")
RETAINED = fact("DeletionRequested", "ObjectDeleted", object="Retain")
REMOVED = fact("Deleted", "ObjectRemoved")
LEFT = fact("Deleted", "RemovalFailed", FALSE)
ADOPTION = fact("Accepted", "SpecValid", snapshotName="n")
ADOPTED: dict[str, Any] = {
    "bytes": "7",
    "sha256": "cd",
    "sandbox": "box",
    "container": "c",
    "image": "i",
}


def log_of(*facts: Fact) -> Log:
    log = Log(UID)
    for each in facts:
        log = log.extended(extend(log, (each,), at=START, generation=1))
    return log


def world(after: timedelta = SECOND, **seen: Any) -> Observation:
    named: dict[str, Any] = {"snapshot_name": "n", "sandbox_name": "s", **seen}
    return Observation(now=START + after, **named)


@dataclass(frozen=True)
class Story:
    """A log, and what follows from it."""

    decision: Decision[Command]

    def then(self, *expected: tuple[str, str] | tuple[str, str, Status] | Command) -> None:
        facts = [(f.type, f.reason, f.status) for f in self.decision.facts]
        assert facts == [(*e, Status.TRUE)[:3] for e in expected if isinstance(e, tuple)]
        commands = [e for e in expected if not isinstance(e, tuple)]
        assert list(self.decision.commands) == commands
        for each in self.decision.facts:
            row = next(row for row in CATALOGUE if row.type == Type(each.type))
            assert each.reason in (row.true if each.status == Status.TRUE else row.false)
            assert each.actor.split(" ")[0] in row.writers
            assert set(each.data) <= set(row.data)


def given(*facts: Fact, seen: Observation) -> Story:
    log = log_of(*facts)
    return Story(decide(fold(log), seen, room=log.room))


# --- taken on ----------------------------------------------------------------------------------


def test_a_snapshot_of_a_running_sandbox_is_taken_on_with_what_it_is_of() -> None:
    seen = world(sandbox=SANDBOX, caller="10.0.0.7", request_id="r-1", traceparent="00-1-2-01")
    story = given(seen=seen)
    story.then(("Accepted", "SpecValid"))
    (told,) = story.decision.facts
    assert (told.actor, told.request_id) == ("operator on behalf of 10.0.0.7", "r-1")
    assert told.data == {
        "snapshotName": "n",
        "sandboxUID": "u-1",
        "node": "n1",
        "container": "sandbox0",
        "containerID": "abc",
        "image": "i",
        "imageID": "i@sha256:1",
        "traceparent": "00-1-2-01",
    }


OLDER = Namesake(name="other", older=True, ended=False, stored_at=None)
THERE = Namesake(name="other", older=False, ended=True, stored_at=START)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param(world(enabled=False, sandbox=SANDBOX), "SnapshotsDisabled", id="switched off"),
        pytest.param(world(), "SandboxNotFound", id="no sandbox"),
        pytest.param(
            world(sandbox=SANDBOX, sandbox_uid="u-2"), "SandboxNotFound", id="another of that name"
        ),
        pytest.param(
            world(sandbox=replace(SANDBOX, running=False)), "SandboxNotRunning", id="not running"
        ),
        pytest.param(
            world(sandbox=SANDBOX, container_name="b"), "ContainerNotFound", id="no container"
        ),
        pytest.param(
            world(sandbox=replace(SANDBOX, containers=(replace(CONTAINER, running=False),))),
            "SandboxNotRunning",
            id="the container has ended",
        ),
        pytest.param(
            world(sandbox=replace(SANDBOX, containers=(replace(CONTAINER, id="cri-o://x"),))),
            "RuntimeUnsupported",
            id="another runtime",
        ),
        pytest.param(world(sandbox=SANDBOX, namesakes=(OLDER,)), "NameTaken", id="being taken"),
        pytest.param(world(sandbox=SANDBOX, namesakes=(THERE,)), "NameTaken", id="stored"),
    ],
)
def test_what_cannot_be_ends_at_once_and_says_why(seen: Observation, reason: str) -> None:
    given(seen=seen).then(("Accepted", reason, FALSE), ("Succeeded", reason, FALSE))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(OLDER, older=False), id="younger"),
        pytest.param(replace(OLDER, ended=True), id="failed"),
    ],
)
def test_a_namesake_that_has_nothing_is_in_nobody_s_way(other: Namesake) -> None:
    given(seen=world(sandbox=SANDBOX, namesakes=(other,))).then(("Accepted", "SpecValid"))


def test_who_replaces_waits_for_who_is_being_taken_and_then_takes_its_place() -> None:
    seen = world(sandbox=SANDBOX, replaces=True, namesakes=(OLDER,))
    story = given(seen=seen)
    story.then()
    assert story.decision.requeue_after
    seen = replace(seen, namesakes=(THERE,))
    given(seen=seen).then(("Accepted", "SpecValid"))


def test_of_several_containers_the_one_that_was_named_is_taken() -> None:
    two = replace(SANDBOX, containers=(CONTAINER, replace(CONTAINER, name="b")))
    (told,) = given(seen=world(sandbox=two, container_name="b")).decision.facts
    assert told.data["container"] == "b"


def test_a_resource_without_our_finalizer_gets_it() -> None:
    seen = world(sandbox=SANDBOX, finalizer=False)
    given(seen=seen).then(("Accepted", "SpecValid"), AddFinalizer())


# --- taken -------------------------------------------------------------------------------------


def test_once_taken_on_it_has_a_job() -> None:
    given(ACCEPTED, seen=world()).then(CreateJob())
    given(ACCEPTED, seen=world(job=JOB)).then(("Capturing", "JobCreated"))
    given(*TAKING, seen=world(job=JOB)).then()


def test_its_time_is_looked_at_again() -> None:
    decision = given(*TAKING, seen=world(job=JOB)).decision
    assert decision.requeue_after == timedelta(seconds=299)


def test_a_job_refused_for_now_is_told_once_and_tried_again() -> None:
    refused = world(refusal=Refusal(final=False, message="quota"))
    given(ACCEPTED, seen=refused).then(("Capturing", "JobForbidden", FALSE))
    told = fact("Capturing", "JobForbidden", FALSE)
    again = given(ACCEPTED, told, seen=refused)
    again.then()
    assert again.decision.requeue_after == timedelta(seconds=5)
    given(ACCEPTED, told, seen=world()).then(CreateJob())


def test_a_job_that_is_rejected_ends_it() -> None:
    refused = world(refusal=Refusal(final=True, message="invalid"))
    given(ACCEPTED, seen=refused).then(
        ("Capturing", "JobRejected", FALSE), ("Succeeded", "JobRejected", FALSE)
    )


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        pytest.param(None, "JobDeleted", id="gone"),
        pytest.param(replace(JOB, deleting=True), "JobDeleted", id="going"),
        pytest.param(Job(uid="j-2"), "JobDeleted", id="another"),
        pytest.param(replace(JOB, failed=True, message="BackoffLimit"), "JobFailed", id="failed"),
        pytest.param(replace(JOB, complete=True), "JobFailed", id="ended without a word"),
    ],
)
def test_a_job_that_ends_without_the_uploader_s_word_ends_it(job: Job | None, reason: str) -> None:
    given(*TAKING, seen=world(job=job)).then(("Succeeded", reason, FALSE))


def test_its_time_out_ends_it_and_says_what_was_in_the_way() -> None:
    late = world(timedelta(seconds=300), job=replace(JOB, message="ErrImagePull"))
    story = given(*TAKING, seen=late)
    story.then(("Succeeded", "DeadlineExceeded", FALSE))
    assert "ErrImagePull" in story.decision.facts[0].message
    assert "spec.timeoutSeconds" in story.decision.facts[0].message


# --- adopted -----------------------------------------------------------------------------------


def test_one_that_adopts_is_taken_on_without_a_sandbox() -> None:
    story = given(seen=world(adopts=True, sandbox_name="", caller="10.0.0.7"))
    story.then(("Accepted", "SpecValid"))
    (told,) = story.decision.facts
    assert told.data == {"snapshotName": "n"}
    assert told.actor == "operator on behalf of 10.0.0.7"


def test_it_is_refused_like_any_other() -> None:
    other = Namesake(name="o", older=True, ended=True, stored_at=START)
    for seen, reason in (
        (world(adopts=True, enabled=False), "SnapshotsDisabled"),
        (world(adopts=True, namesakes=(other,)), "NameTaken"),
    ):
        given(seen=seen).then(("Accepted", reason, FALSE), ("Succeeded", reason, FALSE))
    given(seen=world(adopts=True, namesakes=(other,), replaces=True, finalizer=True)).then(
        ("Accepted", "SpecValid")
    )


def test_its_job_looks_at_the_bucket_and_nothing_is_said_to_be_captured() -> None:
    given(ADOPTION, seen=world(adopts=True, finalizer=True)).then(CreateJob())
    given(ADOPTION, seen=world(adopts=True, finalizer=True, job=JOB)).then(
        ("Adopting", "JobCreated")
    )
    adopting = fact("Adopting", "JobCreated", jobUID="j-1")
    assert fold(log_of(ADOPTION, adopting)).phase == Phase.RUNNING
    refused = Refusal(final=True, message="no")
    given(ADOPTION, seen=world(adopts=True, finalizer=True, refusal=refused)).then(
        ("Adopting", "JobRejected", FALSE), ("Succeeded", "JobRejected", FALSE)
    )


def test_a_job_that_adopts_nothing_ends_it_in_its_own_words() -> None:
    adopting = fact("Adopting", "JobCreated", jobUID="j-1")
    for seen, words in (
        (world(adopts=True, job=replace(JOB, complete=True)), "nothing was adopted"),
        (world(10 * MINUTE, adopts=True, job=JOB), "Not adopted within 300 s"),
    ):
        story = given(ADOPTION, adopting, seen=seen)
        assert words in story.decision.facts[-1].message


# --- ended -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [SUCCEEDED, FAILED], ids=["well", "badly"])
def test_what_ended_needs_no_job_any_more(end: Fact) -> None:
    given(*TAKING, end, seen=world(job=JOB)).then(DeleteJob("j-1"))
    given(*TAKING, end, seen=world(job=replace(JOB, deleting=True))).then()


@pytest.mark.parametrize("end", [SUCCEEDED, FAILED], ids=["well", "badly"])
def test_what_ended_stays_for_a_while_and_then_goes_without_its_object(end: Fact) -> None:
    early = given(*TAKING, end, seen=world(time_to_live=MINUTE))
    early.then()
    assert early.decision.requeue_after == timedelta(seconds=59)
    late = given(*TAKING, end, seen=world(MINUTE, time_to_live=MINUTE))
    late.then(("DeletionRequested", "TimeToLiveExceeded"))
    assert late.decision.facts[0].data == {"object": "Retain"}


def test_a_time_to_live_of_nothing_is_over_at_once() -> None:
    given(*DONE, seen=world(timedelta(), time_to_live=timedelta())).then(
        ("DeletionRequested", "TimeToLiveExceeded")
    )


def test_whose_place_was_taken_learns_of_it_once() -> None:
    heir = Namesake(name="heir", older=False, ended=True, stored_at=START + MINUTE)
    given(*DONE, seen=world(namesakes=(heir,))).then(("Stored", "ObjectReplaced", FALSE))
    replaced = fact("Stored", "ObjectReplaced", FALSE)
    given(*DONE, replaced, seen=world(namesakes=(heir,))).then()
    assert fold(log_of(*DONE, replaced)).stored is None


# --- leaving -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("deletes", "fate"), [(True, "Delete"), (False, "Retain")])
def test_a_deletion_is_recorded_with_what_becomes_of_the_object(
    deletes: bool,  # noqa: FBT001 - a case
    fate: str,
) -> None:
    story = given(*DONE, seen=world(deleting=True, deletes_object=deletes))
    story.then(("DeletionRequested", "ObjectDeleted"))
    assert story.decision.facts[0].data == {"object": fate}
    assert story.decision.facts[0].actor == "operator on behalf of unknown (Kubernetes API)"


def test_a_deletion_of_what_is_being_taken_is_its_end() -> None:
    given(*TAKING, seen=world(deleting=True, job=JOB)).then(
        ("DeletionRequested", "ObjectDeleted"), ("Succeeded", "Cancelled", FALSE)
    )
    given(*TAKING, GONE, seen=world(job=JOB)).then(("Succeeded", "Cancelled", FALSE))


def test_what_is_asked_to_go_is_deleted() -> None:
    given(*DONE, GONE, seen=world()).then(DeleteObject())


def test_its_job_goes_first_so_that_nothing_is_stored_any_more() -> None:
    leaving = world(deleting=True, job=JOB)
    given(*DONE, GONE, seen=leaving).then(DeleteJob("j-1"))
    given(*DONE, GONE, seen=replace(leaving, job=replace(JOB, deleting=True))).then()


def test_then_its_object_where_that_is_wanted() -> None:
    leaving = world(deleting=True)
    given(*DONE, GONE, seen=leaving).then(CreateRemoval())
    given(*DONE, GONE, seen=replace(leaving, removal=Job(uid="r"))).then()
    given(*DONE, GONE, REMOVED, seen=leaving).then(WriteRecord())
    given(*DONE, RETAINED, seen=leaving).then(WriteRecord())
    given(*TAKING, FAILED, GONE, seen=leaving).then(WriteRecord())


def test_what_removed_the_object_goes_before_the_resource_does_for_nothing_owns_it() -> None:
    leaving = world(deleting=True, removal=Job(uid="r", complete=True))
    gave_up = fact("Deleted", "RemovalFailed", FALSE)
    for ending in (REMOVED, gave_up):
        given(*DONE, GONE, ending, seen=leaving).then(DeleteRemoval("r"))
        going = replace(leaving, removal=Job(uid="r", deleting=True))
        given(*DONE, GONE, ending, seen=going).then(WriteRecord())
        gone = replace(leaving, removal=None, recorded=True)
        given(*DONE, GONE, ending, seen=gone).then(RemoveFinalizer())


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(world(deleting=True, removal=Job(uid="r", failed=True)), id="failed"),
        pytest.param(world(deleting=True, removal=Job(uid="r", complete=True)), id="no word"),
        pytest.param(world(deleting=True, enabled=False), id="switched off"),
        pytest.param(world(REMOVAL_PATIENCE, deleting=True), id="too long"),
        pytest.param(
            world(deleting=True, refusal=Refusal(final=True, message="no")), id="rejected"
        ),
    ],
)
def test_an_object_that_cannot_be_removed_is_given_up_and_that_is_told(seen: Observation) -> None:
    given(*DONE, GONE, seen=seen).then(("Deleted", "RemovalFailed", FALSE))


def test_a_removal_refused_for_now_is_tried_again() -> None:
    seen = world(deleting=True, refusal=Refusal(final=False, message="quota"))
    assert given(*DONE, GONE, seen=seen).decision.requeue_after == timedelta(seconds=5)


def test_the_history_is_in_the_archive_before_the_resource_goes() -> None:
    leaving = world(deleting=True)
    given(*DONE, RETAINED, seen=leaving).then(WriteRecord())
    given(*DONE, RETAINED, seen=replace(leaving, recorded=True)).then(RemoveFinalizer())
    given(*DONE, RETAINED, seen=replace(leaving, finalizer=False)).then()


def test_a_full_log_is_rolled_over() -> None:
    many = (*TAKING, *(UPLOADING,) * 50)
    given(*many, seen=world(job=JOB)).then(RollOver())
    moved = Moved("r", 1, MOVED_ENTRIES)
    given(*many, seen=world(job=JOB, moved=moved)).then(("Archived", "LogRolledOver"))
    waiting = given(*many, seen=world(job=JOB, archive_refusal="quota"))
    assert waiting.decision.requeue_after == timedelta(seconds=30)


def test_what_ended_is_not_rolled_over_any_more() -> None:
    many = (*TAKING, *(UPLOADING,) * 50)
    assert given(*many, FAILED, seen=world()).decision.commands == ()


class _Writers:
    """A log that the archive does not take, and whoever writes it: operator and uploader."""

    def __init__(self) -> None:
        self.log = log_of(*TAKING)

    def uploader(self, says: Callable[[State], tuple[Fact, ...]]) -> None:
        facts = says(fold(self.log))
        if facts and fits(facts, self.log.room):
            self._append(facts)

    def operator(self, seen: Observation) -> None:
        seen = replace(seen, archive_refusal="quota")
        self._append(decide(fold(self.log), seen, room=self.log.room).facts)

    def _append(self, facts: tuple[Fact, ...]) -> None:
        self.log = self.log.extended(extend(self.log, facts, at=START, generation=1))
        assert self.log.room >= 0


def _taken_again(number: int) -> Callable[[State], tuple[Fact, ...]]:
    return lambda state: captured(state, Archive(number, f"{number:064x}"), seconds=1)


def _begun_again(number: int) -> Callable[[State], tuple[Fact, ...]]:
    upload = Upload(id=str(number), sha256="", uploaded_bytes=0, total_bytes=9, parts=1)
    return lambda state: started(state, upload)


@forall(st.integers(0, 100), st.sampled_from(["uploader", "deadline", "deletion"]))
def test_the_end_has_its_place_in_a_log_that_the_archive_does_not_take(
    restarts: int, ends: str
) -> None:
    writers = _Writers()
    for number in range(restarts):
        writers.uploader(_taken_again(number))
        writers.uploader(_begun_again(number))
        writers.operator(world(job=JOB))
    if ends == "uploader":
        writers.uploader(lambda state: not_stored(state, Reason.BUCKET_DENIED, "no"))
    if ends == "deadline":
        writers.operator(world(job=JOB, after=timedelta(days=1)))
    writers.operator(world(job=JOB, deleting=True, deletes_object=True))
    assert fold(writers.log).over


@pytest.mark.parametrize(
    ("story", "over"),
    [
        pytest.param(DONE, False, id="stored"),
        pytest.param((*DONE, RETAINED), True, id="what is stored stays"),
        pytest.param((*DONE, GONE), False, id="its object is to go too"),
        pytest.param((*DONE, GONE, REMOVED), True, id="and is gone"),
        pytest.param((*DONE, GONE, LEFT), True, id="or was given up"),
        pytest.param((*TAKING, GONE), False, id="how it ended is not told yet"),
        pytest.param((*TAKING, GONE, FAILED), True, id="there is no object"),
    ],
)
def test_when_all_is_told(story: tuple[Fact, ...], *, over: bool) -> None:
    assert fold(log_of(*story)).over == over


# --- what a log amounts to ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "phase"),
    [
        pytest.param((), Phase.PENDING, id="nothing yet"),
        pytest.param((ACCEPTED,), Phase.PENDING, id="taken on"),
        pytest.param(TAKING, Phase.RUNNING, id="being taken"),
        pytest.param((ACCEPTED, CAPTURED), Phase.RUNNING, id="the uploader was faster"),
        pytest.param(DONE, Phase.SUCCEEDED, id="stored"),
        pytest.param((*DONE, FAILED), Phase.SUCCEEDED, id="the first outcome counts"),
        pytest.param((*TAKING, FAILED), Phase.FAILED, id="failed"),
        pytest.param((*DONE, GONE, REMOVED), Phase.SUCCEEDED, id="gone"),
    ],
)
def test_the_phase_of_a_log(story: tuple[Fact, ...], phase: Phase) -> None:
    assert fold(log_of(*story)).phase == phase


def test_an_adopted_object_brings_what_is_in_it_and_what_it_was_taken_of() -> None:
    state = fold(log_of(ADOPTION, fact("Stored", "ObjectAdopted", key="k", **ADOPTED)))
    assert state.archive == Archive(size_bytes=7, sha256="cd")
    assert state.source
    assert (state.source.sandbox, state.source.image) == ("box", "i")
    assert restored(carried(state) or {}) == state


def test_numbers_that_are_none_are_nothing() -> None:
    state = fold(log_of(fact("Captured", "ArchiveWritten", bytes="9" * 30)))
    assert state.archive is not None
    assert state.archive.size_bytes == 0
