"""One sandbox."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from datetime import datetime
from time import monotonic

from isola_sdk.errors import IsolaTimeoutError, NotFoundError
from isola_sdk.models import ContainerInfo, Network, NetworkRefusals, SandboxData, SandboxStatus
from isola_sdk.protocol import sandboxes as asked
from isola_sdk.protocol.histories import SANDBOXES, History, HistoryEntry
from isola_sdk.sync.api import Api
from isola_sdk.sync.commands import Commands
from isola_sdk.sync.filesystem import Filesystem
from isola_sdk.sync.histories import follow_history, read_history


class Sandbox:
    """A sandbox, as it was when it was last asked for; `refresh` asks again.

    As a context manager it is deleted at the end.

    Attributes:
        commands: Its commands.
        filesystem: Its files.
    """

    def __init__(self, api: Api, data: SandboxData) -> None:
        self._api = api
        self._data = data
        self.commands: Commands = Commands(api, data.id)
        self.filesystem: Filesystem = Filesystem(api, data.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status.value}>"

    @property
    def id(self) -> str:
        """Its id."""
        return self._data.id

    @property
    def status(self) -> SandboxStatus:
        """What its log amounts to in one word."""
        return self._data.status

    @property
    def reason(self) -> str | None:
        """Why the status is what it is, in one word."""
        return self._data.reason

    @property
    def message(self) -> str | None:
        """Why, for people."""
        return self._data.message

    @property
    def exit_code(self) -> int | None:
        """Of a sandbox that ended by itself."""
        return self._data.exit_code

    @property
    def creation_timestamp(self) -> datetime:
        """When it was created."""
        return self._data.creation_timestamp

    @property
    def expires_at(self) -> datetime | None:
        """When its lifetime is over; None while it has not begun, or has no end."""
        return self._data.expires_at

    @property
    def network(self) -> Network | None:
        """What it may reach."""
        return self._data.network

    @property
    def timeout_seconds(self) -> int | None:
        """Its lifetime, as it was last set; None: no limit."""
        return self._data.timeout_seconds

    @property
    def startup_timeout_seconds(self) -> int:
        """How long it may take to start."""
        return self._data.startup_timeout_seconds

    @property
    def containers(self) -> list[ContainerInfo]:
        """What it runs."""
        return self._data.pod_template.containers

    @property
    def labels(self) -> dict[str, str]:
        """What it was created with."""
        return self._data.labels or {}

    @property
    def node(self) -> str | None:
        """The node it was assigned to."""
        return self._data.node

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(NotFoundError):
            self.delete()

    def refresh(self) -> Sandbox:
        """Bring all of the above up to date, and return the sandbox itself."""
        self._data, _ = self._api.ask(asked.get(self.id), SandboxData)
        return self

    def wait(self, *, max_wait_seconds: float = 120) -> Sandbox:
        """Wait until it runs, and return the sandbox itself.

        Raises:
            SandboxFailedError: It will never run; says why.
            IsolaTimeoutError: It does not run yet.
        """
        until = monotonic() + max_wait_seconds
        data, request_id = self._api.ask(
            asked.get(self.id, wait_seconds=max_wait_seconds), SandboxData
        )
        self._data = until_up(self._api, data, until, request_id)
        return self

    def delete(self) -> None:
        """End it; once it has ended, nothing happens. It is gone when `follow` is over."""
        self._api.send(asked.delete(self.id))

    def set_timeout(self, timeout_seconds: int) -> None:
        """Give it another lifetime, counted from its acceptance; it must end in the future."""
        request = asked.change(self.id, timeout_seconds=timeout_seconds)
        self._data, _ = self._api.ask(request, SandboxData)

    def set_network(self, network: Network) -> None:
        """Let it reach this and nothing else, for new connections; in force on return."""
        request = asked.change(self.id, network=network)
        self._data, _ = self._api.ask(request, SandboxData)

    def network_refusals(self) -> NetworkRefusals:
        """Return what it was refused on its way out by name."""
        found, _ = self._api.ask(asked.refusals(self.id), NetworkRefusals)
        return found

    def history(self) -> History:
        """Return all that happened to it, also once it is deleted."""
        return read_history(self._api, SANDBOXES, self.id, None)

    def follow(self, *, verify: bool = True) -> Generator[HistoryEntry]:
        """Yield all that happened and happens to it, until it is gone.

        Args:
            verify: Whether each entry is held to the digests before it.
        """
        return follow_history(self._api, SANDBOXES, self.id, None, verify=verify)


def until_up(api: Api, data: SandboxData, until: float, request_id: str | None) -> SandboxData:
    """Return a sandbox that runs by `until`, on the clock of `time.monotonic`.

    Raises:
        SandboxFailedError: It will never run.
        IsolaTimeoutError: It does not run by then.
    """
    while not asked.is_up(data, request_id):
        left = until - monotonic()
        if left <= 0:
            message = f"sandbox {data.id} does not run yet: {data.reason}: {data.message}"
            raise IsolaTimeoutError(message, request_id=request_id)
        request = asked.get(data.id, wait_seconds=max(left, 1))
        data, request_id = api.ask(request, SandboxData)
    return data
