"""`watch`: transitions as they happen."""

from __future__ import annotations

from isola_kubectl.errors import DamagedError
from isola_kubectl.following import Follower, Told
from isola_kubectl.looking import checked
from isola_kubectl.session import Session
from isola_kubectl.showing import BOLD, DIM, Cell, event_of, time_of
from isola_lifecycle.codec import decode


def watch(session: Session) -> int:
    """Show entries until the sandbox is gone, or, of all sandboxes, for ever."""
    name = session.given.name
    if name:
        checked(name)
    follower = Follower(session.kubectl, session.pause, session.warn, name)
    for told in follower.entries():
        if session.json:
            entry = {"id": told.name, "uid": told.uid, "entry": told.item}
            session.show(entry, indent=None)
        else:
            _show(session, told)
    return 0


def _show(session: Session, told: Told) -> None:
    try:
        entry = decode(told.item)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        number = told.item.get("sequence")
        raise DamagedError(f"entry {number} of {told.name} cannot be read: {error!r}") from error
    name = [] if session.given.name else [Cell(told.name, BOLD), "  "]
    about = f"  {entry.reason}  "
    session.screen.line(
        *(
            time_of(entry),
            "  ",
            *name,
            Cell(f"#{entry.sequence}", DIM),
            " ",
            event_of(entry),
            about,
        ),
        *(Cell(entry.actor, DIM), f"  {entry.message}"),
    )
