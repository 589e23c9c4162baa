"""Server-sent events, as the HTML standard reads them: bytes in, events out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Only these end a line; str.splitlines() knows others.
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: Its text.
        name: What it is about, if it says so.
        id: The last id that the stream told, with this event or before.
    """

    data: str
    name: str = ""
    id: str = ""


class EventDecoder:
    """Makes events of the consecutive pieces of a stream. An event that is cut off is none."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._name = ""
        self._id = ""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that end with this piece."""
        rest = self._rest + piece
        begin = 0
        for end in _LINE_END.finditer(rest):
            if end.group() == b"\r" and end.end() == len(rest):
                break  # it may be half of a line's end
            line = rest[begin : end.start()]
            begin = end.end()
            event = self._take(line.decode(errors="replace"))
            if event:
                yield event
        self._rest = rest[begin:]

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._finished()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _finished(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name = [], ""
        return Event("\n".join(data), name, self._id) if data else None
