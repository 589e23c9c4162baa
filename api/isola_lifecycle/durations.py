"""Spans of time as specifications and entries write them: whole seconds."""

from __future__ import annotations

from datetime import timedelta

# The resource accepts any 64-bit number; a calendar ends in the year 9999. Nobody will notice.
LONGEST_SECONDS = 1000 * 365 * 24 * 60 * 60


def span(seconds: int) -> timedelta:
    """Return so many seconds, at most a thousand years, so that no date added to it overflows."""
    return timedelta(seconds=min(seconds, LONGEST_SECONDS))
