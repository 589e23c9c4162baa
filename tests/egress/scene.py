"""The component over real sockets on loopback, with a real name server and real servers behind it.

Sandboxes are 127.0.0.10 and on, the component is 127.0.0.1, the world is 127.0.0.2 and on: so the
same port is there everywhere, as it is in a cluster.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from aiohttp import WSMsgType, web

from isola_egress.directory import Directory, Grant, Place
from isola_egress.door import Door
from isola_egress.nameserver import Nameserver
from isola_egress.passages import Passages
from isola_egress.refusals import Item, Ledger
from isola_egress.upstream import Address, Upstream
from isola_lifecycle.domains import domain
from support.kubernetes_server import free_port

COMPONENT = "127.0.0.1"
SANDBOX, OTHER = "127.0.0.10", "127.0.0.11"
SERVER, BLOCKED = "127.0.0.2", "127.0.0.9"
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Names(asyncio.DatagramProtocol):
    """The world's name server.

    Attributes:
        records: Addresses by name; a name that is not there does not exist.
        asked: How often each name was asked for.
    """

    records: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    asked: Counter[str] = field(default_factory=Counter[str])
    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked[name] += 1
        family = {dns.rdatatype.A: ".", dns.rdatatype.AAAA: ":"}[question.rdtype]
        if name not in self.records:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif found := [each for each in self.records[name] if family in each]:
            rrset = dns.rrset.from_text_list(question.name, 0, "IN", question.rdtype, found)
            reply.answer.append(rrset)
        self.transport.sendto(reply.to_wire(), addr)


@dataclass
class Scene:
    """All of it.

    Attributes:
        names: The world's name server.
        directory: Who is who.
        ledger: What was refused.
        passages: The connections.
        port: Where the component and the world's servers take connections.
        dns_port: Where the component answers DNS.
        counted: Outcomes of connections.
        blocked: What no sandbox may reach.
        certificate: Of the world's TLS servers, for every name that they have.
        now: The time.
    """

    names: Names
    directory: Directory
    ledger: Ledger
    passages: Passages
    port: int
    dns_port: int
    counted: Counter[tuple[str, str]]
    blocked: set[str]
    certificate: Path
    stack: AsyncExitStack
    now: datetime = NOON

    def allow(self, *entries: str, at: str = SANDBOX, ipv6: bool = False) -> None:
        """Give the sandbox at an address this list."""
        allowed = tuple(filter(None, map(domain, entries)))
        assert len(allowed) == len(entries)
        version = self.directory.version(f"uid-{at}") + 1
        self.directory.put_place(f"pod-{at}", Place(f"pod-{at}", f"uid-{at}", (at,)))
        self.directory.put_grant(at, Grant(at, f"uid-{at}", version, allowed, ipv6))

    def refused(self, at: str = SANDBOX) -> list[tuple[str, str, str, str, int]]:
        """Return what the sandbox at an address was refused, the latest first."""
        return [_told(item) for item in self.ledger.latest(f"uid-{at}")]

    async def ask(
        self, name: str, kind: str = "A", *, at: str = SANDBOX, tcp: bool = False, **options: Any
    ) -> dns.message.Message:
        """Return what the component answers a sandbox."""
        query = dns.message.make_query(name, kind, **options)
        send: Any = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await send(query, COMPONENT, port=self.dns_port, source=at, timeout=8)

    async def connect(self, at: str = SANDBOX, **options: Any) -> Streams:
        """Return a connection of a sandbox to the component."""
        streams = await asyncio.open_connection(COMPONENT, self.port, local_addr=(at, 0), **options)
        self.stack.callback(_abort, streams[1])
        return streams

    async def tls(self, name: str | None, at: str = SANDBOX) -> Streams:
        """Return a TLS connection of a sandbox, verified against the server's certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = name is not None
        return await self.connect(at, ssl=context, server_hostname=name or "")

    async def exchange(self, request: bytes, at: str = SANDBOX) -> bytes:
        """Return all that comes back for these bytes of a sandbox."""
        reader, writer = await self.connect(at)
        writer.write(request)
        answer = await reader.read(-1)
        writer.close()
        return answer

    async def serve(
        self,
        handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
        *,
        at: str = SERVER,
        tls: bool = False,
    ) -> None:
        """Have a server in the world."""
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificate)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.stack.callback(_abort, writer)
            with suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
            writer.close()

        server = await asyncio.start_server(handle, at, self.port, ssl=context)
        self.stack.callback(server.close)

    async def serve_http(self, at: str = SERVER) -> None:
        """Have a web server in the world that tells what it was asked."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/ws", _websocket)
        app.router.add_route("*", "/{path:.*}", _echo)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, at, self.port).start()


async def _echo(request: web.Request) -> web.StreamResponse:
    content = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "host": request.headers["Host"],
            "path": request.path_qs,
            "bytes": len(content),
            "headers": sorted(name.lower() for name in request.headers),
        }
    )


async def _websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"echo {message.data}")
    return socket


def _told(item: Item) -> tuple[str, str, str, str, int]:
    what = item.refusal
    return what.reason, what.protocol, what.name, what.address, what.port


@asynccontextmanager
async def playing(
    certificate: Path, *, most: int = 20, idle_seconds: float = 5
) -> AsyncGenerator[Scene]:
    """Yield a scene in which one sandbox may reach nothing yet."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_all_ended)
        names = Names()
        loop = asyncio.get_running_loop()
        world, _ = await loop.create_datagram_endpoint(lambda: names, local_addr=(SERVER, 0))
        stack.callback(world.close)
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [SERVER]
        resolver.port = world.get_extra_info("sockname")[1]
        blocked = {BLOCKED}

        def is_blocked(address: Address) -> bool:
            return str(address) in blocked

        directory = Directory()
        passages = Passages(directory, most)
        ledger = Ledger(lambda: scene.now, lambda _: None)
        counted: Counter[tuple[str, str]] = Counter()
        upstream = Upstream(resolver, is_blocked)
        door = Door(
            directory,
            passages,
            ledger,
            upstream,
            lambda protocol, outcome: counted.update([(protocol, outcome)]),
            idle_seconds=idle_seconds,
        )
        nameserver = Nameserver(
            directory, passages, ledger, lambda: [COMPONENT, "fd00::1"], lambda _: None
        )
        port, dns_port = free_port(), free_port()
        server = await door.listen(COMPONENT, port)
        stack.callback(server.close)
        for listening in await nameserver.listen(COMPONENT, dns_port):
            stack.callback(listening.close)
        scene = Scene(
            names=names,
            directory=directory,
            ledger=ledger,
            passages=passages,
            port=port,
            dns_port=dns_port,
            counted=counted,
            blocked=blocked,
            certificate=certificate,
            stack=stack,
        )
        yield scene


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _all_ended() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(others, timeout=10) if others else None


def make_certificate(folder: Path, *names: str) -> Path:
    """Return a file with a key and a certificate of its own for these names."""
    path, key = folder / "certificate.pem", folder / "key.pem"
    alternatives = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=isola", "-keyout", key, "-out", path),
            *("-addext", f"subjectAltName={alternatives}"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


async def until(done: Callable[[], Any]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - whatever it is that is waited for
            await asyncio.sleep(0.01)


LATER = timedelta(minutes=1)
