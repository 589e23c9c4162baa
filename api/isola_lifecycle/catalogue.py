"""What every catalogue is made of: rows, writers, and the `data` that all logs know.

The catalogue of a resource is in its `conditions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

# Who appends entries.
OPERATOR = "operator"
GATEWAY = "gateway"
UPLOADER = "uploader"
MOUNTER = "mounter"

# On whose behalf something is done that came past the gateway. The API server tells who asks it to
# nobody but its admission policies, and those cannot write into an object that is deleted.
UNKNOWN_CALLER = "unknown (Kubernetes API)"

# Keys of `data` that mean the same in every log.
PHASE = "phase"
TRACEPARENT = "traceparent"


T = TypeVar("T", bound=StrEnum)
R = TypeVar("R", bound=StrEnum)
K = TypeVar("K", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Meaning(Generic[T, R, K]):
    """A row of a catalogue.

    Attributes:
        type: The type.
        meaning: What it says when it is True.
        writers: Who appends it.
        true: Reasons with status True.
        false: Reasons with status False.
        data: Keys of `data` beside `phase`, which every entry carries.
    """

    type: T
    meaning: str
    writers: tuple[str, ...]
    true: tuple[R, ...]
    false: tuple[R, ...] = ()
    data: tuple[K, ...] = ()


def asker(told: str, *, vouched: bool) -> str:
    """Return the caller of whom an object's annotation tells.

    Args:
        told: What it says; empty where it is not there.
        vouched: Whether the API server lets nobody say that of somebody else.
    """
    if not told:
        return UNKNOWN_CALLER
    return told if vouched else f"{told} (unverified)"


def on_behalf(writer: str, caller: str) -> str:
    """Return the actor of an entry that `writer` appends for `caller` (empty: for itself)."""
    return f"{writer} on behalf of {caller}" if caller else writer


def traced(traceparent: str) -> dict[str, str]:
    """Return `data` with the trace that an entry belongs to (empty: none is known)."""
    return {TRACEPARENT: traceparent} if traceparent else {}
