"""Two operators, a gateway and a mounter share one sandbox, read stale copies, and die at any step.

Hypothesis looks for an order of events in which the log loses, doubles or invents something, or in
which the sandbox does not come to its end. Seen to fail: without the expected version in `append`
it finds a doubled `Accepted` at once; with the finalizer removed before `Terminated` is recorded
it finds a sandbox whose log has no end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from isola_lifecycle.archive import Moved, Segment, Subject, oldest, rest, whole
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.commands import (
    AddFinalizer,
    DeleteObject,
    RemoveFinalizer,
    RollOver,
    WarnOfLoss,
    WriteRecord,
)
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import LIVE_ENTRIES, Condition, Fact, Log, Status
from isola_lifecycle.sandbox.commands import (
    ApplyPolicy,
    Command,
    CreatePod,
    DeletePod,
    ForcePodAway,
    RequestSnapshot,
)
from isola_lifecycle.sandbox.conditions import Phase, Reason, Type
from isola_lifecycle.sandbox.decide import decide
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.intents import (
    Asker,
    Denial,
    change_network,
    confirm_network,
    request_termination,
)
from isola_lifecycle.sandbox.network import NOTHING, Network
from isola_lifecycle.sandbox.observation import Container, Keepsake, Observation, Pod, PodPhase
from isola_lifecycle.sandbox.sources import Source
from isola_lifecycle.sandbox.staging import Archive, Place, awaited, refused, staged
from isola_lifecycle.seen import Refusal
from support.stories import START, UID, assert_in_catalogue

ONCE = {Type.ACCEPTED, Type.SUCCEEDED, Type.TERMINATION_REQUESTED, Type.TERMINATED}
NETWORK_TYPES = {Type.NETWORK_CHANGED, Type.NETWORK_CONFIGURED, Type.NETWORK_ENFORCED}
SUBJECT = Subject(name="s", uid=UID, created_at=START)

# More commands than an operator ever carries out at one go.
NEVER = 7

PROMISED = Network(internet=True)
NETWORKS = (
    NOTHING,
    PROMISED,
    Network(cidrs=("1.2.3.0/24",), nameservers=("8.8.8.8",)),
)

SOURCE = Source("sandbox0", "base", "i")
BASE, MOVED = "i@sha256:1", "i@sha256:2"
ARCHIVES = tuple(
    Archive(key="k", sha256=sha256, size_bytes=1, image="i", image_id=BASE)
    for sha256 in ("a1", "b2")
)


class CrashySandbox(RuleBasedStateMachine):
    """One Sandbox object, its pod, and everybody who works on it."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(UID)
        self.logs = [self.log]
        self.records: dict[str, Segment] = {}
        self.archive_takes = True
        self.exists, self.deleting, self.finalizer = True, False, False
        self.pod: Pod | None = None
        self.seen_pods: list[Pod | None] = [None]
        self.pods_created = 0
        self.refusal: Refusal | None = None
        self.policy = NOTHING
        self.door = ""
        self.programmed = (NOTHING, "")
        self.address = 1
        self.policy_refusal = ""
        self.cluster_refuses = False
        self.meddled = False
        self.disturbed = False
        self.keeps = False
        self.keepsake = Keepsake(container="sandbox0", name="s-termination")
        self.restores = False
        self.on_the_node, self.mark = (
            "",
            False,
        )  # what is staged there, and whether the gate is open
        self.started_from = ""
        self.tag = self.ran_on = BASE
        self.now = START

    @initialize(keeps=st.booleans(), runs=st.booleans(), restores=st.booleans())
    def it_has_a_termination_policy_and_may_run_already(
        self, *, keeps: bool, runs: bool, restores: bool = False
    ) -> None:
        self.keeps, self.restores = keeps, restores
        if runs:
            self.an_operator_runs(lag=0, pod_lag=0, dies_after=NEVER)
            if restores:
                self.the_cluster_moves_the_pod("node")
                self.an_operator_runs(lag=0, pod_lag=0, dies_after=NEVER)
                self.a_mounter_runs(lag=0, archive=0, dies_after=3)
            self.the_cluster_moves_the_pod("run")
            self.an_operator_runs(lag=0, pod_lag=0, dies_after=NEVER)

    # --- the writers ---------------------------------------------------------------------------

    @rule(
        lag=st.integers(0, 3),
        pod_lag=st.integers(0, 2),
        dies_after=st.integers(0, NEVER + 1),
    )
    def an_operator_runs(self, *, lag: int, pod_lag: int, dies_after: int) -> None:
        """Reconcile once on a log and a pod that may be stale; die after so many commands."""
        if not self.exists:
            return
        log = self.stale_log(lag)
        state = fold(log)
        seen = self.observation(self.stale_pod(pod_lag), log)
        decision = decide(state, seen, room=log.room)
        done = 0
        while decision.commands:
            for command in decision.commands:
                if done == dies_after or (
                    command == RemoveFinalizer() and log.version != self.log.version
                ):
                    return  # dead, or refused: the object has moved on from what was read
                seen = self.perform(command, seen, log)
                done += 1
            assert done < NEVER, "the commands go round in circles"
            decision = decide(state, seen, room=log.room)
        if dies_after > NEVER:
            return
        self.append(log, decision.facts, seen.moved)

    @precondition(lambda self: self.restores and self.pod is not None)
    @rule(lag=st.integers(0, 2), archive=st.integers(0, 1), dies_after=st.integers(0, 3))
    def a_mounter_runs(self, *, lag: int, archive: int, dies_after: int) -> None:
        """Stage, say so, open the gate; it may die before each, and a stale copy comes first."""
        assert self.pod is not None
        log = self.stale_log(lag)
        place = Place(pod_uid=self.pod.uid, node="n1")
        found = ARCHIVES[archive]
        told = fold(log).staging_of(SOURCE.container)
        if not (told and told.staged and self.on_the_node == told.sha256):
            if dies_after == 0 or self.mark:
                return
            self.on_the_node = found.sha256
            if dies_after == 1:
                return
            facts = staged(fold(log), SOURCE, found, place, seconds=1, cached=False)
            if log.room <= RESERVED_ENTRIES or (facts and not self.append(log, facts)):
                return  # and it would read again
        told = fold(self.log if log.version < self.log.version else log).staging_of("sandbox0")
        if dies_after > 2 and told and told.staged and told.sha256 == self.on_the_node:
            self.mark = True

    @precondition(lambda self: self.restores and self.pod is not None)
    @rule(lag=st.integers(0, 2), final=st.booleans(), damaged=st.booleans())
    def a_mounter_has_nothing_to_stage(self, *, lag: int, final: bool, damaged: bool) -> None:
        assert self.pod is not None
        log, place = self.stale_log(lag), Place(pod_uid=self.pod.uid, node="n1")
        ending = Reason.SNAPSHOT_DAMAGED if damaged else Reason.SNAPSHOT_BASE_MISMATCH
        waiting = Reason.SNAPSHOT_PENDING if damaged else Reason.SNAPSHOT_NOT_FOUND
        facts = (
            refused(fold(log), SOURCE, place, ending, "why")
            if final
            else awaited(fold(log), SOURCE, place, waiting, "why")
        )
        if log.room > RESERVED_ENTRIES:
            self.append(log, facts)

    @rule()
    def somebody_moves_the_tag(self) -> None:
        self.tag = MOVED

    @precondition(lambda self: self.pod is not None and not self.pod.ended)
    @rule(times=st.integers(5, 30))
    def it_comes_and_goes(self, *, times: int) -> None:
        """Let readiness flap, as a long life has it."""
        for _ in range(times):
            for step in ("run", "unready"):
                if self.pod and not self.pod.ended and not self.pod.deleting:
                    self.the_cluster_moves_the_pod(step)
                    self.an_operator_runs(lag=0, pod_lag=0, dies_after=NEVER)
                    self.now += timedelta(seconds=1)

    @rule(takes=st.booleans())
    def the_archive_changes_its_mind(self, *, takes: bool) -> None:
        self.archive_takes = takes

    @rule(lag=st.integers(0, 2), dies=st.booleans())
    def a_client_deletes_it(self, *, lag: int, dies: bool) -> None:
        """Append the intent and delete, as the gateway does; it may die in between."""
        if not self.exists:
            return
        log = self.stale_log(lag)
        facts = request_termination(fold(log), caller="10.0.0.7", request_id="r")
        if not self.append(log, facts) or dies:
            return
        self.perform(DeleteObject(), self.observation(self.pod, log), log)

    @rule(lag=st.integers(0, 2), wanted=st.sampled_from(NETWORKS))
    def a_client_changes_the_network(self, *, lag: int, wanted: Network) -> None:
        log = self.stale_log(lag)
        asker = Asker(caller="10.0.0.7", request_id="r", now=self.now)
        facts = change_network(fold(log), PROMISED, wanted, asker)
        if not isinstance(facts, Denial) and log.room > RESERVED_ENTRIES:
            self.append(log, facts)

    @rule()
    def the_policy_engine_catches_up(self) -> None:
        self.programmed = (self.policy, self.door)

    @rule(change_lag=st.integers(0, 3), lag=st.integers(0, 2))
    def a_gateway_gets_through_the_door(self, *, change_lag: int, lag: int) -> None:
        """Say so, as a gateway that waits for the change that it knows; the log may be stale."""
        known = fold(self.stale_log(change_lag))
        door = port(known.door_wanted(""))
        if not door or door != port(self.programmed[1]):
            return
        log = self.stale_log(lag)
        asker = Asker(caller="10.0.0.7", request_id="r", now=self.now)
        facts = confirm_network(fold(log), known.network_change, asker)
        if facts and log.room > RESERVED_ENTRIES and self.append(log, facts):
            # What is recorded as seen is what the engine has, whatever else went on meanwhile.
            assert self.meddled or self.programmed[0] == fold(self.log).network_wanted(PROMISED)

    @rule()
    def another_operator_takes_over(self) -> None:
        self.address += 1

    @rule(wanted=st.sampled_from(NETWORKS))
    def somebody_meddles_with_the_policy(self, *, wanted: Network) -> None:
        self.meddled |= wanted != self.policy
        self.policy = wanted

    @rule(refusal=st.sampled_from(["", "not now"]), cluster=st.booleans())
    def what_the_cluster_grants_changes(self, *, refusal: str, cluster: bool) -> None:
        self.policy_refusal, self.cluster_refuses = refusal, cluster
        # Somebody may have died after applying what is refused from now on.
        self.meddled |= cluster and fold(self.log).network_asked is not None

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
        starts = step in {"run", "exit"}
        if starts and self.restores and not self.mark:
            return  # the gate is closed
        if starts and not self.started_from:
            self.started_from, self.ran_on = self.on_the_node, self.tag
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
                "containers": (self.running,),
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

    @property
    def running(self) -> Container:
        return Container(name="sandbox0", running=True, ready=True, image_id=self.ran_on)

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

    @precondition(lambda self: self.keepsake.there)
    @rule(succeeds=st.booleans())
    def the_snapshot_ends(self, *, succeeds: bool) -> None:
        self.keepsake = replace(self.keepsake, succeeded=succeeds)

    @rule(seconds=st.sampled_from([1, 60, 100, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def the_log_has_no_gap_no_repeat_and_no_forgery(self) -> None:
        story = self.story()
        assert [e.sequence for e in story] == list(range(1, self.log.version + 1))
        assert faults(UID, [encode(e) for e in story]) == ()

    @invariant()
    def a_log_that_was_archived_folds_like_the_whole_one(self) -> None:
        assert fold(self.log) == fold(self.story())

    @invariant()
    def the_object_keeps_a_bounded_log_with_room_for_its_end(self) -> None:
        assert len(self.log) <= LIVE_ENTRIES
        state = fold(self.log)
        if not (state.outcome or state.termination_requested):
            assert self.log.room >= RESERVED_ENTRIES - 2

    @invariant()
    def what_happens_once_is_recorded_once(self) -> None:
        types = [e.type for e in self.story()]
        assert all(types.count(each) <= 1 for each in ONCE)
        assert len([e for e in self.story() if e.type == "PodCreated" and e.status == "True"]) <= 1

    @invariant()
    def no_entry_repeats_the_one_before_it_of_its_kind(self) -> None:
        newest: dict[tuple[str, str], tuple[str, str]] = {}
        for e in self.story():
            kind = (e.type, e.data.get("container", ""))
            assert newest.get(kind) != (e.status, e.reason) or e.type == Type.ARCHIVED, e
            newest[kind] = (e.status, e.reason)
            if e.type == Type.NETWORK_CHANGED:  # each asks for something else, and is answered
                newest = {k: v for k, v in newest.items() if k[0] not in NETWORK_TYPES}

    @invariant()
    def meddling_is_not_seen_where_there_was_none(self) -> None:
        assert self.meddled or "PolicyCorrected" not in {e.reason for e in self.story()}

    @invariant()
    def what_starts_from_a_snapshot_starts_from_the_one_in_the_log_on_its_own_image(self) -> None:
        story = self.story()
        starts = [n for n, e in enumerate(story) if (e.type, e.status) == ("Started", "True")]
        if not self.restores or not starts:
            return
        told = [e for e in story[: starts[0]] if (e.type, e.status) == ("RootfsStaged", "True")]
        assert told
        assert told[-1].data["sha256"] == self.started_from
        assert self.ran_on == BASE or ("Ready", "True") not in {(e.type, e.status) for e in story}

    @invariant()
    def nothing_follows_the_end(self) -> None:
        types = [e.type for e in self.story()]
        if Type.TERMINATED in types:
            after = self.story()[types.index(Type.TERMINATED) + 1 :]
            assert [(e.type, e.status) for e in after] in ([], [(Type.ARCHIVED, Status.FALSE)])

    @invariant()
    def nothing_but_clean_up_follows_an_outcome(self) -> None:
        types = [e.type for e in self.story()]
        if Type.SUCCEEDED in types:
            after = set(types[types.index(Type.SUCCEEDED) + 1 :])
            assert after <= {
                Type.TERMINATION_REQUESTED,
                Type.SNAPSHOT_REQUESTED,
                Type.SNAPSHOTTED,
                Type.TERMINATED,
                Type.ARCHIVED,
            }

    @invariant()
    def a_deletion_of_ours_is_never_taken_for_somebody_else_s(self) -> None:
        assert self.disturbed or "PodDeleted" not in {e.reason for e in self.story()}

    @invariant()
    def an_object_that_is_gone_left_nothing_behind_and_told_its_end(self) -> None:
        if not self.exists and len(self.log) and self.finalizer is False:
            assert Type.TERMINATED in {e.type for e in self.log} or self.pods_created == 0

    @invariant()
    def an_object_that_is_gone_left_its_whole_story_in_the_archive_or_said_why_not(self) -> None:
        if not self.exists and fold(self.log).terminated and not fold(self.log).unarchived:
            assert whole(self.records.values()) == self.story()
            assert max(self.records.values(), key=lambda s: s.last).final

    @invariant()
    def a_part_of_the_story_is_archived_once(self) -> None:
        for segment in self.records.values():
            numbers = [e.sequence for e in segment.entries]
            assert numbers == list(range(segment.first, segment.last + 1))
        assert sum(len(s.entries) for s in self.records.values()) == len(
            whole(self.records.values())
        )

    @invariant()
    def deciding_again_on_the_same_observation_comes_to_rest(self) -> None:
        log, seen = self.log, self.observation(self.pod, self.log)
        # Commands apart: whether the archive takes something is not seen here.
        seen = replace(seen, archive_refusal="not now", warned=True)
        # An outcome, the request that its lifetime is due, and the end of what is left.
        for _ in range(3):
            facts = decide(fold(log), seen, room=log.room).facts
            log = log.extended(extend(log, facts, at=self.now, generation=1))
        seen = replace(seen, now=self.now)
        assert decide(fold(log), seen, room=log.room).facts == ()

    def teardown(self) -> None:
        """Left alone, with a fair world, it is somewhere definite, and can always be removed."""
        takes, self.archive_takes = self.archive_takes, True
        self.refusal, self.policy_refusal, self.cluster_refuses = None, "", False
        self.settle()
        self.archive_takes = takes  # it may also be down for good: that keeps nobody
        if self.exists and not self.deleting:
            state = fold(self.log)
            assert state.phase in {Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED}
            if state.phase is Phase.RUNNING:
                assert state.network_asked is None
                assert self.policy == state.network_wanted(PROMISED)
                assert (self.door, state.door_wanted("")) == ("", "")
            self.perform(DeleteObject(), self.observation(self.pod, self.log), self.log)
            self.settle()
        assert not self.exists
        assert self.pod is None

    # --- how it is carried out -----------------------------------------------------------------

    def settle(self) -> None:
        # Long enough for a snapshot and an archive that are both given up, one after the other.
        for _ in range(15):
            self.an_operator_runs(lag=0, pod_lag=0, dies_after=NEVER)
            self.a_dying_pod_disappears()
            if self.restores and self.pod and not self.pod.ended and not self.pod.deleting:
                self.set_pod(replace(self.pod, node="n1"))
                self.an_operator_runs(lag=0, pod_lag=0, dies_after=NEVER)
                if self.pod:
                    self.a_mounter_runs(lag=0, archive=0, dies_after=3)
            if self.pod and not self.pod.ended and not self.pod.deleting:
                self.the_cluster_moves_the_pod("run")
            self.now += timedelta(seconds=20)

    def observation(self, pod: Pod | None, log: Log) -> Observation:
        state = fold(log)
        wanted, asked = state.network_wanted(PROMISED), state.network_asked
        refused = self.cluster_refuses and asked == NETWORKS[2]
        last, there = state.network_door, (self.policy, port(self.door))
        door = state.door_wanted(f"10.0.0.{self.address}:{18000 + state.network_change % 256}")
        # As the operator does: a pod that is missing from the copy is looked for on the server.
        return Observation(
            now=self.now,
            deleting=self.deleting,
            finalizer=self.finalizer,
            lifetime=timedelta(seconds=5000),
            network=PROMISED,
            network_faults=("it lies in this cluster",) if refused else (),
            policy="s-custom-netpol" if wanted != NOTHING else "",
            door=door,
            policy_current=(wanted, port(door)) == there,
            policy_ajar=bool(last) and (wanted, port(last.address)) == there,
            pod=pod or self.pod,
            keeps_for=timedelta(seconds=60) if self.keeps else None,
            keepsakes=(self.keepsake,),
            snapshots_enabled=True,
            sources=(SOURCE,) if self.restores else (),
        )

    def story(self) -> tuple[Condition, ...]:
        """Return the whole log: what is in the archive, and what is on the object."""
        return whole(self.records.values(), self.log)

    def stale_log(self, lag: int) -> Log:
        return self.logs[max(0, len(self.logs) - 1 - lag)]

    def stale_pod(self, lag: int) -> Pod | None:
        return self.seen_pods[max(0, len(self.seen_pods) - 1 - lag)]

    def set_pod(self, pod: Pod | None) -> None:
        self.pod = pod
        self.seen_pods.append(pod)

    def append(self, log: Log, facts: tuple[Fact, ...], moved: Moved | None = None) -> bool:
        """Append as the store does; return whether the writer may go on."""
        if log.version != self.log.version or not self.exists:
            return False
        for each in facts:
            assert_in_catalogue(each)
        self.log = self.log.extended(extend(log, facts, at=self.now, generation=1))
        if moved:
            assert moved.first == self.log.archived + 1
            self.log = self.log.archived_to(moved.last)
        self.logs.append(self.log)
        return True

    def perform(  # noqa: C901, PLR0912 - a table
        self, command: Command, seen: Observation, log: Log
    ) -> Observation:
        match command:
            case AddFinalizer():
                self.finalizer = self.exists
                return replace(seen, finalizer=True)
            case ApplyPolicy(network, door):
                if self.policy_refusal:
                    return replace(seen, policy_refusal=self.policy_refusal)
                # Whoever read a stale log applies what was wanted then.
                self.meddled |= log.version != self.log.version
                self.policy, self.door = network, door
                return replace(seen, policy_current=True, policy_applied=True)
            case CreatePod(network):
                assert self.policy == network, "what it may reach is certain before it is there"
                return self.create_pod(seen)
            case RequestSnapshot():
                self.keepsake = replace(self.keepsake, there=True)
                return replace(seen, keepsakes=(self.keepsake,))
            case DeletePod(uid):
                # What its policy wants is kept, or is told not to be, before it goes.
                assert not (self.keeps and seen.deleting) or fold(log).snapshotted
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
            case RollOver():
                segment = self.write(oldest(SUBJECT, log))
                if segment is None:
                    return replace(seen, archive_refusal="quota")
                return replace(seen, moved=Moved(segment.name, segment.first, segment.last))
            case WriteRecord():
                done = log.archived
                while done < log.version:
                    segment = self.write(rest(SUBJECT, log, done))
                    if segment is None:
                        return replace(seen, archive_refusal="quota")
                    done = segment.last
                return replace(seen, recorded=True)
            case WarnOfLoss():
                return replace(seen, warned=True)
            case RemoveFinalizer():
                self.finalizer = False
                self.exists = self.exists and not self.deleting
                return replace(seen, finalizer=False)

    def write(self, segment: Segment) -> Segment | None:
        return self.records.setdefault(segment.name, segment) if self.archive_takes else None

    def create_pod(self, seen: Observation) -> Observation:
        if self.refusal:
            return replace(seen, refusal=self.refusal)
        if self.pod is None:
            self.pods_created += 1
            container = Container(name="sandbox0", image="i")
            self.set_pod(Pod(name="s-pod", uid=f"pod-{self.pods_created}", containers=(container,)))
        return replace(seen, pod=self.pod)


def port(door: str) -> str:
    """Return what of a door is in the policy: it leads to every operator."""
    return door.rpartition(":")[2]


def test_no_crash_no_race_and_no_stale_read_harms_the_log() -> None:
    # A story costs as much as some fifty examples of a property.
    examples = max(100, settings().max_examples // 4)
    run_state_machine_as_test(CrashySandbox, settings=settings(max_examples=examples))


# A random walk rarely gets as far as a change that is seen, so here nothing else happens.
WAY = ("change", "operator", "engine", "gateway", "operator")


def happens(machine: CrashySandbox, event: str, number: int) -> None:
    lag, dies_after = number % 3, (NEVER, NEVER + 1, 0, 1)[number % 4]
    match event:
        case "change":
            machine.a_client_changes_the_network(lag=0, wanted=NETWORKS[lag])
        case "operator":
            machine.an_operator_runs(lag=number // 4, pod_lag=0, dies_after=dies_after)
        case "engine":
            machine.the_policy_engine_catches_up()
        case "gateway":
            machine.a_gateway_gets_through_the_door(change_lag=number, lag=lag // 2)
        case "time":
            machine.time_passes((1, 30, 60)[lag])
        case "takeover":
            machine.another_operator_takes_over()
        case "flap":
            machine.it_comes_and_goes(times=number)
        case _:
            machine.what_the_cluster_grants_changes(refusal="", cluster=bool(number % 2))


@given(
    st.lists(
        st.tuples(
            st.sampled_from((*WAY, *WAY, "time", "takeover", "flap", "grant")), st.integers(0, 7)
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_changes_come_to_rest_with_no_door_open_whoever_dies_on_the_way(
    events: list[tuple[str, int]],
    straight: bool,  # noqa: FBT001 - drawn
) -> None:
    machine = CrashySandbox()
    machine.it_has_a_termination_policy_and_may_run_already(keeps=False, runs=True)
    for event, number in [*events, *((each, 0) for each in WAY if straight)]:
        happens(machine, event, number)
        machine.no_entry_repeats_the_one_before_it_of_its_kind()
        machine.meddling_is_not_seen_where_there_was_none()
        machine.a_log_that_was_archived_folds_like_the_whole_one()
    machine.settle()
    state = fold(machine.log)
    assert state.phase is Phase.RUNNING
    assert (machine.door, state.network_pending) == ("", False)
    assert machine.policy == state.network_wanted(PROMISED)
    machine.meddling_is_not_seen_where_there_was_none()
