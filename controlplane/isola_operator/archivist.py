"""What the operator does for the archive. Each step can be repeated, and none judges.

An archive that does not take something is no error here: it is an observation, and the kernel
decides how long the sandbox waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import structlog

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved, Segment, oldest, rest
from isola_lifecycle.codec import encode_time
from isola_lifecycle.errors import LifecycleError, RejectedError
from isola_lifecycle.log import MESSAGE_LENGTH, Log, clipped
from isola_lifecycle.sandbox.conditions import Reason
from isola_lifecycle.sandbox.observation import Observation
from isola_store.client import KubernetesClient
from isola_store.kubernetes import API_VERSION
from isola_store.port import Sandbox
from isola_store.records import RecordStore

CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Archivist:
    """Writes segments of logs.

    Args:
        records: Where to.
        client: Where warnings go.
        namespace: Where the sandboxes live.
    """

    records: RecordStore
    client: KubernetesClient
    namespace: str

    async def roll_over(self, sandbox: Sandbox, seen: Observation) -> Observation:
        """Make sure that the archive has the oldest entries of the log."""
        try:
            segment = await self._written(oldest(sandbox.subject, sandbox.log), sandbox.log)
        except LifecycleError as error:
            return self._refused(sandbox, seen, error)
        return replace(seen, moved=Moved(segment.name, segment.first, segment.last))

    async def write_rest(self, sandbox: Sandbox, seen: Observation) -> Observation:
        """Make sure that the archive has the whole log."""
        log, done = sandbox.log, sandbox.log.archived
        try:
            while done < log.version:
                # A roll-over that was not finished left a segment of this name, which ends sooner.
                done = (await self._written(rest(sandbox.subject, log, done), log)).last
        except LifecycleError as error:
            return self._refused(sandbox, seen, error)
        return replace(seen, recorded=True)

    async def warn(self, sandbox: Sandbox, message: str, seen: Observation) -> Observation:
        """Tell those who run the cluster, as far as the API server lets us."""
        try:
            path = f"/api/v1/namespaces/{self.namespace}/events"
            await self.client.request("POST", path, _event(sandbox, message, seen, self.namespace))
        except LifecycleError as error:
            structlog.get_logger().warning("event_failed", sandbox=sandbox.name, error=str(error))
        return replace(seen, warned=True)

    async def _written(self, segment: Segment, log: Log) -> Segment:
        found = await self.records.write(segment)
        ours = {entry.sequence: entry.digest for entry in log}
        if found.first != segment.first or ours.get(found.last) != found.entries[-1].digest:
            message = f"{segment.name} holds another log; whoever wrote it must remove it"
            raise RejectedError(message, code=CONFLICT)
        return found

    def _refused(self, sandbox: Sandbox, seen: Observation, error: LifecycleError) -> Observation:
        structlog.get_logger().warning("archive_refused", sandbox=sandbox.name, error=str(error))
        return replace(seen, archive_refusal=str(error) or type(error).__name__)


def _event(sandbox: Sandbox, message: str, seen: Observation, namespace: str) -> dict[str, Any]:
    at = encode_time(seen.now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # One name for one loss: a warning that is repeated after a crash is there already.
        "metadata": {"name": f"{sandbox.name}.{sandbox.uid}.unrecorded"},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": naming.SANDBOX.kind,
            "namespace": namespace,
            "name": sandbox.name,
            "uid": sandbox.uid,
        },
        "type": "Warning",
        "reason": Reason.RECORD_NOT_WRITTEN.value,
        "message": clipped(message, MESSAGE_LENGTH),
        "source": {"component": "isola-operator"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
