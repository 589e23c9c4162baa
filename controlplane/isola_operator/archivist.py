"""What the operator does for the archive. Each step can be repeated, and none judges.

An archive that does not take something is no error here: it is an observation, and the kernel
decides how long the object waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import structlog

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved, Segment, oldest, rest
from isola_lifecycle.codec import encode_time
from isola_lifecycle.errors import LifecycleError, RejectedError
from isola_lifecycle.log import MESSAGE_LENGTH, Log, clipped
from isola_lifecycle.seen import Seen
from isola_store.client import KubernetesClient
from isola_store.kubernetes import API_VERSION
from isola_store.port import Logged
from isola_store.records import RecordStore

CONFLICT = 409

W = TypeVar("W", bound=Seen)


@dataclass(frozen=True, slots=True)
class Archivist:
    """Writes segments of logs.

    Args:
        records: Where to.
        client: Where warnings go.
        namespace: Where the objects live.
        kind: Of the objects.
    """

    records: RecordStore
    client: KubernetesClient
    namespace: str
    kind: str = naming.SANDBOX.kind

    async def roll_over(self, item: Logged, seen: W) -> W:
        """Make sure that the archive has the oldest entries of the log."""
        try:
            segment = await self._written(oldest(item.subject, item.log), item.log)
        except LifecycleError as error:
            return self._refused(item, seen, error)
        return replace(seen, moved=Moved(segment.name, segment.first, segment.last))

    async def write_rest(self, item: Logged, seen: W) -> W:
        """Make sure that the archive has the whole log."""
        log, done = item.log, item.log.archived
        try:
            while done < log.version:
                # A roll-over that was not finished left a segment of this name, which ends sooner.
                done = (await self._written(rest(item.subject, log, done), log)).last
        except LifecycleError as error:
            return self._refused(item, seen, error)
        return replace(seen, recorded=True)

    async def warn(self, item: Logged, message: str, seen: W) -> W:
        """Tell those who run the cluster, as far as the API server lets us."""
        try:
            path = f"/api/v1/namespaces/{self.namespace}/events"
            await self.client.request("POST", path, self._event(item, message, seen.now))
        except LifecycleError as error:
            structlog.get_logger().warning("event_failed", name=item.name, error=str(error))
        return replace(seen, warned=True)

    async def _written(self, segment: Segment, log: Log) -> Segment:
        found = await self.records.write(segment)
        ours = {entry.sequence: entry.digest for entry in log}
        if found.first != segment.first or ours.get(found.last) != found.entries[-1].digest:
            message = f"{segment.name} holds another log; whoever wrote it must remove it"
            raise RejectedError(message, code=CONFLICT)
        return found

    def _refused(self, item: Logged, seen: W, error: LifecycleError) -> W:
        structlog.get_logger().warning("archive_refused", name=item.name, error=str(error))
        return replace(seen, archive_refusal=str(error) or type(error).__name__)

    def _event(self, item: Logged, message: str, now: datetime) -> dict[str, Any]:
        at = encode_time(now)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # One name for one loss: a warning that is repeated after a crash is there already.
            "metadata": {"name": f"{item.name}.{item.uid}.unrecorded"},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": self.kind,
                "namespace": self.namespace,
                "name": item.name,
                "uid": item.uid,
            },
            "type": "Warning",
            "reason": "RecordNotWritten",
            "message": clipped(message, MESSAGE_LENGTH),
            "source": {"component": "isola-operator"},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
