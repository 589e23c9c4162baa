"""Commands that are neglected, crowded or numerous: each still ends as it should."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import isola
import pytest

from sidecar.pods import text_of
from support.cluster import Cluster
from support.memory import OF_THE_SIDECAR

MEBIBYTE = 1 << 20


def test_writes_at_once_never_interleave(sandbox: isola.Sandbox) -> None:
    command = sandbox.commands.spawn("cat", timeout_seconds=120)
    size = 100_000  # more than a pipe holds
    writes = [bytes([65 + number]) * size for number in range(8)]
    with ThreadPoolExecutor(len(writes)) as pool:
        list(pool.map(command.write_stdin, writes))
    command.close_stdin()
    assert command.wait() == 0
    text = command.stdout.read().encode()
    assert sorted(text[at : at + size] for at in range(0, len(text), size)) == writes


def test_a_program_that_ignores_its_stdin_blocks_neither_others_nor_close(
    sandbox: isola.Sandbox, http: httpx.Client
) -> None:
    command = sandbox.commands.spawn("sleep", "600")
    begun = threading.Event()

    def more_than_it_takes() -> Iterator[bytes]:
        yield b"x" * MEBIBYTE
        begun.set()
        yield b"x" * MEBIBYTE

    with ThreadPoolExecutor(1) as pool:
        url = f"/sandboxes/{sandbox.id}/commands/{command.id}/stdin"
        write = pool.submit(http.post, url, content=more_than_it_takes())
        assert begun.wait(30)
        assert sandbox.commands.run("echo", "served").stdout == "served\n"
        command.close_stdin()
        assert not write.done()
        command.kill()
        assert command.wait() == -1
        assert write.result(30).status_code == 409


def test_a_program_that_takes_nothing_ends_the_write_not_itself(
    sandbox: isola.Sandbox,
) -> None:
    command = sandbox.commands.spawn("sleep", "600")
    with pytest.raises(isola.ConflictError, match="took nothing from its stdin"):
        command.write_stdin(b"x" * MEBIBYTE)
    assert command.exit_code() is None


def test_clients_that_leave_change_nothing(sandbox: isola.Sandbox, http: httpx.Client) -> None:
    script = "for i in $(seq 1 30); do echo $i; sleep 0.1; done"
    command = sandbox.commands.spawn("sh", "-c", script)
    url = f"/sandboxes/{sandbox.id}/commands/{command.id}"
    with http.stream("GET", f"{url}/stdout") as stream:
        assert next(stream.iter_raw())
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"{url}/status", params={"waitSeconds": 20}, timeout=0.3)
    assert command.wait() == 0
    assert command.stdout.read() == "".join(f"{number}\n" for number in range(1, 31))


async def test_any_number_of_readers_replay_the_output(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    script = "seq 1 2000; sleep 2; seq 2001 4000"
    expected = "".join(f"{number}\n" for number in range(1, 4001))
    command = await asyncio.to_thread(sandbox.commands.spawn, "sh", "-c", script)
    url = f"/sandboxes/{sandbox.id}/commands/{command.id}/stdout"
    async with httpx.AsyncClient(base_url=f"{cluster.url}/v1", timeout=60) as http:

        async def read() -> str:
            return text_of((await http.get(url)).content)

        during = await asyncio.gather(*(read() for _ in range(50)))
        assert await asyncio.to_thread(command.wait) == 0
        after = await asyncio.gather(*(read() for _ in range(50)))
    assert [*during, *after] == [expected] * 100


def test_bytes_are_told_as_they_are_to_who_asks(sandbox: isola.Sandbox, http: httpx.Client) -> None:
    program = "import os; [os.write(1, bytes(range(256))) for _ in range(1000)]"
    command = sandbox.commands.spawn("python3", "-c", program)
    assert command.wait() == 0
    url = f"/sandboxes/{sandbox.id}/commands/{command.id}/stdout"
    octets = {"Accept": "application/octet-stream"}
    assert http.get(url, headers=octets).content == bytes(range(256)) * 1000
    rest = http.get(url, headers={**octets, "Last-Event-ID": "255900"})
    assert rest.headers["content-type"] == "application/octet-stream"
    assert rest.content == bytes(range(156, 256))


def test_the_list_tells_every_command_and_how_it_ended(
    sandbox: isola.Sandbox, http: httpx.Client
) -> None:
    url = f"/sandboxes/{sandbox.id}/commands"
    exited = sandbox.commands.run("sh", "-c", "exit 3")
    late = sandbox.commands.run("sleep", "600", timeout_seconds=1)
    killed, deaf, living = (sandbox.commands.spawn("sleep", "600") for _ in range(3))
    killed.kill()
    http.delete(f"{url}/{deaf.id}", params={"signal": "TERM"})
    assert (killed.wait(), deaf.wait()) == (-1, -1)
    told = {each["id"]: each for each in http.get(url).json()["commands"]}
    ends = {
        exited.id: (3, "Exited", None),
        late.id: (-1, "TimedOut", "SIGKILL"),
        killed.id: (-1, "Signalled", "SIGKILL"),
        deaf.id: (-1, "Signalled", "SIGTERM"),
        living.id: (None, None, None),
    }
    shown = {
        name: (each["exitCode"], each.get("cause"), each.get("signal"))
        for name, each in told.items()
    }
    assert shown == ends
    assert told[living.id]["args"] == ["sleep", "600"]
    assert told[living.id]["container"] == "sandbox0"


def test_a_chosen_signal_is_the_program_s_to_handle(
    sandbox: isola.Sandbox, http: httpx.Client
) -> None:
    script = "trap 'echo hangup' HUP; trap 'exit 9' TERM; echo set; while :; do sleep 0.1; done"
    command = sandbox.commands.spawn("sh", "-c", script)
    text = iter(command.stdout)
    assert next(text) == "set\n"
    url = f"/sandboxes/{sandbox.id}/commands/{command.id}"
    assert http.delete(url, params={"signal": "HUP"}).status_code == 204
    assert next(text) == "hangup\n"
    http.delete(url, params={"signal": "TERM"})
    assert command.wait() == 9
    assert http.delete(url, params={"signal": "NOSUCH"}).status_code == 422


async def test_more_streams_than_a_sandbox_takes_are_429(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    """Those that are open go on, nothing else is refused, and one that ends makes room."""
    command = await asyncio.to_thread(sandbox.commands.spawn, "sh", "-c", "echo begun; sleep 600")
    url = f"{cluster.url}/v1/sandboxes/{sandbox.id}/commands/{command.id}/stdout"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60) as http:

        async def opened() -> httpx.Response:
            return await http.send(http.build_request("GET", url), stream=True)

        streams = [await opened() for _ in range(192)]  # three quarters of a sandbox's requests
        refused = await opened()
        assert [each.status_code for each in streams] == [200] * 192
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        status = await http.get(url.replace("/stdout", "/status"))
        assert status.json()["exitCode"] is None
        await streams.pop().aclose()
        async with asyncio.timeout(20):
            while (again := await opened()).status_code != 200:
                await again.aclose()
        for stream in [*streams, refused, again]:
            await stream.aclose()


class TestALongLife:
    """A thousand commands with output, while two streams are silent for 80 s."""

    COMMANDS = 1000
    # What is known of an ended command, and the allocator's own: of 180 MB that went through.
    KEPT = COMMANDS * 4096 + 8 * MEBIBYTE

    @pytest.mark.timeout(300)
    async def test_it_gives_back_what_they_took_and_streams_survive_their_silence(
        self, cluster: Cluster
    ) -> None:
        async with (
            isola.AsyncIsola(url=cluster.url) as client,
            await client.sandboxes.create(image=cluster.image, timeout_seconds=900) as sandbox,
        ):
            silent = await sandbox.commands.spawn("sh", "-c", "echo begun; sleep 80; echo over")
            streams = asyncio.gather(silent.stdout.read(), _octets(cluster, sandbox.id, silent.id))
            first = await self._many(sandbox, 100)
            before = await _sidecar_bytes(sandbox)
            await self._many(sandbox, self.COMMANDS - 100)
            after = await _sidecar_bytes(sandbox)
            assert after - before < self.KEPT
            assert await streams == ["begun\nover\n", b"begun\nover\n"]
            assert await silent.wait() == 0
            # By now the limit on kept outputs holds for all of them.
            with pytest.raises(isola.APIError) as gone:
                await first[0].stdout.read()
            assert gone.value.status_code == 410
            assert await first[0].exit_code() == 0

    async def _many(self, sandbox: isola.AsyncSandbox, count: int) -> list[isola.AsyncCommand]:
        turns = asyncio.Semaphore(16)

        async def one() -> isola.AsyncCommand:
            async with turns:
                command = await sandbox.commands.spawn("head", "-c", "200000", "/dev/zero")
                assert await command.wait() == 0
                return command

        return list(await asyncio.gather(*(one() for _ in range(count))))


async def _octets(cluster: Cluster, sandbox: str, command: str) -> bytes:
    url = f"{cluster.url}/v1/sandboxes/{sandbox}/commands/{command}/stdout"
    async with httpx.AsyncClient(timeout=120) as http:
        return (await http.get(url, headers={"Accept": "application/octet-stream"})).content


async def _sidecar_bytes(sandbox: isola.AsyncSandbox) -> int:
    return int((await sandbox.commands.run(*OF_THE_SIDECAR)).stdout) * 1024
