"""Following logs as they grow: each entry once, in the order of its log, through any interruption.

The log is the cursor. What was told last of each object is its number; whatever a watch missed
while it was away is read from the object, or from the archive where the object has let go of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from isola_kubectl.errors import KubectlError, UnknownError
from isola_kubectl.kinds import Kind
from isola_kubectl.kubectl import Object
from isola_kubectl.lives import Life, deleted, living
from isola_lifecycle.chain import Item

# How long to wait before the next attempt after the first, and at most.
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0


class Source(Protocol):
    """Where logs are followed."""

    @property
    def kind(self) -> Kind:
        """Return of which kind they are."""
        ...

    def listing(self, name: str = "") -> tuple[list[Object], str]:
        """Return the objects, or those of one name, and the version from which to watch them."""
        ...

    def watch(self, version: str, name: str = "") -> Iterator[Object]:
        """Yield watch events after `version` until the watch ends."""
        ...

    def records(self, **labels: str) -> list[Object]:
        """Return the records with these labels."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """One entry, and whose."""

    name: str
    uid: str
    item: Item


@dataclass
class Follower:
    """Somebody who follows.

    Attributes:
        source: Where.
        name: Which one, told from its beginning to its end; empty for all there are, from now on
            and without end.
        pause: Waits so many seconds before the next attempt.
        warn: Told where it begins, and when the connection breaks.
    """

    source: Source
    pause: Callable[[float], None]
    warn: Callable[[str], None]
    name: str = ""
    _seen: dict[str, int] = field(default_factory=dict[str, int])
    _begun: bool = False
    _over: bool = False

    def entries(self) -> Iterator[Told]:
        """Yield entries as they come.

        Raises:
            UnknownError: Nothing is known of that name.
            KubectlError: There is no way to the cluster at all.
        """
        delay = RETRY_SECONDS
        while not self._over:
            try:
                for told in self._session():
                    delay = RETRY_SECONDS
                    yield told
            except KubectlError as error:
                if not self._begun:
                    raise
                self.warn(f"{error}; trying again in {delay:g} s")
            if not self._over:
                self.pause(delay)
                delay = min(delay * 2, LONGEST_RETRY_SECONDS)

    def _session(self) -> Iterator[Told]:
        """Catch up with what is there, then follow until the connection ends."""
        objects, version = self.source.listing(self.name)
        present = {item["metadata"]["uid"] for item in objects}
        if not self._begun:
            yield from self._first(objects)
            self._begun = True
        for uid in [uid for uid in self._seen if uid not in present]:
            yield from self._last(uid)
        for item in [] if self._over else objects:
            yield from self._news(item)
        for event in () if self._over else self.source.watch(version, self.name):
            if event["type"] not in {"ADDED", "MODIFIED", "DELETED"}:
                return  # the version is too old, or a bookmark nobody asked for: list again
            yield from self._news(event["object"])
            if event["type"] == "DELETED":
                self._leave(event["object"]["metadata"]["uid"])
            if self._over:
                return

    def _first(self, objects: list[Object]) -> Iterator[Told]:
        kind = self.source.kind
        if not self.name:
            for item in objects:
                self._know(living(kind, item))
            self.warn(
                f"{len(objects)} {kind.resource.plural} are there; what happens to any from now on:"
            )
        elif not objects:
            lives = deleted(kind, self.source.records(name=self.name))
            if not lives:
                raise UnknownError(f"there is no {kind.noun} {self.name}, and no record of one")
            yield from self._after(lives[-1], 0)
            self._over = True

    def _know(self, life: Life) -> None:
        newest: Any = life.items[-1].get("sequence") if life.items else 0
        self._seen[life.uid] = newest

    def _news(self, item: Object) -> Iterator[Told]:
        life = living(self.source.kind, item)
        seen = self._seen.setdefault(life.uid, 0)
        if life.archived > seen:
            life = living(self.source.kind, item, self.source.records(uid=life.uid))
        yield from self._after(life, seen)

    def _last(self, uid: str) -> Iterator[Told]:
        """Yield the end of a story that went to the archive while nobody looked."""
        seen = self._seen[uid]
        for life in deleted(self.source.kind, self.source.records(uid=uid)):
            yield from self._after(life, seen)
        self._leave(uid)

    def _after(self, life: Life, seen: int) -> Iterator[Told]:
        for item in life.items:
            if item["sequence"] > seen:
                # Noted first: whoever stops listening here has been told.
                self._seen[life.uid] = item["sequence"]
                yield Told(life.name, life.uid, item)

    def _leave(self, uid: str) -> None:
        self._seen.pop(uid, None)
        self._over = bool(self.name)
