"""`watch`: each transition once, in order, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.kubernetes_server import ApiServer
from support.link import Link, linked
from support.lives import END, FLAPPING, Lives
from support.stories import NOT_READY, READY, SILENT

pytestmark = pytest.mark.apiserver


class Watching:
    """Somebody who watches, in a process of their own.

    Attributes:
        process: That process.
    """

    def __init__(self, process: Process) -> None:
        self.process = process

    async def told(self, count: int) -> list[dict[str, Any]]:
        """Return the next entries that are told."""
        assert self.process.stdout
        lines = [await asyncio.wait_for(self.process.stdout.readline(), 60) for _ in range(count)]
        return [json.loads(line) for line in lines]

    async def begun(self) -> None:
        """Return once whatever happens is told."""
        assert self.process.stderr
        line = await asyncio.wait_for(self.process.stderr.readline(), 60)
        assert b"what happens to any from now on" in line

    async def numbers(self, count: int) -> list[int]:
        """Return the numbers of the next entries that are told."""
        return [told["entry"]["sequence"] for told in await self.told(count)]

    async def rest(self) -> tuple[int, str]:
        """Return the exit code, and what was told up to the end."""
        out, _ = await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode or 0, out.decode()


@asynccontextmanager
async def watching(
    server: ApiServer, *words: str, kubeconfig: Path | None = None
) -> AsyncGenerator[Watching]:
    """Yield somebody who watches."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isola_kubectl", "watch", *words),
        env={
            **os.environ,
            "KUBECTL": str(server.kubectl),
            "KUBECONFIG": str(kubeconfig or server.kubeconfig),
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield Watching(process)
    finally:
        if process.returncode is None:
            process.terminate()  # it takes its kubectl along
            await process.communicate()


@pytest.fixture
async def link(api_server: ApiServer) -> AsyncGenerator[Link]:
    async with linked(api_server.url) as link:
        yield link


@pytest.fixture
def through(api_server: ApiServer, link: Link, tmp_path: Path) -> Path:
    """A kubeconfig that leads through the link."""
    config = tmp_path / "kubeconfig"
    config.write_text(api_server.kubeconfig.read_text().replace(api_server.url, link.url))
    return config


async def test_one_sandbox_is_followed_from_its_beginning_to_its_end(
    lives: Lives, api_server: ApiServer
) -> None:
    sandbox = await lives.begin()
    async with watching(api_server, sandbox.name, "-o", "json") as somebody:
        assert await somebody.numbers(5) == [1, 2, 3, 4, 5]
        await lives.end(await lives.go_on(sandbox, NOT_READY))
        assert await somebody.numbers(4) == [6, 7, 8, 9]
        assert await somebody.rest() == (0, "")


async def test_a_sandbox_that_is_gone_is_told_from_the_archive(
    lives: Lives, api_server: ApiServer
) -> None:
    sandbox = await lives.end(await lives.long())
    async with watching(api_server, sandbox.name, "-o", "json") as somebody:
        assert await somebody.numbers(29) == list(range(1, 30))
        assert await somebody.rest() == (0, "")


async def test_all_sandboxes_are_followed_from_now_on(lives: Lives, api_server: ApiServer) -> None:
    old = await lives.begin()
    async with watching(api_server, "-o", "json") as somebody:
        await somebody.begun()
        new = await lives.begin("", SILENT[0])
        (first,) = await somebody.told(1)
        assert (first["id"], first["entry"]["type"]) == (new.name, "Accepted")
        await lives.go_on(old, NOT_READY)
        (second,) = await somebody.told(1)
        assert (second["id"], second["uid"]) == (old.name, old.uid)
        assert second["entry"]["sequence"] == 6


async def test_nothing_is_lost_or_told_twice_when_the_connection_breaks(
    lives: Lives, api_server: ApiServer, link: Link, through: Path
) -> None:
    sandbox = await lives.begin()
    async with watching(api_server, sandbox.name, "-o", "json", kubeconfig=through) as somebody:
        assert await somebody.numbers(5) == [1, 2, 3, 4, 5]
        for round_ in range(2):
            link.cut()
            sandbox = await lives.go_on(sandbox, NOT_READY, READY)
            made = link.made
            link.mend()
            first = 6 + 2 * round_
            assert await somebody.numbers(2) == [first, first + 1]
            assert link.made > made
        sandbox = await lives.go_on(sandbox, NOT_READY)
        assert await somebody.numbers(1) == [10]


async def test_what_moved_to_the_archive_meanwhile_is_told_from_there(
    lives: Lives, api_server: ApiServer, link: Link, through: Path
) -> None:
    sandbox = await lives.begin()
    async with watching(api_server, sandbox.name, "-o", "json", kubeconfig=through) as somebody:
        assert await somebody.numbers(5) == [1, 2, 3, 4, 5]
        link.cut()
        sandbox = await lives.roll_over(await lives.go_on(sandbox, *FLAPPING))
        assert sandbox.log.archived > 5
        link.mend()
        assert await somebody.numbers(21) == list(range(6, 27))


async def test_an_end_that_came_meanwhile_is_told_from_the_archive(
    lives: Lives, api_server: ApiServer, link: Link, through: Path
) -> None:
    sandbox, other = await lives.begin(), await lives.begin()
    async with watching(api_server, sandbox.name, "-o", "json", kubeconfig=through) as one:
        assert await one.numbers(5) == [1, 2, 3, 4, 5]
        async with watching(api_server, "-o", "json", kubeconfig=through) as all_:
            await all_.begun()
            other = await lives.go_on(other, NOT_READY)
            assert (await all_.told(1))[0]["uid"] == other.uid
            link.cut()
            await lives.end(sandbox)
            await lives.end(other)
            link.mend()
            assert await one.numbers(3) == [6, 7, 8]
            assert await one.rest() == (0, "")
            told = await all_.told(6)
            by_uid = {
                s.uid: [t["entry"]["sequence"] for t in told if t["uid"] == s.uid]
                for s in (sandbox, other)
            }
            assert by_uid == {sandbox.uid: [6, 7, 8], other.uid: [7, 8, 9]}


async def test_people_read_a_line_an_entry(lives: Lives, api_server: ApiServer) -> None:
    sandbox = await lives.end(await lives.begin())
    async with watching(api_server, sandbox.name) as somebody:
        code, out = await somebody.rest()
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 5 + len(END)
    assert lines[0] == "2026-05-04 03:02:01.123Z  #1 Accepted  SpecValid  operator  …"


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_watch_ends_quietly_and_leaves_no_kubectl(
    lives: Lives, api_server: ApiServer, sign: signal.Signals, code: int
) -> None:
    sandbox = await lives.begin()
    # In the background, shells have it ignored, and a child inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    async with watching(api_server, sandbox.name, "-o", "json") as somebody:
        await somebody.numbers(5)
        somebody.process.send_signal(sign)
        # It returns once nobody holds the pipes any more: no child has outlived it.
        out, err = await asyncio.wait_for(somebody.process.communicate(), 60)
        assert (somebody.process.returncode, out, err) == (code, b"", b"")
