"""Two operators and a gateway share one sandbox, read stale copies, and die between any two steps.

Hypothesis looks for an order of events in which the log loses, doubles or invents something, or in
which the sandbox does not come to its end. Seen to fail: without the expected version in `append`
it finds a doubled `Accepted` at once; with the finalizer removed before `Terminated` is recorded
it finds a sandbox whose log has no end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Fact, Log
from isola_lifecycle.sandbox.conditions import Phase, Type
from isola_lifecycle.sandbox.decide import (
    AddFinalizer,
    Command,
    CreatePod,
    DeleteObject,
    DeletePod,
    ForcePodAway,
    RemoveFinalizer,
    decide,
)
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.intents import request_termination
from isola_lifecycle.sandbox.observation import Container, Observation, Pod, PodPhase, Refusal
from support.stories import START, UID, assert_in_catalogue

ONCE = {Type.ACCEPTED, Type.SUCCEEDED, Type.TERMINATION_REQUESTED, Type.TERMINATED}
RUNNING = Container(name="sandbox0", running=True, ready=True)


class CrashySandbox(RuleBasedStateMachine):
    """One Sandbox object, its pod, and everybody who works on it."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(UID)
        self.exists, self.deleting, self.finalizer = True, False, False
        self.pod: Pod | None = None
        self.seen_pods: list[Pod | None] = [None]
        self.pods_created = 0
        self.refusal: Refusal | None = None
        self.disturbed = False
        self.now = START

    # --- the writers ---------------------------------------------------------------------------

    @rule(
        lag=st.integers(0, 3),
        pod_lag=st.integers(0, 2),
        dies_after=st.integers(0, 4),
    )
    def an_operator_runs(self, *, lag: int, pod_lag: int, dies_after: int) -> None:
        """Reconcile once on a log and a pod that may be stale; die after so many commands."""
        if not self.exists:
            return
        log = Log(UID, self.log.entries[: max(0, len(self.log) - lag)])
        state = fold(log)
        seen = self.observation(self.stale_pod(pod_lag))
        decision = decide(state, seen, room=log.room)
        for done, command in enumerate(decision.commands):
            if done == dies_after:
                return
            seen = self.perform(command, seen)
        if decision.commands:
            decision = decide(state, seen, room=log.room)
        if dies_after > 3:
            return
        self.append(log, decision.facts)

    @rule(lag=st.integers(0, 2), dies=st.booleans())
    def a_client_deletes_it(self, *, lag: int, dies: bool) -> None:
        """Append the intent and delete, as the gateway does; it may die in between."""
        if not self.exists:
            return
        log = Log(UID, self.log.entries[: max(0, len(self.log) - lag)])
        facts = request_termination(fold(log), caller="10.0.0.7", request_id="r")
        if not self.append(log, facts) or dies:
            return
        self.perform(DeleteObject(), self.observation(self.pod))

    @rule()
    def somebody_deletes_it_with_kubectl(self) -> None:
        self.deleting = self.exists
        self.exists = self.exists and self.finalizer

    # --- the world -----------------------------------------------------------------------------

    @precondition(lambda self: self.pod is not None and not self.pod.ended)
    @rule(
        step=st.sampled_from(
            ["node", "trouble", "run", "unready", "exit", "fail", "disrupt", "silent", "lost"]
        )
    )
    def the_cluster_moves_the_pod(self, step: str) -> None:
        pod = self.pod
        assert pod is not None
        self.disturbed |= step in {"disrupt", "lost"}
        changes: dict[str, dict[str, object]] = {
            "node": {"node": "n1"},
            "trouble": {"containers": (Container(name="sandbox0", waiting_reason="ErrImagePull"),)},
            "run": {
                "node": "n1",
                "phase": PodPhase.RUNNING,
                "ip": "10.0.0.1",
                "ready": True,
                "unreachable": False,
                "sidecar_ready": True,
                "containers": (RUNNING,),
            },
            "unready": {"ready": False, "sidecar_ready": False},
            "exit": {
                "phase": PodPhase.SUCCEEDED,
                "ready": False,
                "containers": (Container(name="sandbox0", exit_code=0, exit_reason="Completed"),),
            },
            "fail": {"phase": PodPhase.FAILED, "ready": False, "reason": "Evicted"},
            "silent": {"ready": False, "unreachable": True},
            "lost": {
                "deleting": True,
                "deletion_due": self.now,
                "disruption_reason": "DeletionByTaintManager",
            },
            "disrupt": {"deleting": True, "disruption": "drained"},
        }
        self.set_pod(replace(pod, **changes[step]))  # type: ignore[arg-type]

    @rule()
    def a_dying_pod_disappears(self) -> None:
        if self.pod and self.pod.deleting:
            self.set_pod(None)

    @rule()
    def the_pod_is_forced_away(self) -> None:
        self.disturbed |= self.pod is not None
        self.set_pod(None)

    @rule(
        refusal=st.sampled_from(
            [None, Refusal(final=True, message="no"), Refusal(final=False, message="later")]
        )
    )
    def the_api_server_changes_its_mind(self, refusal: Refusal | None) -> None:
        self.refusal = refusal

    @rule(seconds=st.sampled_from([1, 60, 100, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def the_log_has_no_gap_no_repeat_and_no_forgery(self) -> None:
        assert [e.sequence for e in self.log] == list(range(1, len(self.log) + 1))
        assert faults(UID, [encode(e) for e in self.log]) == ()

    @invariant()
    def what_happens_once_is_recorded_once(self) -> None:
        types = [e.type for e in self.log]
        assert all(types.count(each) <= 1 for each in ONCE)
        assert len([e for e in self.log if e.type == "PodCreated" and e.status == "True"]) <= 1

    @invariant()
    def no_entry_repeats_the_one_before_it_of_its_kind(self) -> None:
        newest: dict[tuple[str, str], tuple[str, str]] = {}
        for e in self.log:
            kind = (e.type, e.data.get("container", ""))
            assert newest.get(kind) != (e.status, e.reason), e
            newest[kind] = (e.status, e.reason)

    @invariant()
    def nothing_follows_the_end(self) -> None:
        types = [e.type for e in self.log]
        if Type.TERMINATED in types:
            assert types[-1] == Type.TERMINATED

    @invariant()
    def nothing_but_clean_up_follows_an_outcome(self) -> None:
        types = [e.type for e in self.log]
        if Type.SUCCEEDED in types:
            after = set(types[types.index(Type.SUCCEEDED) + 1 :])
            assert after <= {Type.TERMINATION_REQUESTED, Type.TERMINATED}

    @invariant()
    def a_deletion_of_ours_is_never_taken_for_somebody_else_s(self) -> None:
        assert self.disturbed or "PodDeleted" not in {e.reason for e in self.log}

    @invariant()
    def an_object_that_is_gone_left_nothing_behind_and_told_its_end(self) -> None:
        if not self.exists and len(self.log) and self.finalizer is False:
            assert Type.TERMINATED in {e.type for e in self.log} or self.pods_created == 0

    @invariant()
    def deciding_again_on_the_same_observation_comes_to_rest(self) -> None:
        log, seen = self.log, self.observation(self.pod)
        # An outcome, the request that its lifetime is due, and the end of what is left.
        for _ in range(3):
            facts = decide(fold(log), seen, room=log.room).facts
            log = log.extended(extend(log, facts, at=self.now, generation=1))
        assert decide(fold(log), seen, room=log.room).facts == ()

    def teardown(self) -> None:
        """Left alone, with a fair world, it is somewhere definite, and can always be removed."""
        self.refusal = None
        self.settle()
        if self.exists and not self.deleting:
            assert fold(self.log).phase in {Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED}
            self.perform(DeleteObject(), self.observation(self.pod))
            self.settle()
        assert not self.exists
        assert self.pod is None

    # --- how it is carried out -----------------------------------------------------------------

    def settle(self) -> None:
        for _ in range(8):
            self.an_operator_runs(lag=0, pod_lag=0, dies_after=3)
            self.a_dying_pod_disappears()
            if self.pod and not self.pod.ended and not self.pod.deleting:
                self.the_cluster_moves_the_pod("run")
            self.now += timedelta(seconds=20)

    def observation(self, pod: Pod | None) -> Observation:
        # As the operator does: a pod that is missing from the copy is looked for on the server.
        return Observation(
            now=self.now,
            deleting=self.deleting,
            finalizer=self.finalizer,
            lifetime=timedelta(seconds=5000),
            pod=pod or self.pod,
        )

    def stale_pod(self, lag: int) -> Pod | None:
        return self.seen_pods[max(0, len(self.seen_pods) - 1 - lag)]

    def set_pod(self, pod: Pod | None) -> None:
        self.pod = pod
        self.seen_pods.append(pod)

    def append(self, log: Log, facts: tuple[Fact, ...]) -> bool:
        """Append as the store does; return whether the writer may go on."""
        if log.version != self.log.version or not self.exists:
            return False
        for each in facts:
            assert_in_catalogue(each)
        self.log = self.log.extended(extend(log, facts, at=self.now, generation=1))
        return True

    def perform(self, command: Command, seen: Observation) -> Observation:  # noqa: C901 - a table
        match command:
            case AddFinalizer():
                self.finalizer = self.exists
                return replace(seen, finalizer=True)
            case CreatePod():
                return self.create_pod(seen)
            case DeletePod(uid):
                if self.pod and self.pod.uid == uid:
                    self.set_pod(replace(self.pod, deleting=True))
                return replace(seen, pod=self.pod)
            case ForcePodAway(uid):
                if self.pod and self.pod.uid == uid:
                    self.set_pod(None)
                return replace(seen, pod=self.pod, forced=True)
            case DeleteObject():
                self.deleting = self.exists
                self.exists = self.exists and self.finalizer
                return replace(seen, deleting=True)
            case RemoveFinalizer():
                self.finalizer = False
                self.exists = self.exists and not self.deleting
                return replace(seen, finalizer=False)

    def create_pod(self, seen: Observation) -> Observation:
        if self.refusal:
            return replace(seen, refusal=self.refusal)
        if self.pod is None:
            self.pods_created += 1
            container = Container(name="sandbox0", image="i")
            self.set_pod(Pod(name="s-pod", uid=f"pod-{self.pods_created}", containers=(container,)))
        return replace(seen, pod=self.pod)


def test_no_crash_no_race_and_no_stale_read_harms_the_log() -> None:
    # A story costs as much as some fifty examples of a property.
    examples = max(100, settings().max_examples // 4)
    run_state_machine_as_test(CrashySandbox, settings=settings(max_examples=examples))
