"""`history`, `why` and `list`: what happened, why, and what there is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from isola_kubectl.errors import UsageError
from isola_kubectl.kinds import one, target_of
from isola_kubectl.lives import Life
from isola_kubectl.looking import checked, everything, find
from isola_kubectl.session import Session
from isola_kubectl.showing import BOLD, DIM, Cell, durations, event_of, phase_of, time_of
from isola_lifecycle.log import Condition
from isola_lifecycle.wording import readable

# Instead of a state: one log that cannot be read must not hide all others.
DAMAGED = "Damaged"


def history(session: Session) -> int:
    """Show all that happened to a sandbox or a snapshot."""
    life = _found(session)
    between = durations(life.entries)
    if session.json:
        # The shape of the REST API's answer. Durations stand beside the entries, which stay as
        # they are stored and so match their digests.
        told = {"entries": life.items, "sincePreviousSeconds": between}
        session.show(_about(life) | told)
        return 0
    screen = session.screen
    screen.line(Cell(life.name, BOLD), f"  {_condition(life)}  ", Cell(f"uid {life.uid}", DIM))
    if not life.complete:
        session.warn(f"entries up to {life.archived} are in an archive that is gone")
    requests = any(entry.request_id for entry in life.entries)
    heads = ["#", "TIME", "AFTER", "EVENT", "REASON", "ACTOR"]
    rows = [_row(entry, after) for entry, after in zip(life.entries, between, strict=True)]
    if requests:
        heads.append("REQUEST")
        rows = [
            [*row, entry.request_id or "-"] for row, entry in zip(rows, life.entries, strict=True)
        ]
    told = [[*row, entry.message] for row, entry in zip(rows, life.entries, strict=True)]
    screen.table([*heads, "MESSAGE"], told)
    return 0


def why(session: Session) -> int:
    """Tell why it ended, or what it waits for."""
    life = _found(session)
    said = life.kind.verdict(life.entries)
    if session.json:
        session.show(_about(life) | {"sentence": said.sentence, "advice": said.advice})
        return 0
    session.screen.line(said.sentence)
    if said.advice:
        session.screen.line(Cell(f"Advice: {said.advice}.", DIM))
    return 0


def overview(session: Session) -> int:
    """List the objects of a kind that there are, and with `--all` those there were."""
    target = target_of(session.given.type)
    if target.name:
        raise UsageError(f"list takes a type, such as rootfssnapshots, and no name: {target.name}")
    kind = target.kind
    lives = everything(session.objects(kind), gone=session.given.all)
    if session.json:
        session.show([_about(life) for life in lives])
        return 0
    if not lives:
        hint = "" if session.given.all else "; --all shows deleted ones"
        session.warn(f"no {kind.resource.plural} in this namespace{hint}")
        return 0
    more = tuple(head for head, _ in kind.more)
    heads = ("NAME", "STATE", "REASON", "NODE", *more, "AGE", "ENDED", "UID")
    session.screen.table(heads, [_listed(life, session) for life in lives])
    return 0


def _listed(life: Life, session: Session) -> list[str | Cell]:
    told = [life.kind.node, *(below for _, below in life.kind.more)]
    return [
        life.name,
        phase_of(_state(life)),
        _reason(life),
        *((tell(life.state) if life.legible else "") or "-" for tell in told),
        readable(session.now - life.created_at),
        _ended(life, session),
        Cell(life.uid, DIM),
    ]


def _found(session: Session) -> Life:
    given = session.given
    target = checked(one(given.name))
    life, others = find(session.objects(target.kind), target.name, given.uid or "")
    if others and not given.uid:
        uids = ", ".join(other.uid for other in others)
        session.warn(f"{len(others)} more had the name {life.name}; --uid shows them: {uids}")
    return life


def _about(life: Life) -> dict[str, Any]:
    state = _state(life)
    about = {"id": life.name, "uid": life.uid, "deleted": life.deleted, "state": state}
    return about | {"reason": _reason(life)}


def _condition(life: Life) -> str:
    return f"{_state(life)}, deleted" if life.deleted else _state(life)


def _state(life: Life) -> str:
    return life.kind.state(life.state) if life.legible else DAMAGED


def _reason(life: Life) -> str:
    """Return the word that says most: why it ended, what it waits for, or what happened last."""
    if not life.legible:
        return "-"
    if outcome := life.state.outcome:
        return outcome.reason
    if trouble := life.kind.trouble(life.state):
        return trouble
    asked = (entry for entry in life.entries if entry.type == life.kind.asked)
    telling = next(asked, life.entries[-1] if life.entries else None)
    return telling.reason if telling else "-"


def _ended(life: Life, session: Session) -> str:
    at = life.kind.ended_at(life.state) if life.legible else None
    return f"{readable(session.now - at)} ago" if at else "-"


def _row(entry: Condition, after: float | None) -> list[str | Cell]:
    elapsed = "-" if after is None else readable(timedelta(seconds=after))
    number = Cell(str(entry.sequence), DIM)
    return [number, time_of(entry), elapsed, event_of(entry), entry.reason, entry.actor]
