"""What can be done to every object with a log, and a decision to do some of it.

Each command says what is to be true after it. It is repeated until that is seen, so carrying one
out twice must be harmless, and none is ever recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from isola_lifecycle.log import Fact

C_co = TypeVar("C_co", covariant=True)


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Make sure that deletion waits for us."""


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Make sure that the object is being deleted."""


@dataclass(frozen=True, slots=True)
class RollOver:
    """Make sure that the archive has the oldest entries, so that the log need not keep them."""


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """Make sure that the archive has the whole log."""


@dataclass(frozen=True, slots=True)
class WarnOfLoss:
    """Tell those who run the cluster that a log goes without an archive."""

    message: str


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the API server remove the object. The last thing that ever happens to it."""


KeepingCommand = AddFinalizer | DeleteObject | RollOver | WriteRecord | WarnOfLoss | RemoveFinalizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[C_co]):
    """What is to be done and recorded.

    Attributes:
        commands: To be carried out in this order, before anything is appended.
        facts: To be appended in one write, after the commands.
        requeue_after: When to look again at the latest, although nothing may have changed.
    """

    commands: tuple[C_co, ...] = ()
    facts: tuple[Fact, ...] = ()
    requeue_after: timedelta | None = None
