"""Sandboxes: made, found and listed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from time import monotonic

from isola_sdk.aio.api import AsyncApi
from isola_sdk.aio.histories import follow_history, read_history
from isola_sdk.aio.sandbox import AsyncSandbox, until_up
from isola_sdk.models import (
    Container,
    Labels,
    Network,
    RecordPage,
    RecordSummary,
    SandboxData,
    SandboxPage,
    SandboxStatus,
    SandboxSummary,
    SnapshotRootfs,
)
from isola_sdk.protocol import sandboxes as asked
from isola_sdk.protocol.histories import SANDBOXES, History, HistoryEntry


class AsyncSandboxes:
    """All sandboxes of a gateway."""

    def __init__(self, api: AsyncApi) -> None:
        self._api = api

    async def create(  # noqa: PLR0913 - what a caller can say
        self,
        *,
        image: str | None = None,
        rootfs_snapshot_name: str | None = None,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cpu: float | None = None,
        memory: int | None = None,
        ephemeral_storage: int | None = None,
        containers: Sequence[Container] | None = None,
        network: Network | None = None,
        timeout_seconds: int | None = None,
        startup_timeout_seconds: int | None = None,
        termination_policy: SnapshotRootfs | None = None,
        max_wait_seconds: float = 120,
        labels: Labels | None = None,
    ) -> AsyncSandbox:
        """Create a sandbox, and wait until it runs.

        Args:
            image: Of its only container, whose settings are the next six.
            rootfs_snapshot_name: A snapshot that it starts from.
            command: Its argv. Default: sleep for ever.
            env: Its environment.
            cpu: Cores.
            memory: MiB.
            ephemeral_storage: MiB.
            containers: Instead of all these: one or more containers.
            network: What it may reach. Default: nothing.
            timeout_seconds: Its lifetime. Default: no limit.
            startup_timeout_seconds: Default: 90.
            termination_policy: Keep the root file system at the end.
            max_wait_seconds: How long to wait; 0: not at all.
            labels: To find it by.

        Raises:
            ValueError: Neither `image` nor `containers`, or both.
            SandboxFailedError: It will never run; says why.
            IsolaTimeoutError: It does not run yet. It is there: `sandboxes.list` has it.
        """
        made = asked.lone_container(
            image=image,
            rootfs_snapshot_name=rootfs_snapshot_name,
            command=command,
            env=env,
            cpu=cpu,
            memory=memory,
            ephemeral_storage=ephemeral_storage,
            containers=containers,
        )
        until = monotonic() + max_wait_seconds
        request = asked.create(
            made,
            network=network,
            timeout_seconds=timeout_seconds,
            startup_timeout_seconds=startup_timeout_seconds,
            termination_policy=termination_policy,
            labels=labels,
            wait_seconds=max_wait_seconds,
        )
        data, request_id = await self._api.ask(request, SandboxData)
        if max_wait_seconds > 0:
            data = await until_up(self._api, data, until, request_id)
        return AsyncSandbox(self._api, data)

    async def get(self, sandbox_id: str) -> AsyncSandbox:
        """Return a sandbox as it is now."""
        data, _ = await self._api.ask(asked.get(sandbox_id), SandboxData)
        return AsyncSandbox(self._api, data)

    async def iterate(
        self,
        *,
        labels: Labels | str | None = None,
        status: SandboxStatus | str | None = None,
        page_size: int | None = None,
    ) -> AsyncGenerator[SandboxSummary]:
        """Yield sandboxes, the oldest first, a page at a time.

        Args:
            labels: Only those with all of these; as text, `a=1,b!=2`.
            status: Only those with this status.
            page_size: How many are asked for at a time, at most 1000. Default: all.
        """
        cursor: str | None = None
        while True:
            request = asked.page(labels=labels, status=status, limit=page_size, cursor=cursor)
            page, _ = await self._api.ask(request, SandboxPage)
            for item in page.sandboxes or ():
                yield item
            if not (cursor := page.next_cursor):
                return

    async def list(
        self, *, labels: Labels | str | None = None, status: SandboxStatus | str | None = None
    ) -> list[SandboxSummary]:
        """Return sandboxes, the oldest first: all, or as of `iterate`."""
        return [item async for item in self.iterate(labels=labels, status=status)]

    async def delete(self, sandbox_id: str) -> None:
        """End a sandbox; one that does not exist has ended."""
        await self._api.send(asked.delete(sandbox_id))

    async def history(self, sandbox_id: str, *, uid: str | None = None) -> History:
        """Return all that happened to a sandbox, also once it is deleted.

        Args:
            sandbox_id: Its id.
            uid: Which one, where several had this id one after the other.
        """
        return await read_history(self._api, SANDBOXES, sandbox_id, uid)

    def follow(
        self, sandbox_id: str, *, uid: str | None = None, verify: bool = True
    ) -> AsyncGenerator[HistoryEntry]:
        """Yield all that happened and happens to a sandbox, until it is gone.

        Args:
            sandbox_id: Its id.
            uid: As of `history`.
            verify: Whether each entry is held to the digests before it.
        """
        return follow_history(self._api, SANDBOXES, sandbox_id, uid, verify=verify)

    async def records(self, *, page_size: int | None = None) -> AsyncGenerator[RecordSummary]:
        """Yield sandboxes that are gone and whose history is on record, the latest first."""
        cursor: str | None = None
        while True:
            page, _ = await self._api.ask(asked.records(limit=page_size, cursor=cursor), RecordPage)
            for item in page.records:
                yield item
            if not (cursor := page.next_cursor):
                return
