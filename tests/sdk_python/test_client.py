"""The client against the real server and a real sidecar."""

from __future__ import annotations

import asyncio
import io
import random
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from time import monotonic

import httpx
import pytest

import isola_sdk as isola
from gateway.fakes import World, fact, stored
from gateway.real import RealSandbox
from isola_sdk import AsyncIsola, AsyncSandbox, Isola, Retrying, TerminalSize

ONCE = Retrying(attempts=1)


# One life by the synchronous client, which is made from the asynchronous one


def a_whole_life(url: str) -> None:
    with Isola(url=url) as client:
        made = client.sandboxes.create(image="busybox", cpu=0.5, labels={"a": "1"})
        with made as sandbox:
            assert sandbox.status == "Running"
            assert [each.id for each in client.sandboxes.list(labels={"a": "1"})] == [sandbox.id]
            assert client.sandboxes.list(labels="a=2") == []
            ran = sandbox.commands.run("sh", "-c", "printf 'o\\r\\n'; echo err >&2; exit 3")
            assert (ran.stdout, ran.stderr, ran.exit_code, ran.cause) == (
                "o\n",
                "err\n",
                3,
                "Exited",
            )
            assert ran.stdout_bytes == b"o\r\n"
            data = random.Random(1).randbytes(700_000)
            steps: list[tuple[int, int | None]] = []

            def note(sent: int, total: int | None) -> None:
                steps.append((sent, total))

            sandbox.filesystem.write("/tmp/up", io.BytesIO(data), on_progress=note)
            assert steps[-1] == (700_000, 700_000)
            assert sandbox.filesystem.read("/tmp/up") == data
            kept = io.BytesIO()
            sandbox.filesystem.download("/tmp/up", kept)
            assert kept.getvalue() == data
            command = sandbox.commands.spawn("sh", "-c", "while read l; do echo got $l; done")
            output = iter(command.stdout)
            for word in ("one", "two"):
                command.write_stdin(f"{word}\n")
                assert next(output) == f"got {word}\n"
            command.close_stdin()
            assert command.wait() == 0
            assert list(output) == []
            with sandbox.commands.spawn("tty", terminal=TerminalSize()).terminal() as terminal:
                assert b"".join(terminal).startswith(b"/dev/pts/")
            history = sandbox.history()
            assert history.verify() == history.entries[-1].digest
            follow = sandbox.follow()
            assert [next(follow).type for _ in range(2)] == ["Accepted", "PodCreated"]
            follow.close()


async def test_the_synchronous_client_lives_a_whole_life(url: str) -> None:
    await asyncio.to_thread(a_whole_life, url)


# Sandboxes


async def test_a_sandbox_tells_all_that_the_gateway_does(client: AsyncIsola, known: World) -> None:
    sandbox = await client.sandboxes.create(
        image="busybox", timeout_seconds=600, network=isola.Network(allowed_egress_domains=[])
    )
    assert sandbox.reason == "PodReady"
    assert sandbox.message
    assert sandbox.node == "worker-1"
    assert sandbox.timeout_seconds == 600
    assert sandbox.network == isola.Network(allowed_egress_domains=[])
    await sandbox.set_timeout(100_000_000)
    assert sandbox.timeout_seconds == 100_000_000
    await known.records(sandbox.id, fact("Ready", "ReadinessLost", holds=False))
    assert sandbox.status == "Running"
    assert (await sandbox.refresh()).status == "Pending"


async def test_a_sandbox_that_fails_says_why_in_the_error(client: AsyncIsola, known: World) -> None:
    await known.exists(
        "ill",
        fact("Accepted", "SpecValid"),
        fact("Succeeded", "ImagePullFailed", "no such image", holds=False),
    )
    sandbox = await client.sandboxes.get("ill")
    with pytest.raises(isola.SandboxFailedError) as raised:
        await sandbox.wait()
    error = raised.value
    assert (error.sandbox_id, error.status) == ("ill", "Failed")
    assert (error.reason, error.explanation) == ("ImagePullFailed", "no such image")
    assert error.request_id
    assert "no such image" in str(error)


async def test_a_wait_ends_in_time_and_says_where_it_stands(
    client: AsyncIsola, known: World
) -> None:
    await known.exists("slow", fact("Accepted", "SpecValid"))
    sandbox = await client.sandboxes.get("slow")
    with pytest.raises(isola.IsolaTimeoutError, match="slow does not run yet"):
        await sandbox.wait(max_wait_seconds=1)
    assert (await client.sandboxes.create(image="busybox", max_wait_seconds=0)).id


async def test_a_list_comes_in_pages(client: AsyncIsola) -> None:
    made = [
        (await client.sandboxes.create(image="busybox", labels={"n": str(n)})).id for n in range(5)
    ]
    assert [each.id async for each in client.sandboxes.iterate(page_size=2)] == made
    assert [each.id for each in await client.sandboxes.list(labels="n!=3")] == [
        *made[:3],
        made[4],
    ]
    assert len(await client.sandboxes.list(status="Running")) == 5


@pytest.mark.parametrize(
    "arguments",
    [{}, {"image": "a", "containers": []}, {"containers": [], "cpu": 1}],
    ids=["neither", "both", "settings of which"],
)
async def test_nothing_is_asked_where_the_arguments_contradict(
    arguments: dict[str, object],
) -> None:
    client = AsyncIsola(url="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="containers"):
        await client.sandboxes.create(**arguments)  # pyright: ignore[reportArgumentType]


# Commands


async def test_output_is_read_while_it_comes_and_again_from_any_byte(sandbox: AsyncSandbox) -> None:
    command = await sandbox.commands.spawn("sh", "-c", "printf abc; read line; printf def")
    async with aclosing(command.stdout.iter_bytes()) as pieces:
        assert await anext(pieces) == b"abc"
        await command.write_stdin("go\n")
        assert b"".join([piece async for piece in pieces]) == b"def"
    assert command.stdout.offset == 6
    assert await command.stream("stdout", offset=2).read() == "cdef"
    with pytest.raises(RuntimeError):
        await command.stdout.read()
    with pytest.raises(ValueError, match="no 'stdlog'"):
        command.stream("stdlog")


async def test_output_is_bytes_to_whom_it_matters(sandbox: AsyncSandbox) -> None:
    data = bytes(range(256)) * 400
    ran = await sandbox.commands.run("cat", input=data)
    assert ran.stdout_bytes == data
    assert ran.stdout.count("\ufffd") >= 128 * 400 - 400


async def test_a_program_that_leaves_its_input_alone_is_no_error(sandbox: AsyncSandbox) -> None:
    ran = await sandbox.commands.run("true", input=b"x" * 3_000_000)
    assert ran.exit_code == 0


async def test_commands_are_listed_signalled_and_found_again(sandbox: AsyncSandbox) -> None:
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    command = await sandbox.commands.spawn("sh", "-c", script)
    async with aclosing(aiter(command.stdout)) as output:
        assert await anext(output) == "ready\n"
        with pytest.raises(isola.IsolaTimeoutError):
            await command.wait(max_wait_seconds=0)
        found = {each.id: each for each in await sandbox.commands.list()}[command.id]
        assert (found.args[0], found.exit_code) == ("sh", None)
        await command.send_signal("TERM")
        assert [text async for text in output] == ["told\n"]
    again = sandbox.commands.get(command.id)
    assert await again.wait() == 5
    killed = await sandbox.commands.spawn("sleep", "1000")
    await killed.kill()
    assert await killed.wait() == -1
    assert (await killed.status()).signal == "SIGKILL"


async def test_what_is_no_longer_there_is_told(sandbox: AsyncSandbox) -> None:
    command = sandbox.commands.get("00000000-0000-0000-0000-000000000000")
    for asked in (command.wait(), command.stdout.read(), command.write_stdin("a"), command.kill()):
        with pytest.raises(isola.NotFoundError) as raised:
            await asked
        assert raised.value.request_id


# Terminals


async def test_a_terminal_is_typed_into_resized_and_come_back_to(sandbox: AsyncSandbox) -> None:
    size = TerminalSize(rows=30, columns=100)
    command = await sandbox.commands.spawn("sh", terminal=size)
    seen = b""
    async with command.terminal() as terminal, aclosing(aiter(terminal)) as output:
        await terminal.write("stty size\n")
        while b"30 100" not in seen:
            seen += await anext(output)
        await terminal.resize(TerminalSize(rows=31, columns=101))
        await terminal.write("stty size\n")
        while b"31 101" not in seen:
            seen += await anext(output)
        await terminal.write("exit 4\n")
        async for piece in output:
            seen += piece
        assert terminal.status
        assert terminal.status.exit_code == 4
        assert terminal.offset == len(seen)
    async with command.terminal(offset=10) as again:
        assert b"".join([piece async for piece in again]) == seen[10:]
    plain = await sandbox.commands.spawn("true")
    with pytest.raises(isola.ConflictError, match="without a terminal"):
        async with plain.terminal():
            pass


# Files


async def test_files_are_listed_made_moved_and_removed(sandbox: AsyncSandbox) -> None:
    files = sandbox.filesystem
    assert await files.mkdir("/tmp/sdk-files/e")
    assert not await files.mkdir("/tmp/sdk-files/e")
    for name in ("a", "b", "c"):
        await files.write(f"/tmp/sdk-files/{name}", name)
    assert [entry.name for entry in await files.list("/tmp/sdk-files")] == ["a", "b", "c", "e"]
    paged = files.iterate("/tmp/sdk-files", page_size=1)
    assert [entry.type async for entry in paged] == ["file", "file", "file", "directory"]
    await files.move("/tmp/sdk-files/a", "/tmp/sdk-files/e/a")
    with pytest.raises(isola.ConflictError):
        await files.move("/tmp/sdk-files/b", "/tmp/sdk-files/c")
    await files.move("/tmp/sdk-files/b", "/tmp/sdk-files/c", overwrite=True)
    stat = await files.stat("/tmp/sdk-files/c")
    assert (stat.size, stat.permissions, stat.path) == (1, "0644", "/tmp/sdk-files/c")
    assert await files.read("/tmp/sdk-files/c") == b"b"
    with pytest.raises(isola.ConflictError):
        await files.remove("/tmp/sdk-files")
    await files.remove("/tmp/sdk-files", recursive=True)
    assert not await files.exists("/tmp/sdk-files")
    with pytest.raises(isola.NotFoundError):
        await files.remove("/tmp/sdk-files")


async def test_changes_of_files_are_told(sandbox: AsyncSandbox) -> None:
    await sandbox.filesystem.mkdir("/tmp/sdk-watched")
    watch = sandbox.filesystem.watch("/tmp/sdk-watched")
    assert (await anext(watch)).kind == "ready"
    await sandbox.filesystem.write("/tmp/sdk-watched/a", "1")
    created = await anext(watch)
    assert (created.kind, created.path, created.type) == ("created", "/tmp/sdk-watched/a", "file")
    await sandbox.filesystem.move("/tmp/sdk-watched/a", "/tmp/sdk-watched/b")
    renamed = await anext(watch)
    assert (renamed.kind, renamed.previous_path, renamed.path) == (
        "renamed",
        "/tmp/sdk-watched/a",
        "/tmp/sdk-watched/b",
    )
    await sandbox.filesystem.remove("/tmp/sdk-watched", recursive=True)
    assert [change.kind async for change in watch][-1] == "removed"


class AsyncFile:
    """A file whose methods are coroutines, as of `aiofiles`."""

    def __init__(self, path: Path, mode: str) -> None:
        self._file = path.open(mode)

    async def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    async def write(self, data: bytes) -> int:
        return self._file.write(data)

    async def tell(self) -> int:
        return self._file.tell()

    async def seek(self, *where: int) -> int:
        return self._file.seek(*where)

    def close(self) -> None:
        self._file.close()


async def parts_of(data: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), 10_000):
        yield data[begin : begin + 10_000]


def plain_parts_of(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), 10_000):
        yield data[begin : begin + 10_000]


async def test_every_kind_of_data_goes_up(sandbox: AsyncSandbox, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(600_001)
    (tmp_path / "up").write_bytes(data)
    reading, writing = AsyncFile(tmp_path / "up", "rb"), AsyncFile(tmp_path / "down", "wb")
    with (tmp_path / "up").open("rb") as file:
        for given in (data, file, reading, parts_of(data), plain_parts_of(data)):
            await sandbox.filesystem.write("/tmp/sdk-filesata", given)
            assert await sandbox.filesystem.read("/tmp/sdk-filesata") == data
        file.seek(600_000)
        await sandbox.filesystem.write("/tmp/sdk-filesata", file)
        assert await sandbox.filesystem.read("/tmp/sdk-filesata") == data[-1:]
    await sandbox.filesystem.write("/tmp/sdk-filesata", "héllo")
    await sandbox.filesystem.download("/tmp/sdk-filesata", writing)
    reading.close()
    writing.close()
    assert (tmp_path / "down").read_text() == "héllo"
    await sandbox.filesystem.write("/tmp/sdk-filesata", b"")
    assert await sandbox.filesystem.read("/tmp/sdk-filesata") == b""


async def test_a_file_of_any_size_takes_constant_memory(
    sandbox: AsyncSandbox, sandboxed: RealSandbox
) -> None:
    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(2**20)

    tracemalloc.start()
    await sandbox.filesystem.write("/tmp/large", zeros())
    size = 0
    async for piece in sandbox.filesystem.stream("/tmp/large"):
        size += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await sandbox.filesystem.remove("/tmp/large")
    assert size == 64 * 2**20
    assert peak < 32 * 2**20  # the gateway is in this process, too
    assert sandboxed.memory() < 200 * 2**20


# Histories and snapshots


async def test_a_history_is_followed_and_verified_to_its_end(client: AsyncIsola) -> None:
    sandbox = await client.sandboxes.create(image="busybox")
    follow = sandbox.follow()
    seen = [await anext(follow) for _ in range(5)]
    assert [each.sequence for each in seen] == [1, 2, 3, 4, 5]
    assert (seen[-1].type, seen[-1].data["podIP"]) == ("Ready", "127.0.0.1")
    await sandbox.delete()
    rest = [each async for each in follow]
    assert rest[0].type == "TerminationRequested"
    assert rest[0].request_id


async def test_snapshots_are_taken_waited_for_listed_and_removed(
    client: AsyncIsola, known: World, sandbox: AsyncSandbox
) -> None:
    made = await client.rootfs_snapshots.create(
        sandbox_id=sandbox.id, snapshot_name="s", labels={"a": "1"}, max_wait_seconds=0
    )
    assert (made.status, made.snapshot_name) == ("Pending", "s")
    await known.snapshots.records(made.id, *stored())
    assert (await made.wait()).data.size_bytes == 10240
    assert [each.id for each in await client.rootfs_snapshots.list(labels={"a": "1"})] == [made.id]
    assert (await made.history()).entries[-1].type == "Succeeded"
    await made.delete()
    other = await client.rootfs_snapshots.create(
        sandbox_id=sandbox.id, snapshot_name="t", max_wait_seconds=0
    )
    await known.snapshots.records(
        other.id, fact("Succeeded", "SandboxNotFound", "there is none", holds=False)
    )
    with pytest.raises(isola.SnapshotFailedError) as raised:
        await other.wait()
    assert (raised.value.reason, raised.value.explanation) == ("SandboxNotFound", "there is none")


async def test_refusals_of_the_network_are_told(sandbox: AsyncSandbox) -> None:
    found = await sandbox.network_refusals()
    assert (found.refusals, found.replicas, found.silent) == ([], 0, 0)


# Connections


@pytest.mark.parametrize("url", ["", " ", "localhost:8080", "ftp://a", "http://", "/v1"])
def test_an_address_that_is_none_is_refused_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISOLA_URL", raising=False)
    with pytest.raises(ValueError, match="gateway"):
        Isola(url=url)


async def test_the_environment_says_where_the_gateway_is(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOLA_URL", f" {url}/ ")
    async with AsyncIsola() as client:
        assert await client.sandboxes.list() == []


async def test_headers_and_http_client_are_the_callers(url: str) -> None:
    sent: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request)

    async with httpx.AsyncClient(event_hooks={"request": [note]}) as http:
        async with AsyncIsola(
            url=url, headers={"Authorization": "Bearer x"}, http_client=http
        ) as client:
            sandbox = await client.sandboxes.create(image="busybox")
            await sandbox.delete()
        assert not http.is_closed
    assert {each.headers["Authorization"] for each in sent} == {"Bearer x"}
    assert {each.headers["User-Agent"].split("/")[0] for each in sent} == {"isola-sdk"}
    assert len({each.headers["X-Request-Id"] for each in sent}) == len(sent)
    assert "Idempotency-Key" in sent[0].headers


async def test_who_does_not_answer_is_told_with_the_requests_id(
    unused_tcp_port: int,
) -> None:
    client = AsyncIsola(url=f"http://127.0.0.1:{unused_tcp_port}", retrying=ONCE)
    with pytest.raises(isola.APIConnectionError) as raised:
        await client.sandboxes.list()
    assert not raised.value.may_have_arrived
    assert raised.value.request_id
    await client.close()


async def test_tls_is_verified_unless_told_otherwise(sandboxed: RealSandbox) -> None:
    url = f"https://127.0.0.1:{sandboxed.port}"
    async with AsyncIsola(url=url, retrying=ONCE) as client:
        with pytest.raises(isola.APIConnectionError, match=r"(?i)certificate"):
            await client.sandboxes.list()
    credulous = ssl.create_default_context()
    credulous.check_hostname = False
    credulous.verify_mode = ssl.CERT_NONE
    for verify in (False, credulous):
        async with AsyncIsola(url=url, retrying=ONCE, verify=verify) as client:
            with pytest.raises(isola.NotFoundError):  # a sidecar has no sandboxes
                await client.sandboxes.list()


async def test_a_deadline_holds_for_whatever_is_in_its_block(sandbox: AsyncSandbox) -> None:
    begun = monotonic()
    with pytest.raises(isola.IsolaTimeoutError), isola.deadline(0.5):
        await sandbox.commands.run("sleep", "100")
    command = await sandbox.commands.spawn("sleep", "100")
    with pytest.raises(isola.IsolaTimeoutError), isola.deadline(60), isola.deadline(0.5):
        await command.stdout.read()
    assert monotonic() - begun < 60
    assert await command.exit_code() is None
    await command.kill()
