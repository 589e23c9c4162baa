"""Whether a log is what its writers wrote; and if not, what was done, and where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isola_kubectl.evidence import Evidence
from isola_kubectl.kinds import Kind
from isola_kubectl.lives import joined
from isola_lifecycle.chain import Fault, Stretch, verify
from isola_lifecycle.codec import decode


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
        kind: Of what kind of object.
        name: Of that object.
        uid: Likewise.
        newest: Number of the newest entry, 0 for none.
        digest: Of that entry: note both down, and they are a witness later.
        findings: None for a log that is intact.
    """

    kind: Kind
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
        gone: Whether the object is known not to be there any more.
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
    return Judgement(evidence.kind, evidence.name, evidence.uid, newest, digest, ordered)


def _of_the_end(evidence: Evidence, *, gone: bool) -> Iterable[Fault]:
    """Yield that the end of a story is missing: the one thing that no chain tells."""
    newest, _ = _head(evidence.stretches)
    kind = evidence.kind
    if evidence.final and not _is_over(evidence):
        message = f"it is said to be whole, and its end ({kind.end}) is missing"
        yield Fault(newest + 1, message)
    elif gone and not evidence.final:
        record = kind.resource.record_kind
        message = f"the {kind.noun} is gone, and no {record} has the end of its log"
        yield Fault(newest + 1, message)


def _is_over(evidence: Evidence) -> bool:
    items = joined(*(stretch.items for stretch in evidence.stretches))
    try:
        state = evidence.kind.fold([decode(item) for item in items])
    except (AttributeError, LookupError, TypeError, ValueError):
        return True  # what cannot be read has a finding of its own
    return evidence.kind.over(state)


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
