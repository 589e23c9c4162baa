"""What is seen of every object with a log, whatever it is.

Time is a field here. No decision has another clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from isola_lifecycle.archive import Moved


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's no to the creation of something.

    Attributes:
        final: Whether it would say no again (`Invalid`), unlike a quota that may be freed.
        message: What it said.
    """

    final: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The part of an observation that every object has.

    Attributes:
        now: The instant, UTC.
        deleting: Whether the object carries a deletion timestamp.
        finalizer: Whether it carries our finalizer.
        caller: Who asked for the object, as far as known, or empty.
        request_id: The request that created it, or empty.
        traceparent: Its trace context (W3C Trace Context), or empty.
        refusal: The answer to an attempt to create something just now, or None.
        moved: Oldest entries of the log that the archive was just made sure to have, or None.
        recorded: Whether the archive was just made sure to have the whole log.
        archive_refusal: Why the archive would not take something just now, or empty.
        warned: Whether those who run the cluster were just told of an archive given up.
    """

    now: datetime
    deleting: bool = False
    finalizer: bool = True
    caller: str = ""
    request_id: str = ""
    traceparent: str = ""
    refusal: Refusal | None = None
    moved: Moved | None = None
    recorded: bool = False
    archive_refusal: str = ""
    warned: bool = False
