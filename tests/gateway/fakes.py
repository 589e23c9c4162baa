"""The gateway's ports, without a cluster and without a sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic

from quart import Quart

from isola_gateway.admission import Admission
from isola_gateway.app import create_app
from isola_gateway.egress import Replicas, nowhere
from isola_gateway.ports import (
    Access,
    Answer,
    Call,
    Sidecar,
    SidecarError,
    SidecarTransport,
    Socket,
    UpgradeRefusedError,
)
from isola_lifecycle.archive import Moved
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.fold import extend
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_store.memory import MemorySandboxes, MemorySnapshots, MemoryStore
from isola_store.port import Draft, Sandbox, Snapshot, T
from isola_store.records import MemoryRecords

START = datetime(2026, 11, 24, 1, 40, tzinfo=UTC)
ADDRESS = "10.244.1.7"

# `quart.typing.TestClientProtocol` leaves half of it untyped.
Client = Any


class Clock:
    """A second later each time it is read."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class MemoryView(Generic[T]):
    """A copy that follows at once, or not at all while it `lags`."""

    def __init__(self) -> None:
        self.synced = True
        self.lags = False
        self._copy: dict[str, T] = {}
        self._changes = asyncio.Event()
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def get(self, name: str) -> T | None:
        return self._copy.get(name)

    def list(self) -> Sequence[T]:
        return tuple(self._copy.values())

    async def changed(self, name: str, timeout_seconds: float) -> None:
        assert name
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changes.wait()
        except TimeoutError:
            return

    def take(self, item: T) -> None:
        if self.lags:
            return
        if item.deleting and not item.finalizers:
            self._copy.pop(item.name, None)
        else:
            self._copy[item.name] = item
        for listener in tuple(self._listeners):
            listener(item.name)
        self._changes.set()
        self._changes = asyncio.Event()


class Watched(MemoryStore[T]):
    """A store whose changes a view follows, and that fails where it is told to."""

    view: MemoryView[T]
    failures: list[Exception]
    writes: list[str]

    def watched_by(self, view: MemoryView[T]) -> None:
        self.view = view
        self.failures = []
        self.writes = []

    async def create(self, draft: Draft) -> T:
        self._fail()
        return await super().create(draft)

    async def read(self, name: str) -> T:
        self._fail()
        return await super().read(name)

    async def append(
        self, name: str, entries: Any, *, expected_version: int, moved: Moved | None = None
    ) -> T:
        self.writes.append("append")
        return await super().append(name, entries, expected_version=expected_version, moved=moved)

    async def delete(self, name: str, *, uid: str) -> None:
        self.writes.append("delete")
        await super().delete(name, uid=uid)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def _keep(self, item: T) -> T:
        kept = super()._keep(item)
        self.view.take(kept)
        return kept


class WatchedSandboxes(Watched[Sandbox], MemorySandboxes):
    """The sandboxes of a world."""

    def __init__(self, view: MemoryView[Sandbox], clock: Clock) -> None:
        MemorySandboxes.__init__(self, clock)
        self.watched_by(view)


class WatchedSnapshots(Watched[Snapshot], MemorySnapshots):
    """The snapshots of a world."""

    def __init__(self, view: MemoryView[Snapshot], clock: Clock) -> None:
        MemorySnapshots.__init__(self, clock)
        self.watched_by(view)


@dataclass
class Scripted:
    """An answer that a sandbox's sidecar will give.

    Attributes:
        status: HTTP status.
        parts: Its body, as it comes.
        headers: HTTP headers.
        breaks: Whether it breaks off after the last part.
        hangs: Whether nothing, not even the end, comes after the last part.
    """

    status: int = 200
    parts: Sequence[bytes] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    breaks: bool = False
    hangs: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self.breaks:
            raise SidecarError("broke off")
        if self.hangs:
            await asyncio.Event().wait()

    async def read(self, limit: int) -> bytes:
        return b"".join([part async for part in self.chunks()])[:limit]


@dataclass
class Received:
    """A call that a sidecar got."""

    address: str
    call: Call
    body: bytes


class FakeSidecars:
    """A `SidecarTransport` whose sidecars say what the test wants."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Scripted = Scripted()
        self.unreachable = False
        self.open_answers = 0

    def says(self, status: int = 200, body: object = None, **more: Any) -> None:
        parts = () if body is None else (json.dumps(body).encode(),)
        self.answer = Scripted(status, more.pop("parts", parts), **more)

    @asynccontextmanager
    async def open(self, sidecar: Sidecar, call: Call) -> AsyncGenerator[Answer]:
        body = call.body or b""
        if not isinstance(body, bytes):
            body = await _gathered(body)
        self.received.append(Received(sidecar.address, call, body))
        if self.unreachable:
            raise SidecarError("connection refused")
        self.open_answers += 1
        try:
            yield self.answer
        finally:
            self.open_answers -= 1

    @asynccontextmanager
    async def attach(self, sidecar: Sidecar, call: Call) -> AsyncGenerator[Socket]:
        """Open no WebSocket: those are tried with a real sidecar (`test_terminals`)."""
        raise UpgradeRefusedError(f"{sidecar.address}: {call.path}")
        yield


async def _gathered(parts: Any) -> bytes:
    try:
        return b"".join([part async for part in parts])
    except Exception as error:
        # What an HTTP client makes of a body that fails on its way.
        raise SidecarError("the body broke off") from error


@dataclass
class SnapshotWorld:
    """The snapshots that a gateway can reach."""

    clock: Clock
    view: MemoryView[Snapshot]
    store: WatchedSnapshots
    archive: MemoryRecords = field(default_factory=MemoryRecords)

    async def records(self, name: str, *facts: Fact) -> Snapshot:
        item = await self.store.read(name)
        entries = SNAPSHOT.extend(item.log, facts, at=self.clock(), generation=1)
        return await MemorySnapshots.append(
            self.store, name, entries, expected_version=item.log.version
        )

    async def exists(self, name: str, *facts: Fact, **spec: Any) -> Snapshot:
        await self.store.create(Draft(name=name, spec={"sandboxName": "box", **spec}))
        return await self.records(name, *facts)


@dataclass
class World:
    """A gateway and all that it can reach."""

    clock: Clock
    view: MemoryView[Sandbox]
    store: WatchedSandboxes
    sidecars: FakeSidecars
    snapshots: SnapshotWorld
    archive: MemoryRecords = field(default_factory=MemoryRecords)

    def app(  # noqa: PLR0913 - as `create_app`
        self,
        sidecars: SidecarTransport | None = None,
        *,
        egress: Replicas | None = None,
        patience: timedelta = timedelta(0),
        enforcement_seconds: float = 60,
        with_ui: bool = True,
        admission: Admission | None = None,
        stopping: asyncio.Event | None = None,
    ) -> Quart:
        return create_app(
            sandboxes=Access(view=self.view, store=self.store, records=self.archive),
            snapshots=Access(
                view=self.snapshots.view,
                store=self.snapshots.store,
                records=self.snapshots.archive,
            ),
            sidecars=sidecars or self.sidecars,
            egress=egress or Replicas(NO_SESSION, nowhere),
            clock=self.clock,
            patience=patience,
            enforcement_seconds=enforcement_seconds,
            with_ui=with_ui,
            admission=admission,
            stopping=stopping,
        )

    async def records(self, name: str, *facts: Fact) -> Sandbox:
        sandbox = await self.store.read(name)
        entries = extend(sandbox.log, facts, at=self.clock(), generation=1)
        return await MemorySandboxes.append(
            self.store, name, entries, expected_version=sandbox.log.version
        )

    async def exists(self, name: str = "box", *facts: Fact, **spec: Any) -> Sandbox:
        await self.store.create(Draft(name=name, spec={**TEMPLATE, **spec}))
        return await self.records(name, *facts)

    async def runs(
        self, name: str = "box", address: str = ADDRESS, certificate: str = ""
    ) -> Sandbox:
        return await self.exists(name, *started(address, certificate))


# Nobody is asked where there is no replica.
NO_SESSION: Any = None

TEMPLATE = {"podTemplate": {"spec": {"containers": [{"name": "sandbox0", "image": "busybox"}]}}}


def world() -> World:
    clock, view = Clock(), MemoryView[Sandbox]()
    return World(clock, view, WatchedSandboxes(view, clock), FakeSidecars(), snapshots(clock))


def snapshots(clock: Clock) -> SnapshotWorld:
    view = MemoryView[Snapshot]()
    return SnapshotWorld(clock, view, WatchedSnapshots(view, clock))


def fact(
    about: str, reason: str, message: str = "as it was seen", *, holds: bool = True, **data: str
) -> Fact:
    return Fact(
        type=about,
        status=Status.of(holds),
        reason=reason,
        message=message,
        actor="operator",
        data=data,
    )


def started(address: str = ADDRESS, certificate: str = "") -> tuple[Fact, ...]:
    pod: dict[str, Any] = {"pod": "box-pod", "podUID": "u-1"}
    if certificate:
        pod["sidecarCertificate"] = certificate
    return (
        fact("Accepted", "SpecValid"),
        fact("PodCreated", "PodCreated", **pod),
        fact("Scheduled", "NodeAssigned", node="worker-1"),
        fact("Started", "ContainersStarted"),
        fact("Ready", "PodReady", "The sandbox accepts commands", podIP=address),
    )


def source() -> Fact:
    """The entry with which a snapshot of a running sandbox is taken on."""
    return fact(
        "Accepted",
        "SpecValid",
        snapshotName="box",
        sandboxUID="u-1",
        node="worker-1",
        container="sandbox0",
        containerID="abc",
        image="busybox",
        imageID="busybox@sha256:1",
    )


def captured() -> tuple[Fact, ...]:
    return (
        source(),
        fact("Capturing", "JobCreated", jobUID="j-1"),
        fact("Captured", "ArchiveWritten", bytes="10240", sha256="ab" * 32, seconds="0.5"),
    )


def stored(key: str = "rootfssnapshots/boxes/box.tar") -> tuple[Fact, ...]:
    return (
        *captured(),
        fact(
            "Stored",
            "ObjectWritten",
            key=key,
            storedBytes="512",
            storedSHA256="cd" * 32,
            compression="zstd",
            etag="e",
        ),
        fact("Succeeded", "SnapshotStored", "The snapshot can be restored"),
    )
