"""A command's output: where a stream goes on, and whether it is over.

The sandbox keeps the output, and whoever asks says from which byte on. So a connection may break
anywhere: the next one begins where this one ended, and no byte comes twice or not at all.

When is it over? An answer that ends well does not prove it: a proxy may have ended it. It is over
when an answer *from the very end* brought nothing more, after the command was known to have ended.
"""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass


@dataclass(slots=True)
class Position:
    """How far a stream was read.

    Attributes:
        offset: Bytes that were delivered, counted from the output's beginning.
    """

    offset: int = 0
    _gained: int = 0
    _ended_before: bool = False
    _came_whole: bool = False

    def asked(self, *, ended: bool) -> str:
        """Return the `Last-Event-ID` of the next attempt.

        Args:
            ended: Whether the command is known to have ended before this attempt begins.
        """
        self._gained, self._came_whole = 0, False
        self._ended_before = ended
        return str(self.offset)

    def took(self, piece: bytes) -> bytes:
        """Note that `piece` came, and return it."""
        self.offset += len(piece)
        self._gained += len(piece)
        return piece

    def came_whole(self) -> None:
        """Note that the answer ended as answers do, and did not break off."""
        self._came_whole = True

    @property
    def gained(self) -> bool:
        """Whether this attempt brought anything."""
        return self._gained > 0

    @property
    def is_over(self) -> bool:
        """Whether the latest attempt was the last that is needed."""
        return self._came_whole and self._ended_before and not self._gained


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    # The built-in "replace" stands one U+FFFD for a whole truncated sequence.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("isola-sdk-each-byte", _each_byte)


class TextDecoder:
    r"""Makes text of consecutive pieces, as `open(..., "r")` does.

    UTF-8, with one U+FFFD for each byte that is none; `\r\n` and `\r` become `\n`.
    """

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("isola-sdk-each-byte")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def feed(self, piece: bytes, *, last: bool = False) -> str:
        """Return the text that can be decided after one more piece."""
        return self._decoder.decode(piece, final=last)  # pyright: ignore[reportArgumentType] - typeshed wants text
