"""Terminals through a real gateway: with a real sidecar, and with ones that misbehave."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from gateway.fakes import World
from gateway.real import RealSandbox
from gateway.serving import LOOPBACK, served

COMMANDS = "/v1/sandboxes/box/commands"
ANY = "0b5f2f0e-8f5a-4a52-9d1c-3c1d5b3f0a11"
TERMINAL = f"{COMMANDS}/{ANY}/terminal"
SIZE = {"rows": 24, "columns": 80}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"x" * 16).decode(),
}

Socket = aiohttp.ClientWebSocketResponse


async def started(http: aiohttp.ClientSession, *args: str, **more: Any) -> str:
    body = {"args": args, "terminal": SIZE, "env": {"PS1": "$ ", "TERM": "dumb"}, **more}
    async with http.post(COMMANDS, json=body) as response:
        assert response.status == 202, await response.text()
        return (await response.json())["id"]


def at(command: str, offset: int | None = None) -> str:
    return f"{COMMANDS}/{command}/terminal" + ("" if offset is None else f"?offset={offset}")


async def seen(socket: Socket, shown: bytes) -> bytes:
    """Return the output up to `shown`, which must come."""
    output = b""
    async with asyncio.timeout(10):
        while shown not in output:
            message = await socket.receive()
            if message.type is WSMsgType.BINARY:
                output += message.data
            else:
                assert message.type is WSMsgType.TEXT, (message, output)
    return output


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another process's state tells nobody
            await asyncio.sleep(0.05)


async def rest(socket: Socket) -> tuple[bytes, Any, int | None]:
    """Return what is still shown, the last text, and the code of the close."""
    output, text = b"", None
    async with asyncio.timeout(10):
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                output += message.data
            else:
                text = message.json()
    return output, text, socket.close_code


# --- with a real sidecar -------------------------------------------------------------------------


async def test_a_shell_is_typed_into_resized_and_told_how_it_ended(
    http: aiohttp.ClientSession,
) -> None:
    command = await started(http, "sh", "-i")
    async with http.ws_connect(at(command)) as socket:
        assert await socket.receive_json() == {"offset": 0}
        await seen(socket, b"$ ")
        await socket.send_json({"rows": 7, "columns": 70})
        await socket.send_bytes(b"stty size\n")
        await seen(socket, b"7 70\r\n")
        await socket.send_bytes(b"exit 3\n")
        _, told, code = await rest(socket)
    assert (told, code) == ({"exitCode": 3, "cause": "Exited"}, 1000)


async def test_who_comes_again_goes_on_at_the_offset(http: aiohttp.ClientSession) -> None:
    command = await started(http, "sh", "-c", "echo one; read line; echo two")
    async with http.ws_connect(at(command)) as socket:
        reached = len(await seen(socket, b"one\r\n"))
    async with http.ws_connect(at(command, reached)) as socket:
        assert await socket.receive_json() == {"offset": reached}
        await socket.send_bytes(b"\n")
        output, told, _ = await rest(socket)
    assert b"one" not in output
    assert b"two\r\n" in output
    assert told["exitCode"] == 0


async def test_several_look_on_and_the_output_is_streamed_as_well(
    http: aiohttp.ClientSession,
) -> None:
    command = await started(http, "sh", "-c", "read line; echo got $line")
    async with http.ws_connect(at(command)) as first, http.ws_connect(at(command)) as second:
        await second.send_bytes(b"it\n")
        await seen(first, b"got it\r\n")
        await seen(second, b"got it\r\n")
    async with http.get(
        f"{COMMANDS}/{command}/stdout", headers={"Accept": "application/octet-stream"}
    ) as response:
        assert b"got it\r\n" in await response.read()


async def test_much_is_shown_whole_and_in_order(http: aiohttp.ClientSession) -> None:
    command = await started(http, "seq", "200000")
    async with http.ws_connect(at(command)) as socket:
        output, told, _ = await rest(socket)
    assert output.split() == [str(n).encode() for n in range(1, 200001)]
    assert told["exitCode"] == 0


async def test_a_terminal_is_of_the_container_that_was_named(http: aiohttp.ClientSession) -> None:
    body = {"args": ["tty"], "terminal": SIZE}
    async with http.post(f"{COMMANDS}?container=sandbox0", json=body) as response:
        assert response.status == 202
    async with http.post(f"{COMMANDS}?container=other", json=body) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    "bad", [{}, {"rows": 0, "columns": 80}, {"rows": 24, "columns": 1001}, {**SIZE, "x": 1}, True]
)
async def test_a_size_that_is_none_is_refused(http: aiohttp.ClientSession, bad: Any) -> None:
    async with http.post(COMMANDS, json={"args": ["true"], "terminal": bad}) as response:
        assert response.status == 422
        problem = await response.json(content_type="application/problem+json")
    assert problem["errors"][0]["location"].startswith("body.terminal")


async def refusal(http: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str]:
    """Return the status and the detail of what must be refused before any upgrade."""
    async with http.get(path, headers={**HANDSHAKE, **headers}) as response:
        told = await response.json(content_type="application/problem+json")
        assert told["status"] == response.status
        assert response.headers["X-Request-Id"]
        return response.status, told["detail"]


async def test_what_opens_no_terminal_says_why(http: aiohttp.ClientSession) -> None:
    async with http.post(COMMANDS, json={"args": ["true"]}) as response:
        plain = (await response.json())["id"]
    assert await refusal(http, at(plain)) == (409, "this command was started without a terminal")
    assert (await refusal(http, at(ANY)))[0] == 404
    assert (await refusal(http, at("nonsense")))[0] == 422
    assert (await refusal(http, at(ANY).replace("box", "absent")))[0] == 404
    assert (await refusal(http, f"{at(ANY)}?offset=-1"))[0] == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"Upgrade": "h2c"},
        {"Connection": "keep-alive"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": ""},
    ],
    ids=str,
)
async def test_a_handshake_that_is_none_is_told_what_is_needed(
    http: aiohttp.ClientSession, wrong: dict[str, str]
) -> None:
    kept = {name: value for name, value in {**HANDSHAKE, **wrong}.items() if value}
    async with http.get(TERMINAL, headers=kept) as response:
        assert response.status == 426
        assert response.headers["Upgrade"] == "websocket"
        assert response.headers["Sec-WebSocket-Version"] == "13"
        assert (await response.json(content_type=None))["detail"]


async def test_elsewhere_an_upgrade_is_passed_over(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/sandboxes/box", headers=HANDSHAKE) as response:
        assert response.status == 200
        assert (await response.json())["id"] == "box"
    async with http.get("/healthz") as response:  # on the same connection
        assert response.status == 200


async def test_compression_is_not_agreed_on(http: aiohttp.ClientSession) -> None:
    command = await started(http, "true")
    async with http.ws_connect(at(command), compress=15) as socket:
        assert socket.compress == 0
        await rest(socket)


async def test_terminals_leave_nothing_open(
    http: aiohttp.ClientSession, sandbox: RealSandbox
) -> None:
    command = await started(http, "cat")
    async with http.ws_connect(at(command)) as socket:
        await socket.receive_json()
    before = sandbox.open_files()
    for _ in range(10):
        async with http.ws_connect(at(command)) as socket:
            await socket.receive_json()
    await holds(lambda: sandbox.open_files() <= before)
    await (await http.delete(f"{COMMANDS}/{command}")).read()


async def test_a_gateway_that_stops_says_so_and_its_viewer_comes_again(
    gateway: World, sandbox: RealSandbox
) -> None:
    await gateway.runs("box", LOOPBACK, sandbox.certificate)
    async with AsyncExitStack() as first:
        url = await first.enter_async_context(served(gateway, sandbox.port))
        async with aiohttp.ClientSession(url) as http:
            command = await started(http, "cat")
            socket = await http.ws_connect(at(command))
            await socket.send_bytes(b"before\n")
            await seen(socket, b"before\r\nbefore\r\n")
            ending = asyncio.create_task(rest(socket))
            await first.aclose()
            assert (await ending)[2] == 1001
    async with served(gateway, sandbox.port) as url, aiohttp.ClientSession(url) as http:
        async with http.ws_connect(at(command)) as socket:
            await seen(socket, b"before\r\nbefore\r\n")
        await (await http.delete(f"{COMMANDS}/{command}")).read()


# --- with a sidecar that the test plays itself ---------------------------------------------------


@asynccontextmanager
async def beside(
    world: World, attend: Callable[[web.WebSocketResponse], Awaitable[None]]
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Serve a gateway whose sandbox has a sidecar that only `attend`s terminals."""

    async def opened(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        await attend(socket)
        return socket

    app = web.Application()
    app.router.add_get("/v1/commands/{id}/terminal", opened)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    port: int = runner.addresses[0][1]
    await world.runs("box", LOOPBACK)
    try:
        async with served(world, port) as url, aiohttp.ClientSession(url) as http:
            yield http
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("given", "passed"), [(1000, 1000), (1008, 1008), (4321, 4321), (1012, 1011)]
)
async def test_the_sidecars_close_is_the_clients(gateway: World, given: int, passed: int) -> None:
    async def attend(socket: web.WebSocketResponse) -> None:
        await socket.close(code=given, message=b"as it was said")

    async with beside(gateway, attend) as http, http.ws_connect(TERMINAL) as socket:
        message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, passed)
    assert message.extra == "as it was said"


async def test_a_sidecar_that_breaks_off_is_told_as_such(gateway: World) -> None:
    async def attend(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"x")
        transport = socket.get_extra_info("socket")
        transport.shutdown(2)

    async with beside(gateway, attend) as http, http.ws_connect(TERMINAL) as socket:
        assert (await socket.receive()).data == b"x"
        message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)


async def test_a_sidecar_that_falls_silent_is_told_as_such(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.routes.commands.EVENTS_SILENCE_SECONDS", 0.2)

    async def attend(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    async with beside(gateway, attend) as http, http.ws_connect(TERMINAL) as socket:
        message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)


def buffered() -> int:
    """Return the bytes that two connections may hold, in the kernel and in the programs."""
    kernel = sum(
        int(Path(f"/proc/sys/net/ipv4/tcp_{each}").read_text().split()[2])
        for each in ("rmem", "wmem")
    )
    return 2 * kernel + 16 * 1024 * 1024


async def test_a_client_that_takes_nothing_is_given_up_and_has_held_back_the_sidecar(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.sockets.SEND_SECONDS", 1)
    sent, left = 0, asyncio.Event()

    async def attend(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        try:
            while not socket.closed:
                await socket.send_bytes(b"x" * 65536)
                sent += 1
        except ConnectionError:
            pass
        finally:
            left.set()

    async with beside(gateway, attend) as http:
        socket = await http.ws_connect(TERMINAL)
        # Before it is given up: what the gateway throws away as it closes would count as well.
        await asyncio.sleep(0.7)
        held = sent
        async with asyncio.timeout(30):
            await left.wait()
        await socket.close()
    assert held * 65536 < 2 * buffered()


async def test_a_sidecar_that_takes_nothing_holds_back_the_client(gateway: World) -> None:
    taken = asyncio.Event()

    async def attend(socket: web.WebSocketResponse) -> None:
        await taken.wait()
        await socket.close()

    async with beside(gateway, attend) as http, http.ws_connect(TERMINAL) as socket:
        sent = 0
        with suppress(TimeoutError):
            while sent < 4096:
                async with asyncio.timeout(0.5):
                    await socket.send_bytes(b"x" * 32768)
                sent += 1
        assert sent * 32768 < buffered()
        taken.set()


async def test_a_message_that_is_too_long_is_closed_with_its_code(gateway: World) -> None:
    async def attend(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    async with beside(gateway, attend) as http, http.ws_connect(TERMINAL) as socket:
        await socket.send_bytes(b"x" * 65537)
        message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)


async def test_a_client_that_goes_on_sending_after_the_end_is_let_go(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.sockets.LINGER_SECONDS", 0.2)

    async def attend(socket: web.WebSocketResponse) -> None:
        await socket.close()

    frame = b"\x82\xfe\x7f\xff\0\0\0\0" + b"x" * 32767
    async with beside(gateway, attend) as http:
        url = http._base_url  # pyright: ignore[reportPrivateUsage]
        assert url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        writer.write(f"GET {TERMINAL} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while True:
                    writer.write(frame)
                    await writer.drain()
        writer.close()


async def test_pings_are_sent_and_answered(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isola_gateway.server.PING_SECONDS", 0.05)

    async def attend(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    async with (
        beside(gateway, attend) as http,
        http.ws_connect(TERMINAL, autoping=False) as socket,
    ):
        assert (await socket.receive()).type is WSMsgType.PING
        await socket.ping(b"here?")
        async with asyncio.timeout(5):
            while (message := await socket.receive()).type is WSMsgType.PING:
                pass
        assert (message.type, bytes(message.data)) == (WSMsgType.PONG, b"here?")
