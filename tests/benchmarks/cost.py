"""What history costs beside the log itself: with archive and exporter, and without.

In blocks, with, without, with …, on one API server of its own; each block has an operator of its
own, and with it, or without, exporter and collector. Pods start the moment they are made, so that
nothing but our own work is in the time from create to Ready: of a real start, with gVisor, the same
milliseconds are a smaller part. Everything runs on one machine, the collector too.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.alone import Alone, Running, alone, children, processor_seconds, until
from benchmarks.weighing import weighing
from isola_store.kubernetes import sandboxes_path
from isola_store.records import records_path
from support.collector import Collector
from support.kubelet import PODS
from support.kubernetes_server import NAMESPACE

BLOCKS = int(os.environ.get("ISOLA_BLOCKS", "6"))  # of each kind
LIVES = 20  # in a block
CLIENTS = 8
LOAD_SECONDS = 5.0

BODY = {"podTemplate": {"containers": [{"image": "python:3.13"}]}, "timeoutSeconds": 300}
SERVERS = ("etcd", "kube-apiserver")
SANDBOXES, RECORDS = sandboxes_path(NAMESPACE), records_path(NAMESPACE)
COLLECTIONS = (SANDBOXES, PODS, RECORDS)


@dataclass
class Block:
    """What was measured of one block.

    Attributes:
        starts: Seconds from create to Ready.
        rate: Answers of the gateway a second, while lives come and go.
        processor: Seconds of etcd, API server, operator and gateway, a life.
        exporter: Seconds of the exporter, a life.
        written: Bytes of every version of every object that was written, a life.
        log: Bytes of them that are the sandbox, a life, each version with all of its log.
        kept: Bytes of them that stay, a life: the record.
        exported: Bytes that the collector wrote down, a life.
    """

    starts: list[float] = field(default_factory=list[float])
    rate: float = 0
    processor: float = 0
    exporter: float = 0
    written: float = 0
    log: float = 0
    kept: float = 0
    exported: float = 0


def measure() -> None:
    """Print the figures."""
    asyncio.run(_measure())


async def _measure() -> None:
    both: tuple[list[Block], list[Block]] = ([], [])
    async with alone() as there, there.gateway() as gateway:
        await gateway.until_ready()
        attending = asyncio.create_task(there.attend())
        await _block(there, gateway, history=True)  # one that does not count
        for _ in range(BLOCKS):
            for history, blocks in zip((True, False), both, strict=True):
                blocks.append(await _block(there, gateway, history=history))
        attending.cancel()
    _show(*both)


async def _block(there: Alone, gateway: Running, *, history: bool) -> Block:
    async with AsyncExitStack() as stack:
        module = "isola_operator" if history else "benchmarks.unarchived"
        operator = await stack.enter_async_context(there.operator(module))
        exporter = await stack.enter_async_context(_exporting(there)) if history else None
        await operator.until_ready()
        sizes = await stack.enter_async_context(weighing(there.client, COLLECTIONS))
        busy = _Busy([*map(children().__getitem__, SERVERS), operator.number, gateway.number])
        aside = _Busy([exporter[0].number] if exporter else [])
        received = exporter[1].received_bytes if exporter else 0
        block = Block()
        for _ in range(LIVES):
            block.starts.append(await _life(gateway))
        block.processor = busy.seconds / LIVES
        if exporter:
            await until(lambda: _delivered(exporter[0]), every=0.5)  # asking costs it something
            block.exporter = aside.seconds / LIVES
            block.exported = (exporter[1].received_bytes - received) / LIVES
        block.written = sum(sizes.values()) / LIVES
        block.log = sizes[SANDBOXES] / LIVES
        block.kept = sizes[RECORDS] / LIVES
        block.rate = await _load(gateway)
        return block


async def _delivered(exporter: Running) -> bool:
    return await exporter.metric("isola_exporter_pending_entries") == 0


async def _life(gateway: Running) -> float:
    """Return the seconds from create to Ready; the sandbox is gone afterwards."""
    headers = {"Prefer": "wait=25"}
    began = time.perf_counter()
    answer = await gateway.http.post("/v1/sandboxes", json=BODY, headers=headers)
    seconds = time.perf_counter() - began
    told = answer.raise_for_status().json()
    assert told["status"] == "Running"
    await _end(gateway, told["id"])
    return seconds


async def _end(gateway: Running, name: str) -> None:
    path = f"/v1/sandboxes/{name}"
    await gateway.http.delete(path)

    async def gone() -> bool:
        return (await gateway.http.get(path, params={"waitSeconds": 0})).is_client_error

    await until(gone, every=0.05)


async def _load(gateway: Running) -> float:
    """Return how many answers a second the gateway gives to several clients at once."""
    answer = await gateway.http.post("/v1/sandboxes", json=BODY, headers={"Prefer": "wait=25"})
    name = answer.json()["id"]
    deadline = time.perf_counter() + LOAD_SECONDS
    answers = 0

    async def client() -> None:
        nonlocal answers
        while time.perf_counter() < deadline:
            (await gateway.http.get(f"/v1/sandboxes/{name}")).raise_for_status()
            answers += 1

    async def others() -> None:
        while time.perf_counter() < deadline:
            await _life(gateway)

    await asyncio.gather(others(), *(client() for _ in range(CLIENTS)))
    await _end(gateway, name)
    return answers / LOAD_SECONDS


class _Busy:
    """How busy processes are from now on."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self._before = self._total()

    @property
    def seconds(self) -> float:
        return self._total() - self._before

    def _total(self) -> float:
        return sum(map(processor_seconds, self._numbers))


@asynccontextmanager
async def _exporting(there: Alone) -> AsyncGenerator[tuple[Running, Collector]]:
    """Yield the exporter, following, and the collector that it exports to."""
    collector = Collector(there.folder)
    await asyncio.to_thread(collector.start)
    try:
        async with there.exporter(collector.endpoint) as exporter:
            await exporter.until_ready()
            await until(lambda: _delivered(exporter))  # what was before this block
            yield exporter, collector
    finally:
        collector.kill()


def _show(with_history: Sequence[Block], without: Sequence[Block]) -> None:
    print(f"{'':52}{'with':>12}{'without':>12}{'ratio':>8}")

    def row(what: str, told: Callable[[Block], float], form: str) -> None:
        ours, theirs = (statistics.median(map(told, blocks)) for blocks in (with_history, without))
        ratio = f"{ours / theirs:>8.3f}" if theirs else f"{'-':>8}"
        print(f"{what:52}{form.format(ours):>12}{form.format(theirs):>12}{ratio}")

    row("create → Ready", lambda b: statistics.median(b.starts) * 1000, "{:.0f} ms")
    row("answers of the gateway, with lives besides", lambda b: b.rate, "{:.0f} /s")
    row("processor time per life: all but the exporter", lambda b: b.processor * 1000, "{:.0f} ms")
    row("  the exporter", lambda b: b.exporter * 1000, "{:.0f} ms")
    row("bytes written per life, every version of it all", lambda b: b.written, "{:.0f} B")
    row("  of them the sandbox, with its log", lambda b: b.log, "{:.0f} B")
    row("  of them kept: the record", lambda b: b.kept, "{:.0f} B")
    row("bytes exported per life, as OTLP in JSON", lambda b: b.exported, "{:.0f} B")
