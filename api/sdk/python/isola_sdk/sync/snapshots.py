"""Snapshots of root file systems."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from time import monotonic

from isola_sdk.errors import IsolaTimeoutError
from isola_sdk.models import Labels
from isola_sdk.models_snapshots import (
    DeletionPolicy,
    RootfsSnapshotData,
    RootfsSnapshotPage,
    RootfsSnapshotStatus,
    RootfsSnapshotSummary,
)
from isola_sdk.protocol import snapshots as asked
from isola_sdk.protocol.histories import SNAPSHOTS, History, HistoryEntry
from isola_sdk.protocol.messages import Request
from isola_sdk.sync.api import Api
from isola_sdk.sync.histories import follow_history, read_history


class RootfsSnapshot:
    """A snapshot, as it was when it was last asked for; `refresh` asks again."""

    def __init__(self, api: Api, data: RootfsSnapshotData) -> None:
        self._api = api
        self._data = data

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status.value}>"

    @property
    def data(self) -> RootfsSnapshotData:
        """All that the gateway shows: sizes, digests, base image, reason ..."""
        return self._data

    @property
    def id(self) -> str:
        """Its id."""
        return self._data.id

    @property
    def status(self) -> RootfsSnapshotStatus:
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
    def creation_timestamp(self) -> datetime:
        """When it was asked for."""
        return self._data.creation_timestamp

    @property
    def snapshot_name(self) -> str:
        """What it is restored by."""
        return self._data.snapshot_name

    @property
    def sandbox_id(self) -> str:
        """What it is taken from."""
        return self._data.sandbox_id

    @property
    def container_name(self) -> str | None:
        """Which container, if one was named."""
        return self._data.container_name

    @property
    def timeout_seconds(self) -> int:
        """How long it may take."""
        return self._data.timeout_seconds

    @property
    def ttl_seconds_after_finished(self) -> int:
        """How long it is shown once it ended."""
        return self._data.ttl_seconds_after_finished

    @property
    def labels(self) -> dict[str, str]:
        """What it was created with."""
        return self._data.labels or {}

    def refresh(self) -> RootfsSnapshot:
        """Bring all of the above up to date, and return the snapshot itself."""
        self._data, _ = self._api.ask(asked.get(self.id), RootfsSnapshotData)
        return self

    def wait(self, *, max_wait_seconds: float = 310) -> RootfsSnapshot:
        """Wait until it can be restored, and return the snapshot itself.

        Raises:
            SnapshotFailedError: There will be none; says why.
            IsolaTimeoutError: It is not there yet.
        """
        until = monotonic() + max_wait_seconds
        self._data = _until_there(self._api, self._data, until, None)
        return self

    def delete(self) -> None:
        """Remove it, with what is stored of it."""
        self._api.send(asked.delete(self.id))

    def history(self) -> History:
        """Return all that happened to it, also once it is gone."""
        return read_history(self._api, SNAPSHOTS, self.id, None)

    def follow(self, *, verify: bool = True) -> Generator[HistoryEntry]:
        """Yield all that happened and happens to it, until it is gone."""
        return follow_history(self._api, SNAPSHOTS, self.id, None, verify=verify)


class RootfsSnapshots:
    """All snapshots of a gateway."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(  # noqa: PLR0913 - what a caller can say
        self,
        *,
        sandbox_id: str,
        snapshot_name: str | None = None,
        container_name: str | None = None,
        timeout_seconds: int | None = None,
        ttl_seconds_after_finished: int | None = None,
        max_wait_seconds: float = 310,
        replace: bool | None = None,
        pause: bool | None = None,
        object_ttl_seconds: int | None = None,
        deletion_policy: DeletionPolicy | str | None = None,
        labels: Labels | None = None,
    ) -> RootfsSnapshot:
        """Take a snapshot of a container's root file system, and wait until it can be restored.

        Args:
            sandbox_id: Of a sandbox that runs.
            snapshot_name: What it is restored by. Default: the sandbox's id.
            container_name: Default: the first.
            timeout_seconds: How long it may take. Default: 300.
            ttl_seconds_after_finished: How long it is shown afterwards. Default: 300.
            max_wait_seconds: How long to wait; 0: not at all.
            replace: Whether it takes the place of one of that name.
            pause: Whether the container stands still meanwhile.
            object_ttl_seconds: How long what is stored is kept. Default: for ever.
            deletion_policy: What becomes of it when somebody deletes the custom resource.
            labels: To find it by.

        Raises:
            SnapshotFailedError: There will be none; says why.
            IsolaTimeoutError: It is not there yet. It may still come.
        """
        request = asked.create(
            sandbox_id=sandbox_id,
            snapshot_name=snapshot_name,
            container_name=container_name,
            timeout_seconds=timeout_seconds,
            ttl_seconds_after_finished=ttl_seconds_after_finished,
            replace=replace,
            pause=pause,
            object_ttl_seconds=object_ttl_seconds,
            deletion_policy=deletion_policy,
            labels=labels,
            wait_seconds=max_wait_seconds,
        )
        return self._made(request, max_wait_seconds)

    def adopt(
        self,
        snapshot_name: str,
        *,
        timeout_seconds: int | None = None,
        ttl_seconds_after_finished: int | None = None,
        max_wait_seconds: float = 310,
        deletion_policy: DeletionPolicy | str | None = None,
        labels: Labels | None = None,
    ) -> RootfsSnapshot:
        """Make a snapshot of what is stored under a name, and known to no snapshot (any more).

        Args:
            snapshot_name: What it is restored by.
            timeout_seconds: How long it may take. Default: 300.
            ttl_seconds_after_finished: How long it is shown afterwards. Default: 300.
            max_wait_seconds: How long to wait; 0: not at all.
            deletion_policy: What becomes of it when somebody deletes the custom resource.
            labels: To find it by.

        Raises:
            SnapshotFailedError: Nothing is stored under that name, or it is damaged.
            IsolaTimeoutError: It was not looked at yet.
        """
        request = asked.adopt(
            snapshot_name=snapshot_name,
            timeout_seconds=timeout_seconds,
            ttl_seconds_after_finished=ttl_seconds_after_finished,
            deletion_policy=deletion_policy,
            labels=labels,
            wait_seconds=max_wait_seconds,
        )
        return self._made(request, max_wait_seconds)

    def _made(self, request: Request, max_wait_seconds: float) -> RootfsSnapshot:
        until = monotonic() + max_wait_seconds
        data, request_id = self._api.ask(request, RootfsSnapshotData)
        if max_wait_seconds > 0:
            data = _until_there(self._api, data, until, request_id)
        return RootfsSnapshot(self._api, data)

    def get(self, snapshot_id: str) -> RootfsSnapshot:
        """Return a snapshot as it is now."""
        data, _ = self._api.ask(asked.get(snapshot_id), RootfsSnapshotData)
        return RootfsSnapshot(self._api, data)

    def iterate(
        self,
        *,
        sandbox_id: str | None = None,
        snapshot_name: str | None = None,
        labels: Labels | str | None = None,
        status: RootfsSnapshotStatus | str | None = None,
        page_size: int | None = None,
    ) -> Generator[RootfsSnapshotSummary]:
        """Yield snapshots, the oldest first: all, or those to which everything given applies."""
        cursor: str | None = None
        while True:
            request = asked.page(
                sandbox_id=sandbox_id,
                snapshot_name=snapshot_name,
                labels=labels,
                status=status,
                limit=page_size,
                cursor=cursor,
            )
            page, _ = self._api.ask(request, RootfsSnapshotPage)
            for item in page.rootfs_snapshots or ():
                yield item
            if not (cursor := page.next_cursor):
                return

    def list(
        self,
        *,
        sandbox_id: str | None = None,
        snapshot_name: str | None = None,
        labels: Labels | str | None = None,
        status: RootfsSnapshotStatus | str | None = None,
    ) -> list[RootfsSnapshotSummary]:
        """Return snapshots, as of `iterate`."""
        found = self.iterate(
            sandbox_id=sandbox_id, snapshot_name=snapshot_name, labels=labels, status=status
        )
        return [item for item in found]

    def delete(self, snapshot_id: str) -> None:
        """Remove a snapshot with what is stored of it; one that nobody knows is gone."""
        self._api.send(asked.delete(snapshot_id))

    def history(self, snapshot_id: str, *, uid: str | None = None) -> History:
        """Return all that happened to a snapshot, also once it is gone."""
        return read_history(self._api, SNAPSHOTS, snapshot_id, uid)


def _until_there(
    api: Api, data: RootfsSnapshotData, until: float, request_id: str | None
) -> RootfsSnapshotData:
    while not asked.is_there(data, request_id):
        left = until - monotonic()
        if left <= 0:
            message = f"snapshot {data.id} is not there yet: {data.reason}: {data.message}"
            raise IsolaTimeoutError(message, request_id=request_id)
        request = asked.get(data.id, wait_seconds=max(left, 1))
        data, request_id = api.ask(request, RootfsSnapshotData)
    return data
