"""A local copy of one kind in one namespace, kept current by list and watch.

Level-triggered: a listener learns a *name*, never what happened to it, and reads the copy. The
copy may lag behind the API server; whoever appends finds out by the expected version.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from isola_lifecycle import naming
from isola_lifecycle.errors import LifecycleError, NotFoundError
from isola_store.client import KubernetesClient, Requester, collection, error_of
from isola_store.kubernetes import decode_sandbox, decode_snapshot, path_of
from isola_store.port import Sandbox, Snapshot

# Ended and begun anew by the API server; bookmarks keep the position fresh in between.
WATCH_SECONDS = 300


# What decoding something damaged raises.
_INDIGESTIBLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Named(Protocol):
    """What a copy can hold."""

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        ...


T = TypeVar("T", bound=Named)


class Lister(Requester, Protocol):
    """The part of `KubernetesClient` that lists and watches."""

    def watch(
        self, path: str, query: Mapping[str, str], *, timeout_seconds: int
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield watch events."""
        ...


class Reflector(Generic[T]):
    """A copy of the objects below `path`.

    Args:
        client: Where from.
        path: The collection.
        decode: Makes a value of an object.
        query: Selectors.
        lenient: Whether an object that cannot be decoded is passed over, as if it were not there.
            For logs: a damaged one must not keep the others from being looked after. Elsewhere the
            absence of an object may mean more than it says.
    """

    def __init__(
        self,
        client: Lister,
        path: str,
        decode: Callable[[Mapping[str, Any]], T],
        *,
        query: Mapping[str, str] | None = None,
        lenient: bool = False,
    ) -> None:
        self._client = client
        self._path = path
        self._decode = decode
        self._query = dict(query or {})
        self._passed_over = _INDIGESTIBLE if lenient else ()
        self._unreadable: set[str] = set()
        self._items: dict[str, T] = {}
        self._version = ""  # where the watch goes on; empty: list first
        self._listeners: list[Callable[[str], None]] = []
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Return whether the first list has arrived."""
        return self._synced.is_set()

    @property
    def unreadable(self) -> int:
        """Return how many objects are there that cannot be decoded."""
        return len(self._unreadable)

    async def wait_synced(self) -> None:
        """Return once the first list has arrived."""
        await self._synced.wait()

    def get(self, name: str) -> T | None:
        """Return the value of that name, or None."""
        return self._items.get(name)

    def list(self) -> Sequence[T]:
        """Return all values."""
        return tuple(self._items.values())

    async def fresh(self) -> Sequence[T]:
        """Return all values as they are now, past the copy; that is left as it is.

        Raises:
            LifecycleError: What the API server has against it.
        """
        items, _ = await collection(self._client, self._path, self._query)
        return tuple(value for value in map(self._value, items) if value is not None)

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Have `listener` called with the name of every object that came, changed or went.

        Returns:
            What ends that.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def changed(self, name: str, timeout_seconds: float) -> None:
        """Return when the object of that name next comes, changes or goes, or the time is over."""
        event = asyncio.Event()
        waiters = self._waiters.setdefault(name, set())
        waiters.add(event)
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(name, None)

    async def run(self) -> None:
        """Keep the copy current until cancelled."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(LifecycleError),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            after=self._log_trouble,
        ):
            with attempt:
                while True:
                    await self._list_or_watch()
                    # That was no failure: the next one starts its back-off anew.
                    attempt.retry_state.attempt_number = 1

    async def _list_or_watch(self) -> None:
        if not self._version:
            self._version = await self._list()
            return
        try:
            await self._watch()
        except NotFoundError:
            self._version = ""  # too old to be watched from: list again

    async def _list(self) -> str:
        items, version = await collection(self._client, self._path, self._query)
        self._unreadable.clear()
        found = {value.name: value for value in map(self._value, items) if value is not None}
        names = found.keys() | self._items.keys()
        self._items = found
        self._synced.set()
        for name in names:
            self._announce(name)
        return version

    async def _watch(self) -> None:
        query = {**self._query, "resourceVersion": self._version, "allowWatchBookmarks": "true"}
        async for event in self._client.watch(self._path, query, timeout_seconds=WATCH_SECONDS):
            item = event["object"]
            if event["type"] == "ERROR":
                raise error_of(item.get("code", 0), json.dumps(item).encode(), None)
            self._version = item["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._take(event["type"], item)

    def _take(self, kind: str, item: Mapping[str, Any]) -> None:
        name = item["metadata"]["name"]
        self._unreadable.discard(name)
        value = None if kind == "DELETED" else self._value(item)
        if value is None:
            self._items.pop(name, None)
        else:
            self._items[name] = value
        self._announce(name)

    def _value(self, item: Mapping[str, Any]) -> T | None:
        try:
            return self._decode(item)
        except self._passed_over as error:
            name = item["metadata"]["name"]
            self._unreadable.add(name)
            log = structlog.get_logger().bind(path=self._path, name=name)
            log.error("object_unreadable", error=repr(error))  # noqa: TRY400 - the object is at fault
            return None

    def _announce(self, name: str) -> None:
        for listener in tuple(self._listeners):
            listener(name)
        for event in self._waiters.get(name, ()):
            event.set()

    def _log_trouble(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        structlog.get_logger().warning("list_and_watch_failed", path=self._path, error=str(error))


def sandbox_reflector(client: KubernetesClient, namespace: str) -> Reflector[Sandbox]:
    """Return a copy of all sandboxes of a namespace; `run` keeps it current."""
    return Reflector(client, path_of(naming.SANDBOX, namespace), decode_sandbox, lenient=True)


def snapshot_reflector(client: KubernetesClient, namespace: str) -> Reflector[Snapshot]:
    """Return a copy of all snapshots of a namespace; `run` keeps it current."""
    path = path_of(naming.ROOTFS_SNAPSHOT, namespace)
    return Reflector(client, path, decode_snapshot, lenient=True)
