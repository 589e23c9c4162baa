"""The OpenAPI document: current, served, sound, and kept by the application it describes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from quart import Quart
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,  # pyright: ignore[reportUnknownVariableType]
    positive_data_acceptance,  # pyright: ignore[reportUnknownVariableType]
)

from gateway.fakes import (
    TEMPLATE,
    Client,
    Clock,
    FakeSidecars,
    MemoryView,
    Scripted,
    SnapshotWorld,
    Watched,
    WatchedSandboxes,
    WatchedSnapshots,
    World,
    started,
    stored,
)
from isola_gateway.contract import OPERATIONS
from isola_gateway.links import links
from isola_gateway.openapi import document
from isola_gateway.ports import Answer, Call, Sidecar
from isola_lifecycle.archive import Moved
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.sandbox.fold import extend
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_store.memory import MemorySandboxes, MemorySnapshots
from isola_store.port import Draft, Sandbox, Snapshot, T

ROOT = Path(__file__).parents[2]
ENTRY = {
    "name": "a",
    "path": "/a",
    "type": "symlink",
    "size": 3,
    "permissions": "0777",
    "uid": 0,
    "gid": 0,
    "modifiedTime": "2026-11-24T04:56:10.000001Z",
    "symlinkTarget": "b",
}
COMMAND = "0b5f2f0e-8f5a-4a52-9d1c-3c1d5b3f0a11"


def test_the_document_that_is_checked_in_is_current() -> None:
    subprocess.run([sys.executable, str(ROOT / "hack" / "openapi.py"), "--check"], check=True)


async def test_the_document_is_served(client: Client) -> None:
    served = await (await client.get("/openapi.json")).json
    assert served == document()
    assert served["openapi"].startswith("3.1.")
    assert served["info"]["title"] == "Isola Sandbox API"


def test_every_operation_has_its_own_name_and_every_route_its_operation(gateway: World) -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    documented = {(o.method, o.path.replace("{", "<").replace("}", ">")) for o in OPERATIONS}
    routed = {
        (method, rule.rule)
        for rule in gateway.app().url_map.iter_rules()
        for method in rule.methods or ()
    }
    pages = {(method, path) for method, path in routed if path.startswith(("/ui", "/docs"))}
    described = {("GET", "/openapi.json"), ("GET", "/openapi.yaml")}
    assert routed - documented - pages == described
    assert documented <= routed


def test_every_reference_leads_somewhere() -> None:
    described = document()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            return here + [r for value in node.values() for r in references(value)]  # pyright: ignore[reportUnknownVariableType]
        return [r for value in node for r in references(value)] if isinstance(node, list) else []  # pyright: ignore[reportUnknownVariableType]

    for reference in references(described):
        target: Any = described
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_links_lead_from_what_is_made_to_all_that_can_be_done_with_it() -> None:
    by_id = {operation.id: operation for operation in OPERATIONS}

    def lead(name: str) -> dict[str, Any]:
        found = links(by_id[name], OPERATIONS)
        return {target: link["parameters"] for target, link in found.items()}

    made = lead("createSandbox")
    assert made["deleteSandbox"] == {"id": "$response.body#/id"}
    assert made["createCommand"] == {"sandboxId": "$response.body#/id"}
    assert "killCommand" not in made, "its command is not known yet"
    assert lead("createRootfsSnapshot").keys() == {
        "getRootfsSnapshot",
        "getRootfsSnapshotHistory",
        "deleteRootfsSnapshot",
    }
    assert lead("createCommand")["killCommand"] == {
        "sandboxId": "$request.path.sandboxId",
        "commandId": "$response.body#/id",
    }
    assert lead("writeFile")["readFile"] == {
        "id": "$request.path.id",
        "path": "$request.query.path",
    }
    assert lead("listSandboxes") == {"listSandboxes": {"cursor": "$response.body#/nextCursor"}}
    assert lead("getSandbox") == {}


# --- generated requests ------------------------------------------------------------------------


JSON_ANSWERS = {
    ("GET", "/v1/commands"): Scripted(200, (b'{"commands":[]}',)),
    ("POST", "/v1/commands"): Scripted(202, (b'{"id":"%s"}' % COMMAND.encode(),)),
    ("GET", "/v1/filesystem/entries"): Scripted(200, (b'{"entries":[]}',)),
    ("GET", "/v1/filesystem/stat"): Scripted(200, (json.dumps(ENTRY).encode(),)),
    ("POST", "/v1/filesystem/directories"): Scripted(201, (b'{"absolutePath":"/a"}',)),
}


class PlausibleSidecars(FakeSidecars):
    """Sidecars that answer each route as the contract has it."""

    @asynccontextmanager
    async def open(self, sidecar: Sidecar, call: Call) -> AsyncGenerator[Answer]:
        async with super().open(sidecar, call):
            if call.path.endswith("/status"):
                yield Scripted(200, (b'{"exitCode":0}',))
            elif answer := JSON_ANSWERS.get((call.method, call.path)):
                yield answer
            elif call.method == "GET":
                yield Scripted(200, (b"data: x\nid: 1\n\n", b": keepalive\n\n"))
            else:
                yield Scripted(204)


class Populous(Watched[T]):
    """Of all names, the even ones exist, and are there again when they were deleted."""

    leaving: set[str]

    def twin(self, name: str) -> T | None:
        if name in self.leaving:
            return None
        return replace(self._items["box"], name=name) if len(name) % 2 == 0 else None

    async def read(self, name: str) -> T:
        if name in self.leaving:
            self.leaving.discard(name)
            raise NotFoundError(name)
        return self.twin(name) or await super().read(name)

    async def append(
        self, name: str, entries: Any, *, expected_version: int, moved: Moved | None = None
    ) -> T:
        assert moved is None
        assert entries
        assert expected_version
        return await self.read(name)


class PopulousSandboxes(Populous[Sandbox], WatchedSandboxes):
    """All sandboxes run."""


class PopulousSnapshots(Populous[Snapshot], WatchedSnapshots):
    """All snapshots are stored."""


class PopulousView(MemoryView[T]):
    """The copy of a populous store."""

    store: Populous[T]

    def get(self, name: str) -> T | None:
        return self.store.twin(name)

    async def changed(self, name: str, timeout_seconds: float) -> None:
        """Whoever waits for a change sees the object gone: a stream that is followed ends."""
        await super().changed(name, min(timeout_seconds, 0.01))
        self.store.leaving.add(name)


class StandingClock(Clock):
    """Always the same instant, so that every lifetime is still to come."""

    def __call__(self) -> datetime:
        return self.now


async def populous() -> Quart:
    clock = StandingClock()
    view, kept_view = PopulousView[Sandbox](), PopulousView[Snapshot]()
    store, kept = PopulousSandboxes(view, clock), PopulousSnapshots(kept_view, clock)
    view.store, store.leaving = store, set()
    kept_view.store, kept.leaving = kept, set()
    snapshots = SnapshotWorld(clock, kept_view, kept)
    populated = World(clock, view, store, PlausibleSidecars(), snapshots)
    log = (await store.create(Draft(name="box", spec=TEMPLATE))).log
    entries = extend(log, started(), at=clock(), generation=1)
    await MemorySandboxes.append(store, "box", entries, expected_version=0)
    log = (await kept.create(Draft(name="box", spec={"sandboxName": "box"}))).log
    entries = SNAPSHOT.extend(log, stored(), at=clock(), generation=1)
    await MemorySnapshots.append(kept, "box", entries, expected_version=0)
    return populated.app()


schema: Any = schemathesis.openapi.from_asgi("/openapi.json", asyncio.run(populous()))


# A terminal takes a handshake that no OpenAPI document can describe (`test_terminals`).
@schema.exclude(operation_id="openTerminal").parametrize()
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    phases=[Phase.explicit, Phase.generate],
)
def test_generated_requests_are_answered_as_documented(case: Any) -> None:
    # What only a sidecar can judge (an offset, a signal), these scripted ones never refuse. Which
    # ranges and names can be given no schema says.
    excluded: list[Any] = [negative_data_rejection]
    if case.operation.label == "PATCH /v1/sandboxes/{id}":
        excluded.append(positive_data_acceptance)
    case.call_and_validate(excluded_checks=excluded)
