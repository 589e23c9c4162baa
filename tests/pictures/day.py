"""A day of some minutes: all components as processes on a real API server, and people who use them.

Pods have no node: this program is scheduler and kubelet, and takes about as long as those would.
All of them have one real sidecar behind them, which runs their commands.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.alone import Alone, alone, until
from isola_lifecycle.errors import LifecycleError
from sidecar.pods import Pod, require_tools
from support.collector import Collector
from support.fronts import Fronts
from support.kubelet import PODS
from support.prometheus import Prometheus, scraping

# How a sandbox fares, and how often.
FATES = {"serves": 68, "completes": 10, "fails": 8, "wavers": 7, "is stuck": 7}
TEAMS = ("search", "billing", "agents")
BODY = {"podTemplate": {"containers": [{"image": "python:3.13"}]}}


@dataclass
class Day:
    """What is there to be looked at.

    Attributes:
        there: The API server.
        url: Of the gateway.
        prometheus: Has scraped all of it.
        collector: Has all that was exported.
        began: When it began, as seconds since 1970.
        fates: How each pod fared, by the name of its sandbox.
    """

    there: Alone
    url: str
    prometheus: Prometheus
    collector: Collector
    began: float
    fates: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def lived(seconds: float, now: Callable[[], float]) -> AsyncGenerator[Day]:
    """Yield a day that is over, but for those who are still at work and go on with it.

    Args:
        seconds: How long it is.
        now: The time, as seconds since 1970.
    """
    require_tools()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        there = await stack.enter_async_context(alone())
        pod = stack.enter_context(Pod(folder / "pod", own_network=True))
        pod.add("sandbox0")
        pod.start_sidecar()
        collector = Collector(there.folder)
        stack.callback(collector.kill)
        await asyncio.to_thread(collector.start)
        operator = await stack.enter_async_context(there.operator())
        gateway = await stack.enter_async_context(there.gateway())
        exporter = await stack.enter_async_context(there.exporter(collector.endpoint))
        for each in (operator, gateway, exporter):
            await each.until_ready()
        ports = {
            "operator": operator.program.environment["ISOLA_METRICS_PORT"],
            "api-gateway": gateway.program.environment["ISOLA_HTTP_PORT"],
            "exporter": exporter.program.environment["ISOLA_METRICS_PORT"],
        }
        jobs = {job: int(port) for job, port in ports.items()}
        prometheus = stack.enter_context(scraping(there.folder, jobs))
        url = f"http://127.0.0.1:{jobs['api-gateway']}"
        day = Day(there, url, prometheus, collector, now())
        chance = random.Random(7)
        fronts = Fronts(pod.address)
        stack.callback(fronts.close)
        async with asyncio.TaskGroup() as group:
            node = group.create_task(_Node(day, fronts, chance).work())
            people = group.create_task(_people(day, chance))
            await asyncio.sleep(seconds)
            try:
                yield day
            finally:
                people.cancel()
                node.cancel()


class _Node:
    """Scheduler and kubelet."""

    def __init__(self, day: Day, fronts: Fronts, chance: random.Random) -> None:
        self._day = day
        self._kubelet = day.there.kubelet
        self._fronts = fronts
        self._chance = chance

    async def work(self) -> None:
        """Start what comes, and take away what goes, for ever."""
        client = self._day.there.client
        await self._kubelet.prepare()
        listed = await client.request("GET", PODS)
        query = {"resourceVersion": listed["metadata"]["resourceVersion"]}
        leaving = set[str]()
        async with asyncio.TaskGroup() as group:
            async for event in client.watch(PODS, query, timeout_seconds=3600):
                pod = event["object"]
                name = pod["metadata"]["name"].removesuffix("-pod")
                if event["type"] == "ADDED":
                    group.create_task(_tried(self._starts(name, pod)))
                elif "deletionTimestamp" in pod["metadata"] and name not in leaving:
                    leaving.add(name)
                    group.create_task(_tried(self._ends(name)))

    async def _starts(self, name: str, pod: dict[str, Any]) -> None:
        chance, kubelet = self._chance, self._kubelet
        (fate,) = chance.choices(list(FATES), list(FATES.values()))
        self._day.fates[name] = fate
        await asyncio.sleep(chance.lognormvariate(-3, 0.4))
        await kubelet.bind(name)
        if fate == "is stuck":
            await kubelet.stuck(name)
            return
        address = await self._fronts.place(pod)
        await asyncio.sleep(chance.lognormvariate(-0.5, 0.35))
        await kubelet.run(name, address)
        await asyncio.sleep(chance.uniform(3, 12))
        if fate in {"completes", "fails"}:
            await kubelet.exit(name, int(fate == "fails"))
        elif fate == "wavers":
            await kubelet.ready(name, ready=False)
            await asyncio.sleep(chance.uniform(1, 4))
            await kubelet.ready(name, ready=True)

    async def _ends(self, name: str) -> None:
        await asyncio.sleep(self._chance.uniform(0.1, 0.8))
        await self._kubelet.remove(name)


async def _tried(step: Coroutine[Any, Any, None]) -> None:
    with suppress(LifecycleError):  # its pod went meanwhile
        await step


async def _people(day: Day, chance: random.Random) -> None:
    """Use sandboxes, at some times more than at others, for ever."""
    async with (
        httpx.AsyncClient(base_url=day.url, timeout=60) as http,
        asyncio.TaskGroup() as group,
    ):
        while True:
            for pace in (2.2, 1.2, 0.7, 1.6):
                for _ in range(int(20 / pace)):
                    group.create_task(_use(http, chance))
                    await asyncio.sleep(chance.expovariate(1 / pace))


async def _use(http: httpx.AsyncClient, chance: random.Random) -> None:
    body = {
        **BODY,
        "labels": {"team": chance.choice(TEAMS)},
        "timeoutSeconds": chance.choice([15, 60, 600]),
    }
    made = (await http.post("/v1/sandboxes", json=body, headers={"Prefer": "wait=5"})).json()
    path, patience = f"/v1/sandboxes/{made['id']}", chance.uniform(5, 40)
    async with asyncio.TaskGroup() as group:
        commands = group.create_task(_commands(http, path, chance))
        await asyncio.sleep(patience)
        commands.cancel()
    if chance.random() < 0.8:  # others let its time run out
        await http.delete(path)


async def _commands(http: httpx.AsyncClient, path: str, chance: random.Random) -> None:
    while True:
        told = await http.post(f"{path}/commands", json={"args": ["sleep", "0.2"]})
        if told.is_success:
            await http.get(f"{path}/commands/{told.json()['id']}/stdout")
        await asyncio.sleep(chance.uniform(2, 8))


async def delivered(day: Day) -> None:
    """Return once a life that ended is in the collector."""

    async def some() -> bool:
        return any(span["name"] == "sandbox" for span in day.collector.spans())

    await until(some, every=1)
