"""Stories of one decision each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from isola_lifecycle.commands import AddFinalizer, DeleteObject, RemoveFinalizer
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import LIVE_ENTRIES, Fact, Log, Status
from isola_lifecycle.sandbox.commands import CreatePod, DeletePod
from isola_lifecycle.sandbox.decide import decide
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.intents import request_termination
from isola_lifecycle.sandbox.network import NOTHING
from isola_lifecycle.sandbox.observation import Container, Observation, Pod, PodPhase
from isola_lifecycle.seen import Refusal
from support.stories import (
    ACCEPTED,
    CONFIGURED,
    EMPTY_POD,
    FAILED,
    NOT_READY,
    PENDING,
    POD_CREATED,
    POD_UID,
    READY_POD,
    REQUESTED,
    RUNNING,
    SCHEDULED,
    START,
    STARTED,
    TERMINATED,
    ended,
    fact,
    given,
    log_of,
    waiting,
    world,
)

FALSE = Status.FALSE
MINUTES = timedelta(minutes=1)


def test_a_new_sandbox_gets_its_finalizer_and_its_pod() -> None:
    decision = given().when(world(finalizer=False)).decision
    assert decision.commands == (AddFinalizer(), CreatePod(NOTHING))


def test_acceptance_and_the_pod_are_recorded_in_one_write_once_the_pod_is_there() -> None:
    given().when(world(EMPTY_POD)).then(
        ("Accepted", "SpecValid"),
        ("NetworkConfigured", "NothingAllowed"),
        ("PodCreated", "PodCreated"),
    )


@pytest.mark.parametrize("certificate", ["", "a1" * 32])
def test_what_the_sidecar_proves_itself_with_is_recorded_with_its_pod(certificate: str) -> None:
    seen = world(replace(EMPTY_POD, sidecar_certificate=certificate))
    recorded = given(*PENDING[:-1]).when(seen).decision.facts[-1]
    assert recorded.type == "PodCreated"
    assert recorded.data.get("sidecarCertificate", "") == certificate
    entries = extend(Log("u-1"), [recorded], at=START, generation=1)
    assert fold(entries).sidecar_certificate == certificate


def test_the_first_entry_says_who_asked() -> None:
    seen = world(EMPTY_POD, caller="10.0.0.7", request_id="r-1")
    accepted = given().when(seen).decision.facts[0]
    assert (accepted.actor, accepted.request_id) == ("operator on behalf of 10.0.0.7", "r-1")
    assert accepted.data == {}


def test_the_first_entry_names_the_trace_that_the_request_belongs_to() -> None:
    accepted = given().when(world(EMPTY_POD, traceparent="00-1-2-01")).decision.facts[0]
    assert accepted.data == {"traceparent": "00-1-2-01"}


def test_a_start_seen_step_by_step_is_recorded_step_by_step() -> None:
    scheduled = replace(EMPTY_POD, node="n1")
    given(*PENDING).when(world(scheduled)).then(("Scheduled", "NodeAssigned"))
    given(*PENDING, SCHEDULED).when(world(READY_POD)).then(
        ("Started", "ContainersStarted"), ("Ready", "PodReady")
    )


def test_a_start_seen_only_at_its_end_is_recorded_whole() -> None:
    given(*PENDING).when(world(READY_POD)).then(
        ("Scheduled", "NodeAssigned"), ("Started", "ContainersStarted"), ("Ready", "PodReady")
    )


@pytest.mark.parametrize(
    ("log", "seen"),
    [
        pytest.param(RUNNING, world(READY_POD), id="running well"),
        pytest.param(PENDING, world(EMPTY_POD), id="waiting for the scheduler"),
        pytest.param((*PENDING, SCHEDULED), world(waiting("ContainerCreating")), id="starting"),
        pytest.param((*RUNNING, FAILED), world(ended(3)), id="ended: kept readable"),
        pytest.param(
            (*RUNNING, REQUESTED),
            world(replace(READY_POD, deleting=True), deleting=True),
            id="leaving: the pod is on its way",
        ),
    ],
)
def test_nothing_follows_from_what_is_known(log: tuple[Fact, ...], seen: Observation) -> None:
    given(*log).when(seen).then_nothing()


@pytest.mark.parametrize(
    ("kubelet", "reason"),
    [
        ("ErrImagePull", "ImagePullFailed"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("CreateContainerConfigError", "ContainerConfigInvalid"),
        ("CreateContainerError", "ContainerCreationFailed"),
    ],
)
def test_trouble_at_the_start_is_recorded_once(kubelet: str, reason: str) -> None:
    trouble = fact("Started", reason, FALSE, container="sandbox0")
    given(*PENDING, SCHEDULED).when(world(waiting(kubelet))).then(("Started", reason, FALSE))
    given(*PENDING, SCHEDULED, trouble).when(world(waiting(kubelet))).then_nothing()


def test_backing_off_is_the_same_trouble_as_failing() -> None:
    trouble = fact("Started", "ImagePullFailed", FALSE, container="sandbox0")
    given(*PENDING, SCHEDULED, trouble).when(world(waiting("ImagePullBackOff"))).then_nothing()


def test_trouble_names_the_container_the_image_and_what_to_do() -> None:
    seen = world(waiting("ErrImagePull", "not found"))
    message = given(*PENDING, SCHEDULED).when(seen).decision.facts[0].message
    for part in ("sandbox0", "image i", "not found", "check the image's name"):
        assert part in message


def test_an_image_name_that_cannot_be_one_ends_the_sandbox_at_once() -> None:
    given(*PENDING, SCHEDULED).when(world(waiting("InvalidImageName"))).then(
        ("Started", "ImageNameInvalid", FALSE),
        ("Succeeded", "ImageNameInvalid", FALSE),
    )


def test_no_node_that_fits_is_recorded_once() -> None:
    pod = replace(EMPTY_POD, unschedulable="0/2 nodes are available")
    given(*PENDING).when(world(pod)).then(("Scheduled", "Unschedulable", FALSE))
    trouble = fact("Scheduled", "Unschedulable", FALSE)
    given(*PENDING, trouble).when(world(pod)).then_nothing()


class TestStartupTimeout:
    LATE = timedelta(seconds=91)

    def test_it_ends_a_sandbox_that_never_became_ready(self) -> None:
        given(*PENDING).when(world(EMPTY_POD, after=self.LATE)).then(
            ("Succeeded", "StartupTimeout", FALSE)
        )

    @pytest.mark.parametrize(
        ("pod", "awaited"),
        [
            pytest.param(EMPTY_POD, "no node was assigned", id="no node"),
            pytest.param(waiting("ContainerCreating"), "still being pulled: i", id="no image"),
        ],
    )
    def test_it_says_what_was_awaited(self, pod: Pod, awaited: str) -> None:
        closing = given(*PENDING).when(world(pod, after=self.LATE)).decision.facts[-1]
        assert awaited in closing.message

    def test_the_deadline_itself_is_still_in_time(self) -> None:
        given(*PENDING).when(world(EMPTY_POD, after=timedelta(seconds=90))).then_nothing()

    def test_it_counts_only_until_the_first_ready(self) -> None:
        unready = replace(READY_POD, ready=False, sidecar_ready=False)
        given(*RUNNING).when(world(unready, after=self.LATE)).then(
            ("Ready", "ReadinessLost", FALSE)
        )
        given(*RUNNING, NOT_READY).when(world(unready, after=60 * MINUTES)).then_nothing()

    def test_it_gives_the_trouble_as_the_reason_where_there_is_one(self) -> None:
        trouble = fact("Started", "ImagePullFailed", FALSE, "no such tag", container="sandbox0")
        late = world(waiting("ImagePullBackOff"), after=self.LATE)
        given(*PENDING, SCHEDULED, trouble).when(late).then(("Succeeded", "ImagePullFailed", FALSE))

    def test_a_ready_seen_too_late_is_too_late(self) -> None:
        when = given(*PENDING).when(world(READY_POD, after=self.LATE))
        assert when.decision.facts[-1].reason == "StartupTimeout"

    def test_it_is_looked_at_just_after_the_deadline(self) -> None:
        decision = given(*PENDING).when(world(EMPTY_POD, after=timedelta(seconds=60))).decision
        assert decision.requeue_after == timedelta(seconds=30, milliseconds=1)

    def test_a_reason_of_a_newer_release_is_passed_on(self) -> None:
        trouble = fact("Started", "SomethingNew", FALSE, container="sandbox0")
        when = given(*PENDING, trouble).when(world(EMPTY_POD, after=self.LATE))
        assert when.decision.facts[-1].reason == "SomethingNew"


class TestLifetime:
    def test_its_end_closes_the_sandbox_and_asks_for_its_removal(self) -> None:
        seen = world(READY_POD, after=MINUTES, lifetime=MINUTES)
        given(*RUNNING).when(seen).then(
            ("Ready", "SandboxEnded", FALSE),
            ("Succeeded", "LifetimeExceeded"),
            ("TerminationRequested", "LifetimeExceeded"),
        )

    def test_it_removes_a_sandbox_that_ended_before(self) -> None:
        seen = world(ended(3), after=MINUTES, lifetime=MINUTES)
        given(*RUNNING, FAILED).when(seen).then(("TerminationRequested", "LifetimeExceeded"))

    def test_it_is_waited_for(self) -> None:
        seen = world(READY_POD, after=timedelta(seconds=20), lifetime=MINUTES)
        running = given(*RUNNING).when(seen).decision
        assert running.requeue_after == timedelta(seconds=40, milliseconds=1)
        kept = given(*RUNNING, FAILED).when(replace(seen, pod=ended(3))).decision
        assert kept.requeue_after == timedelta(seconds=40)

    def test_without_one_nothing_is_waited_for(self) -> None:
        assert given(*RUNNING).when(world(READY_POD)).decision.requeue_after is None


class TestEnds:
    @pytest.mark.parametrize(
        ("pod", "exit_reason", "outcome"),
        [
            pytest.param(ended(0), "Completed", ("Completed", Status.TRUE), id="well"),
            pytest.param(ended(3), "Error", ("Error", FALSE), id="with a code"),
            pytest.param(ended(137, "OOMKilled"), "OOMKilled", ("OOMKilled", FALSE), id="memory"),
            pytest.param(ended(128, "StartError"), "StartError", ("StartError", FALSE), id="argv"),
            pytest.param(
                ended(137, reason="Error", message="…"), "Error", ("Error", FALSE), id="killed"
            ),
        ],
    )
    def test_a_container_that_exits_ends_the_sandbox(
        self, pod: Pod, exit_reason: str, outcome: tuple[str, Status]
    ) -> None:
        given(*RUNNING).when(world(pod)).then(
            ("ContainerExited", exit_reason),
            ("Ready", "SandboxEnded", FALSE),
            ("Succeeded", *outcome),
        )

    def test_an_eviction_is_told_apart_from_a_bad_exit(self) -> None:
        pod = replace(ended(137), reason="Evicted", message="ephemeral local storage")
        decision = given(*RUNNING).when(world(pod)).decision
        assert decision.facts[-1].reason == "Evicted"
        assert "ephemeral local storage" in decision.facts[-1].message

    def test_an_eviction_before_any_container_ended_is_one_too(self) -> None:
        pod = replace(READY_POD, phase=PodPhase.FAILED, reason="Evicted", message="memory")
        closing = given(*RUNNING).when(world(pod)).decision.facts[-1]
        assert (closing.reason, closing.data) == ("Evicted", {})

    def test_what_the_kubelet_adds_to_an_exit_is_told(self) -> None:
        said = replace(ended(128).containers[0], exit_message="exec: no such file")
        pod = replace(ended(128), containers=(said,))
        closing = given(*RUNNING).when(world(pod)).decision.facts[-1]
        assert closing.message.endswith("exited with code 128: exec: no such file")

    @pytest.mark.parametrize(
        ("pod", "why"),
        [
            (replace(READY_POD, ready=False, sidecar_ready=False), "The sidecar does not run"),
            (replace(READY_POD, ready=False), "A readiness gate of the pod is closed"),
            (
                replace(READY_POD, ready=False, containers=(Container(name="c0", running=True),)),
                "Container c0 is not ready",
            ),
        ],
    )
    def test_a_lost_readiness_says_whose(self, pod: Pod, why: str) -> None:
        assert why in given(*RUNNING).when(world(pod)).decision.facts[-1].message

    def test_a_pod_that_failed_without_a_container_that_did_says_what_kubernetes_says(self) -> None:
        pod = replace(EMPTY_POD, phase=PodPhase.FAILED, reason="UnexpectedAdmissionError")
        decision = given(*PENDING).when(world(pod)).decision
        assert decision.facts[-1].reason == "PodFailed"
        assert "UnexpectedAdmissionError" in decision.facts[-1].message

    def test_the_exit_code_is_in_the_entry(self) -> None:
        closing = given(*RUNNING).when(world(ended(3))).decision.facts[-1]
        assert closing.data == {"container": "sandbox0", "exitCode": "3"}
        assert fold(log_of([*RUNNING, closing])).outcome

    def test_an_exit_before_anything_was_recorded_tells_the_whole_story(self) -> None:
        given().when(world(ended(0))).then(
            ("Accepted", "SpecValid"),
            ("NetworkConfigured", "NothingAllowed"),
            ("PodCreated", "PodCreated"),
            ("Scheduled", "NodeAssigned"),
            ("Started", "ContainersStarted"),
            ("ContainerExited", "Completed"),
            ("Succeeded", "Completed"),
        )

    def test_a_pod_deleted_from_outside_ends_it(self) -> None:
        given(*RUNNING).when(world(None)).then(
            ("Ready", "SandboxEnded", FALSE), ("Succeeded", "PodDeleted", FALSE)
        )
        leaving = replace(READY_POD, deleting=True, disruption="EvictionByEvictionAPI: drained")
        decision = given(*RUNNING).when(world(leaving)).decision
        assert "drained" in decision.facts[-1].message

    def test_another_pod_of_the_same_name_is_another_sandbox(self) -> None:
        other = replace(READY_POD, uid="other")
        given(*RUNNING).when(world(other)).then(
            ("Ready", "SandboxEnded", FALSE),
            ("Succeeded", "PodDeleted", FALSE),
        )


def test_a_pod_that_lives_is_removed_once_the_cause_is_recorded() -> None:
    timed_out = fact("Succeeded", "StartupTimeout", FALSE)
    given(*PENDING, timed_out).when(world(EMPTY_POD)).then(DeletePod(POD_UID))
    given(*RUNNING, timed_out).when(world(replace(READY_POD, uid="other"))).then(DeletePod("other"))


class TestSeveralContainers:
    TWO = replace(
        READY_POD,
        ready=False,
        containers=(
            Container(name="sandbox0", exit_code=1, exit_reason="Error"),
            Container(name="sandbox1", running=True, ready=True),
        ),
    )

    def test_one_that_exits_does_not_end_the_others(self) -> None:
        given(*RUNNING).when(world(self.TWO)).then(("ContainerExited", "Error"))

    def test_its_exit_is_recorded_once(self) -> None:
        exited = fact("ContainerExited", "Error", container="sandbox0", exitCode="1")
        given(*RUNNING, exited).when(world(self.TWO)).then_nothing()

    def test_a_sidecar_that_is_down_makes_them_unready(self) -> None:
        exited = fact("ContainerExited", "Error", container="sandbox0", exitCode="1")
        down = replace(self.TWO, sidecar_ready=False)
        given(*RUNNING, exited).when(world(down)).then(("Ready", "ReadinessLost", FALSE))


class TestRefusals:
    def test_a_spec_that_can_never_run_is_not_tried(self) -> None:
        given().when(world(spec_faults=("spec.podTemplate: no containers",))).then(
            ("Accepted", "SpecInvalid", FALSE), ("Succeeded", "SpecInvalid", FALSE)
        )

    def test_a_pod_that_the_api_server_rejects_ends_the_sandbox(self) -> None:
        given().when(world(refusal=Refusal(final=True, message="cpu: invalid"))).then(
            ("Accepted", "SpecValid"),
            ("NetworkConfigured", "NothingAllowed"),
            ("PodCreated", "PodRejected", FALSE),
            ("Succeeded", "PodRejected", FALSE),
        )

    def test_a_pod_that_is_forbidden_for_now_is_tried_again(self) -> None:
        refused = world(refusal=Refusal(final=False, message="exceeded quota"))
        when = given().when(refused)
        when.then(
            ("Accepted", "SpecValid"),
            ("NetworkConfigured", "NothingAllowed"),
            ("PodCreated", "PodForbidden", FALSE),
        )
        assert when.decision.requeue_after == timedelta(seconds=5, milliseconds=1)
        trouble = fact("PodCreated", "PodForbidden", FALSE)
        given(ACCEPTED, CONFIGURED, trouble).when(refused).then_nothing()
        given(ACCEPTED, CONFIGURED, trouble).when(world()).then(CreatePod(NOTHING))

    def test_one_that_stays_forbidden_ends_with_that_reason(self) -> None:
        trouble = fact("PodCreated", "PodForbidden", FALSE, "exceeded quota")
        late = world(after=2 * MINUTES)
        decision = given(ACCEPTED, trouble).when(late).decision
        assert decision.facts[-1].reason == "PodForbidden"
        assert "exceeded quota" in decision.facts[-1].message


class TestLeaving:
    def test_a_request_leads_to_the_deletion_of_the_object(self) -> None:
        given(*RUNNING, REQUESTED).when(world(READY_POD)).then(DeleteObject())

    def test_a_deletion_by_kubectl_is_recorded_before_anything_is_removed(self) -> None:
        given(*RUNNING).when(world(READY_POD, deleting=True)).then(
            ("TerminationRequested", "ObjectDeleted")
        )

    def test_the_pod_is_removed_first(self) -> None:
        given(*RUNNING, REQUESTED).when(world(READY_POD, deleting=True)).then(DeletePod(POD_UID))

    def test_an_ended_pod_is_removed_as_well(self) -> None:
        given(*RUNNING, FAILED, REQUESTED).when(world(ended(3), deleting=True)).then(
            DeletePod(POD_UID)
        )

    def test_the_end_is_recorded_once_nothing_is_left(self) -> None:
        given(*RUNNING, REQUESTED).when(world(deleting=True)).then(
            ("Ready", "SandboxEnded", FALSE), ("Terminated", "PodRemoved")
        )

    def test_the_finalizer_goes_last(self) -> None:
        over = given(*RUNNING, REQUESTED, TERMINATED)
        over.when(world(deleting=True, recorded=True)).then(RemoveFinalizer())
        over.when(world(deleting=True, finalizer=False)).then_nothing()

    def test_a_sandbox_deleted_before_it_was_accepted_leaves_a_story_too(self) -> None:
        given().when(world(deleting=True)).then(("TerminationRequested", "ObjectDeleted"))
        given(REQUESTED).when(world(deleting=True)).then(("Terminated", "PodRemoved"))

    def test_asking_twice_is_recorded_once(self) -> None:
        (first,) = request_termination(fold(log_of(RUNNING)), caller="c", request_id="r")
        assert (first.actor, first.request_id) == ("gateway on behalf of c", "r")
        after = fold(log_of([*RUNNING, first]))
        assert request_termination(after, caller="c", request_id="r2") == ()


def test_a_log_that_the_archive_takes_nothing_of_keeps_room_for_its_end() -> None:
    flapping = [*RUNNING, *(NOT_READY, RUNNING[-1]) * LIVE_ENTRIES][
        : LIVE_ENTRIES - RESERVED_ENTRIES
    ]
    state = fold(log_of(flapping))
    refusal = "quota"
    unready = world(replace(READY_POD, ready=False, sidecar_ready=False), archive_refusal=refusal)
    room = LIVE_ENTRIES - len(flapping)
    assert decide(state, unready, room=room).facts == ()
    assert decide(state, world(ended(3), archive_refusal=refusal), room=room).facts
    assert STARTED in flapping
    assert POD_CREATED in flapping
