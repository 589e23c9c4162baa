"""Whose connection is it, and what may it reach: the address of a pod leads to a sandbox's grant.

Rules of this file
    - Nothing is decided here, and nothing kept that is not in the API server: it is an index of
      two local copies, of the sandboxes and of their pods.
    - One address, one sandbox: two pods that claim it have none until one is gone. A pod that is
      being removed, or has ended, has none either: its address may be somebody else's already.
    - A sandbox and its pod belong together by UID, not by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isola_lifecycle.domains import Domain, named, permitted

Json = Mapping[str, Any]

_ENDED = {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sandbox may reach by name.

    Attributes:
        name: The sandbox's.
        uid: Likewise.
        version: Number of the newest entry of its log that this grant comes from.
        domains: What is allowed; none for a sandbox that may reach nothing by name.
        ipv6: Whether servers may be reached by IPv6.
    """

    name: str
    uid: str
    version: int = 0
    domains: tuple[Domain, ...] = ()
    ipv6: bool = False

    def names(self, name: str) -> bool:
        """Return whether `name` may be reached, on whatever port."""
        return named(self.domains, name)

    def permits(self, name: str, port: int) -> bool:
        """Return whether `name` may be reached on `port`."""
        return permitted(self.domains, name, port)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sandbox's pod is.

    Attributes:
        name: The pod's.
        owner_uid: UID of the Sandbox that it belongs to, or empty.
        addresses: All addresses of the pod; none where it no longer counts.
    """

    name: str
    owner_uid: str
    addresses: tuple[str, ...] = ()


def decode_place(item: Json) -> Place:
    """Return where the pod is that a Kubernetes object stands for."""
    metadata, status = item["metadata"], item.get("status", {})
    owners = metadata.get("ownerReferences", ())
    owner = next((o["uid"] for o in owners if o.get("controller")), "")
    gone = "deletionTimestamp" in metadata or status.get("phase") in _ENDED
    addresses = () if gone else tuple(each["ip"] for each in status.get("podIPs", ()))
    return Place(metadata["name"], owner, addresses)


class Directory:
    """An index of grants by address."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}  # by sandbox's name
        self._by_uid: dict[str, Grant] = {}
        self._places: dict[str, Place] = {}  # by pod's name
        self._claims: dict[str, set[str]] = {}  # address: names of pods
        self._listeners: list[Callable[[str], None]] = []
        self._moved = asyncio.Event()

    def find(self, address: str) -> Grant | None:
        """Return the grant of the sandbox at `address`, or None while it is not known whose it is.

        The grant may be one that allows nothing.
        """
        claims = self._claims.get(address, ())
        if len(claims) != 1:
            return None
        (pod,) = claims
        return self._by_uid.get(self._places[pod].owner_uid)

    async def wait(self, address: str, seconds: float) -> Grant | None:
        """Return as `find` does, waiting up to `seconds` for it to be known.

        A sandbox's first packet may be here before the news of its address.
        """
        try:
            async with asyncio.timeout(seconds):
                while not (grant := self.find(address)):
                    await self.moved()
        except TimeoutError:
            return None
        return grant

    def version(self, uid: str) -> int:
        """Return how far the log of the sandbox with that UID is known, 0 for not at all."""
        grant = self._by_uid.get(uid)
        return grant.version if grant else 0

    async def moved(self) -> None:
        """Return when something has changed."""
        await self._moved.wait()

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the UID of each sandbox whose grant or place may be new."""
        self._listeners.append(listener)

    def put_grant(self, name: str, grant: Grant | None) -> None:
        """Take note of a sandbox as it is now, or of its absence."""
        before = self._grants.pop(name, None)
        if before:
            self._by_uid.pop(before.uid, None)
        if grant:
            self._grants[name] = self._by_uid[grant.uid] = grant
        self._announce({each.uid for each in (before, grant) if each})

    def put_place(self, pod: str, place: Place | None) -> None:
        """Take note of where a pod is now, or of its absence."""
        before = self._places.pop(pod, None)
        for address in before.addresses if before else ():
            self._claims[address].discard(pod)
            if not self._claims[address]:
                del self._claims[address]
        if place:
            self._places[pod] = place
            for address in place.addresses:
                self._claims.setdefault(address, set()).add(pod)
        self._announce({each.owner_uid for each in (before, place) if each})

    def _announce(self, uids: set[str]) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
        for uid in uids:
            for listener in self._listeners:
                listener(uid)
