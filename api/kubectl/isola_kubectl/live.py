"""`watch`: transitions as they happen."""

from __future__ import annotations

from isola_kubectl.errors import DamagedError
from isola_kubectl.following import Follower, Told
from isola_kubectl.kinds import target_of
from isola_kubectl.looking import checked
from isola_kubectl.session import Session
from isola_kubectl.showing import BOLD, DIM, Cell, event_of, time_of
from isola_lifecycle.codec import decode


def watch(session: Session) -> int:
    """Show entries until the object is gone, or, of all of a kind, for ever."""
    target = checked(target_of(session.given.name))
    objects = session.objects(target.kind)
    follower = Follower(objects, session.pause, session.warn, target.name)
    for told in follower.entries():
        if session.json:
            entry = {"id": told.name, "uid": told.uid, "entry": told.item}
            session.show(entry, indent=None)
        else:
            _show(session, told, named=not target.name)
    return 0


def _show(session: Session, told: Told, *, named: bool) -> None:
    try:
        entry = decode(told.item)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        number = told.item.get("sequence")
        raise DamagedError(f"entry {number} of {told.name} cannot be read: {error!r}") from error
    name = [Cell(told.name, BOLD), "  "] if named else []
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
