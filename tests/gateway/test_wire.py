"""Connections as bytes: slow ones, strange ones, and too many of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
from yarl import URL

from gateway.fakes import World
from gateway.real import RealSandbox
from gateway.serving import LOOPBACK, served
from gateway.test_server import EVENTS_HEAD, STDOUT, Visit, gateway_to, sidecar

PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
NOWHERE = 9


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
        served(gateway, NOWHERE, most=3) as url,
        line(url) as first,
        line(url) as second,
        line(url) as third,
    ):
        for client in (first, second, third, first):
            await client.says(PROBE)
            assert await client.status() == 200
        async with line(url) as fourth:
            await fourth.says(PROBE)
            assert await fourth.status() == 200
            assert await second.closed() == b""
            for client in (first, third):
                await client.says(PROBE)
                assert await client.status() == 200


async def test_heads_that_never_end_keep_nobody_out(gateway: World) -> None:
    async with served(gateway, NOWHERE, most=8) as url:
        slow = [await asyncio.open_connection(LOOPBACK, URL(url).port) for _ in range(64)]
        for _, writer in slow:
            writer.write(PROBE[:20])
        async with line(url) as client:
            await client.says(PROBE)
            assert await client.status() == 200
        for _, writer in slow:
            writer.close()


async def test_a_request_under_way_makes_no_room(gateway: World, sandbox: RealSandbox) -> None:
    await gateway.runs("box", LOOPBACK)
    async with served(gateway, sandbox.port, most=1) as url, line(url) as busy:
        follow = b"GET /v1/sandboxes/box/history?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"
        await busy.says(follow)
        assert await busy.status() == 200
        async with line(url) as refused:
            assert await refused.closed() == b""
