"""`verify`: whether anybody changed what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isola_kubectl.arguments import witness
from isola_kubectl.errors import FOUND, UnknownError, UsageError
from isola_kubectl.evidence import Evidence, documents, gathered
from isola_kubectl.kinds import KINDS, Kind, Target, target_of
from isola_kubectl.kubectl import Object
from isola_kubectl.looking import checked
from isola_kubectl.session import Session
from isola_kubectl.showing import BOLD, DIM, GREEN, RED, Cell
from isola_kubectl.verifying import Finding, Judgement, judged

_ONE = "say what is to be verified: NAME, TYPE, TYPE/NAME, --all, or -f FILE ..."


def verify(session: Session) -> int:
    """Verify the log of one object, of all, or those in files; 1 where something is wrong."""
    given = session.given
    if [bool(given.name), given.all, bool(given.file)].count(True) != 1:
        raise UsageError(_ONE)
    target = checked(target_of(given.name)) if given.name else None
    witnesses = _witnesses(given.witness or ())
    logs = _logs(session, target, witnesses)
    many = given.all or (target and not target.name)
    if not logs and not many:  # a namespace may be empty
        raise UnknownError("there is nothing to verify")
    if witnesses and len(logs) > 1:
        raise UsageError(f"{len(logs)} logs are to be verified: say with --uid whose witness it is")
    bad = sum(bool(log.findings) for log in logs)
    if session.json:
        session.show({"verified": len(logs), "withFindings": bad, "logs": [_told(x) for x in logs]})
    else:
        _show(session, logs, bad)
    return FOUND if bad else 0


def _witnesses(texts: Sequence[str]) -> list[tuple[int, str]]:
    try:
        return [witness(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"--witness: {error}") from error


def _logs(
    session: Session, target: Target | None, witnesses: Sequence[tuple[int, str]]
) -> list[Judgement]:
    """Return what becomes of each log, once what is wrong is the same in two looks.

    Whose time is over, the operator removes record by record; in between, a life lacks some.
    """
    given = session.given
    before: set[tuple[str, ...]] = set()
    while True:
        found = [each for each in _evidence(session, target) if given.uid in {None, each.uid}]
        logs = [
            judged(each, gone=not given.file and not each.present, witnesses=witnesses)
            for each in found
        ]
        parts = {
            (each.uid, *(stretch.source for stretch in each.stretches))
            for each, log in zip(found, logs, strict=True)
            if log.findings and not each.present
        }
        if given.file or parts <= before:
            return logs
        before = parts


def _evidence(session: Session, target: Target | None) -> list[Evidence]:
    if session.given.file:
        return gathered(item for name in session.given.file for item in _read(session, name))
    if target is None:
        return [each for kind in KINDS for each in _of_kind(session, kind)]
    found = _of_kind(session, target.kind, target.name)
    return [each for each in found if target.name in {"", each.name}]


def _of_kind(session: Session, kind: Kind, name: str = "") -> list[Evidence]:
    objects = session.objects(kind)
    # Objects first: what moves to the archive meanwhile is then in both places.
    found: list[Object] = objects.all() if not name else []
    if item := objects.get(name) if name else None:
        found = [item]
    # Records not by label: one that was changed would hide them.
    return gathered(("", item) for item in (*found, *objects.records()))


def _read(session: Session, name: str) -> Iterator[tuple[str, Object]]:
    try:
        text = session.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} cannot be read: {error}") from error
    return documents(text, name)


def _show(session: Session, logs: Sequence[Judgement], bad: int) -> None:
    screen = session.screen
    for log in logs:
        word = Cell("FOUND ", RED) if log.findings else Cell("intact", GREEN)
        head = (
            f"  {log.newest} entries, witness {log.newest}:{log.digest}"
            if log.newest
            else "  no entries"
        )
        name = Cell(f"{log.kind.prefix}{log.name or '?'}", BOLD)
        uid = Cell(f"  uid {log.uid}", DIM)
        screen.line(word, "  ", name, uid, "" if log.findings else head)
        for finding in log.findings:
            screen.line("        ", f"{_where(finding)}: {finding.message}")
    verified = f"{len(logs)} log{'' if len(logs) == 1 else 's'} verified"
    screen.line(f"{verified}, {bad} with findings" if bad else f"{verified}, nothing found")


def _where(finding: Finding) -> str:
    places = f" in {' and '.join(finding.places)}" if finding.places else ""
    field = f", {finding.field}" if finding.field else ""
    return f"#{finding.sequence}{field}{places}"


def _told(log: Judgement) -> dict[str, Any]:
    return {
        "kind": log.kind.resource.kind,
        "id": log.name,
        "uid": log.uid,
        "intact": not log.findings,
        "newest": log.newest,
        "witness": f"{log.newest}:{log.digest}",
        "findings": [
            {
                "sequence": finding.sequence,
                "field": finding.field,
                "places": list(finding.places),
                "message": finding.message,
            }
            for finding in log.findings
        ],
    }
