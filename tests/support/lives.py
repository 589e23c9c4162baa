"""Lives of sandboxes on a real API server, told by the test in the operator's stead."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from isola_lifecycle.archive import Moved, oldest, rest
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import extend
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Sandbox
from isola_store.records import KubernetesRecords
from support.kubernetes_server import NAMESPACE
from support.store import NOW, SPEC, unique
from support.stories import NOT_READY, READY, REQUESTED, SILENT, TERMINATED, fact

ROLLED_OVER = fact("Archived", "LogRolledOver")
FLAPPING = (NOT_READY, READY) * 10
END = (REQUESTED, NOT_READY, TERMINATED)


@dataclass
class Lives:
    """What the operator would do.

    Attributes:
        client: Where.
        at: When whatever is recorded next happens.
    """

    client: KubernetesClient
    at: datetime = NOW
    store: KubernetesSandboxes = field(init=False)
    records: KubernetesRecords = field(init=False)

    def __post_init__(self) -> None:
        self.store = KubernetesSandboxes(self.client, NAMESPACE)
        self.records = KubernetesRecords(self.client, NAMESPACE)

    async def begin(self, name: str = "", *facts: Fact) -> Sandbox:
        """Create a sandbox and record facts, by default those of one that runs."""
        sandbox = await self.store.create(Draft(name=name or unique("life"), spec=SPEC))
        return await self.go_on(sandbox, *(facts or SILENT))

    async def go_on(self, sandbox: Sandbox, *facts: Fact) -> Sandbox:
        """Record facts."""
        return await self._append(sandbox, *facts)

    async def roll_over(self, sandbox: Sandbox) -> Sandbox:
        """Move the oldest entries to the archive."""
        segment = await self.records.write(oldest(sandbox.subject, sandbox.log))
        moved = Moved(segment.name, segment.first, segment.last)
        return await self._append(sandbox, ROLLED_OVER, moved=moved)

    async def long(self) -> Sandbox:
        """Return a running sandbox, the oldest entries of whose log are in the archive."""
        return await self.roll_over(await self.begin("", *SILENT, *FLAPPING))

    async def end(self, sandbox: Sandbox) -> Sandbox:
        """Record the end, archive the rest, and let the object go."""
        sandbox = await self.go_on(sandbox, *END)
        await self.records.write(rest(sandbox.subject, sandbox.log, sandbox.log.archived))
        await self.store.delete(sandbox.name, uid=sandbox.uid)
        await self.store.remove_finalizer(await self.store.read(sandbox.name))
        return sandbox

    async def _append(self, sandbox: Sandbox, *facts: Fact, moved: Moved | None = None) -> Sandbox:
        entries = extend(sandbox.log, facts, at=self.at, generation=sandbox.generation)
        version = sandbox.log.version
        return await self.store.append(sandbox.name, entries, expected_version=version, moved=moved)
