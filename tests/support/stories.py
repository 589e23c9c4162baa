"""A small language for stories: given a log, when this is seen, then that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from isola_lifecycle.commands import Decision
from isola_lifecycle.log import Fact, Log, Status
from isola_lifecycle.sandbox.commands import Command
from isola_lifecycle.sandbox.conditions import CATALOGUE, Type
from isola_lifecycle.sandbox.decide import decide
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.observation import Container, Observation, Pod, PodPhase

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
UID = "11111111-1111-4111-8111-111111111111"
POD_UID = "22222222-2222-4222-8222-222222222222"


def fact(
    about: str, reason: str, status: Status = Status.TRUE, message: str = "…", **data: str
) -> Fact:
    """Return a fact of the operator's."""
    return Fact(
        type=about, status=status, reason=reason, message=message, actor="operator", data=data
    )


def unstaged(reason: str, message: str = "…", container: str = "sandbox0") -> Fact:
    """Return that the archive is not there that a container starts from."""
    told = fact("RootfsStaged", reason, Status.FALSE, message, container=container)
    return replace(told, actor="mounter")


ACCEPTED = fact("Accepted", "SpecValid")
CONFIGURED = fact("NetworkConfigured", "NothingAllowed")
POD_CREATED = fact("PodCreated", "PodCreated", pod="s-pod", podUID=POD_UID)
SCHEDULED = fact("Scheduled", "NodeAssigned", node="n1")
STARTED = fact("Started", "ContainersStarted")
STAGED = replace(
    fact("RootfsStaged", "ArchiveStaged", container="sandbox0", sha256="ab", imageID="i@sha256:1"),
    actor="mounter",
)
READY = fact("Ready", "PodReady", podIP="10.0.0.1")
NOT_READY = fact("Ready", "ReadinessLost", Status.FALSE)
REQUESTED = fact("TerminationRequested", "ClientRequest")
TERMINATED = fact("Terminated", "PodRemoved")
FAILED = fact("Succeeded", "Error", Status.FALSE, container="sandbox0", exitCode="3")

PENDING = (ACCEPTED, CONFIGURED, POD_CREATED)
RUNNING = (*PENDING, SCHEDULED, STARTED, READY)
# A start that tells nothing of its network.
SILENT = (ACCEPTED, POD_CREATED, SCHEDULED, STARTED, READY)

EMPTY_POD = Pod(name="s-pod", uid=POD_UID, containers=(Container(name="sandbox0", image="i"),))
READY_POD = replace(
    EMPTY_POD,
    phase=PodPhase.RUNNING,
    node="n1",
    ip="10.0.0.1",
    ready=True,
    sidecar_ready=True,
    containers=(Container(name="sandbox0", image="i", running=True, ready=True),),
)


def ended(code: int, reason: str = "", **pod: str) -> Pod:
    """Return the ready pod after its container exited with `code`."""
    word = reason or ("Completed" if code == 0 else "Error")
    container = Container(name="sandbox0", image="i", exit_code=code, exit_reason=word)
    phase = PodPhase.FAILED if code else PodPhase.SUCCEEDED
    return replace(READY_POD, phase=phase, ready=False, containers=(container,), **pod)


def waiting(reason: str, message: str = "") -> Pod:
    """Return a scheduled pod whose container waits for `reason`."""
    container = Container(
        name="sandbox0", image="i", waiting_reason=reason, waiting_message=message
    )
    return replace(EMPTY_POD, node="n1", containers=(container,))


def world(pod: Pod | None = None, *, after: timedelta = SECOND, **seen: object) -> Observation:
    """Return what is seen `after` the beginning of the story."""
    return replace(Observation(now=START + after, pod=pod), **seen)  # type: ignore[arg-type]


def log_of(facts: Iterable[Fact], at: datetime = START) -> Log:
    """Return the log in which `facts` were recorded one by one."""
    log = Log(UID)
    for each in facts:
        log = log.extended(extend(log, (each,), at=at, generation=1))
    return log


@dataclass(frozen=True)
class Given:
    """The beginning of a story."""

    log: Log

    def when(self, seen: Observation) -> When:
        """Return the story once `seen` was judged."""
        return When(decide(fold(self.log), seen, room=self.log.room))


@dataclass(frozen=True)
class When:
    """A story whose end is to be told."""

    decision: Decision[Command]

    def then(self, *expected: tuple[str, str] | tuple[str, str, Status] | Command) -> None:
        """Hold the decision to these commands and facts, in order."""
        facts = [(f.type, f.reason, f.status) for f in self.decision.facts]
        wanted = [(*e, Status.TRUE)[:3] for e in expected if isinstance(e, tuple)]
        assert facts == wanted
        commands = [e for e in expected if not isinstance(e, tuple)]
        assert list(self.decision.commands) == commands
        for each in self.decision.facts:
            assert_in_catalogue(each)

    def then_nothing(self) -> None:
        """Hold the decision to nothing at all."""
        self.then()


def given(*facts: Fact) -> Given:
    """Begin a story with a log of these facts."""
    return Given(log_of(facts))


def assert_in_catalogue(recorded: Fact) -> None:
    """Hold a fact to the row that the catalogue has for its type."""
    row = next(row for row in CATALOGUE if row.type == Type(recorded.type))
    reasons = row.true if recorded.status == Status.TRUE else row.false
    assert recorded.reason in reasons, (recorded.type, recorded.status, recorded.reason)
    assert recorded.actor.split(" ")[0] in row.writers
    known = {*row.data, "phase"}
    # What is too long for one value goes on under numbers.
    assert all(k in known or k.rstrip("0123456789") in known for k in recorded.data), recorded.data
