"""MinIO, with a bucket in it and credentials for it in the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from support import buckets
from support.buckets import Server

BUCKET = "snapshots"


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with buckets.minio(tmp_path_factory.mktemp("minio")) as server:
        asyncio.run(buckets.make(server, BUCKET))
        yield server


@pytest.fixture
def minio(started: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for variable, value in started.environment.items():
        monkeypatch.setenv(variable, value)
    return started
