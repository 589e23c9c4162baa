"""Lives on a real API server, told by the test in the stead of operator and uploader."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from isola_lifecycle.archive import Moved, oldest, rest
from isola_lifecycle.log import Fact
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesStore
from isola_store.port import Draft, Logged
from isola_store.records import KubernetesRecords
from support.kubernetes_server import NAMESPACE
from support.store import NOW, SANDBOXES, SNAPSHOTS, Kind, unique
from support.stories import NOT_READY, READY, REQUESTED, SILENT, TERMINATED, fact

ROLLED_OVER = fact("Archived", "LogRolledOver")
FLAPPING = (NOT_READY, READY) * 10
END = (REQUESTED, NOT_READY, TERMINATED)

STORED = (
    fact("Accepted", "SpecValid", node="n1", container="sandbox0", sandboxUID="u"),
    fact("Capturing", "JobCreated", jobUID="j"),
    fact("Captured", "ArchiveWritten", bytes="10240", sha256="ab"),
    fact("Stored", "ObjectWritten", key="k", storedBytes="512"),
    fact("Succeeded", "SnapshotStored"),
)
UPLOADING = (fact("Uploading", "UploadProgressed", uploadedBytes="1"),) * 20
REMOVED = (
    fact("DeletionRequested", "ClientRequest", object="Delete"),
    fact("Deleted", "ObjectRemoved"),
)

# How each begins and goes on for long, and how it ends.
_STORIES = {
    SANDBOXES.resource: (SILENT, (*SILENT, *FLAPPING), END),
    SNAPSHOTS.resource: (STORED, (*STORED[:3], *UPLOADING, *STORED[3:]), REMOVED),
}


@dataclass
class Lives:
    """What the operator would do.

    Attributes:
        client: Where.
        at: When whatever is recorded next happens.
        kind: Of what.
    """

    client: KubernetesClient
    at: datetime = NOW
    kind: Kind = SANDBOXES
    store: KubernetesStore[Logged] = field(init=False)
    records: KubernetesRecords = field(init=False)

    def __post_init__(self) -> None:
        of = self.kind.resource
        self.store = KubernetesStore(self.client, NAMESPACE, of, Logged)
        self.records = KubernetesRecords(self.client, NAMESPACE, of)

    async def begin(self, name: str = "", *facts: Fact) -> Logged:
        """Create an object and record facts, by default those of one that runs, or is stored."""
        draft = Draft(name=name or unique("life"), spec=self.kind.spec)
        usual, _, _ = _STORIES[self.kind.resource]
        return await self.go_on(await self.store.create(draft), *(facts or usual))

    async def go_on(self, item: Logged, *facts: Fact) -> Logged:
        """Record facts."""
        return await self._append(item, *facts)

    async def roll_over(self, item: Logged) -> Logged:
        """Move the oldest entries to the archive."""
        segment = await self.records.write(oldest(item.subject, item.log))
        moved = Moved(segment.name, segment.first, segment.last)
        return await self._append(item, ROLLED_OVER, moved=moved)

    async def long(self) -> Logged:
        """Return one the oldest entries of whose log are in the archive."""
        _, long, _ = _STORIES[self.kind.resource]
        return await self.roll_over(await self.begin("", *long))

    async def end(self, item: Logged) -> Logged:
        """Record the end, archive the rest, and let the object go."""
        item = await self.go_on(item, *_STORIES[self.kind.resource][-1])
        await self.records.write(rest(item.subject, item.log, item.log.archived))
        await self.store.delete(item.name, uid=item.uid)
        await self.store.remove_finalizer(await self.store.read(item.name))
        return item

    async def _append(self, item: Logged, *facts: Fact, moved: Moved | None = None) -> Logged:
        extend = self.kind.projection.extend
        entries = extend(item.log, facts, at=self.at, generation=item.generation)
        version = item.log.version
        return await self.store.append(item.name, entries, expected_version=version, moved=moved)
