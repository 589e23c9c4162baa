"""How things grow with the number of sandboxes: 500 of them, then 5 000, on a real API server.

One sandbox is led by the operator, with this program as its scheduler and kubelet; all others are
copies of it, written straight to the store: the same specification, a pod of their own whose
status is the first one's, and the same facts, sealed into a log of their own. To API server,
operator and gateway that is what a fleet of such lives is, without the hour it takes to live them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from benchmarks.alone import Alone, Running, alone, until
from benchmarks.figures import mebibytes
from isola_lifecycle import naming
from isola_lifecycle.log import Condition, Fact
from isola_lifecycle.sandbox.fold import extend, fold
from isola_operator.__main__ import utc_now
from isola_store.client import MERGE_PATCH
from isola_store.port import Draft, Sandbox
from support.kubelet import PODS
from support.stories import NOT_READY

SIZES = tuple(int(size) for size in os.environ.get("ISOLA_FLEET", "500,5000").split(","))
SPEC: dict[str, Any] = {
    "podTemplate": {"spec": {"containers": [{"name": "sandbox0", "image": "python:3.13"}]}}
}
AT_ONCE = 8
ROUNDS = 5
APPENDS = 50

Figures = dict[str, float]


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"


# What is measured, and how a value of it is told.
ROWS: dict[str, Callable[[float], str]] = {
    "gateway: process start → ready": _seconds,
    "gateway: processor time until then": _seconds,
    "gateway: memory when ready": mebibytes,
    "gateway: memory, the most": mebibytes,
    "operator: process start → ready": _seconds,
    "operator: process start → each looked at": _seconds,
    "operator: processor time until then": _seconds,
    "operator: memory when each is looked at": mebibytes,
    "operator: memory, the most": mebibytes,
    "list over REST: first page of 100": _milliseconds,
    "list over REST: whole, in pages of 1000": _milliseconds,
    "list over REST: whole, at once": _milliseconds,
    "fold of every log, processor time": _milliseconds,
    "append of one entry": _milliseconds,
}


def measure() -> None:
    """Print the figures."""
    asyncio.run(_measure())


async def _measure() -> None:
    found: list[Figures] = []
    async with alone() as there:
        fleet = Fleet(there)
        await fleet.begin()
        for size in SIZES:
            began = time.perf_counter()
            await fleet.grow(size)
            print(f"{size} sandboxes, made in {time.perf_counter() - began:.0f} s", flush=True)
            found.append(await _figures(fleet))
            _show(found)


@dataclass
class Fleet:
    """All sandboxes there are.

    Attributes:
        there: Where they are.
        facts: What the operator recorded of the first one.
        pod: The first one's pod.
        count: How many there are.
    """

    there: Alone
    facts: tuple[Fact, ...] = ()
    pod: dict[str, Any] = field(default_factory=dict[str, Any])
    count: int = 0

    async def begin(self) -> None:
        """Have the operator lead a life, up to the point at which its sandbox runs."""
        kubelet, store = self.there.kubelet, self.there.store
        await kubelet.prepare()
        async with self.there.operator() as operator:
            await operator.until_ready()
            await store.create(Draft(name="fleet-0", spec=SPEC, caller="10.0.0.7"))
            await until(self._first_has_a_pod)
            await kubelet.start("fleet-0")
            await until(self._first_is_ready)
        self.pod = await self.there.client.request("GET", f"{PODS}/fleet-0-pod")
        self.facts = tuple(_as_fact(entry) for entry in (await store.read("fleet-0")).log)
        self.count = 1

    async def grow(self, size: int) -> None:
        """Add copies until there are `size`."""
        names = iter([f"fleet-{number}" for number in range(self.count, size)])

        async def work() -> None:
            for name in names:
                await self.copy(name)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        self.count = size

    async def copy(self, name: str) -> Sandbox:
        """Add a copy of the first one."""
        client, store = self.there.client, self.there.store
        sandbox = await store.create(Draft(name=name, spec=SPEC, caller="10.0.0.7"))
        pod = await client.request("POST", PODS, self._manifest(sandbox))
        status = {"status": self.pod["status"]}
        path = f"{PODS}/{name}-pod/status"
        await client.request("PATCH", path, status, content_type=MERGE_PATCH)
        own = {naming.pod_name("fleet-0"): f"{name}-pod"}
        own[self.pod["metadata"]["uid"]] = pod["metadata"]["uid"]
        facts = [_renamed(fact, own) for fact in self.facts]
        entries = extend(sandbox.log, facts, at=utc_now(), generation=sandbox.generation)
        return await store.append(name, entries, expected_version=0)

    def _manifest(self, sandbox: Sandbox) -> dict[str, Any]:
        known: dict[str, Any] = self.pod["metadata"]
        owner = {**known["ownerReferences"][0], "name": sandbox.name, "uid": sandbox.uid}
        metadata = {
            "name": f"{sandbox.name}-pod",
            "labels": known.get("labels"),
            "annotations": known.get("annotations"),
            "ownerReferences": [owner],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.pod["spec"]}

    async def _first_has_a_pod(self) -> bool:
        return bool(fold((await self.there.store.read("fleet-0")).log).pod_uid)

    async def _first_is_ready(self) -> bool:
        return fold((await self.there.store.read("fleet-0")).log).ready


async def _figures(fleet: Fleet) -> Figures:
    told = await _of_the_gateway(fleet) | await _of_the_operator(fleet)
    sandboxes = await fleet.there.store.list()
    assert all(len(sandbox.log) == len(fleet.facts) for sandbox in sandboxes)  # nobody added to one
    told["fold of every log, processor time"] = statistics.median(
        _fold_seconds(sandboxes) for _ in range(ROUNDS)
    )
    told["append of one entry"] = await _append(fleet)
    return told


def _fold_seconds(sandboxes: Sequence[Sandbox]) -> float:
    began = time.process_time()
    for sandbox in sandboxes:
        fold(sandbox.log)
    return time.process_time() - began


async def _of_the_gateway(fleet: Fleet) -> Figures:
    async with fleet.there.gateway() as gateway:
        return {
            "gateway: process start → ready": await gateway.until_ready(),
            "gateway: processor time until then": gateway.processor_seconds,
            "gateway: memory when ready": gateway.memory.now,
            **await _lists(gateway.http, fleet.count),
            "gateway: memory, the most": gateway.memory.peak,
        }


async def _of_the_operator(fleet: Fleet) -> Figures:
    async with fleet.there.operator() as operator:
        ready = await operator.until_ready()
        await until(lambda: _settled(operator, fleet.count), every=0.1)
        return {
            "operator: process start → ready": ready,
            "operator: process start → each looked at": time.perf_counter() - operator.began,
            "operator: processor time until then": operator.processor_seconds,
            "operator: memory when each is looked at": operator.memory.now,
            "operator: memory, the most": operator.memory.peak,
        }


async def _settled(operator: Running, count: int) -> bool:
    looked = await operator.metric("isola_reconcile_duration_seconds_count")
    return looked >= count and await operator.metric("isola_queue_depth") == 0


async def _lists(http: httpx.AsyncClient, count: int) -> Figures:
    async def page(**query: Any) -> dict[str, Any]:
        return (await http.get("/v1/sandboxes", params=query)).raise_for_status().json()

    async def at_once() -> None:
        assert len((await page())["sandboxes"]) == count

    async def pages() -> None:
        told = await page(limit=1000)
        seen = len(told["sandboxes"])
        while cursor := told.get("nextCursor"):
            told = await page(limit=1000, cursor=cursor)
            seen += len(told["sandboxes"])
        assert seen == count

    return {
        "list over REST: first page of 100": await _median(lambda: page(limit=100)),
        "list over REST: whole, in pages of 1000": await _median(pages),
        "list over REST: whole, at once": await _median(at_once),
    }


async def _append(fleet: Fleet) -> float:
    """Return the median seconds of an append, each to a log that goes afterwards."""
    store, times = fleet.there.store, list[float]()
    for number in range(APPENDS):
        sandbox = await fleet.copy(f"append-{fleet.count}-{number}")
        name, version = sandbox.name, sandbox.log.version
        entries = extend(sandbox.log, [NOT_READY], at=utc_now(), generation=1)
        began = time.perf_counter()
        await store.append(name, entries, expected_version=version)
        times.append(time.perf_counter() - began)
        await store.delete(name, uid=sandbox.uid)
        await store.remove_finalizer(await store.read(name))
    return statistics.median(times)


async def _median(work: Callable[[], Any]) -> float:
    times: list[float] = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def _show(found: Sequence[Figures]) -> None:
    first, last = found[0], found[-1]
    print(f"{'':44}" + "".join(f"{size:>12}" for size in SIZES[: len(found)]) + f"{'growth':>10}")
    for name, told in ROWS.items():
        values = "".join(f"{told(figures[name]):>12}" for figures in found)
        print(f"{name:44}{values}{last[name] / first[name]:>9.1f}x", flush=True)


def _as_fact(entry: Condition) -> Fact:
    data = {key: value for key, value in entry.data.items() if key != "phase"}
    return Fact(
        type=entry.type,
        status=entry.status,
        reason=entry.reason,
        message=entry.message,
        actor=entry.actor,
        request_id=entry.request_id,
        data=data,
    )


def _renamed(fact: Fact, own: dict[str, str]) -> Fact:
    data = {key: own.get(value, value) for key, value in fact.data.items()}
    return replace(fact, data=data)
