"""What is particular to sandboxes, and to snapshots, where all else about them is the same.

Objects are named as kubectl names them: `TYPE/NAME`, where a type is a resource's plural, singular
or short name, alone or with its group. A name alone is a sandbox's, a type alone means all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isola_kubectl.errors import UsageError
from isola_lifecycle import naming
from isola_lifecycle.log import Condition
from isola_lifecycle.sandbox import verdict as of_sandboxes
from isola_lifecycle.sandbox.conditions import Type as SandboxType
from isola_lifecycle.sandbox.fold import SANDBOX as SANDBOX_PROJECTION
from isola_lifecycle.sandbox.state import State as SandboxState
from isola_lifecycle.snapshot import verdict as of_snapshots
from isola_lifecycle.snapshot.conditions import Type as SnapshotType
from isola_lifecycle.snapshot.fold import SNAPSHOT as SNAPSHOT_PROJECTION
from isola_lifecycle.snapshot.state import State as SnapshotState
from isola_lifecycle.verdict import Verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """A kind of object with a log.

    Attributes:
        resource: Which.
        short: Its short name.
        noun: What people call one.
        prefix: What stands before a name where kinds are mixed.
        fold: Returns what entries amount to.
        verdict: Returns what a log comes to, for people.
        own: Types of entries that no other kind has.
        asked: Type of the entry by which somebody wanted it gone.
        over: Whether, by a state, all is told.
        end: How the end of a log is called that is missing.
        state: Returns a state in one word.
        trouble: Returns the reason for which it waits, or empty.
        ended_at: Returns when it ended, or None.
        node: Returns where it is, or was taken, or empty.
        more: What else a list shows of a state: heads, and what is below them.
    """

    resource: naming.Resource
    short: str
    noun: str
    prefix: str
    fold: Callable[[Sequence[Condition]], Any]
    verdict: Callable[[Sequence[Condition]], Verdict]
    own: frozenset[str]
    asked: str
    over: Callable[[Any], bool]
    end: str
    state: Callable[[Any], str]
    trouble: Callable[[Any], str]
    ended_at: Callable[[Any], datetime | None]
    node: Callable[[Any], str]
    more: tuple[tuple[str, Callable[[Any], str]], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Return by which words the type is known, the shortest last."""
        plural, group = self.resource.plural, naming.GROUP
        return f"{plural}.{group}", plural, self.resource.kind.lower(), self.short

    @property
    def plural(self) -> str:
        """Return what people call several."""
        return f"{self.noun}s"


def _state_of_sandbox(state: SandboxState) -> str:
    removed = state.terminated and not state.outcome
    return SandboxType.TERMINATED.value if removed else state.phase.value


def _end_of_sandbox_at(state: SandboxState) -> datetime | None:
    return state.outcome.at if state.outcome else state.terminated_at


def _size_of_object(state: SnapshotState) -> str:
    return str(state.stored.size_bytes) if state.stored else "-"


SANDBOXES = Kind(
    resource=naming.SANDBOX,
    short="sb",
    noun="sandbox",
    prefix="",
    fold=SANDBOX_PROJECTION.fold,
    verdict=of_sandboxes.verdict,
    own=frozenset(SandboxType) - frozenset(SnapshotType),
    asked=SandboxType.TERMINATION_REQUESTED,
    over=lambda state: state.terminated,
    end=SandboxType.TERMINATED,
    state=_state_of_sandbox,
    trouble=lambda state: state.trouble.reason if state.trouble else "",
    ended_at=_end_of_sandbox_at,
    node=lambda state: state.node,
)

SNAPSHOTS = Kind(
    resource=naming.ROOTFS_SNAPSHOT,
    short="rfs",
    noun="snapshot",
    prefix="rootfssnapshot/",
    fold=SNAPSHOT_PROJECTION.fold,
    verdict=of_snapshots.verdict,
    own=frozenset(SnapshotType) - frozenset(SandboxType),
    asked=SnapshotType.DELETION_REQUESTED,
    over=lambda state: state.over,
    end=f"{SnapshotType.DELETION_REQUESTED}, {SnapshotType.SUCCEEDED} or {SnapshotType.DELETED}",
    state=lambda state: state.phase.value,
    trouble=lambda state: state.trouble,
    ended_at=lambda state: state.outcome.at if state.outcome else None,
    node=lambda state: state.source.node if state.source else "",
    more=(("BYTES", _size_of_object),),
)

KINDS = (SANDBOXES, SNAPSHOTS)

_WORDS = {word: kind for kind in KINDS for word in kind.words}


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked about.

    Attributes:
        kind: Of which kind.
        name: Which one, or empty for all.
    """

    kind: Kind
    name: str


def target_of(text: str) -> Target:
    """Return what `TYPE/NAME`, a name or a type stands for; nothing stands for all sandboxes.

    Raises:
        UsageError: There is no such type, or what is behind the slash is missing.
    """
    word, slash, name = text.rpartition("/")
    if not slash:
        kind = _WORDS.get(text)
        return Target(kind, "") if kind else Target(SANDBOXES, text)
    kind = _WORDS.get(word)
    if kind is None:
        known = " and ".join(kind.resource.plural for kind in KINDS)
        raise UsageError(f"{word!r} is no type that has a history; {known} are")
    if not name:
        raise UsageError(f"{text!r} says no name: {word}/NAME")
    return Target(kind, name)


def one(text: str) -> Target:
    """Return the one object that is asked about.

    Raises:
        UsageError: All of a kind are.
    """
    target = target_of(text)
    if not target.name:
        word = target.kind.resource.kind.lower()
        raise UsageError(f"say which {target.kind.noun}: {word}/NAME")
    return target


def kind_of(types: set[str]) -> Kind:
    """Return of which kind a log is that has entries of these types, as far as they tell."""
    return next((kind for kind in KINDS if types & kind.own), SANDBOXES)
