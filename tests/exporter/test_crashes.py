"""Whoever dies and whenever: each life as the collector has it equals its log, in its order."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from exporter.scene import TRACEPARENT, Program, Scene, assert_told
from isola_exporter.model import Ids, Kind
from isola_lifecycle.archive import whole
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Log
from isola_store.port import Sandbox
from support.collector import Collector
from support.kubernetes_server import NAMESPACE, ApiServer, free_port

pytestmark = pytest.mark.apiserver

LIVES = int(os.environ.get("ISOLA_LIVES", "10"))


@dataclass
class Client:
    """A client of a gateway that may be gone: it asks until it is answered."""

    session: aiohttp.ClientSession
    url: str

    async def create(self, key: str) -> str:
        asked = {"podTemplate": {"containers": [{"image": "i"}]}}
        headers = {"Idempotency-Key": key, "traceparent": TRACEPARENT}
        return str((await self._answered("POST", self.url, 201, json=asked, headers=headers))["id"])

    async def delete(self, name: str) -> None:
        await self._answered("DELETE", f"{self.url}/{name}", 204)

    async def _answered(self, method: str, url: str, code: int, **more: Any) -> dict[str, Any]:
        async with asyncio.timeout(240):  # it is killed as fast as it starts
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    async with self.session.request(method, url, **more) as answer:
                        if answer.status == code:
                            return await answer.json() if code == 201 else {}
                await asyncio.sleep(0.1)


@asynccontextmanager
async def gateway(folder: Path, api_server: ApiServer) -> AsyncGenerator[tuple[Program, Client]]:
    port = free_port()
    variables = {
        "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
        "KUBECONFIG": str(api_server.kubeconfig),
        "ISOLA_HTTP_PORT": str(port),
    }
    program = Program("isola_gateway", variables, folder / "gateway.log")
    program.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield program, Client(session, f"http://127.0.0.1:{port}/v1/sandboxes")
    finally:
        program.kill()


async def chaos(
    victims: dict[str, Program | Collector],
    chance: random.Random,
    pace: float,
    over: asyncio.Event,
) -> Counter[str]:
    """Kill one after the other until it is over: each comes up in between more often than not.

    All of them in turn, but in another order each time; and start whom it killed.

    Args:
        victims: Whom, by name.
        chance: Decides.
        pace: How many seconds a program takes to come up on this machine.
        over: Set when it is to end; it ends with whoever's turn is still to come.

    Returns:
        How often it killed each.
    """
    killed: Counter[str] = Counter()
    while not over.is_set():
        for name in chance.sample(list(victims), len(victims)):
            await asyncio.sleep(chance.uniform(0.1, 0.5) * pace)
            await asyncio.to_thread(victims[name].kill)
            killed[name] += 1
            await asyncio.sleep(chance.uniform(0, 0.2) * pace)
            await asyncio.to_thread(victims[name].start)
    return killed


@pytest.mark.timeout(600 + 60 * LIVES)
async def test_killing_everybody_at_random_loses_and_disorders_nothing(
    scene: Scene, tmp_path: Path, api_server: ApiServer
) -> None:
    chance = random.Random(7)

    async def life(client: Client, number: int) -> Sandbox:
        await asyncio.sleep(number * 0.5)
        name = await client.create(str(UUID(int=chance.getrandbits(128))))
        sandbox = await scene.store.read(name)
        # One of them is rolled over to the archive while it lives.
        await scene.live(sandbox, chance, flaps=30 if number == 0 else 0, delete=client.delete)
        return sandbox

    def is_told(sandbox: Sandbox) -> bool:
        return Ids(sandbox.uid).span(Kind.LIFE, 1) in scene.spans(sandbox.uid)

    async with gateway(tmp_path, api_server) as (program, client):
        victims = {
            "gateway": program,
            "operator": scene.operator,
            "collector": scene.collector,
            "exporter": scene.exporter,
        }
        began = time.monotonic()
        await scene.exporting()
        over = asyncio.Event()
        trouble = asyncio.create_task(chaos(victims, chance, time.monotonic() - began, over))
        sandboxes = await asyncio.gather(*(life(client, number) for number in range(LIVES)))
        over.set()
        killed = await trouble
        await scene.until(lambda: all(map(is_told, sandboxes)))
    for sandbox in sandboxes:
        archived = whole(await scene.records.read(sandbox.name, sandbox.uid))
        watched = scene.logs[sandbox.uid].entries
        assert archived[: len(watched)] == watched
        assert faults(sandbox.uid, [encode(entry) for entry in archived]) == ()
        scene.logs[sandbox.uid] = Log(sandbox.uid, archived)
        assert_told(scene, sandbox)
    print(f"{LIVES} lives, killed meanwhile: {dict(killed)}")  # noqa: T201 - how hard it was
