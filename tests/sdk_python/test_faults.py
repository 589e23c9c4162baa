"""Random lives of commands, through a proxy on which nobody can rely.

Each run of the tests lives some dozens. As many as are worth believing take some minutes, and print
what was done to them: `ISOLA_SDK_LIVES=1000 ISOLA_SDK_SEED=2 hack/uv run pytest -rP
tests/sdk_python/test_faults.py -k every_byte | grep lives,`
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, suppress
from dataclasses import dataclass
from random import Random

import pytest

from gateway.real import RealSandbox
from isola_sdk import (
    APIConnectionError,
    AsyncIsola,
    AsyncSandbox,
    Isola,
    NotFoundError,
    StreamLostError,
)
from sdk_python.conftest import IMPATIENT
from sdk_python.faults import KINDS, unreliable

LIVES = int(os.environ.get("ISOLA_SDK_LIVES", "48"))
SEED = int(os.environ.get("ISOLA_SDK_SEED", "1"))
AT_ONCE = 4


@dataclass(frozen=True)
class Life:
    """A command: what it gets, and what must come of it.

    Attributes:
        number: Which.
        data: Its input, or a file that it prints.
        code: Its exit code.
    """

    number: int
    data: bytes
    code: int

    @property
    def counted(self) -> str:
        return f"echo ran >> /tmp/runs-{self.number}; "


def life(number: int) -> Life:
    random = Random(f"{SEED} {number}")
    size = random.choice((0, 1, 100, 10_000, 300_000))
    return Life(number, random.randbytes(size), random.randrange(0, 100))


async def fed(sandbox: AsyncSandbox, one: Life) -> None:
    """Its input comes out of both ends."""
    script = f"{one.counted}tee /dev/fd/2; exit {one.code}"
    ran = await sandbox.commands.run("sh", "-c", script, input=one.data)
    assert (ran.stdout_bytes, ran.stderr_bytes) == (one.data, one.data)
    assert (ran.exit_code, ran.cause) == (one.code, "Exited")


async def printed(sandbox: AsyncSandbox, one: Life) -> None:
    """A file that was uploaded comes out, with pauses, while it is read."""
    path = f"/tmp/file-{one.number}"
    await sandbox.filesystem.write(path, one.data)
    half = len(one.data) // 2
    script = (
        f"{one.counted}head -c {half} {path}; sleep 0.1; "
        f"tail -c {len(one.data) - half} {path}; exit {one.code}"
    )
    command = await sandbox.commands.spawn("sh", "-c", script)
    async with aclosing(command.stdout.iter_bytes()) as pieces:
        assert b"".join([piece async for piece in pieces]) == one.data
    assert await command.wait() == one.code
    assert await sandbox.filesystem.read(path) == one.data
    with suppress(NotFoundError):  # of two DELETEs, which carry no key, one finds nothing
        await sandbox.filesystem.remove(path)


async def by_the_synchronous_client(sandbox: AsyncSandbox, one: Life, url: str) -> None:
    """As `fed`, in a thread."""

    def live() -> None:
        with Isola(url=url, retrying=IMPATIENT) as client:
            script = f"{one.counted}tee /dev/fd/2; exit {one.code}"
            commands = client.sandboxes.get(sandbox.id).commands
            ran = commands.run("sh", "-c", script, input=one.data)
            assert (ran.stdout_bytes, ran.stderr_bytes) == (one.data, one.data)
            assert ran.exit_code == one.code

    await asyncio.to_thread(live)


@pytest.mark.timeout(300 + 5 * LIVES)
async def test_every_byte_comes_once_and_no_command_runs_twice(
    url: str, sandboxed: RealSandbox
) -> None:
    async with (
        unreliable(url, seed=SEED) as proxy,
        AsyncIsola(url=proxy.url, retrying=IMPATIENT) as client,
    ):
        sandbox = await client.sandboxes.create(image="busybox")
        turns = asyncio.Semaphore(AT_ONCE)

        async def live(number: int) -> None:
            one = life(number)
            async with turns:
                match number % 3:
                    case 0:
                        await fed(sandbox, one)
                    case 1:
                        await printed(sandbox, one)
                    case _:
                        await by_the_synchronous_client(sandbox, one, proxy.url)
            runs = sandboxed.file(f"/tmp/runs-{number}")
            assert runs.read_text() == "ran\n"
            runs.unlink()

        await asyncio.gather(*(live(number) for number in range(LIVES)))
        assert [each.id for each in await client.sandboxes.list()] == [sandbox.id]
    assert all(proxy.happened[kind] for kind in KINDS)
    told = ", ".join(f"{kind} {proxy.happened[kind]}" for kind in KINDS)
    print(f"seed {SEED}: {LIVES} lives, {proxy.happened.total()} requests; {told}")  # noqa: T201 - how hard it was


async def test_a_connection_that_is_lost_for_good_is_told_and_can_be_taken_up(
    url: str, client: AsyncIsola
) -> None:
    sandbox = await client.sandboxes.create(image="busybox")
    command = await sandbox.commands.spawn("sh", "-c", "printf abc; read line; printf def")
    async with (
        unreliable(url, seed=1, often=0) as proxy,
        AsyncIsola(url=proxy.url, retrying=IMPATIENT) as other,
    ):
        far = (await other.sandboxes.get(sandbox.id)).commands.get(command.id)
        with pytest.raises(StreamLostError, match="3 bytes had come") as raised:  # noqa: PT012
            async with aclosing(far.stdout.iter_bytes()) as pieces:
                assert await anext(pieces) == b"abc"
                proxy.often, proxy.kinds = 1, ("refuse",)
                proxy.cut()
                await anext(pieces)
        with pytest.raises(APIConnectionError):
            await far.wait()
    await command.write_stdin("go\n")
    assert await command.stream("stdout", offset=raised.value.offset).read() == "def"
