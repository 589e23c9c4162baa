"""What clients would like but do not insist on (RFC 7240).

A preference is no demand: one that is unknown, malformed or given twice is passed over, never
refused.
"""

from __future__ import annotations

import re

HEADER = "Prefer"
APPLIED = "Preference-Applied"

# The first `wait` at the top of the list; a quoted text may hold commas that separate nothing.
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?', re.IGNORECASE)


def wait_seconds(preferences: str, longest: int) -> int | None:
    """Return how long a client would wait for an answer, at most `longest`; None for no wish."""
    for item in _ITEM.findall(preferences):
        if found := _WAIT.fullmatch(item):
            return min(int(found[1]), longest)
    return None
