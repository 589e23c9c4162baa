r"""Output bytes as server-sent events: pure, it sees neither files nor sockets.

The contract's rules (rest-api section 4.3): text is UTF-8 with one U+FFFD for each offending
byte; `\n`, `\r\n` and `\r` all end a `data:` line; `id` is the count of raw output bytes that
are delivered once the event is processed. What cannot be decided yet is withheld and not
counted: an incomplete UTF-8 sequence at the tail, and a `\r` that may be half of `\r\n`.
"""

from __future__ import annotations

import codecs
from typing import Final

NO_CACHE: Final = ("Cache-Control", "no-cache, private")
HEADERS: Final = (NO_CACHE, ("X-Accel-Buffering", "no"))
"""Of every answer that is read while it is written, besides its type."""

KEEPALIVE: Final = b": keepalive\n\n"

_EACH_BYTE: Final = "isola-each-byte"


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    # The built-in "replace" stands one U+FFFD for a whole truncated sequence.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_EACH_BYTE, _replace_each_byte)


class EventEncoder:
    """Turns consecutive pieces of output, from `offset` on, into events."""

    def __init__(self, offset: int) -> None:
        self._delivered = offset
        self._withheld = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the event for what can be decided after one more piece; empty if nothing can."""
        pending = self._withheld + piece
        text, consumed = codecs.utf_8_decode(pending, _EACH_BYTE, False)  # noqa: FBT003
        if consumed == len(pending) and text.endswith("\r"):
            text, consumed = text[:-1], consumed - 1
        return self._event(text, pending, consumed)

    def finish(self) -> bytes:
        """Return the event for what was withheld, now that nothing follows."""
        text, consumed = codecs.utf_8_decode(self._withheld, _EACH_BYTE, True)  # noqa: FBT003
        return self._event(text, self._withheld, consumed)

    def _event(self, text: str, pending: bytes, consumed: int) -> bytes:
        self._withheld = pending[consumed:]
        self._delivered += consumed
        if not text:
            return b""
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        data = "".join(f"data: {line}\n" for line in lines)
        return f"{data}id: {self._delivered}\n\n".encode()
