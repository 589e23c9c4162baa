"""HTTP by Host: every request is looked at, on every connection, and written anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import aiohttp
import httpx
import pytest

from egress.scene import BLOCKED, SANDBOX, SERVER, Scene, until

GET = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def web(scene: Scene) -> Scene:
    """A scene with a web server for `example.com`, which is allowed, and `other.org`."""
    scene.allow(f"example.com:{scene.port}", f"*.example.com:{scene.port}")
    scene.names.records = {name: [SERVER] for name in ("example.com", "a.example.com", "other.org")}
    await scene.serve_http()
    return scene


def client(scene: Scene) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=SANDBOX)
    return httpx.AsyncClient(
        transport=transport, base_url=f"http://127.0.0.1:{scene.port}", timeout=10
    )


def status(answer: bytes) -> int:
    return int(answer.split()[1])


async def test_requests_on_one_connection_are_carried_with_their_bodies(web: Scene) -> None:
    async with client(web) as http:
        for turn in range(3):
            answer = await http.post(
                f"/path?{turn}", content=b"x" * 300_000, headers={"Host": "example.com"}
            )
            told = answer.json()
            assert (told["host"], told["path"], told["bytes"]) == (
                "example.com",
                f"/path?{turn}",
                300_000,
            )
    assert web.counted["http", "done"] <= 1
    assert web.names.asked["example.com"] == 1, "one connection to the server too"


async def test_a_chunked_body_and_a_head_request_are_carried(web: Scene) -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for _ in range(5):
            yield b"y" * 1000

    async with client(web) as http:
        answer = await http.put("/", content=parts(), headers={"Host": "example.com"})
        assert answer.json()["bytes"] == 5000
        head = await http.head("/", headers={"Host": "example.com"})
        assert (head.status_code, head.content) == (200, b"")
        again = await http.get("/again", headers={"Host": "example.com"})
        assert again.json()["path"] == "/again"


async def test_the_host_may_be_written_in_any_case_with_its_port_or_a_final_dot(
    web: Scene,
) -> None:
    async with client(web) as http:
        for host in ("EXAMPLE.com", f"example.com:{web.port}", "example.com."):
            assert (await http.get("/", headers={"Host": host})).status_code == 200


async def test_another_name_is_refused_in_words(web: Scene) -> None:
    async with client(web) as http:
        answer = await http.get("/", headers={"Host": "other.org"})
    assert answer.status_code == 403
    assert "other.org is not in allowedEgressDomains" in answer.text
    assert web.refused() == [("NameNotAllowed", "http", "other.org", "", web.port)]
    assert not web.names.asked


@pytest.mark.parametrize("host", ["a.example.com", "other.org"])
async def test_a_kept_connection_serves_no_other_name(web: Scene, host: str) -> None:
    first = b"GET /1 HTTP/1.1\r\nHost: example.com\r\n\r\n"
    second = f"GET /2 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    answer = await web.exchange(first + second)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"HTTP/1.1 421") == 1
    assert b"/2" not in answer


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no Host"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", 400, id="no Host, as HTTP/1.0 allows"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: example.com\r\nHost: other.org\r\n\r\n", 400, id="two Hosts"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: 127.0.0.2\r\n\r\n", 400, id="an address"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", 400, id="an IPv6 address"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: 2130706434\r\n\r\n", 400, id="a number"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n", 400, id="with a user"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: example.com:1\r\n\r\n", 400, id="another port"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: b\xc3\xbccher.example\r\n\r\n", 400, id="no ASCII"),
        pytest.param(
            b"GET http://other.org/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
            400,
            id="a target elsewhere",
        ),
        pytest.param(
            b"GET ftp://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, id="not HTTP"
        ),
        pytest.param(
            b"CONNECT other.org:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, id="CONNECT"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: example.com\r\nX: " + b"x" * 70_000, 431, id="a huge head"
        ),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
        pytest.param(b"\x05\x01\x00\r\n\r\n", 400, id="SOCKS"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", 400, id="SSH"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            id="an encoding that hides the end",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost : example.com\r\n\r\n", 400, id="a space in a name"),
    ],
)
async def test_what_names_no_allowed_server_clearly_is_refused(
    web: Scene, request_: bytes, expected: int
) -> None:
    assert status(await web.exchange(request_)) == expected
    assert len(web.refused()) == 1
    assert not web.names.asked


async def test_an_absolute_target_for_the_same_name_is_carried(web: Scene) -> None:
    host = f"example.com:{web.port}"
    request = f"GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert status(await web.exchange(request.encode())) == 200


async def test_a_body_cannot_hold_a_second_request(scene: Scene) -> None:
    seen = bytearray()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(keep)
    smuggled = b"GET /s HTTP/1.1\r\nHost: other.org\r\n\r\n"
    body = f"{len(smuggled):x}\r\n".encode() + smuggled + b"\r\n0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n"
    await scene.exchange(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body)
    assert b"transfer-encoding" in seen.lower()
    assert b"content-length" not in seen.lower(), "or a server that goes by it would see two"


async def test_a_name_that_leads_to_a_blocked_address_is_refused(web: Scene) -> None:
    web.names.records = {"example.com": [BLOCKED]}
    await web.serve_http(BLOCKED)
    answer = await web.exchange(GET)
    assert status(answer) == 403
    assert web.refused() == [("AddressBlocked", "http", "example.com", BLOCKED, web.port)]


async def test_a_server_that_is_not_there_is_a_bad_gateway(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    answer = await scene.exchange(GET)
    assert status(answer) == 502
    assert b"does not answer" in answer


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n"])
async def test_a_server_that_makes_no_sense_is_a_bad_gateway(scene: Scene, said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(serve)
    assert status(await scene.exchange(GET)) == 502


async def test_an_answer_without_a_length_ends_with_its_connection(scene: Scene) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"z" * 100_000)
        await writer.drain()

    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(serve)
    async with client(scene) as http:
        answer = await http.get("/", headers={"Host": "example.com"})
    assert answer.content == b"z" * 100_000


async def test_a_server_may_answer_before_it_has_the_whole_body(scene: Scene) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(serve)
    head = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n"
    assert status(await scene.exchange(head + b"x" * 1000)) == 413


async def test_a_server_that_asks_for_the_body_first_gets_it(scene: Scene) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
        await writer.drain()

    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(serve)
    reader, writer = await scene.connect()
    writer.write(
        b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(b"hello")
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


async def test_a_websocket_passes(web: Scene) -> None:
    connector = aiohttp.TCPConnector(local_addr=(SANDBOX, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(
            f"http://127.0.0.1:{web.port}/ws", headers={"Host": "example.com"}
        ) as socket,
    ):
        await socket.send_str("one")
        assert await socket.receive_str() == "echo one"


async def test_an_upgrade_to_http2_is_left_out(web: Scene) -> None:
    request = (
        b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close, Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    )
    answer = await web.exchange(request)
    assert status(answer) == 200
    told = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    assert not {"upgrade", "http2-settings"} & set(told["headers"])


async def test_a_kept_connection_ends_with_the_server_and_when_the_list_changes(
    web: Scene,
) -> None:
    reader, writer = await web.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    web.allow(f"a.example.com:{web.port}")
    assert await reader.read(-1) == b""
    await until(lambda: not len(web.passages))


async def test_a_head_that_comes_too_slowly_is_given_up(
    web: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_egress.relaying.HEAD_SECONDS", 0.3)
    reader, writer = await web.connect()
    for byte in b"GET / HTT":
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
    assert await reader.read(-1) == b""
    assert web.counted["http", "broken"] == 1


async def test_what_does_not_move_is_given_up(scene: Scene) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(silent)
    reader, writer = await scene.connect()
    writer.write(GET)
    assert await reader.read(-1) == b"", "after the scene's 5 s"
    assert scene.counted["http", "broken"] == 1
