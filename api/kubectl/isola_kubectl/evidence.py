"""What is to be verified: the parts of each log, wherever they come from, by the UID they are of.

Read from here

    Sandbox         `status.conditions`, newest first, and the archive mark
    SandboxRecord   `spec.entries`, newest first, and what the record says of itself
    a history       as `GET …/history` and `history -o json` give it; either order

and from lists of them, in the cluster or in files of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from isola_kubectl.errors import UsageError
from isola_kubectl.kubectl import Object
from isola_kubectl.lives import entries_of, mapping, mappings, oldest_first, subject_of
from isola_lifecycle import naming
from isola_lifecycle.chain import Fault, Stretch

_DECODER = json.JSONDecoder()


@dataclass
class Evidence:
    """All that is at hand of one log.

    Attributes:
        uid: What its chain begins at.
        name: Of the sandbox, as far as known.
        stretches: Its parts.
        faults: What is wrong with an object that holds a part, beside the entries themselves.
        present: Whether the Sandbox itself is among the parts.
        final: Whether one of the parts says that nothing was to follow.
    """

    uid: str
    name: str = ""
    stretches: list[Stretch] = field(default_factory=list[Stretch])
    faults: list[Fault] = field(default_factory=list[Fault])
    present: bool = False
    final: bool = False


def gathered(objects: Iterable[tuple[str, Object]]) -> list[Evidence]:
    """Return the evidence in `objects`, each with the file that it comes from, or empty.

    Raises:
        UsageError: One is none of the three kinds.
    """
    found: dict[str, Evidence] = {}
    for source, item in objects:
        prefix = f"{source}: " if source else ""
        uid = _uid_of(item)
        if not uid and item.get("kind") != naming.RECORD_KIND:
            raise UsageError(
                f"{prefix}neither a Sandbox, a SandboxRecord nor a history, nor a list of them,"
                " in JSON with its uid"
            )
        _add(found.setdefault(uid, Evidence(uid)), item, prefix)
    return list(found.values())


def _uid_of(item: Object) -> str:
    match item:
        case {"kind": naming.KIND, "metadata": {"uid": str(uid)}}:
            return uid
        case {"kind": naming.RECORD_KIND, "spec": {"sandbox": {"uid": str(uid)}}}:
            return uid
        case {"uid": str(uid), "entries": list()}:
            return uid
        case _:
            return ""


def _add(evidence: Evidence, item: Object, prefix: str) -> None:
    match item.get("kind"):
        case naming.KIND:
            _add_sandbox(evidence, item, prefix)
        case naming.RECORD_KIND:
            _add_record(evidence, item, prefix)
        case _:
            _add_history(evidence, item, prefix)


def _add_sandbox(evidence: Evidence, item: Object, prefix: str) -> None:
    evidence.name = item["metadata"]["name"]
    evidence.present = True
    status = mapping(item.get("status"))
    source = f"{prefix}{naming.KIND} {evidence.name}"
    entries = oldest_first(status.get("conditions"))
    evidence.stretches.append(Stretch(source, entries))
    mark: Any = status.get("archived", 0)
    first = entries[0].get("sequence") if entries else None
    if first is not None and mark != (first - 1 if isinstance(first, int) else None):
        message = f"status.archived of {source} is {mark}, and its oldest entry is number {first}"
        evidence.faults.append(Fault(1, message, "archived"))


def _add_record(evidence: Evidence, item: Object, prefix: str) -> None:
    name, spec = item["metadata"]["name"], item["spec"]
    entries = entries_of(item)
    evidence.name = evidence.name or str(subject_of(item).get("name", ""))
    evidence.final |= spec.get("final") is True
    source = f"{prefix}{naming.RECORD_KIND} {name}"
    evidence.stretches.append(Stretch(source, entries))
    numbers = [entry.get("sequence") for entry in entries]
    at = next((number for number in numbers if isinstance(number, int)), 1)
    for about, message in _oddities(item, numbers):
        evidence.faults.append(Fault(at, f"{source} {message}", about))


def _oddities(item: Object, numbers: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield what a record says of itself that does not fit its name or its entries."""
    spec, subject = item["spec"], subject_of(item)
    first, last = spec.get("first"), spec.get("last")
    name = f"{subject.get('name')}-{subject.get('uid')}-{first}"
    if item["metadata"]["name"] != name:
        yield "sandbox", f"is named as the record of another sandbox or part than it says: {name}"
    if not numbers or (first, last) != (numbers[0], numbers[-1]):
        held = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
        yield "last", f"says that it holds entries {first} to {last}, and holds {held}"


def _add_history(evidence: Evidence, item: Object, prefix: str) -> None:
    entries = mappings(item["entries"])
    numbers = [n for entry in entries if isinstance(n := entry.get("sequence"), int)]
    if numbers and numbers[0] > numbers[-1]:
        entries.reverse()
    evidence.name = evidence.name or str(item.get("id", ""))
    evidence.final |= item.get("deleted") is True
    source = f"{prefix}the history of {evidence.name}"
    evidence.stretches.append(Stretch(source, tuple(entries)))


def documents(text: str, source: str) -> Iterator[tuple[str, Object]]:
    """Yield the objects in a file: one or several JSON documents, each one object or a list.

    Raises:
        UsageError: It is not JSON.
    """
    position = 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        try:
            document, position = _DECODER.raw_decode(text, position)
        except ValueError as error:
            raise UsageError(f"{source}: not JSON: {error}") from error
        yield from ((source, item) for item in _flattened(document, source))


def _flattened(document: Any, source: str) -> Iterator[Object]:
    items: list[Any] = [document]
    if isinstance(document, list):
        items = cast("list[Any]", document)
    elif isinstance(listed := mapping(document).get("items"), list):
        items = cast("list[Any]", listed)
    for item in items:
        if not isinstance(item, dict):
            raise UsageError(f"{source}: {json.dumps(item)[:60]} is no object of Kubernetes")
        yield mapping(item)
