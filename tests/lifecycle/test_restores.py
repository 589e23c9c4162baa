"""A sandbox that starts from snapshots: what the mounter tells, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.conditions import CATALOGUE, UNRESTORABLE, Phase, Reason, Type
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.observation import Container, Pod
from isola_lifecycle.sandbox.sources import Source, sources_of
from isola_lifecycle.sandbox.staging import (
    Archive,
    Place,
    awaited,
    is_wanted,
    mismatch,
    refused,
    staged,
)
from support.stories import (
    EMPTY_POD,
    FAILED,
    PENDING,
    POD_UID,
    READY,
    READY_POD,
    REQUESTED,
    RUNNING,
    SCHEDULED,
    STAGED,
    STARTED,
    TERMINATED,
    assert_in_catalogue,
    fact,
    given,
    log_of,
    unstaged,
    world,
)

FALSE = Status.FALSE
LATE = timedelta(seconds=91)
WAITING = (*PENDING, SCHEDULED)
SOURCE = Source("sandbox0", "base", "python:3.11")
PLACE = Place(pod_uid=POD_UID, node="n1")
ARCHIVE = Archive(
    key="rootfssnapshots/team/base.tar",
    sha256="ab",
    size_bytes=10240,
    image="docker.io/library/python:3.11",
    image_id="python@sha256:1",
)
GATED = replace(EMPTY_POD, node="n1")
AWAITED = sorted(
    {*next(row for row in CATALOGUE if row.type == Type.ROOTFS_STAGED).false} - {*UNRESTORABLE}
)


def running_as(image_id: str) -> Pod:
    container = replace(READY_POD.containers[0], image_id=image_id)
    return replace(READY_POD, containers=(container,))


def told(*story: Fact, **changes: Any) -> tuple[Fact, ...]:
    item = replace(ARCHIVE, **changes)
    return staged(fold(log_of(story)), SOURCE, item, PLACE, seconds=1.25, cached=False)


# --- what the mounter tells --------------------------------------------------------------------


def test_what_was_staged_is_told_with_everything_that_counts() -> None:
    (entry,) = told(*WAITING)
    assert_in_catalogue(entry)
    assert (entry.type, entry.status, entry.reason) == ("RootfsStaged", "True", "ArchiveStaged")
    assert entry.actor == "mounter"
    assert entry.data == {
        "container": "sandbox0",
        "snapshot": "base",
        "key": "rootfssnapshots/team/base.tar",
        "sha256": "ab",
        "bytes": "10240",
        "seconds": "1.250",
        "cached": "false",
        "imageID": "python@sha256:1",
        "node": "n1",
        "podUID": POD_UID,
    }


def test_it_is_told_once_and_again_if_it_is_another_archive() -> None:
    (entry,) = told(*WAITING)
    assert told(*WAITING, entry) == ()
    (again,) = told(*WAITING, entry, sha256="cd")
    state = fold(log_of([*WAITING, entry, again])).staging_of("sandbox0")
    assert state is not None
    assert (state.staged, state.sha256) == (True, "cd")


@pytest.mark.parametrize(
    "story",
    [
        pytest.param((), id="not accepted yet"),
        pytest.param(PENDING, id="its node is not on record yet"),
        pytest.param((*WAITING, STARTED), id="started"),
        pytest.param((*WAITING, FAILED), id="failed"),
        pytest.param((*WAITING, REQUESTED), id="leaving"),
        pytest.param((*WAITING, TERMINATED), id="gone"),
        pytest.param(
            (*PENDING[:-1], fact("PodCreated", "PodCreated", podUID="other"), SCHEDULED),
            id="its pod is another one",
        ),
        pytest.param((*PENDING, fact("Scheduled", "NodeAssigned", node="n2")), id="another node"),
    ],
)
def test_nothing_is_told_of_a_sandbox_that_does_not_wait_for_it(story: tuple[Fact, ...]) -> None:
    state = fold(log_of(story))
    assert not is_wanted(state, PLACE)
    assert told(*story) == ()
    assert awaited(state, SOURCE, PLACE, Reason.SNAPSHOT_PENDING, "…") == ()
    assert refused(state, SOURCE, PLACE, Reason.SNAPSHOT_DAMAGED, "…") == ()


def test_a_trouble_is_told_once_and_another_one_again() -> None:
    state = fold(log_of(WAITING))
    (entry,) = awaited(state, SOURCE, PLACE, Reason.SNAPSHOT_NOT_FOUND, "there is none")
    assert_in_catalogue(entry)
    state = fold(log_of([*WAITING, entry]))
    assert awaited(state, SOURCE, PLACE, Reason.SNAPSHOT_NOT_FOUND, "still none") == ()
    assert awaited(state, SOURCE, PLACE, Reason.SNAPSHOT_PENDING, "it comes")
    assert refused(state, SOURCE, PLACE, Reason.SNAPSHOT_FAILED, "it failed")


def test_nothing_is_taken_back() -> None:
    for entry in (STAGED, unstaged("SnapshotDamaged")):
        state = fold(log_of([*WAITING, entry]))
        assert awaited(state, SOURCE, PLACE, Reason.SNAPSHOT_PENDING, "…") == ()
        assert refused(state, SOURCE, PLACE, Reason.SNAPSHOT_BASE_MISMATCH, "…") == ()


@pytest.mark.parametrize(
    ("image", "fits"),
    [
        ("python:3.11", True),
        ("library/python:3.11", True),
        ("elsewhere/python@sha256:1", True),
        ("python:3.12", False),
        ("python@sha256:2", False),
    ],
)
def test_an_archive_belongs_onto_the_image_that_it_was_taken_from(
    image: str, *, fits: bool
) -> None:
    message = mismatch(replace(SOURCE, image=image), ARCHIVE)
    assert (message == "") is fits
    if not fits:
        for part in ("base", "sandbox0", image, ARCHIVE.image, ARCHIVE.image_id, "give it"):
            assert part in message


def test_of_an_archive_without_an_image_nobody_knows_where_it_belongs() -> None:
    assert "not known" in mismatch(SOURCE, replace(ARCHIVE, image="", image_id=""))


# --- what follows ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", UNRESTORABLE)
def test_what_can_never_be_staged_ends_the_sandbox_at_once(reason: Reason) -> None:
    story = given(*WAITING, unstaged(reason, "why and what to do"))
    story.when(world(GATED)).then(("Succeeded", reason, FALSE))
    (ending,) = story.when(world(GATED)).decision.facts
    assert ending.message == "why and what to do"
    assert ending.data == {"container": "sandbox0"}


@pytest.mark.parametrize("reason", AWAITED)
def test_what_may_still_come_is_waited_for_until_the_start_up_time_out(reason: str) -> None:
    story = given(*WAITING, unstaged(reason, "why"))
    story.when(world(GATED, after=timedelta(seconds=89))).then_nothing()
    story.when(world(GATED, after=LATE)).then(("Succeeded", reason, FALSE))
    (ending,) = story.when(world(GATED, after=LATE)).decision.facts
    assert ending.message == "Not ready within 90 s (spec.startupTimeoutSeconds): why"


def test_a_mounter_that_says_nothing_is_what_the_time_out_tells_of() -> None:
    seen = world(GATED, after=LATE, sources=(SOURCE, Source("other", "more")))
    (ending,) = given(*WAITING, STAGED).when(seen).decision.facts
    assert ending.reason == "StartupTimeout"
    for part in ("n1", "more (container other)", "mounter"):
        assert part in ending.message
    assert "base" not in ending.message


def test_once_all_is_staged_the_time_out_tells_of_other_things() -> None:
    seen = world(GATED, after=LATE, sources=(SOURCE,))
    (ending,) = given(*WAITING, STAGED).when(seen).decision.facts
    assert "still being pulled" in ending.message


def test_a_start_from_a_snapshot_is_one_like_any_other() -> None:
    given(*WAITING, STAGED).when(world(running_as("mirror/i@sha256:1"))).then(
        ("Started", "ContainersStarted"), ("Ready", "PodReady")
    )


def test_an_image_that_its_name_did_not_mean_then_ends_it_before_it_is_ready() -> None:
    story = given(*WAITING, STAGED).when(world(running_as("i@sha256:2")))
    story.then(("Started", "ContainersStarted"), ("Succeeded", "SnapshotBaseMismatch", FALSE))
    message = story.decision.facts[-1].message
    for part in ("sandbox0", "i@sha256:2", "i@sha256:1", "name the image by that digest"):
        assert part in message


def test_nothing_is_ready_before_its_image_is_known() -> None:
    given(*WAITING, STAGED).when(world(running_as(""))).then(("Started", "ContainersStarted"))


@pytest.mark.parametrize("image_id", ["", "i@sha256:2"])
def test_what_has_been_ready_is_judged_no_more(image_id: str) -> None:
    story = given(*WAITING, STAGED, STARTED, READY)
    story.when(world(running_as(image_id))).then_nothing()


def test_an_archive_of_an_image_that_is_not_known_is_not_held_against_it() -> None:
    anonymous = replace(STAGED, data={"container": "sandbox0", "sha256": "ab"})
    given(*WAITING, anonymous).when(world(running_as("i@sha256:2"))).then(
        ("Started", "ContainersStarted"), ("Ready", "PodReady")
    )


def test_a_pod_that_gvisor_does_not_run_ends_it() -> None:
    seen = world(replace(GATED, unrestorable="Linux 6.1"))
    story = given(*WAITING).when(seen)
    story.then(("Succeeded", "RuntimeUnsupported", FALSE))
    assert "Linux 6.1" in story.decision.facts[0].message


def test_the_trouble_of_one_archive_does_not_hide_that_of_another() -> None:
    missing = unstaged("SnapshotNotFound", "there is no snapshot a", "a")
    pending = unstaged("SnapshotPending", "b is being taken", "b")
    there = replace(STAGED, data={"container": "b", "sha256": "ab"})
    trouble = fold(log_of([*WAITING, missing, pending, there])).trouble
    assert trouble is not None
    assert (trouble.reason, trouble.container) == ("SnapshotNotFound", "a")
    both = replace(STAGED, data={"container": "a", "sha256": "cd"})
    assert fold(log_of([*WAITING, missing, pending, there, both])).trouble is None


def test_a_sandbox_that_waits_is_pending() -> None:
    assert fold(log_of([*WAITING, unstaged("SnapshotPending")])).phase is Phase.PENDING


def test_what_was_staged_is_known_beyond_a_roll_over() -> None:
    waits = unstaged("SnapshotPending", "…", "other")
    log = log_of([*WAITING, STAGED, waits, fact("Archived", "LogRolledOver")])
    left = log.archived_to(log.version - 1)
    assert fold(left) == fold(log)
    assert [each.container for each in fold(left).staging] == ["sandbox0", "other"]


def test_a_log_of_a_sandbox_without_sources_is_as_it_was() -> None:
    assert fold(log_of(RUNNING)).staging == ()
    given(*WAITING).when(world(running_as("i@sha256:2"))).then(
        ("Started", "ContainersStarted"), ("Ready", "PodReady")
    )


# --- what a specification wants ----------------------------------------------------------------


def spec(*names: str, sources: object) -> dict[str, Any]:
    containers = [{"name": name, "image": f"image-{name}"} for name in names]
    return {"podTemplate": {"spec": {"containers": containers}}, "rootfsSnapshotSources": sources}


def test_the_only_container_need_not_be_named() -> None:
    assert sources_of(spec("a", sources=[{"snapshotName": "s"}])) == (Source("a", "s", "image-a"),)
    named = [
        {"snapshotName": "s", "containerName": "b"},
        {"snapshotName": "t", "containerName": "a"},
    ]
    assert sources_of(spec("a", "b", sources=named)) == (
        Source("b", "s", "image-b"),
        Source("a", "t", "image-a"),
    )
    assert sources_of(spec("a", "b", sources=[{"snapshotName": "s"}])) == (Source("", "s"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["podTemplate", "spec", "containers", "name", "snapshotName"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@forall(JSON, JSON)
def test_nonsense_wants_nothing_that_cannot_be_told(template: Any, sources: Any) -> None:
    found = sources_of({"podTemplate": template, "rootfsSnapshotSources": sources})
    assert all(isinstance(each.snapshot, str) for each in found)


def test_a_container_is_judged_by_its_own_archive() -> None:
    containers = (
        Container(name="sandbox0", image="i", running=True, ready=True, image_id="i@sha256:1"),
        Container(name="other", image="o", running=True, ready=True, image_id="o@sha256:9"),
    )
    pod = replace(READY_POD, containers=containers)
    given(*WAITING, STAGED).when(world(pod)).then(
        ("Started", "ContainersStarted"), ("Ready", "PodReady")
    )
