"""The chain of digests, and what it gives away.

The digest of an entry is

    SHA-256( digest of the entry before it, or the object's UID before the first
             + LF + the entry without its digest, as JSON with sorted keys, no spaces, UTF-8 )

in lower-case hex: anybody can recompute it with `jq -cjS` and `sha256sum`.

What follows from that
    - An entry that was edited, put in, taken out or moved, and a log that was begun for another
      object, break the chain where it was done, or at the entry after it.
    - The newest entries can be cut off, and whoever may write to etcd can write the whole chain
      anew: the digest is no signature. Only a witness shows that: a number and its digest, noted
      elsewhere.

Entries are read here as they are stored, not as they decode, so that a field smuggled in counts
as a change; and whatever they hold is a finding, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Item = Mapping[str, Any]

# Looking for the original of a changed entry costs many digests; after so many the story is told.
_EXPLAINED = 8

# How far from its place an entry is looked for.
_WINDOW = 16


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where a log is not what its writers wrote.

    Attributes:
        sequence: The number at which it shows; the change is there or just before.
        message: What is wrong.
        field: Which field of the entry, where that can be told.
    """

    sequence: int
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a log, as one place holds it.

    Attributes:
        source: That place, for people: `status`, or the name of a record.
        items: Its entries, oldest first.
    """

    source: str
    items: tuple[Item, ...]


def digest(item: Item, previous: str) -> str:
    """Return the digest of an item of `status.conditions` that follows the digest `previous`."""
    content = {key: value for key, value in item.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate is not UTF-8, and no writer writes one: let it be another text, not a crash.
    return sha256(f"{previous}\n{text}".encode(errors="surrogatepass")).hexdigest()


def faults(uid: str, items: Sequence[Item]) -> tuple[Fault, ...]:
    """Return where consecutive items, oldest first, break the numbering or the chain.

    Where the first item is not number 1, its digest is taken as given: what came before is in
    the archive.
    """
    copies, found = _joined([Stretch("the log", tuple(items))])
    found += _gaps(copies, start=min(copies, default=1))
    return _in_order([*found, *_broken(uid, copies)])


def verify(
    uid: str, stretches: Iterable[Stretch], *, witnesses: Iterable[tuple[int, str]] = ()
) -> tuple[Fault, ...]:
    """Return where a whole log, put together from `stretches`, is not what its writers wrote.

    Args:
        uid: Of the object that it is the log of.
        stretches: Its parts in any order. They may overlap: an entry on its way to the archive
            is in both places.
        witnesses: Numbers and digests that were seen at another time and place.
    """
    copies, found = _joined(stretches)
    found += _gaps(copies, start=1)
    found += _broken(uid, copies)
    for number, witnessed in witnesses:
        if number not in copies:
            found.append(Fault(number, f"entry {number} was witnessed, and is not there"))
        elif copies[number].get("digest") != witnessed:
            found.append(Fault(number, f"entry {number} is not the one that was witnessed"))
    return _in_order(found)


def _in_order(found: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(found, key=lambda fault: fault.sequence))


def _joined(stretches: Iterable[Stretch]) -> tuple[dict[int, Item], list[Fault]]:
    """Return the entries by number, and what is wrong with how the stretches hold them."""
    copies: dict[int, tuple[str, Item]] = {}
    found: list[Fault] = []
    for stretch in stretches:
        newest = 0
        for item in stretch.items:
            number = item.get("sequence")
            if not isinstance(number, int) or number < 1:
                where = f"after entry {newest} in {stretch.source}"
                found.append(Fault(newest + 1, f"what stands {where} has no number", "sequence"))
                continue
            if number <= newest:
                message = f"entry {number} stands after entry {newest} in {stretch.source}"
                found.append(Fault(number, message))
            newest = max(newest, number)
            source, known = copies.setdefault(number, (stretch.source, item))
            if known != item:
                fields = ", ".join(_differences(known, item))
                where = f"{source} and {stretch.source}" if source != stretch.source else source
                message = f"entry {number} is there twice, with different {fields}: in {where}"
                found.append(Fault(number, message, fields))
    return {number: item for number, (_, item) in copies.items()}, found


def _differences(one: Item, other: Item) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _gaps(copies: Mapping[int, Item], *, start: int) -> list[Fault]:
    found: list[Fault] = []
    expected = start
    for number in sorted(copies):
        if number > expected:
            missing = f"entry {expected} is" if number == expected + 1 else None
            missing = missing or f"entries {expected} to {number - 1} are"
            found.append(Fault(expected, f"{missing} missing: what follows is {number}"))
        expected = number + 1
    return found


def _broken(uid: str, copies: Mapping[int, Item]) -> list[Fault]:
    """Return where the chain does not hold, with the reason as far as it can be told."""
    digests = {number: str(item.get("digest")) for number, item in copies.items()} | {0: uid}
    vocabulary = _vocabulary(copies.values())
    found: list[Fault] = []
    shift = 0
    for number, item in sorted(copies.items()):
        previous = digests.get(number - 1)
        if previous is None or item.get("digest") == digest(item, previous):
            continue
        if len(found) == _EXPLAINED:
            found.append(Fault(number, "… and more after it"))
            break
        if shift and item.get("digest") == digest({**item, "sequence": number + shift}, previous):
            continue  # told where the renumbering begins
        fault, shift = _explained(number, item, digests, vocabulary)
        found.append(fault)
    return found


def _explained(
    number: int, item: Item, digests: Mapping[int, str], vocabulary: Mapping[str, set[Any]]
) -> tuple[Fault, int]:
    """Return the fault of an entry, and by how much those after it may be renumbered."""
    stored = item.get("digest")
    previous = digests[number - 1]
    for field, message, original in _edits(item, vocabulary):
        if stored == digest(original, previous):
            return Fault(number, f"entry {number} was edited: {message}", field), 0
    nearby = range(max(1, number - _WINDOW), number + _WINDOW)
    for written in nearby:
        candidate = {**item, "sequence": written}
        for before in (number - 1, *(other - 1 for other in nearby)):
            if before in digests and stored == digest(candidate, digests[before]):
                return _moved(number, written, before), written - number
    if number == 1:
        message = "entry 1 does not begin at this object's UID: the log is another object's, or"
        return Fault(1, f"{message} entry 1 was edited"), 0
    message = f"entry {number} does not match its digest: it was edited, or what came before it was"
    return Fault(number, f"{message} edited, put in or taken out"), 0


def _moved(number: int, written: int, before: int) -> Fault:
    if before == number - 1:
        message = f"entry {number} was written as number {written}: entries before it were"
        return Fault(number, f"{message} taken out or put in", "sequence")
    message = f"entry {number} does not belong here: it was written as number {written}"
    return Fault(number, f"{message} to follow what is now number {before}", "sequence")


def _edits(item: Item, vocabulary: Mapping[str, set[Any]]) -> Iterator[tuple[str, str, Item]]:
    """Yield what the entry may have been: without a field, or with a word told elsewhere."""
    data: Any = item.get("data")
    texts: dict[str, Any] = {str(k): v for k, v in data.items()} if _is_map(data) else {}
    for key in item:
        if key != "digest":
            yield key, f"{key} was put in", {k: v for k, v in item.items() if k != key}
    for key in texts:
        rest = {k: v for k, v in texts.items() if k != key}
        kept = {**item, "data": rest} if rest else {k: v for k, v in item.items() if k != "data"}
        yield f"data.{key}", f"data.{key} was put in", kept
    for key, words in vocabulary.items():
        about, _, name = key.partition(".")
        for word in words:
            told = f"{key} was {word!r}"
            yield key, told, {**item, about: {**texts, name: word} if name else word}


def _vocabulary(items: Iterable[Item]) -> Mapping[str, set[Any]]:
    """Return the words that each field has anywhere in the log: one of them may be the original."""
    words: dict[str, set[Any]] = {"status": {"True", "False", "Unknown"}}
    values: set[str] = set()
    for item in items:
        for key, value in item.items():
            if key not in {"digest", "sequence"} and isinstance(value, str | int):
                words.setdefault(key, set()).add(value)
        data: Any = item.get("data")
        if _is_map(data):
            for key, value in data.items():
                words.setdefault(f"data.{key}", set())
                values.add(str(value))
    return {key: values if key.startswith("data.") else found for key, found in words.items()}


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)
