"""The client: where everything begins."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from isola_sdk.aio.api import AsyncApi, AsyncOptions
from isola_sdk.aio.runtime import Client
from isola_sdk.aio.sandboxes import AsyncSandboxes
from isola_sdk.aio.snapshots import AsyncRootfsSnapshots
from isola_sdk.protocol.retrying import Retrying


class AsyncIsola:
    """A gateway.

    Attributes:
        sandboxes: Its sandboxes.
        rootfs_snapshots: Its snapshots.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: ssl.SSLContext | str | bool = True,
        http_client: Client | None = None,
        retrying: Retrying | None = None,
        call_seconds: float | None = 120,
    ) -> None:
        """Reach the gateway at `url`.

        Args:
            url: Its address. Default: the environment's `ISOLA_URL`.
            headers: Of every request, such as an `Authorization` for what stands before it.
            verify: TLS: a context, the path of a file with certificates, or False for none.
            http_client: Used in place of one made here, with its proxies, TLS and pools; it is
                not closed with this one.
            retrying: How often and how fast to try again.
            call_seconds: The deadline of each call, attempts included, unless it waits or moves a
                file; None for none. `isola.deadline` sets one for whatever is in its block.

        Raises:
            ValueError: There is no address, or it is none.
        """
        found = url or os.environ.get("ISOLA_URL")
        if not found or not found.strip():
            raise ValueError("say where the gateway is: by `url`, or ISOLA_URL in the environment")
        options = AsyncOptions(
            headers=headers or {},
            verify=ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify,
            http_client=http_client,
            retrying=retrying or Retrying(),
            call_seconds=call_seconds,
        )
        self._api = AsyncApi(found, options)
        self.sandboxes: AsyncSandboxes = AsyncSandboxes(self._api)
        self.rootfs_snapshots: AsyncRootfsSnapshots = AsyncRootfsSnapshots(self._api)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def __aenter__(self) -> AsyncIsola:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
