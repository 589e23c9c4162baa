"""TLS by server name: passed through to the name that is allowed, and to no other place."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from egress.scene import BLOCKED, OTHER, SANDBOX, SERVER, Scene, Streams, until
from isola_egress.directory import Place


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back all that comes, in capitals, and a full stop at its end."""
    while chunk := await reader.read(65536):
        writer.write(chunk.upper())
        await writer.drain()
    writer.write(b".")
    await writer.drain()


async def said(streams: Streams, text: bytes) -> bytes:
    streams[1].write(text)
    return await streams[0].readexactly(len(text))


async def test_an_allowed_name_is_reached_and_its_certificate_is_its_own(scene: Scene) -> None:
    scene.allow("example.com", f"*.example.com:{scene.port}", f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER], "a.b.example.com": [SERVER]}
    await scene.serve(shout, tls=True)
    for name in ("example.com", "EXAMPLE.com"):
        assert await said(await scene.tls(name), b"hello") == b"HELLO"
    assert scene.refused() == []


async def test_large_amounts_pass_both_ways_unchanged(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(shout, tls=True)
    reader, writer = await scene.tls("example.com")
    content = bytes(range(97, 123)) * 400_000

    async def send() -> None:
        writer.write(content)
        await writer.drain()

    sending = asyncio.create_task(send())
    assert await reader.readexactly(len(content)) == content.upper()
    await sending


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other.org", "NameNotAllowed"),
        ("www.other.org", "NameNotAllowed"),
        ("standard.example.com", "PortNotAllowed"),
    ],
)
async def test_another_name_or_port_is_refused_with_an_alert_that_says_so(
    scene: Scene, name: str, reason: str
) -> None:
    scene.allow(f"example.com:{scene.port}", "standard.example.com")
    scene.names.records = {name: [SERVER]}
    await scene.serve(shout, tls=True)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await scene.tls(name)
    assert scene.refused() == [(reason, "tls", name, "", scene.port)]
    assert not scene.names.asked, "it is not even looked up"


@pytest.mark.parametrize("name", [None, "127.0.0.2", "localhost"])
async def test_no_name_or_an_address_or_a_bare_word_is_refused(
    scene: Scene, name: str | None
) -> None:
    scene.allow(f"example.com:{scene.port}")
    await scene.serve(shout, tls=True)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await scene.tls(name)
    ((reason, *_),) = scene.refused()
    assert reason == "NameMissing"


async def test_a_name_that_leads_to_a_blocked_address_is_refused(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [BLOCKED]}
    reached = asyncio.Event()

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        reached.set()

    await scene.serve(serve, at=BLOCKED)
    with pytest.raises(ssl.SSLError):
        await scene.tls("example.com")
    assert scene.refused() == [("AddressBlocked", "tls", "example.com", BLOCKED, scene.port)]
    assert not reached.is_set()


async def test_a_name_that_answers_anew_each_time_never_gets_a_blocked_address_in(
    scene: Scene,
) -> None:
    scene.allow(f"example.com:{scene.port}")
    await scene.serve(shout, tls=True)
    reached = asyncio.Event()

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        reached.set()

    await scene.serve(serve, at=BLOCKED)
    for turn in range(10):
        scene.names.records = {"example.com": [BLOCKED, SERVER] if turn % 2 else [SERVER]}
        assert await said(await scene.tls("example.com"), b"hello") == b"HELLO"
        scene.names.records = {"example.com": [BLOCKED]}
        with pytest.raises(ssl.SSLError):
            await scene.tls("example.com")
    assert scene.names.asked["example.com"] == 20, "one look each, so no second answer"
    assert not reached.is_set()


async def test_ipv6_is_asked_for_only_where_it_is_allowed(scene: Scene) -> None:
    scene.names.records = {"example.com": ["::1"]}
    scene.allow(f"example.com:{scene.port}")
    with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
        await scene.tls("example.com")
    await scene.serve(shout, at="::1", tls=True)
    scene.allow(f"example.com:{scene.port}", ipv6=True)
    assert await said(await scene.tls("example.com"), b"hello") == b"HELLO"


async def test_a_server_that_is_not_there_is_told_as_such_and_is_no_refusal(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    for found in ({}, {"example.com": [SERVER]}):
        scene.names.records = found
        with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
            await scene.tls("example.com")
    assert scene.refused() == []
    assert scene.counted["tls", "unreachable"] == 2


async def test_a_client_that_has_sent_all_still_reads(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read(-1))).encode())
        await writer.drain()

    await scene.serve(count)
    context = ssl.create_default_context()
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = sent.read()
    reader, writer = await scene.connect()
    for byte in range(0, len(hello), 100):  # in several segments
        writer.write(hello[byte : byte + 100])
        await writer.drain()
        await asyncio.sleep(0.001)
    writer.write(b"more")
    writer.write_eof()
    assert await reader.read(-1) == str(len(hello) + 4).encode()


async def test_a_changed_list_cuts_what_it_no_longer_allows_and_nothing_else(scene: Scene) -> None:
    kept, lost = f"example.com:{scene.port}", f"*.example.com:{scene.port}"
    scene.allow(kept, lost)
    scene.names.records = {"example.com": [SERVER], "a.example.com": [SERVER]}
    await scene.serve(shout, tls=True)
    stays, goes = await scene.tls("example.com"), await scene.tls("a.example.com")
    assert await said(goes, b"one") == b"ONE"
    scene.allow(kept)
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await said(goes, b"two")
    assert await said(stays, b"two") == b"TWO"
    with pytest.raises(ssl.SSLError):
        await scene.tls("a.example.com")


@pytest.mark.parametrize("what", ["the sandbox", "its pod", "another pod with its address"])
async def test_a_connection_ends_when_it_is_no_longer_clear_whose_it_is(
    scene: Scene, what: str
) -> None:
    scene.allow(f"example.com:{scene.port}")
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(shout, tls=True)
    open_one = await scene.tls("example.com")
    assert await said(open_one, b"one") == b"ONE"
    match what:
        case "the sandbox":
            scene.directory.put_grant(SANDBOX, None)
        case "its pod":
            scene.directory.put_place(f"pod-{SANDBOX}", None)
        case _:
            scene.directory.put_place("other", Place("other", "uid-other", (SANDBOX,)))
            scene.directory.put_place(f"pod-{SANDBOX}", None)
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await said(open_one, b"two")
    await until(lambda: not len(scene.passages))


async def test_a_sandbox_holds_so_many_connections_and_others_have_theirs(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    scene.allow(f"example.com:{scene.port}", at=OTHER)
    scene.names.records = {"example.com": [SERVER]}
    await scene.serve(shout, tls=True)
    held = [await scene.connect() for _ in range(20)]
    await until(lambda: len(scene.passages) == 20)
    with pytest.raises((OSError, ssl.SSLError)):
        await scene.tls("example.com")
    assert scene.refused() == [("TooManyConnections", "tcp", "", "", scene.port)]
    assert await said(await scene.tls("example.com", OTHER), b"hello") == b"HELLO"
    held[0][1].close()
    await until(lambda: len(scene.passages) == 20)  # 19 and the other sandbox's
    assert await said(await scene.tls("example.com"), b"hello") == b"HELLO"


async def test_who_is_not_known_is_not_served(scene: Scene) -> None:
    scene.allow(f"example.com:{scene.port}")
    with pytest.raises((OSError, ssl.SSLError)):
        await scene.tls("example.com", "127.0.0.99")
    assert scene.counted["tcp", "unknown"] == 1


async def test_a_protocol_that_names_no_server_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_egress.door.HEAD_SECONDS", 0.2)
    scene.allow(f"example.com:{scene.port}")
    reader, _ = await scene.connect()  # as of SSH or SMTP: waits for the server's greeting
    assert await reader.read(-1) == b""
    assert scene.refused() == [("NameMissing", "tcp", "", "", scene.port)]


async def test_a_hello_that_comes_too_slowly_is_given_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_egress.door.HEAD_SECONDS", 0.3)
    scene.allow(f"example.com:{scene.port}")
    reader, writer = await scene.connect()
    writer.write(b"\x16\x03\x01\x02\x00")
    assert await reader.read(-1) == b""
    assert scene.counted["tls", "broken"] == 1
