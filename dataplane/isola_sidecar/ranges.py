"""Which part of a file a download asks for (RFC 9110, section 14).

One range is served. Several are answered with the whole file, as the RFC allows, and so is a
header that says nothing sensible: `Range` is a wish, and only a range past the end is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Digits bounded: nothing is that large, and int() refuses thousands of them.
_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,64})-([0-9]{0,64})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes `first` to `last`, both included, of a file that had `size`."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """How many bytes it is, at least one."""
        return self.last - self.first + 1

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what a 206 says of it."""
        content_range = f"bytes {self.first}-{self.last}/{self.size}"
        return (("Content-Range", content_range), ("Content-Length", str(self.length)))


def asked(headers: Mapping[str, str], size: int, tag: str) -> Span | None:
    """Return the part that a request wants; None for the whole.

    `If-Range` with another tag than the file's means: the whole, what I have is of another file.

    Raises:
        ProblemError: 416 for a range without a byte of the file.
    """
    if headers.get("if-range", tag).strip() != tag:
        return None
    found = _ONE_RANGE.fullmatch(headers.get("range", ""))
    if found is None:
        return None
    first, last = found.groups()
    if first:
        return _from(int(first), int(last) if last else None, size)
    return _suffix(int(last), size) if last else None


def _from(first: int, last: int | None, size: int) -> Span | None:
    if last is not None and last < first:
        return None
    if first >= size:
        raise _unsatisfiable(size)
    return Span(first, size - 1 if last is None else min(last, size - 1), size)


def _suffix(length: int, size: int) -> Span | None:
    if not length:
        raise _unsatisfiable(size)
    # All of an empty file is no error, and no Content-Range can name it.
    return Span(max(0, size - length), size - 1, size) if size else None


def _unsatisfiable(size: int) -> ProblemError:
    return ProblemError(
        416,
        f"the file has {size} bytes, and none of them is in the range",
        headers=(("Content-Range", f"bytes */{size}"),),
    )
