"""The published client, unchanged, against the real server and a real sidecar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import isola
import pytest

from gateway.fakes import World
from gateway.real import RealSandbox
from gateway.serving import operated, served


@pytest.fixture
async def url(gateway: World, sandbox: RealSandbox) -> AsyncIterator[str]:
    async with served(gateway, sandbox.port) as url, operated(gateway, sandbox.certificate):
        yield url


def in_sequence(url: str) -> None:
    with isola.Isola(url=url) as client:
        with client.sandboxes.create(image="busybox", cpu=0.5, memory=256) as sandbox:
            assert sandbox.status == "Running"
            assert client.sandboxes.get(sandbox.id).containers[0].name == "sandbox0"
            assert [s.id for s in client.sandboxes.list()] == [sandbox.id]
            ran = sandbox.commands.run("sh", "-c", "echo out; echo err >&2; exit 3")
            assert (ran.stdout, ran.stderr, ran.exit_code) == ("out\n", "err\n", 3)
            assert sandbox.commands.run("cat", input="fed").stdout == "fed"
            assert sandbox.commands.run("no-such-program").exit_code == 127
            sandbox.filesystem.write("/tmp/a dir/é+", b"\x00\xff" * 100_000)
            assert sandbox.filesystem.read("/tmp/a dir/é+") == b"\x00\xff" * 100_000
        with pytest.raises(isola.NotFoundError):
            _until_gone(client, sandbox.id)


def _until_gone(client: isola.Isola, name: str) -> None:
    for _ in range(100):
        client.sandboxes.get(name)
        time.sleep(0.01)


async def test_the_synchronous_client_lives_a_whole_life(url: str) -> None:
    await asyncio.to_thread(in_sequence, url)


async def test_the_asynchronous_client_runs_streams_feeds_and_kills(url: str) -> None:
    async with isola.AsyncIsola(url=url) as client:
        sandbox = await client.sandboxes.create(image="busybox")
        ran = await sandbox.commands.run("sh", "-c", "echo out; echo err >&2")
        assert (ran.stdout, ran.stderr, ran.exit_code) == ("out\n", "err\n", 0)
        script = "while read line; do echo got $line; done"
        fed = await sandbox.commands.spawn("sh", "-c", script)
        output = aiter(fed.stdout)
        for word in ("one", "two"):
            await fed.write_stdin(f"{word}\n")
            assert await anext(output) == f"got {word}\n"
        await fed.close_stdin()
        assert await fed.wait() == 0
        with pytest.raises(isola.ConflictError):
            await fed.write_stdin("late")
        endless = await sandbox.commands.spawn("sleep", "1000")
        assert await endless.exit_code() is None
        await endless.kill()
        assert await endless.wait() == -1
        await sandbox.delete()


async def test_twenty_commands_at_once_do_not_wait_for_one_another(url: str) -> None:
    async with isola.AsyncIsola(url=url) as client:
        sandbox = await client.sandboxes.create(image="busybox")
        begun = time.monotonic()
        runs = [sandbox.commands.run("sh", "-c", f"sleep 0.5; echo {i}") for i in range(20)]
        ran = await asyncio.gather(*runs)
        assert [r.stdout for r in ran] == [f"{i}\n" for i in range(20)]
        assert time.monotonic() - begun < 5


async def test_errors_are_the_clients_own_kinds(url: str) -> None:
    async with isola.AsyncIsola(url=url) as client:
        sandbox = await client.sandboxes.create(image="busybox")
        with pytest.raises(isola.NotFoundError):
            await sandbox.filesystem.read("/tmp/none")
        with pytest.raises(isola.BadRequestError):
            await sandbox.filesystem.read("/tmp")
        with pytest.raises(isola.BadRequestError):
            await sandbox.commands.spawn("true", cwd="/none")
        with pytest.raises(isola.ValidationError):
            await sandbox.commands.spawn("true", container="A")
        with pytest.raises(isola.ValidationError):
            await client.sandboxes.get("A")
        # A mebibyte that nobody takes: the answer must come through all the same.
        await sandbox.delete()
        await asyncio.sleep(0.1)
        with pytest.raises(isola.NotFoundError):
            await sandbox.filesystem.write("/tmp/a", b"x" * 2**20)
