"""The real server and the real way to sidecars: streams, disconnects, deadlines, memory."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from gateway.fakes import World
from gateway.serving import LOOPBACK, served
from isola_gateway.admission import Admission, Limits
from isola_gateway.metrics import Metrics
from isola_gateway.server import Server, listening_socket

COMMAND = "0b5f2f0e-8f5a-4a52-9d1c-3c1d5b3f0a11"
STDOUT = f"/v1/sandboxes/box/commands/{COMMAND}/stdout"
STATUS = f"/v1/sandboxes/box/commands/{COMMAND}/status"
FILE = "/v1/sandboxes/box/filesystem?path=a"
MEBIBYTE = 1024 * 1024

EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Visit:
    """One connection to a sidecar that the test plays itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Return when the gateway has closed the connection."""
        while await self.reader.read(65536):
            pass


Script = Callable[[Visit], Awaitable[None]]


@asynccontextmanager
async def sidecar(script: Script, host: str = LOOPBACK) -> AsyncGenerator[int]:
    """Play `script` on each connection and yield the port."""
    failures: list[BaseException] = []

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Visit(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            writer.close()

    server = await asyncio.start_server(visited, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
    assert not failures


@asynccontextmanager
async def gateway_to(
    world: World, script: Script, host: str = LOOPBACK, **settings: Any
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Serve a gateway whose one sandbox has a sidecar that plays `script`; yield a client."""
    await world.runs("box", host)
    async with (
        sidecar(script, host) as port,
        served(world, port, **settings) as url,
        aiohttp.ClientSession(url, read_bufsize=2**16) as client,
    ):
        yield client


# --- streams -----------------------------------------------------------------------------------


async def test_events_arrive_one_by_one_as_the_sidecar_writes_them(gateway: World) -> None:
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        assert f"GET /v1/commands/{COMMAND}/stdout HTTP/1.1" in await visit.head()
        await visit.says(EVENTS_HEAD + chunk(b": keepalive\n\n"))
        await go_on.wait()
        await visit.says(chunk(b"data: x\r\nid: 1\n\n") + b"0\r\n\r\n")

    async with gateway_to(gateway, script) as client, client.get(STDOUT) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert "Content-Length" not in response.headers
        assert await response.content.readany() == b": keepalive\n\n"
        go_on.set()
        assert await response.read() == b"data: x\r\nid: 1\n\n"


async def test_a_client_that_leaves_ends_the_request_to_the_sidecar_at_once(
    gateway: World,
) -> None:
    left = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD)
        await visit.left()
        left.set()

    async with gateway_to(gateway, script) as client:
        async with client.get(STDOUT) as response:
            assert response.status == 200
            response.close()
        async with asyncio.timeout(1):
            await left.wait()


async def test_a_client_that_leaves_a_long_poll_ends_it_at_once(gateway: World) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        asked.set()
        await visit.left()
        left.set()

    async with gateway_to(gateway, script) as client:
        poll = asyncio.create_task(client.get(f"{STATUS}?waitSeconds=25"))
        await asked.wait()
        poll.cancel()
        async with asyncio.timeout(1):
            await left.wait()


@pytest.mark.parametrize(
    "end",
    [b"", b"zz\r\nnonsense"],
    ids=["it closes the connection", "it says what makes no sense"],
)
async def test_a_stream_that_breaks_off_does_not_look_complete(
    gateway: World, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.routes.commands.EVENTS_SILENCE_SECONDS", 0.3)
    seen = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD + chunk(b"data: a\nid: 1\n\n"))
        await seen.wait()
        await visit.says(end)

    async with gateway_to(gateway, script) as client, client.get(STDOUT) as response:
        assert await response.content.readany() == b"data: a\nid: 1\n\n"
        seen.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_sidecar_that_falls_silent_breaks_the_stream_off(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.routes.commands.EVENTS_SILENCE_SECONDS", 0.1)

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD)
        await visit.left()

    async with gateway_to(gateway, script) as client, client.get(STDOUT) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_hundred_silent_streams_keep_no_other_request_waiting(gateway: World) -> None:
    streams = 0

    async def script(visit: Visit) -> None:
        nonlocal streams
        if "/stdout" in await visit.head():
            streams += 1
            await visit.says(EVENTS_HEAD)
            await visit.left()
        else:
            await visit.says(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"exitCode":0}')

    # All of it is in one loop, in which a hundred connections take their time.
    async with gateway_to(gateway, script, patience=timedelta(seconds=10)) as client:
        connector = aiohttp.TCPConnector(limit=0)
        base = client._base_url  # pyright: ignore[reportPrivateUsage]
        async with aiohttp.ClientSession(base, connector=connector) as many:
            responses = await asyncio.gather(*(many.get(STDOUT) for _ in range(100)))
            assert [response.status for response in responses] == [200] * 100
            assert streams == 100
            async with asyncio.timeout(5), client.get(STATUS) as response:
                assert await response.json() == {"exitCode": 0}
            for response in responses:
                response.close()


# --- connections to sidecars -------------------------------------------------------------------


async def test_a_connection_is_used_again(gateway: World) -> None:
    visits = 0

    async def script(visit: Visit) -> None:
        nonlocal visits
        visits += 1
        while True:
            await visit.head()
            await visit.says(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"exitCode":0}')

    async with gateway_to(gateway, script) as client:
        for _ in range(5):
            async with client.get(STATUS) as response:
                assert response.status == 200
    assert visits == 1


async def test_a_sidecar_that_is_refused_for_a_moment_is_tried_again(gateway: World) -> None:
    await gateway.runs("box", LOOPBACK)
    with socket.create_server((LOOPBACK, 0)) as reserved:
        port = reserved.getsockname()[1]

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NO_CONTENT)
        writer.close()

    async with served(gateway, port) as url, aiohttp.ClientSession(url) as client:
        told = asyncio.create_task(client.delete(STATUS.removesuffix("/status")))
        await asyncio.sleep(0.05)
        server = await asyncio.start_server(visited, LOOPBACK, port)
        assert (await told).status == 204
        server.close()


async def test_a_sidecar_that_stays_refused_is_502_before_long(gateway: World) -> None:
    await gateway.runs("box", LOOPBACK)
    with socket.create_server((LOOPBACK, 0)) as reserved:
        port = reserved.getsockname()[1]
    begun = time.monotonic()
    async with served(gateway, port) as url, aiohttp.ClientSession(url) as client:
        assert (await client.post(FILE, data=BytesIO(b"x" * MEBIBYTE))).status == 502
    assert time.monotonic() - begun < 3


async def test_a_request_that_was_sent_is_never_sent_again(gateway: World) -> None:
    heads: list[str] = []

    async def script(visit: Visit) -> None:
        heads.append(await visit.head())

    async with gateway_to(gateway, script) as client:
        commands = "/v1/sandboxes/box/commands"
        assert (await client.post(commands, json={"args": ["true"]})).status == 502
    assert len(heads) == 1


async def test_a_redirect_is_not_followed(gateway: World) -> None:
    heads: list[str] = []

    async def script(visit: Visit) -> None:
        heads.append(await visit.head())
        location = f"Location: http://{LOOPBACK}/elsewhere\r\nContent-Length: 0\r\n\r\n"
        await visit.says(b"HTTP/1.1 307 Temporary Redirect\r\n" + location.encode())

    async with gateway_to(gateway, script) as client:
        assert (await client.get(FILE)).status == 502
    assert len(heads) == 1


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_a_sandbox_with_an_ipv6_address_only_is_reached(gateway: World) -> None:
    async def script(visit: Visit) -> None:
        assert "host: [::1]:" in (await visit.head()).lower()
        await visit.says(NO_CONTENT)

    async with gateway_to(gateway, script, "::1") as client:
        assert (await client.post(f"{STDOUT.removesuffix('stdout')}stdin/close")).status == 204


# --- files -------------------------------------------------------------------------------------


async def test_an_upload_goes_no_faster_than_the_sidecar_takes_it(gateway: World) -> None:
    taken = asyncio.Event()
    sent = 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(256):
            sent += 1
            yield b"x" * MEBIBYTE

    async def script(visit: Visit) -> None:
        await visit.head()
        await taken.wait()

    async with gateway_to(gateway, script) as client:
        upload = asyncio.create_task(client.post(FILE, data=content()))
        await asyncio.sleep(0.5)
        stood_at = sent
        await asyncio.sleep(0.3)
        # What is under way fits the buffers of three sockets and of the gateway between them.
        assert sent == stood_at < 64
        upload.cancel()
        taken.set()


async def test_an_upload_arrives_whole_and_as_long_as_it_was_said_to_be(gateway: World) -> None:
    content = bytes(range(256)) * 4096 * 24
    received = b""

    async def script(visit: Visit) -> None:
        nonlocal received
        head = (await visit.head()).lower()
        assert f"content-length: {len(content)}" in head
        assert "transfer-encoding" not in head
        received = await visit.reader.readexactly(len(content))
        await visit.says(NO_CONTENT)

    async with gateway_to(gateway, script) as client:
        response = await client.post(FILE, data=BytesIO(content))
        assert response.status == 204
        assert "Content-Type" not in response.headers
    assert received == content


async def test_a_client_that_leaves_an_upload_leaves_it_incomplete_for_the_sidecar(
    gateway: World,
) -> None:
    received = bytearray()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        while part := await visit.reader.read(65536):
            received.extend(part)
            begun.set()
        ended.set()

    async def content() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    async with gateway_to(gateway, script) as client:
        upload = asyncio.create_task(client.post(FILE, data=content()))
        await begun.wait()
        upload.cancel()
        async with asyncio.timeout(1):
            await ended.wait()
    assert b"0\r\n\r\n" not in received


async def test_an_upload_that_is_refused_early_is_told_so(gateway: World) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        problem = b'{"detail":"a parent is a file"}'
        await visit.says(
            b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n%s" % (len(problem), problem)
        )
        await visit.left()

    async with gateway_to(gateway, script) as client:
        response = await client.post(FILE, data=BytesIO(b"x" * 4 * MEBIBYTE))
        assert response.status == 409
        assert (await response.json(content_type=None))["detail"] == "a parent is a file"


async def test_a_download_goes_no_faster_than_the_client_takes_it(gateway: World) -> None:
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.head()
        await visit.says(EVENTS_HEAD)
        for _ in range(256):
            await visit.says(chunk(b"x" * MEBIBYTE))
            sent += 1
        await visit.says(b"0\r\n\r\n")

    async with gateway_to(gateway, script) as client, client.get(FILE) as response:
        await asyncio.sleep(0.5)
        stood_at = sent
        await asyncio.sleep(0.3)
        assert sent == stood_at < 64
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
        assert size == 256 * MEBIBYTE


async def test_a_client_that_takes_nothing_is_given_up(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.connection.SEND_SECONDS", 0.2)
    left = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD)
        try:
            while True:
                await visit.says(chunk(b"x" * MEBIBYTE))
        finally:
            left.set()

    async with gateway_to(gateway, script) as client, client.get(FILE):
        async with asyncio.timeout(5):
            await left.wait()


# --- the listener ------------------------------------------------------------------------------


def test_a_connection_inherits_its_limit_and_sends_at_once() -> None:
    with (
        listening_socket(0, LOOPBACK) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_head_that_is_too_long_is_refused(gateway: World) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()

    async with gateway_to(gateway, script) as client:
        response = await client.get("/healthz", headers={"X-Long": "x" * 100_000})
        assert response.status == 431


async def test_an_unwanted_body_is_read_so_that_its_refusal_arrives(gateway: World) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()

    async with gateway_to(gateway, script) as client:
        for _ in range(5):
            absent = await client.post(
                FILE.replace("box", "absent"), data=BytesIO(b"x" * 4 * MEBIBYTE)
            )
            assert absent.status == 404


async def test_a_gateway_that_stops_ends_its_streams_in_time(gateway: World) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD)
        await visit.left()

    async with gateway_to(gateway, script) as client:
        response = await client.get(STDOUT)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    response.close()


async def test_what_is_accepted_as_the_gateway_stops_is_closed(gateway: World) -> None:
    listener = listening_socket(0, LOOPBACK)
    address = listener.getsockname()
    stop = asyncio.Event()
    admission = Admission(Limits(), Metrics())
    server = Server(gateway.app(stopping=stop, admission=admission), admission)
    serving = asyncio.create_task(server.run(listener, stop, graceful_seconds=0.2))
    _, serves = await asyncio.open_connection(*address)
    with socket.create_connection(address) as client:
        await asyncio.sleep(0)  # in which the loop accepts it; its handler comes a few turns later
        stop.set()
        await serving
        client.settimeout(10)
        assert client.recv(1) == b""
    serves.close()
