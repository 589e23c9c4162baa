"""What somebody asks of a snapshot, as facts for its log. An intent is recorded before its effect."""

from __future__ import annotations

from isola_lifecycle.catalogue import GATEWAY, on_behalf, traced
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_lifecycle.snapshot.fold import DELETE
from isola_lifecycle.snapshot.state import State


def request_deletion(
    state: State, *, caller: str, request_id: str, traceparent: str = ""
) -> tuple[Fact, ...]:
    """Return what the gateway appends when a client wants a snapshot gone, and its object too."""
    if state.deletion_requested_at:
        return ()
    return (
        Fact(
            type=Type.DELETION_REQUESTED,
            status=Status.TRUE,
            reason=Reason.CLIENT_REQUEST,
            message="A client of the REST API asked for the snapshot and what is stored to go",
            actor=on_behalf(GATEWAY, caller),
            request_id=request_id,
            data={Key.OBJECT.value: DELETE, **traced(traceparent)},
        ),
    )
