"""Connections as bytes: slow ones, strange ones, and too many of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress

import pytest
from yarl import URL

from gateway.fakes import Client, World
from gateway.serving import LOOPBACK, served
from gateway.test_server import EVENTS_HEAD, FILE, STATUS, STDOUT, Visit, gateway_to, sidecar
from isola_gateway.admission import Admission, Limits
from isola_gateway.metrics import Metrics

PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
NOWHERE = 9


def limited(requests: int) -> Admission:
    return Admission(Limits(requests=requests), Metrics())


class Line:
    """A connection to a gateway, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def says(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def status(self) -> int:
        """Return the status of the next answer, whose body is read as well."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.lower().splitlines():
            if line.startswith(b"content-length:"):
                await self._reader.readexactly(int(line.partition(b":")[2]))
        return int(head.split()[1])

    async def closed(self, seconds: float = 5) -> bytes:
        """Return all that comes until the gateway closes, which it must."""
        rest = b""
        async with asyncio.timeout(seconds):
            with suppress(ConnectionError):
                while data := await self._reader.read(65536):
                    rest += data
        return rest


@asynccontextmanager
async def line(url: str) -> AsyncGenerator[Line]:
    place = URL(url)
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


# --- slow ----------------------------------------------------------------------------------------


async def test_a_head_that_comes_byte_by_byte_is_ended_and_told_why(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.wire.HEAD_SECONDS", 0.3)

    async def drip(slow: Line) -> None:
        with suppress(ConnectionError):
            for byte in PROBE * 100:
                await slow.says(bytes([byte]))
                await asyncio.sleep(0.02)

    async with served(gateway, NOWHERE) as url, line(url) as slow, line(url) as other:
        dripping = asyncio.create_task(drip(slow))
        assert b"HTTP/1.1 408 " in await slow.closed()
        await other.says(PROBE)
        assert await other.status() == 200
        dripping.cancel()


async def test_a_client_that_says_nothing_is_closed_after_its_time(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.wire.IDLE_SECONDS", 0.3)
    async with served(gateway, NOWHERE) as url, line(url) as fresh, line(url) as used:
        await used.says(PROBE)
        assert await used.status() == 200
        assert await used.closed() == await fresh.closed() == b""


async def test_an_answer_under_way_outlives_both_times(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.wire.IDLE_SECONDS", 0.1)
    monkeypatch.setattr("isola_gateway.wire.HEAD_SECONDS", 0.1)
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD)
        await go_on.wait()
        await visit.says(b"0\r\n\r\n")

    async with gateway_to(gateway, script) as client, client.get(STDOUT) as response:
        await asyncio.sleep(0.5)
        go_on.set()
        assert await response.read() == b""


# --- strange -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"\0" * 70_000,
    ],
    ids=["HTTP/2", "TLS", "a header without a colon", "zeros"],
)
async def test_what_is_no_http_1_1_is_refused_and_closed(gateway: World, told: bytes) -> None:
    async with served(gateway, NOWHERE) as url, line(url) as client:
        await client.says(told)
        assert (await client.closed()).startswith(b"HTTP/1.1 4")


async def test_an_upgrade_to_http_2_is_passed_over(gateway: World) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    async with served(gateway, NOWHERE) as url, line(url) as client:
        await client.says(PROBE.replace(b"\r\n\r\n", b"\r\n" + upgrade + b"\r\n"))
        assert await client.status() == 200


async def test_requests_that_come_at_once_are_answered_in_turn(gateway: World) -> None:
    async with served(gateway, NOWHERE) as url, line(url) as client:
        await client.says(PROBE * 20)
        assert [await client.status() for _ in range(20)] == [200] * 20


async def test_a_client_that_sends_on_although_nobody_reads_is_seen_to_leave(
    gateway: World,
) -> None:
    left = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.says(EVENTS_HEAD)
        await visit.left()
        left.set()

    await gateway.runs("box", LOOPBACK)
    async with sidecar(script) as port, served(gateway, port) as url:
        async with line(url) as client:
            head = f"GET {STDOUT} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
            await client.says(head.encode())
            await client.says(b"x" * 3_000_000)
        async with asyncio.timeout(5):
            await left.wait()


# --- many ----------------------------------------------------------------------------------------


async def test_whoever_waited_longest_makes_room_for_the_next(gateway: World) -> None:
    async with (
        served(gateway, NOWHERE, limited(1)) as url,
        line(url) as first,
        line(url) as second,
    ):
        for client in (first, second, first):
            await client.says(PROBE)
            assert await client.status() == 200
        async with line(url) as third:
            await third.says(PROBE)
            assert await third.status() == 200
            assert await second.closed() == b""
            await first.says(PROBE)
            assert await first.status() == 200


async def test_heads_that_never_end_keep_nobody_out(gateway: World) -> None:
    async with served(gateway, NOWHERE, limited(4)) as url:
        slow = [await asyncio.open_connection(LOOPBACK, URL(url).port) for _ in range(64)]
        for _, writer in slow:
            writer.write(PROBE[:20])
        async with line(url) as client:
            await client.says(PROBE)
            assert await client.status() == 200
        for _, writer in slow:
            writer.close()


async def test_a_full_gateway_refuses_at_once_and_answers_probes(gateway: World) -> None:
    await gateway.runs("box")
    admission = limited(4)
    follow = b"GET /v1/sandboxes/box/history?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"
    look = b"GET /v1/sandboxes HTTP/1.1\r\nHost: x\r\n\r\n"
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(gateway, NOWHERE, admission))
        lines = [await stack.enter_async_context(line(url)) for _ in range(7)]
        for client in lines[:3]:
            await client.says(follow)
            assert await client.status() == 200
        # Streams have three quarters: a fourth finds no place, and everything else does.
        await lines[3].says(follow)
        assert await lines[3].status() == 503
        await lines[3].says(look)
        assert await lines[3].status() == 200
        await lines[3].says(b"GET /v1/sandboxes/box?waitSeconds=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await lines[3].status() == 200
        with admission.request():
            await lines[4].says(look)
            assert await lines[4].status() == 503
            await lines[4].says(PROBE)
            assert await lines[4].status() == 200
            shown = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
            await lines[4].says(shown)
            assert await lines[4].status() == 200
        await lines[4].says(look)
        assert await lines[4].status() == 200
    counted = admission.metrics.exposition().decode()
    assert 'isola_apigateway_refused_total{at="gateway",kind="streams"} 1.0' in counted
    assert 'isola_apigateway_refused_total{at="gateway",kind="requests"} 1.0' in counted


async def test_streams_that_ended_give_their_place_back(gateway: World) -> None:
    await gateway.runs("box")
    follow = b"GET /v1/sandboxes/box/history?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(gateway, NOWHERE, limited(4)) as url:
        for _ in range(10):
            async with line(url) as client:
                await client.says(follow)
                assert await client.status() == 200
            await asyncio.sleep(0.05)


async def test_connections_that_are_all_at_work_make_no_room(gateway: World) -> None:
    await gateway.runs("box")
    admission = limited(1)
    upload = b"POST /v1/sandboxes/box/filesystem?path=a HTTP/1.1\r\nHost: x\r\n"
    with admission.request():
        async with (
            served(gateway, NOWHERE, admission) as url,
            line(url) as one,
            line(url) as two,
        ):
            for client in (one, two):
                await client.says(upload + b"Content-Length: 1000\r\n\r\nx")
            # Both are refused, and the rest of what they send is waited for.
            await asyncio.sleep(0.2)
            async with line(url) as third:
                assert await third.closed() == b""


async def test_one_sandbox_does_not_take_the_places_of_others(gateway: World) -> None:
    await gateway.runs("box")
    await gateway.runs("other")
    gateway.sidecars.says(200, {"exitCode": 0})
    admission = Admission(Limits(sandbox_requests=4), Metrics())
    client: Client = gateway.app(admission=admission).test_client()
    with ExitStack() as under_way:
        for _ in range(3):
            under_way.enter_context(admission.stream_of("box"))
        for path in (STDOUT, "/v1/sandboxes/box/filesystem/watch?path=a"):
            refused = await client.get(path)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert "box" in (await refused.json)["detail"]
        assert (await client.get(STATUS)).status_code == 200
        with admission.request_to("box"):
            for path in (STATUS, FILE):
                assert (await client.get(path)).status_code == 429
            assert (await client.get("/v1/sandboxes/box")).status_code == 200
            assert (await client.get(STATUS.replace("/box/", "/other/"))).status_code == 200
    assert (await client.get(STDOUT)).status_code == 200
