"""What can be done to a sandbox's world, and a decision to do some of it.

Each command says what is to be true after it. It is repeated until that is seen, so carrying one
out twice must be harmless, and none is ever recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.network import Network


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Make sure that deletion waits for us."""


@dataclass(frozen=True, slots=True)
class ApplyPolicy:
    """Make sure that this, and nothing else, can be reached."""

    network: Network


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make sure that the pod exists, with the name servers and the rate of this network."""

    network: Network


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Make sure that the pod of this UID is on its way out."""

    uid: str


@dataclass(frozen=True, slots=True)
class ForcePodAway:
    """Make sure that nothing is left of the pod of this UID, whatever its node says."""

    uid: str


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Make sure that the Sandbox is being deleted."""


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
    """Let the API server remove the Sandbox. The last thing that ever happens to it."""


Command = (
    AddFinalizer
    | ApplyPolicy
    | CreatePod
    | DeletePod
    | ForcePodAway
    | DeleteObject
    | RollOver
    | WriteRecord
    | WarnOfLoss
    | RemoveFinalizer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done and recorded.

    Attributes:
        commands: To be carried out in this order, before anything is appended.
        facts: To be appended in one write, after the commands.
        requeue_after: When to look again at the latest, although nothing may have changed.
    """

    commands: tuple[Command, ...] = ()
    facts: tuple[Fact, ...] = ()
    requeue_after: timedelta | None = None
