"""The cause of death in a sentence, for every way that a sandbox can end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.log import Condition, Fact, Status
from isola_lifecycle.sandbox.conditions import CATALOGUE, Reason, Type
from isola_lifecycle.sandbox.decide import decide
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.observation import Observation, PodPhase
from isola_lifecycle.sandbox.verdict import ENDINGS, REQUESTS, verdict
from isola_lifecycle.seen import Refusal
from isola_lifecycle.verdict import Verdict
from isola_lifecycle.wording import readable
from support.stories import (
    ACCEPTED,
    EMPTY_POD,
    NOT_READY,
    PENDING,
    POD_CREATED,
    READY_POD,
    REQUESTED,
    RUNNING,
    SCHEDULED,
    TERMINATED,
    ended,
    fact,
    log_of,
    unstaged,
    waiting,
    world,
)

LATE = timedelta(minutes=5)
SLOW = "Not ready within 90 s (spec.startupTimeoutSeconds): "
NEVER = ", 5m after it was accepted and never ready: "
AT_ONCE = ", 1.0s after it was accepted and never ready: "
READY = ", 1.0s after it became ready: "


def told(log: tuple[Fact, ...], seen: Observation) -> Verdict:
    """Return the verdict once what was seen is recorded."""
    story = log_of(log)
    facts = decide(fold(story), seen, room=64).facts
    return verdict(story.extended(extend(story, facts, at=seen.now, generation=1)).entries)


STORIES = {
    Reason.COMPLETED: (
        (RUNNING, world(ended(0))),
        f"It finished by itself{READY}Every container exited with code 0.",
    ),
    Reason.LIFETIME_EXCEEDED: (
        (RUNNING, world(READY_POD, after=LATE, lifetime=timedelta(minutes=5))),
        (
            "Its time was over, 5m after it became ready:"
            " The lifetime of 300 s (spec.timeoutSeconds) is over."
        ),
    ),
    Reason.ERROR: (
        (RUNNING, world(ended(3))),
        f"Its program failed{READY}Container sandbox0 exited with code 3.",
    ),
    Reason.OOM_KILLED: (
        (RUNNING, world(ended(137, "OOMKilled"))),
        (
            f"It ran out of memory{READY}Container sandbox0 exited with code 137: it used more"
            " memory than its limit; raise resources.limits.memory."
        ),
    ),
    Reason.START_ERROR: (
        ((*PENDING, SCHEDULED), world(ended(128, "StartError"))),
        f"Its container could not be started{AT_ONCE}Container sandbox0 exited with code 128.",
    ),
    Reason.EVICTED: (
        (RUNNING, world(replace(ended(137), reason="Evicted", message="low on memory"))),
        (
            f"Its node ran short of something and evicted it{READY}The node evicted the pod:"
            " low on memory."
        ),
    ),
    Reason.NODE_LOST: (
        (
            (*RUNNING, fact("Ready", "NodeUnreachable", Status.FALSE)),
            world(None),
        ),
        (
            f"Its node was lost{READY}Node n1 was lost, and the sandbox with it:"
            " it stopped answering."
        ),
    ),
    Reason.POD_DELETED: (
        (RUNNING, world(None)),
        f"Its pod was deleted by something else than Isola{READY}The pod was deleted from outside.",
    ),
    Reason.POD_FAILED: (
        (RUNNING, world(replace(READY_POD, phase=PodPhase.FAILED, reason="Unexpected"))),
        f"Kubernetes gave its pod up{READY}The pod failed: Unexpected.",
    ),
    Reason.STARTUP_TIMEOUT: (
        (PENDING, world(EMPTY_POD, after=LATE)),
        f"It did not start in time{NEVER}{SLOW}no node was assigned.",
    ),
    Reason.SPEC_INVALID: (
        ((), world(spec_faults=("containers: is empty",))),
        (
            "It asks for what cannot be, 0ms after it was accepted and never ready:"
            " containers: is empty."
        ),
    ),
    Reason.CLUSTER_RANGES_UNKNOWN: (
        (
            (ACCEPTED, fact("NetworkConfigured", "ClusterRangesUnknown", Status.FALSE, "set it")),
            world(after=LATE, ranges_unknown="set it"),
        ),
        f"It was not known what it must not reach{NEVER}{SLOW}set it.",
    ),
    Reason.POLICY_REJECTED: (
        (
            (ACCEPTED, fact("NetworkConfigured", "PolicyRejected", Status.FALSE, "no right")),
            world(after=LATE, policy_current=False, policy_refusal="no right"),
        ),
        f"The API server does not accept its NetworkPolicy{NEVER}{SLOW}no right.",
    ),
    Reason.NETWORK_NOT_ENFORCED: (
        (PENDING, world(replace(EMPTY_POD, node="n1", unenforced="still reached 10.96.0.1:443"))),
        (
            f"Its network was not isolated{AT_ONCE}The network policies of the pod"
            " were not seen to be in force on node n1: still reached 10.96.0.1:443. None of its"
            " containers was started."
        ),
    ),
    Reason.POD_REJECTED: (
        ((ACCEPTED,), world(refusal=Refusal(message="memory: a typo", final=True))),
        (
            f"The API server does not accept its pod{AT_ONCE}The API server rejected the pod:"
            " memory: a typo."
        ),
    ),
    Reason.POD_FORBIDDEN: (
        (
            (ACCEPTED, fact("PodCreated", "PodForbidden", Status.FALSE, "quota")),
            world(after=LATE, refusal=Refusal(message="quota", final=False)),
        ),
        f"The API server did not let its pod in{NEVER}{SLOW}quota.",
    ),
    Reason.UNSCHEDULABLE: (
        (
            (
                *PENDING,
                fact("Scheduled", "Unschedulable", Status.FALSE, "No node fits: 2 of 2 full"),
            ),
            world(EMPTY_POD, after=LATE),
        ),
        f"No node had room for it{NEVER}{SLOW}No node fits: 2 of 2 full.",
    ),
    **{
        reason: (
            ((*PENDING, SCHEDULED, unstaged(reason, "why")), world(EMPTY_POD, after=LATE)),
            f"{cause}{NEVER}{SLOW}why.",
        )
        for reason, cause in {
            Reason.SNAPSHOT_NOT_FOUND: "The snapshot it starts from was not there",
            Reason.SNAPSHOT_PENDING: "The snapshot it starts from was not finished in time",
            Reason.NODE_CACHE_FULL: "Its node had no room for the snapshot it starts from",
            Reason.BUCKET_UNAVAILABLE: "The bucket with the snapshot it starts from did not answer",
        }.items()
    },
    **{
        reason: (
            ((*PENDING, SCHEDULED, unstaged(reason, "why")), world(EMPTY_POD)),
            f"{cause}{AT_ONCE}why.",
        )
        for reason, cause in {
            Reason.SNAPSHOT_FAILED: "The snapshot it starts from failed",
            Reason.SNAPSHOT_DAMAGED: (
                "The snapshot it starts from is damaged, and none of it was used"
            ),
            Reason.SNAPSHOT_BASE_MISMATCH: "The snapshot it starts from belongs onto another image",
            Reason.SNAPSHOT_TOO_LARGE: (
                "The snapshot it starts from is larger than what a node keeps of all"
            ),
            Reason.BUCKET_DENIED: "The bucket refused the snapshot it starts from",
        }.items()
    },
    Reason.RUNTIME_UNSUPPORTED: (
        (PENDING, world(replace(EMPTY_POD, node="n1", unrestorable="Linux 6.1"))),
        (
            f"It starts from a snapshot, which its runtime cannot{AT_ONCE}Node n1 does not run the"
            " pod with gVisor (Linux 6.1), which alone can start containers from snapshots: choose"
            " another RuntimeClass."
        ),
    ),
    Reason.IMAGE_PULL_FAILED: (
        (PENDING, world(waiting("ErrImagePull", "not found"), after=LATE)),
        (
            f"Its image could not be pulled{NEVER}{SLOW}Container sandbox0 (image i) cannot start:"
            " not found; check the image's name and tag, and the pull secrets."
        ),
    ),
    Reason.IMAGE_NAME_INVALID: (
        (PENDING, world(waiting("InvalidImageName"))),
        (
            f"Its image has no valid name{AT_ONCE}Container sandbox0 (image i) cannot start:"
            " InvalidImageName; an image reference looks like registry/name:tag."
        ),
    ),
    Reason.CONTAINER_CONFIG_INVALID: (
        (PENDING, world(waiting("CreateContainerConfigError", "no secret"), after=LATE)),
        (
            f"Its container is configured to use what is not there{NEVER}{SLOW}Container sandbox0"
            " (image i) cannot start: no secret; check what its template refers to."
        ),
    ),
    Reason.CONTAINER_CREATION_FAILED: (
        (PENDING, world(waiting("CreateContainerError", "no shim"), after=LATE)),
        (
            f"The node could not create its container{NEVER}{SLOW}Container sandbox0 (image i)"
            " cannot start: no shim; check its command and the node's container runtime."
        ),
    ),
}


def reasons(about: Type) -> set[Reason]:
    row = next(row for row in CATALOGUE if row.type == about)
    return {*row.true, *row.false}


def test_every_ending_of_the_catalogue_has_its_sentence_and_its_story() -> None:
    # Whoever adds a reason adds its words to `verdict.ENDINGS`, and its story here.
    assert set(STORIES) == set(ENDINGS) == reasons(Type.SUCCEEDED)
    assert set(REQUESTS) == reasons(Type.TERMINATION_REQUESTED)


@pytest.mark.parametrize("reason", list(STORIES), ids=str)
def test_a_death_is_told_with_its_cause_its_time_and_what_to_do(reason: Reason) -> None:
    (log, seen), sentence = STORIES[reason]
    advice = ENDINGS[reason].advice
    assert told(log, seen) == Verdict(sentence, "" if advice in sentence else advice)
    assert bool(advice) == (reason != Reason.COMPLETED)


@pytest.mark.parametrize(
    ("code", "advice"),
    [(127, "was not found"), (137, "SIGKILL"), (1, "read what the program printed")],
)
def test_an_exit_code_that_means_something_is_explained(code: int, advice: str) -> None:
    assert advice in told(RUNNING, world(ended(code))).advice


def by(asked: Fact, actor: str, request_id: str = "") -> Fact:
    return replace(asked, actor=actor, request_id=request_id)


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        pytest.param(
            (*RUNNING, by(REQUESTED, "gateway on behalf of 10.0.0.7", "r1"), NOT_READY, TERMINATED),
            "A client of the REST API asked for its end, by 10.0.0.7 (request r1), 0ms after it"
            " became ready.",
            id="deleted over REST",
        ),
        pytest.param(
            (*PENDING, fact("TerminationRequested", "ObjectDeleted")),
            "The Sandbox was deleted through the Kubernetes API, 0ms after it was accepted and"
            " never ready, and its removal is under way.",
            id="deleted by kubectl, going",
        ),
        pytest.param(RUNNING, "It is alive: it accepts commands on node n1.", id="running"),
        pytest.param(
            (*RUNNING, NOT_READY),
            "It is alive on node n1, but accepts no commands: …",
            id="unready",
        ),
        pytest.param((), "The operator has not taken it on yet.", id="new"),
        pytest.param((ACCEPTED, POD_CREATED), "It is starting: …", id="starting"),
        pytest.param(
            (*PENDING, fact("Scheduled", "Unschedulable", Status.FALSE, "No node fits")),
            "It is not running, and may be once this passes: No node fits.",
            id="in trouble",
        ),
        pytest.param(
            (*RUNNING, fact("Succeeded", "FromTheFuture", Status.FALSE, "Eaten by a whale")),
            "It ended (FromTheFuture), 0ms after it became ready: Eaten by a whale.",
            id="a reason of a newer release",
        ),
    ],
)
def test_what_is_not_a_death_of_its_own_is_told_too(log: tuple[Fact, ...], sentence: str) -> None:
    assert verdict(log_of(log).entries).sentence == sentence


def test_the_first_cause_is_the_cause_of_death_whoever_cleans_up_later() -> None:
    entries = log_of((*RUNNING, fact("Succeeded", "Error", Status.FALSE, "3"), REQUESTED)).entries
    assert verdict(entries).sentence.startswith("Its program failed")


@forall(st.lists(st.sampled_from(log_of((*RUNNING, NOT_READY, REQUESTED, TERMINATED)).entries)))
def test_every_log_has_a_verdict(entries: list[Condition]) -> None:
    assert verdict(entries).sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0126, "13ms"),
        (1.66, "1.7s"),
        (12.4, "12s"),
        (200, "3m20s"),
        (3600, "1h"),
        (3605, "1h"),
        (7500, "2h5m"),
        (187_200, "2d4h"),
        (-0.5, "-500ms"),
    ],
)
def test_a_duration_is_as_precise_as_matters(seconds: float, text: str) -> None:
    assert readable(timedelta(seconds=seconds)) == text
