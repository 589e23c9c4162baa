"""Two hundred commands at once over twenty sandboxes, each with a published client of its own."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack

import isola

from benchmarks.figures import mebibytes, milliseconds, row
from support import memory
from support.cluster import Cluster

SANDBOXES_AT_ONCE = 20
COMMANDS_AT_ONCE = 200
ROUNDS = 5


def measure(cluster: Cluster) -> None:
    """Print the figures."""
    asyncio.run(_measure(cluster))


async def _measure(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(isola.AsyncIsola(url=cluster.url))
            for _ in range(SANDBOXES_AT_ONCE)
        ]
        creations = (
            client.sandboxes.create(image=cluster.image, timeout_seconds=900) for client in clients
        )
        sandboxes = await asyncio.gather(*creations)
        try:
            await asyncio.gather(*map(_run, sandboxes))
            before = memory.gateway(cluster), await _sidecars(sandboxes)
            times, seconds = await _rounds(sandboxes)
            after = memory.gateway(cluster), await _sidecars(sandboxes)
        finally:
            await asyncio.gather(*(sandbox.delete() for sandbox in sandboxes))
    done = [each for each in times if each is not None]
    centiles = statistics.quantiles(done, n=100)
    row(f'{COMMANDS_AT_ONCE} times run("true") at once', f"{len(done) / seconds:.0f} /s")
    row("  failed", f"{len(times) - len(done)} of {len(times)}", "0")
    row("  p50", milliseconds([centiles[49]]))
    row("  p99", milliseconds([centiles[98]]))
    for when, (gateway, sidecars) in (("before", before), ("after", after)):
        row(f"  memory of the gateway {when}", mebibytes(gateway.now))
        row(f"  memory of a sidecar {when}", mebibytes(sidecars))


async def _rounds(sandboxes: list[isola.AsyncSandbox]) -> tuple[list[float | None], float]:
    """Return the seconds of each command, None if it failed, and those of all of them."""
    times: list[float | None] = []
    began = time.perf_counter()
    for _ in range(ROUNDS):
        each = [sandboxes[n % SANDBOXES_AT_ONCE] for n in range(COMMANDS_AT_ONCE)]
        times += await asyncio.gather(*map(_run, each))
    return times, time.perf_counter() - began


async def _run(sandbox: isola.AsyncSandbox) -> float | None:
    began = time.perf_counter()
    try:
        result = await sandbox.commands.run("true")
    except isola.IsolaError:
        return None
    return time.perf_counter() - began if result.exit_code == 0 else None


async def _sidecars(sandboxes: list[isola.AsyncSandbox]) -> float:
    """Return the median of the sidecars' memory, in bytes."""
    told = [await each.commands.run(*memory.OF_THE_SIDECAR) for each in sandboxes]
    return statistics.median(int(each.stdout) * 1024 for each in told)
