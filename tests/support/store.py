"""Objects in a store under test."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.log import Condition, Fact
from isola_lifecycle.projection import Projection
from isola_lifecycle.sandbox.fold import SANDBOX
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_store.port import Draft, Logged, Snapshot, Store, T

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "podTemplate": {"spec": {"containers": [{"name": "sandbox0", "image": "i"}]}}
}
_numbers = itertools.count()


def unique(prefix: str) -> str:
    """Return a name that no other test of this session uses."""
    return f"{prefix}-{next(_numbers)}"


@dataclass(frozen=True)
class Kind:
    """A resource under test.

    Attributes:
        resource: Which.
        spec: The least that a specification of it needs.
        default: A field that the schema fills in, and with what.
        projection: What its logs amount to.
    """

    resource: naming.Resource
    spec: dict[str, Any]
    default: tuple[str, object]
    projection: Projection[Any]

    def draft(self, prefix: str, **more: Any) -> Draft:
        """Return what is to be created."""
        return Draft(name=unique(prefix), spec=self.spec, **more)


SANDBOXES = Kind(naming.SANDBOX, SPEC, ("startupTimeoutSeconds", 90), SANDBOX)
SNAPSHOTS = Kind(
    naming.ROOTFS_SNAPSHOT, {"sandboxName": "s"}, ("ttlSecondsAfterFinished", 300), SNAPSHOT
)


def following(item: Logged, *facts: Fact) -> tuple[Condition, ...]:
    """Return `facts` as the next entries of an object's log."""
    projection: Projection[Any] = SNAPSHOT if isinstance(item, Snapshot) else SANDBOX
    return projection.extend(item.log, facts, at=NOW, generation=item.generation)


async def append(store: Store[T], item: T, *facts: Fact) -> T:
    """Append `facts` to the log as the caller has read it."""
    version = item.log.version
    return await store.append(item.name, following(item, *facts), expected_version=version)
