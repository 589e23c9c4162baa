from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from gateway.fakes import Client, World, world
from gateway.real import RealSandbox
from gateway.serving import LOOPBACK, served
from isola_operator.credentials import fingerprint, fresh
from sidecar.pods import Pod, require_tools


@pytest.fixture
async def gateway() -> World:
    """A gateway whose world is empty."""
    return world()


@pytest.fixture
async def client(gateway: World) -> Client:
    """A client of it, in process."""
    return gateway.app().test_client()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSandbox]:
    """A sandbox that all tests share: each uses files and commands of its own."""
    require_tools()
    with Pod(tmp_path_factory.mktemp("pod")) as pod:
        container = pod.add("sandbox0", directory="/tmp")
        credentials = fresh()
        port = pod.start_sidecar(credentials=credentials).port
        yield RealSandbox(pod, container, port, fingerprint(credentials.certificate))


@pytest.fixture
async def http(gateway: World, sandbox: RealSandbox) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a real server, to which the shared sandbox is known as `box`."""
    await gateway.runs("box", LOOPBACK, sandbox.certificate)
    async with (
        served(gateway, sandbox.port) as url,
        aiohttp.ClientSession(url, read_bufsize=2**16) as session,
    ):
        yield session
