"""The chain of digests that a history's entries form, and what breaks it.

The digest of an entry is, in lower-case hex,

    SHA-256( the digest before it, or the object's UID before the first
             + LF + the entry without its digest, as JSON with sorted keys, no spaces, UTF-8 )

so an entry that was edited, put in, taken out or moved shows, and so does another object's
history. What was cut off at the end does not, and neither does a chain that was written anew: for
that, note a number and its digest elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from isola_sdk.errors import TamperedHistoryError


def digest(entry: Mapping[str, Any], previous: str) -> str:
    """Return the digest of an entry, as it came, that follows the digest `previous`."""
    content = {key: value for key, value in entry.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(f"{previous}\n{text}".encode(errors="surrogatepass")).hexdigest()


class Chain:
    """A history up to some entry, all of it verified."""

    def __init__(self, uid: str) -> None:
        """Begin before the first entry of the object with this UID."""
        self._last = uid
        self._sequence = 0

    def follow(self, entry: Mapping[str, Any]) -> None:
        """Take one more entry, as it came.

        Raises:
            TamperedHistoryError: It does not follow.
        """
        number, stored = entry.get("sequence"), entry.get("digest")
        expected = self._sequence + 1
        if number != expected:
            message = f"entry {expected} is missing: what follows is {number}"
            raise TamperedHistoryError(message, sequence=expected)
        if stored != digest(entry, self._last):
            message = f"entry {expected} does not match its digest: it, or what was before, changed"
            raise TamperedHistoryError(message, sequence=expected)
        self._last, self._sequence = str(stored), expected
