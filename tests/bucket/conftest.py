"""The bucket under test: in memory, and of each service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack

import pytest

from isola_bucket.connection import connected
from isola_bucket.memory import MemoryBucket
from isola_bucket.port import Bucket
from support import buckets
from support.buckets import Server
from support.store import unique

NAME = "snapshots"
STARTS = {"s3": buckets.minio, "gs": buckets.fake_gcs, "azblob": buckets.azurite}
REAL = [pytest.param(kind, marks=pytest.mark.bucket) for kind in sorted(STARTS)]


class Servers(dict[str, Server]):
    """A server of each kind that was asked for, with one bucket in it."""

    def __init__(self, factory: pytest.TempPathFactory, stack: ExitStack) -> None:
        self._factory = factory
        self._stack = stack

    def __missing__(self, kind: str) -> Server:
        server = self._stack.enter_context(STARTS[kind](self._factory.mktemp(kind)))
        asyncio.run(buckets.make(server, NAME))
        self[kind] = server
        return server


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory, stack)


@pytest.fixture(params=REAL)
def server(
    request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> Server:
    """A real server of each kind, with credentials for it in the environment."""
    server = servers[request.param]
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    return server


@pytest.fixture(params=["memory", *REAL], name="url")
def url_(request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the bucket is, with credentials for it in the environment; empty for memory."""
    if request.param == "memory":
        return ""
    server = servers[request.param]
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    return server.url(NAME)


@pytest.fixture
async def bucket(url: str) -> AsyncGenerator[Bucket]:
    """A bucket of each kind; keys of earlier tests are in it."""
    if not url:
        yield MemoryBucket()
        return
    async with connected(url, os.environ) as opened:
        yield opened


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"rootfssnapshots/team-a/{unique('work')}.tar.zst"
