"""A gateway behind its real server, in this process or as one of its own; real sidecars."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import pytest

from contract.whole import comes_up, node, programs
from gateway.fakes import World, world
from gateway.real import RealSandbox
from gateway.serving import operated, served
from isola_operator.credentials import fingerprint, fresh
from isola_sdk import AsyncIsola, AsyncSandbox, Retrying
from sidecar.pods import Pod, require_tools
from support.kubernetes_server import ApiServer

IMPATIENT = Retrying(attempts=12, first_seconds=0.01, longest_seconds=0.3)


@pytest.fixture(scope="session")
def sandboxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSandbox]:
    """What every sandbox of these tests is."""
    require_tools()
    with Pod(tmp_path_factory.mktemp("pod")) as pod:
        container = pod.add("sandbox0", directory="/tmp")
        credentials = fresh()
        port = pod.start_sidecar(credentials=credentials).port
        yield RealSandbox(pod, container, port, fingerprint(credentials.certificate))


@pytest.fixture
def known() -> World:
    """What the gateway knows."""
    return world()


@pytest.fixture
async def url(known: World, sandboxed: RealSandbox) -> AsyncIterator[str]:
    """A gateway's address, where sandboxes come up."""
    async with served(known, sandboxed.port) as url, operated(known, sandboxed.certificate):
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncIsola]:
    async with AsyncIsola(url=url, retrying=IMPATIENT) as client:
        yield client


@pytest.fixture
async def sandbox(client: AsyncIsola) -> AsyncSandbox:
    return await client.sandboxes.create(image="busybox")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, api_server: ApiServer) -> Iterator[str]:
    """The address of a gateway and an operator as processes, on a real API server.

    The one node's kubelet is played; all its sandboxes have one sidecar, a real one.
    """
    require_tools()
    with Pod(tmp_path_factory.mktemp("whole-pod"), own_network=True) as pod:
        pod.add("sandbox0", prepare="mkdir /sandbox", directory="/sandbox")
        pod.start_sidecar()
        with (
            programs(tmp_path_factory.mktemp("whole"), api_server) as url,
            _playing(node(api_server, pod.address)),
        ):
            comes_up(url)
            yield url


@contextmanager
def _playing(node: AbstractAsyncContextManager[None]) -> Generator[None]:
    """Hold an asynchronous context in a thread."""
    loop, over, begun = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def play() -> None:
        async with node:
            begun.set()
            await over.wait()
        # What carries connections ends with them, not with the servers that began it.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0.1)  # for the transports, which close in turns of their own

    thread = threading.Thread(target=lambda: loop.run_until_complete(play()))
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
