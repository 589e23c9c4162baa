"""What somebody asks of a snapshot, as facts for its log. An intent is recorded before its effect.

Whoever asks and is asked for nothing new is answered with no facts: a repeated request is the
same request.
"""

from __future__ import annotations

from datetime import datetime

from isola_lifecycle.catalogue import GATEWAY, on_behalf, traced
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_lifecycle.snapshot.fold import DELETE
from isola_lifecycle.snapshot.state import State


def request_deletion(
    state: State, *, caller: str, request_id: str, traceparent: str = ""
) -> tuple[Fact, ...]:
    """Return what the gateway appends when a client wants a snapshot gone: all of it.

    The first request counts. One that keeps what is stored is not turned round by a later one,
    as the operator may have gone by it already; `leaves_object` tells.
    """
    if state.deletion_requested_at:
        return ()
    return (
        Fact(
            type=Type.DELETION_REQUESTED,
            status=Status.TRUE,
            reason=Reason.CLIENT_REQUEST,
            message="A client of the REST API asked for the snapshot to be deleted, with what is"
            " stored of it",
            actor=on_behalf(GATEWAY, caller),
            request_id=request_id,
            data={Key.OBJECT.value: DELETE, **traced(traceparent)},
        ),
    )


def leaves_object(state: State, now: datetime) -> bool:
    """Return whether a snapshot goes, or is gone, and what it stored stays in the bucket."""
    if state.stored is None or state.deletion_requested_at is None:
        return False
    if not state.stored.is_kept(now):
        return False
    return not state.object_goes or state.deleted_at is not None
