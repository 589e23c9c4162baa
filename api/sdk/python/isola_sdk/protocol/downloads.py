"""A download that goes on where it broke off, as long as the file is still the same one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from isola_sdk.protocol.messages import Answer

PARTIAL = 206
BEYOND = 416

_SIZE = re.compile(r"bytes (?:[0-9]+-[0-9]+|\*)/([0-9]+)")


class ChangedError(Exception):
    """The file is another one now: what came so far is worth nothing."""


@dataclass(slots=True)
class PartialFile:
    """How far a file was read.

    Attributes:
        offset: Bytes that were delivered.
        size: Of the whole file in bytes, once that is known.
    """

    offset: int = 0
    size: int | None = None
    _tag: str = ""
    _told: bool = False

    def headers(self) -> dict[str, str]:
        """Return what the next attempt asks for.

        The first one asks for a part as well, all of it: only then is its length told, without
        which a connection that is cut looks like the end.
        """
        asked = {"Range": f"bytes={self.offset}-"}
        return asked | ({"If-Range": self._tag} if self.offset else {})

    def begins(self, answer: Answer) -> None:
        """Take note of what the next bytes are.

        Raises:
            ChangedError: They are another file's.
        """
        tag = answer.headers.get("etag", "")
        found = _SIZE.fullmatch(answer.headers.get("content-range", ""))
        if self.offset and (answer.status != PARTIAL or tag != self._tag):
            raise ChangedError
        self._tag = tag
        self.size = int(found[1]) if found and answer.status == PARTIAL else None

    def is_past_end(self, answer: Answer) -> bool:
        """Whether the gateway says that nothing follows: an empty file, or one that was read."""
        found = _SIZE.fullmatch(answer.headers.get("content-range", ""))
        return answer.status == BEYOND and found is not None and int(found[1]) == self.offset

    def took(self, piece: bytes) -> bytes:
        """Note that `piece` came, and return it."""
        self.offset += len(piece)
        return piece

    @property
    def is_whole(self) -> bool:
        """Whether an answer that just ended well was all of the file."""
        return self.size is None or self.offset >= self.size
