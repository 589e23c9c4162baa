"""Sandboxes in a store under test."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from isola_lifecycle.log import Condition, Fact
from isola_lifecycle.sandbox.fold import extend
from isola_store.port import Sandbox, SandboxStore

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "podTemplate": {"spec": {"containers": [{"name": "sandbox0", "image": "i"}]}}
}
_numbers = itertools.count()


def unique(prefix: str) -> str:
    """Return a name that no other test of this session uses."""
    return f"{prefix}-{next(_numbers)}"


def following(sandbox: Sandbox, *facts: Fact) -> tuple[Condition, ...]:
    """Return `facts` as the next entries of a sandbox's log."""
    return extend(sandbox.log, facts, at=NOW, generation=sandbox.generation)


async def append(store: SandboxStore, sandbox: Sandbox, *facts: Fact) -> Sandbox:
    """Append `facts` to the log as the caller has read it."""
    version = sandbox.log.version
    return await store.append(sandbox.name, following(sandbox, *facts), expected_version=version)
