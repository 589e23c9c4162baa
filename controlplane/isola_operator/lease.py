"""Leader election by a Lease: saves work, decides nothing.

Two leaders at once are harmless, for every append says which version it expects; so a holder that
cannot renew simply stops when its time is over, and a clock that is off costs work, not truth.
The client library's own election is left aside: it never gives a lease up, so that each restart
would idle for the lease's whole duration, and it compares naive local times.
Source: `coordination.k8s.io/v1` Lease; client-go's leaderelection package.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from isola_lifecycle.codec import decode_time, encode_time
from isola_lifecycle.errors import AlreadyExistsError, LifecycleError, NotFoundError
from isola_store.client import MERGE_PATCH, ConflictError, KubernetesClient

DURATION = timedelta(seconds=15)
RENEWAL = timedelta(seconds=5)
RETRY = timedelta(seconds=2)


@dataclass(slots=True)
class Lease:
    """One candidate for a Lease.

    Args:
        client: Where the Lease is.
        namespace: In which namespace.
        name: Its name.
        identity: The candidate's.
        clock: Gives the time, UTC.
    """

    client: KubernetesClient
    namespace: str
    name: str
    identity: str
    clock: Callable[[], datetime]
    _renewed: datetime | None = field(default=None, init=False)

    async def acquire(self) -> None:
        """Return once this candidate holds the Lease."""
        while not await self._try():  # noqa: ASYNC110 - the event is somewhere else
            await asyncio.sleep(RETRY.total_seconds())

    async def keep(self) -> None:
        """Renew the Lease until it cannot be renewed for its whole duration, then return."""
        while self._renewed and self.clock() - self._renewed < DURATION:
            await asyncio.sleep(RENEWAL.total_seconds())
            await self._try()

    async def release(self) -> None:
        """Give the Lease up at once, so that another candidate need not wait."""
        with suppress(LifecycleError):
            found = await self._read()
            if found and found["spec"].get("holderIdentity") == self.identity:
                await self._write(found, {"holderIdentity": "", "leaseDurationSeconds": 1})

    async def _try(self) -> bool:
        now = self.clock()
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(DURATION.total_seconds()),
            "renewTime": encode_time(now),
        }
        try:
            found = await self._read()
            if found is None:
                await self._create(spec)
            elif self._is_free(found["spec"], now):
                await self._write(found, spec)
            else:
                return False
        except (AlreadyExistsError, ConflictError):
            return False
        except LifecycleError as error:  # try again, until the duration is over
            structlog.get_logger().warning("lease_not_written", lease=self.name, error=str(error))
            return False
        self._renewed = now
        return True

    def _is_free(self, spec: dict[str, Any], now: datetime) -> bool:
        holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
        if not holder or not renewed or holder == self.identity:
            return True
        return now - decode_time(renewed) > timedelta(seconds=spec.get("leaseDurationSeconds", 0))

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self.client.request("GET", f"{self._path()}/{self.name}")
        except NotFoundError:
            return None

    async def _create(self, spec: dict[str, Any]) -> None:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        await self.client.request("POST", self._path(), body)

    async def _write(self, found: dict[str, Any], spec: dict[str, Any]) -> None:
        version = found["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        path = f"{self._path()}/{self.name}"
        await self.client.request("PATCH", path, body, content_type=MERGE_PATCH)

    def _path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
