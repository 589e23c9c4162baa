"""How a log is kept, whatever it is about: rolled over in time, whole in the archive in the end."""

from __future__ import annotations

from datetime import datetime, timedelta

from isola_lifecycle.archive import ARCHIVED, Moved
from isola_lifecycle.catalogue import OPERATOR
from isola_lifecycle.commands import (
    Decision,
    KeepingCommand,
    RemoveFinalizer,
    WarnOfLoss,
    WriteRecord,
)
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.seen import Seen

# Entries kept free for the end of the story. A log that is full up to here, because the archive
# takes nothing, records no more comings and goings.
RESERVED_ENTRIES = 12

# How long to wait before a log that the archive did not take is tried again.
ROLL_OVER_RETRY = timedelta(seconds=30)

# How long the deletion of an object waits for its archive, and how often it is tried meanwhile.
ARCHIVE_PATIENCE = timedelta(seconds=60)
ARCHIVE_RETRY = timedelta(seconds=5)


def rolled_over(moved: Moved, record_kind: str, data: dict[str, str] | None = None) -> Fact:
    """Return that entries are in the archive, and the object lets go of them."""
    return Fact(
        type=ARCHIVED,
        status=Status.TRUE,
        reason="LogRolledOver",
        message=f"Entries {moved.first} to {moved.last} are in {record_kind} {moved.record} now",
        actor=OPERATOR,
        data={"record": moved.record, **(data or {})},
    )


def let_go(seen: Seen, since: datetime | None, *, unarchived: bool) -> Decision[KeepingCommand]:
    """Return what follows for an object of which all is told: the archive, then the finalizer.

    An archive that takes nothing is given up after a while, and that is recorded as well.

    Args:
        seen: What is seen of the object.
        since: Since when all is told.
        unarchived: Whether the archive was given up.
    """
    if seen.recorded or unarchived:
        return Decision(commands=(RemoveFinalizer(),))
    if not seen.archive_refusal:
        return Decision(commands=(WriteRecord(),))
    waited = seen.now - (since or seen.now)
    if waited < ARCHIVE_PATIENCE:
        return Decision(requeue_after=min(ARCHIVE_RETRY, ARCHIVE_PATIENCE - waited))
    message = (
        f"The history goes without an archive: nothing could be written for {waited.seconds} s:"
        f" {seen.archive_refusal}"
    )
    if not seen.warned:
        return Decision(commands=(WarnOfLoss(message),))
    given_up = Fact(
        type=ARCHIVED,
        status=Status.FALSE,
        reason="RecordNotWritten",
        message=message,
        actor=OPERATOR,
    )
    return Decision(facts=(given_up,))
