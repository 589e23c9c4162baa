"""What the gateway needs of the world, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from isola_lifecycle.archive import Kept, Segment
from isola_lifecycle.log import Condition
from isola_store.port import Draft, Logged, T

T_co = TypeVar("T_co", bound=Logged, covariant=True)


class View(Protocol[T_co]):
    """A copy of all objects of a kind, current but for the lag of a watch."""

    @property
    def synced(self) -> bool:
        """Return whether the copy has been complete once."""
        ...

    def get(self, name: str) -> T_co | None:
        """Return the object of that name, or None."""
        ...

    def list(self) -> Sequence[T_co]:
        """Return all objects."""
        ...

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Have `listener` called with the name of every object that came, changed or went.

        Returns:
            What ends that.
        """
        ...

    async def changed(self, name: str, timeout_seconds: float) -> None:
        """Return when the object of that name next changes, or the time is over."""
        ...


class Writer(Protocol[T_co]):
    """The part of `isola_store.port.Store` that the gateway uses; its errors hold here."""

    async def create(self, draft: Draft) -> T_co:
        """Create an object and return it."""
        ...

    async def read(self, name: str) -> T_co:
        """Return the object as it is now."""
        ...

    async def append(
        self, name: str, entries: Sequence[Condition], *, expected_version: int
    ) -> T_co:
        """Append sealed entries and return the object with them."""
        ...

    async def delete(self, name: str, *, uid: str) -> None:
        """Mark the object for deletion."""
        ...


class RecordReader(Protocol):
    """The part of `isola_store.records.RecordStore` that the gateway uses."""

    async def read(self, name: str, uid: str = "") -> Sequence[Segment]:
        """Return what is kept of all objects of a name, or of one of them."""
        ...

    async def list(self) -> Sequence[Kept]:
        """Return all segments there are, but not what is in them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(Generic[T]):
    """Where objects of one kind are read and written.

    Attributes:
        view: What reads are answered from.
        store: Where writes go.
        records: The archive.
    """

    view: View[T]
    store: Writer[T]
    records: RecordReader


class SidecarError(Exception):
    """A sidecar did not answer, or stopped in the middle. The message is for logs only."""


class UpgradeRefusedError(SidecarError):
    """A sidecar answered, but with no WebSocket."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where a sandbox's sidecar is, and how to know it.

    Attributes:
        address: IP address.
        certificate: SHA-256 of the one that it has to prove itself with, hexadecimal; empty for a
            sidecar of a release that spoke plain HTTP.
    """

    address: str
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to a sidecar.

    Attributes:
        method: HTTP method.
        path: Its path there, without a query.
        query: Parameters, not yet encoded; bytes of a path that are no UTF-8 as surrogates.
        headers: All that are sent, beside those of HTTP itself.
        body: What is sent; a stream is read as fast as the sidecar takes it, and once.
        answer_bytes: How long a JSON answer may be.
        may_be_empty: Whether there may be none (204).
        silence_seconds: How long the sidecar may say nothing once it has the request; None where
            somebody else watches the time.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | AsyncIterable[bytes] | None = None
    answer_bytes: int = 64 * 1024
    may_be_empty: bool = False
    silence_seconds: float | None = None


class Answer(Protocol):
    """A sidecar's answer, its headers read, its body not yet."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the HTTP headers, whose names compare without case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            SidecarError: It stopped before its end.
        """
        ...

    async def read(self, limit: int) -> bytes:
        """Return the body, or its first `limit` bytes.

        Raises:
            SidecarError: It stopped before that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Closing:
    """How a WebSocket is closed (RFC 6455, 7.4)."""

    code: int
    reason: str


class Socket(Protocol):
    """A WebSocket to a sidecar."""

    @property
    def closing(self) -> Closing:
        """Return how the sidecar closed it, once `messages` has ended."""
        ...

    def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what comes: text frames as `str`, binary ones as `bytes`.

        Raises:
            SidecarError: It broke off, or fell silent.
        """
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a frame as fast as the sidecar takes it.

        Raises:
            SidecarError: It does not.
        """
        ...


class SidecarTransport(Protocol):
    """HTTP to a sidecar, and to nobody who only has its address."""

    def open(self, sidecar: Sidecar, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Send `call` and hold its answer; leaving the context ends what is still under way.

        Raises:
            SidecarError: No answer came, or not from that sidecar.
        """
        ...

    def attach(self, sidecar: Sidecar, call: Call) -> AbstractAsyncContextManager[Socket]:
        """Open a WebSocket by `call`; leaving the context closes it.

        Raises:
            UpgradeRefusedError: The sidecar wants none. `open` the same call to hear why.
            SidecarError: No answer came, or not from that sidecar.
        """
        ...
