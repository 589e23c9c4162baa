"""What a person sees: columns, durations, and colours where a terminal shows them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TextIO

from isola_lifecycle.log import Condition, Status
from isola_lifecycle.sandbox.conditions import Phase, Type
from isola_lifecycle.snapshot.conditions import Type as SnapshotType

GREEN, RED, YELLOW, DIM, BOLD = "32", "31", "33", "2", "1"

# Messages come from registries, kubelets and programs: what would move the cursor, or more, is out.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

# Types of entries: what they say when they are True, and what when they are False.
_GOOD = {Type.READY, SnapshotType.STORED}
_BAD = {Type.SUCCEEDED, Type.ACCEPTED, Type.ARCHIVED, SnapshotType.CAPTURED, SnapshotType.DELETED}

_PHASES = {Phase.RUNNING: GREEN, Phase.SUCCEEDED: GREEN, Phase.FAILED: RED}


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a colour, or in none."""

    text: str
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where it is shown.

    Attributes:
        out: The stream.
        coloured: Whether it shows colours.
    """

    out: TextIO
    coloured: bool = False

    @classmethod
    def of(cls, out: TextIO, environment: Mapping[str, str] = os.environ) -> Screen:
        """Return the screen that a stream is: coloured if it is a terminal that nobody silenced."""
        silenced = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
        return cls(out, out.isatty() and not silenced)

    def line(self, *parts: str | Cell) -> None:
        """Show one line."""
        self.out.write("".join(self._painted(part) for part in parts).rstrip() + "\n")
        self.out.flush()

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> None:
        """Show rows below their heads, each column as wide as it has to be."""
        lines = [[Cell(head, BOLD) for head in heads], *([*map(_cell, row)] for row in rows)]
        widths = [max(len(line[column].text) for line in lines) for column in range(len(heads))]
        for line in lines:
            padded = [
                (cell, " " * (w + 2 - len(cell.text))) for cell, w in zip(line, widths, strict=True)
            ]
            self.line(*(part for pair in padded for part in pair))

    def _painted(self, part: str | Cell) -> str:
        cell = _cell(part)
        return (
            f"\x1b[{cell.colour}m{cell.text}\x1b[0m" if self.coloured and cell.colour else cell.text
        )


def _cell(part: str | Cell) -> Cell:
    cell = part if isinstance(part, Cell) else Cell(part)
    return Cell(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", cell.text), cell.colour)


def time_of(entry: Condition) -> Cell:
    """Return when it was appended, to the millisecond."""
    at = entry.last_transition_time.astimezone(UTC)
    return Cell(f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z", DIM)


def event_of(entry: Condition) -> Cell:
    """Return what is the case since then: `Ready`, or `Ready=False`."""
    holds = entry.status == Status.TRUE
    if holds and entry.type in _GOOD:
        return Cell(entry.type, GREEN)
    if holds:
        return Cell(entry.type)
    bad = entry.type in _BAD
    return Cell(f"{entry.type}={entry.status}", RED if bad else YELLOW)


def phase_of(word: str) -> Cell:
    """Return a state."""
    return Cell(word, next((colour for phase, colour in _PHASES.items() if phase == word), YELLOW))


def durations(entries: Sequence[Condition]) -> list[float | None]:
    """Return the seconds between each entry and the one before it; None for the first."""
    times: list[datetime] = [entry.last_transition_time for entry in entries]
    between = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return [None, *between] if times else []
