"""Who answers at a sandbox's address has to be its sidecar: the log tells by what to know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.fakes import World
from gateway.serving import LOOPBACK, served
from isola_gateway.ports import Call, Sidecar, SidecarError
from isola_gateway.sidecars import HttpSidecars, sessions
from isola_operator.credentials import Credentials, fingerprint, fresh
from support.certificates import server_context

OURS, ANOTHER = fresh(), fresh()
PROOF = fingerprint(OURS.certificate)
COMMANDS = "/v1/sandboxes/box/commands"
COMMAND = f"{COMMANDS}/0b1d5b1c-3d62-4d4e-9a37-9d3fbb9c2b6a"
TOLD = b'{"exitCode": 0}'
FORGED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + TOLD
SECRET = "hunter2"


class Answerer:
    """Answers whatever comes, and keeps it."""

    def __init__(self) -> None:
        self.connections = 0
        self.received = b""

    async def visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while octets := await reader.read(65536):
                self.received += octets
                if octets.endswith(b"\r\n\r\n") or SECRET.encode() in octets:
                    writer.write(FORGED)
        except OSError:
            pass
        finally:
            writer.close()

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer at once, as one who does not care what is asked."""
        self.connections += 1
        writer.write(FORGED)
        try:
            self.received += await reader.read(65536)
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def at_the_port(answerer: Answerer, credentials: Credentials | None) -> AsyncGenerator[int]:
    """Have `answerer` at a port, over TLS where it has credentials."""
    tls = server_context(credentials) if credentials else None
    visited = answerer.visited if credentials else answerer.taken
    server = await asyncio.start_server(visited, LOOPBACK, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_its_sidecar_is_known_and_asked_again_on_the_same_connection(gateway: World) -> None:
    await gateway.runs("box", LOOPBACK, PROOF)
    sidecar = Answerer()
    async with (
        at_the_port(sidecar, OURS) as port,
        served(gateway, port) as url,
        aiohttp.ClientSession(url) as client,
    ):
        for _ in range(5):
            async with client.get(f"{COMMAND}/status") as answer:
                assert (answer.status, await answer.read()) == (200, TOLD)
    assert sidecar.connections == 1
    assert sidecar.received.count(b"GET /v1/commands/") == 5


@pytest.mark.parametrize("credentials", [None, ANOTHER], ids=["plain HTTP", "another certificate"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{COMMAND}/status", None),
        ("POST", COMMANDS, {"args": ["login", SECRET]}),
        ("POST", f"{COMMAND}/stdin", SECRET),
        ("GET", "/v1/sandboxes/box/filesystem?path=/etc/hostname", None),
        ("GET", f"{COMMAND}/terminal", None),
    ],
)
async def test_whoever_took_its_port_is_not_believed_and_learns_nothing(
    gateway: World,
    credentials: Credentials | None,
    method: str,
    path: str,
    body: object,
) -> None:
    await gateway.runs("box", LOOPBACK, PROOF)
    impostor = Answerer()
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    content: dict[str, Any] = {"data": body} if isinstance(body, str) else {"json": body}
    async with (
        at_the_port(impostor, credentials) as port,
        served(gateway, port) as url,
        aiohttp.ClientSession(url) as client,
        client.request(
            method, path, headers=upgrade if path.endswith("terminal") else {}, **content
        ) as answer,
    ):
        assert answer.status == 502
        told = await answer.json(content_type="application/problem+json")
    assert told["detail"].startswith("The sandbox did not answer")
    assert "exitCode" not in told
    # It is no sidecar that is not there yet, for which one would come again.
    assert impostor.connections == 1
    if credentials:
        assert impostor.received == b"", "not a byte within the TLS"
    else:
        assert b"HTTP" not in impostor.received
        assert SECRET.encode() not in impostor.received


@pytest.mark.parametrize("credentials", [None, ANOTHER], ids=["plain HTTP", "another certificate"])
async def test_the_gateway_s_own_log_says_what_happened(credentials: Credentials | None) -> None:
    async with at_the_port(Answerer(), credentials) as port, sessions() as session:
        sidecars = HttpSidecars(session, port=port)
        with pytest.raises(SidecarError, match="whoever answers is not this sandbox's sidecar"):
            async with sidecars.open(Sidecar(LOOPBACK, PROOF), Call(method="GET", path="/health")):
                pass


async def test_a_connection_to_one_sidecar_is_not_used_for_another() -> None:
    """An address may be given to the next pod while a connection to the last one is kept."""
    call = Call(method="GET", path="/health")
    async with at_the_port(Answerer(), OURS) as port, sessions() as session:
        sidecars = HttpSidecars(session, port=port)
        async with sidecars.open(Sidecar(LOOPBACK, PROOF), call) as answer:
            assert await answer.read(100) == TOLD
        other = Sidecar(LOOPBACK, fingerprint(ANOTHER.certificate))
        with pytest.raises(SidecarError, match="not this sandbox's"):
            async with sidecars.open(other, call):
                pass
