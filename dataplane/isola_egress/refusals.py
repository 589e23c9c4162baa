"""What was refused, for those who look for what to allow. It decides nothing, and dies with us.

The same thing refused again and again is one item with a count, so a program that tries for ever
does not push out what another one was refused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

# Of one sandbox; what was refused last stays.
MOST_ITEMS = 64


class Reason(StrEnum):
    """Why."""

    NAME_NOT_ALLOWED = "NameNotAllowed"
    PORT_NOT_ALLOWED = "PortNotAllowed"
    NAME_MISSING = "NameMissing"
    ADDRESS_BLOCKED = "AddressBlocked"
    NOT_UNDERSTOOD = "NotUnderstood"
    TOO_MANY_CONNECTIONS = "TooManyConnections"


class Protocol(StrEnum):
    """In which protocol it was asked for."""

    DNS = "dns"
    TLS = "tls"
    HTTP = "http"
    TCP = "tcp"


class RefusedError(Exception):
    """What a sandbox asked for is not done; the message says why, to its code as well.

    Attributes:
        reason: Why; None where it may be asked for in another way and is no refusal to be told.
        status: What it is answered with where it was asked by HTTP.
        name: Which name, as far as one could be read.
        address: At which address, where that is the reason.
    """

    def __init__(
        self,
        why: str,
        *,
        reason: Reason | None,
        status: HTTPStatus = HTTPStatus.FORBIDDEN,
        name: str = "",
        address: str = "",
    ) -> None:
        super().__init__(why)
        self.reason = reason
        self.status = status
        self.name = name
        self.address = address


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that a sandbox was not given.

    Attributes:
        reason: Why.
        protocol: How it asked.
        name: Which name, as far as one could be read; else empty.
        address: At which address, where that was the reason; else empty.
        port: On which port; 0 for a name that was only looked up.
    """

    reason: Reason
    protocol: Protocol
    name: str = ""
    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A refusal, as often as it came.

    Attributes:
        refusal: What.
        count: How often.
        first: When first.
        last: When last.
    """

    refusal: Refusal
    count: int
    first: datetime
    last: datetime


class Ledger:
    """The latest refusals of each sandbox.

    Args:
        clock: Tells the time, UTC.
        count: Called with each refusal.
    """

    def __init__(self, clock: Callable[[], datetime], count: Callable[[Refusal], None]) -> None:
        self._clock = clock
        self._count = count
        self._items: dict[str, OrderedDict[Refusal, Item]] = {}

    def record(self, uid: str, refusal: Refusal) -> None:
        """Take note of what the sandbox with that UID was refused."""
        self._count(refusal)
        now = self._clock()
        items = self._items.setdefault(uid, OrderedDict())
        known = items.pop(refusal, None)
        items[refusal] = Item(
            refusal, known.count + 1 if known else 1, known.first if known else now, now
        )
        if len(items) > MOST_ITEMS:
            items.popitem(last=False)

    def latest(self, uid: str) -> Sequence[Item]:
        """Return what that sandbox was refused, the latest first."""
        return tuple(reversed(self._items.get(uid, OrderedDict()).values()))

    def forget(self, uid: str) -> None:
        """Drop what is known of a sandbox that is gone."""
        self._items.pop(uid, None)
