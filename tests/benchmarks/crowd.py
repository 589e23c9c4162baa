"""Two hundred commands at once over twenty sandboxes, each with a published client of its own.

Against as many `kubectl exec` at once in the same pods.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import isola

from benchmarks.figures import mebibytes, milliseconds, row
from support import memory
from support.cluster import SANDBOXES, Cluster

SANDBOXES_AT_ONCE = 20
COMMANDS_AT_ONCE = 200
ROUNDS = 3


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
            client.sandboxes.create(image=cluster.image, timeout_seconds=3600) for client in clients
        )
        sandboxes = await asyncio.gather(*creations)
        try:
            await asyncio.gather(*map(_run, sandboxes))
            before = memory.gateway(cluster), await _sidecars(sandboxes)
            ours, theirs = Crowd(), Crowd()
            for _ in range(ROUNDS):
                await ours.at_once(sandboxes, _run)
                await theirs.at_once(sandboxes, partial(_exec, cluster))
            after = memory.gateway(cluster), await _sidecars(sandboxes)
        finally:
            await asyncio.gather(*(sandbox.delete() for sandbox in sandboxes))
    ours.show(f'{COMMANDS_AT_ONCE} times run("true") at once')
    theirs.show(f"{COMMANDS_AT_ONCE} times kubectl exec … true at once")
    row("ratio of commands per second", f"{ours.per_second / theirs.per_second:.1f}")
    for when, (gateway, sidecars) in (("before", before), ("after", after)):
        row(f"  memory of the gateway {when}", mebibytes(gateway.now))
        row(f"  memory of a sidecar {when}", mebibytes(sidecars))


@dataclass
class Crowd:
    """What came of many commands at once.

    Attributes:
        times: The seconds of each, None if it failed.
        seconds: Those of all rounds.
    """

    times: list[float | None] = field(default_factory=list[float | None])
    seconds: float = 0

    async def at_once(
        self,
        sandboxes: list[isola.AsyncSandbox],
        run: Callable[[isola.AsyncSandbox], Awaitable[float | None]],
    ) -> None:
        """Run them, and note what came of it."""
        each = [sandboxes[n % SANDBOXES_AT_ONCE] for n in range(COMMANDS_AT_ONCE)]
        began = time.perf_counter()
        self.times += await asyncio.gather(*map(run, each))
        self.seconds += time.perf_counter() - began

    @property
    def done(self) -> list[float]:
        """Return the seconds of those that succeeded."""
        return [each for each in self.times if each is not None]

    @property
    def per_second(self) -> float:
        """Return how many succeeded in a second."""
        return len(self.done) / self.seconds

    def show(self, what: str) -> None:
        """Print the figures."""
        centiles = statistics.quantiles(self.done, n=100)
        row(what, f"{self.per_second:.1f} /s")
        row("  failed", f"{len(self.times) - len(self.done)} of {len(self.times)}", "0")
        row("  p50", milliseconds([centiles[49]]))
        row("  p99", milliseconds([centiles[98]]))


async def _run(sandbox: isola.AsyncSandbox) -> float | None:
    began = time.perf_counter()
    try:
        result = await sandbox.commands.run("true")
    except isola.IsolaError:
        return None
    return time.perf_counter() - began if result.exit_code == 0 else None


async def _exec(cluster: Cluster, sandbox: isola.AsyncSandbox) -> float | None:
    pod = ("exec", "-n", SANDBOXES, f"{sandbox.id}-pod", "-c", "sandbox0", "--", "true")
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "kubectl", *pod, env=cluster.environment, stdout=DEVNULL, stderr=DEVNULL
    )
    return time.perf_counter() - began if await process.wait() == 0 else None


async def _sidecars(sandboxes: list[isola.AsyncSandbox]) -> float:
    """Return the median of the sidecars' memory, in bytes."""
    told = [await each.commands.run(*memory.OF_THE_SIDECAR) for each in sandboxes]
    return statistics.median(int(each.stdout) * 1024 for each in told)
