"""Whether a log is what its writers wrote; and if not, what was done, and where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isola_kubectl.evidence import Evidence
from isola_lifecycle.chain import Fault, Stretch, verify
from isola_lifecycle.naming import RECORD_KIND
from isola_lifecycle.sandbox.conditions import Type


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as its writers left it.

    Attributes:
        sequence: The number at which it shows.
        field: Which field, where that can be told, or empty.
        places: The objects or files in which that entry lies, or where it is missing the one that
            follows; none at the end of the log.
        message: What is wrong.
    """

    sequence: int
    field: str
    places: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one log.

    Attributes:
        name: Of the sandbox.
        uid: Likewise.
        newest: Number of the newest entry, 0 for none.
        digest: Of that entry: note both down, and they are a witness later.
        findings: None for a log that is intact.
    """

    name: str
    uid: str
    newest: int
    digest: str
    findings: tuple[Finding, ...]


def judged(
    evidence: Evidence, *, gone: bool = False, witnesses: Iterable[tuple[int, str]] = ()
) -> Judgement:
    """Return what is to be said of a log.

    Args:
        evidence: Its parts.
        gone: Whether the sandbox is known not to be there any more.
        witnesses: Numbers and digests that were seen at another time and place.
    """
    faults = [
        *verify(evidence.uid, evidence.stretches, witnesses=witnesses),
        *evidence.faults,
        *_of_the_end(evidence, gone=gone),
    ]
    newest, digest = _head(evidence.stretches)
    found = (_placed(fault, evidence.stretches) for fault in faults)
    ordered = tuple(sorted(found, key=lambda finding: finding.sequence))
    return Judgement(evidence.name, evidence.uid, newest, digest, ordered)


def _of_the_end(evidence: Evidence, *, gone: bool) -> Iterable[Fault]:
    """Yield that the end of a story is missing: the one thing that no chain tells."""
    newest, _ = _head(evidence.stretches)
    types = {item.get("type") for stretch in evidence.stretches for item in stretch.items}
    if evidence.final and Type.TERMINATED not in types:
        message = "it is said to be whole, and its end (Terminated) is missing"
        yield Fault(newest + 1, message)
    elif gone and not evidence.final:
        message = f"the sandbox is gone, and no {RECORD_KIND} has the end of its log"
        yield Fault(newest + 1, message)


def _head(stretches: Iterable[Stretch]) -> tuple[int, str]:
    numbered = (
        (number, str(item.get("digest", "")))
        for stretch in stretches
        for item in stretch.items
        if isinstance(number := item.get("sequence"), int)
    )
    return max(numbered, default=(0, ""))


def _placed(fault: Fault, stretches: Iterable[Stretch]) -> Finding:
    held = [(stretch.source, set(_numbers(stretch))) for stretch in stretches]
    later = (number for _, numbers in held for number in numbers if number >= fault.sequence)
    nearest = min(later, default=0)
    places = tuple(source for source, numbers in held if nearest in numbers)
    return Finding(fault.sequence, fault.field, places, fault.message)


def _numbers(stretch: Stretch) -> Iterator[int]:
    numbers = (item.get("sequence") for item in stretch.items)
    return (number for number in numbers if isinstance(number, int))
