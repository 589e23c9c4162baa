"""The server name is read from what real clients send, and from nothing that is not exact."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isola_egress.hello import HelloError, read_hello, server_name


def hello(name: str | None) -> bytes:
    """Return what OpenSSL sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


REAL = hello("www.example.com")
BODY = REAL[5 + 4 :]


def fragmented(raw: bytes, sizes: Sequence[int]) -> bytes:
    """Return the handshake of one record in records of these sizes, and the rest in a last one."""
    payload, records = raw[5:], b""
    for size in [*sizes, len(payload)]:
        part, payload = payload[:size], payload[size:]
        if part:
            records += raw[:3] + len(part).to_bytes(2) + part
    return records


async def read(raw: bytes) -> tuple[bytes, str]:
    reader = asyncio.StreamReader()
    reader.feed_data(raw[1:])
    reader.feed_eof()
    return await read_hello(reader, raw[:1])


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2) + len(content).to_bytes(2) + content


def names(*entries: tuple[int, bytes]) -> bytes:
    told = b"".join(bytes([kind]) + len(n).to_bytes(2) + n for kind, n in entries)
    return extension(0, len(told).to_bytes(2) + told)


def body(*extensions: bytes, tail: bytes = b"") -> bytes:
    told = b"".join(extensions)
    start = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    return start + len(told).to_bytes(2) + told + tail


async def test_a_real_hello_is_passed_on_as_it_came() -> None:
    assert await read(REAL) == (REAL, "www.example.com")


async def test_a_real_hello_without_a_name_has_none() -> None:
    assert (await read(hello(None)))[1] == ""


@given(st.lists(st.integers(1, 600), max_size=20))
def test_records_may_cut_it_anywhere(sizes: list[int]) -> None:
    raw = fragmented(REAL, sizes)
    assert asyncio.run(read(raw)) == (raw, "www.example.com")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(body(names((0, b"a.com"), (0, b"b.com"))), id="two names"),
        pytest.param(body(names((0, b"a.com")), names((0, b"b.com"))), id="two lists"),
        pytest.param(body(names((1, b"a.com"))), id="another kind of name"),
        pytest.param(body(names((0, b""))), id="an empty name"),
        pytest.param(body(names((0, b"\xff.com"))), id="a name that is not ASCII"),
        pytest.param(body(extension(0, b"")), id="no list"),
        pytest.param(body(extension(0, b"\x00\x00")), id="an empty list"),
        pytest.param(body(extension(0, b"\x00\x09\x00\x00\x05a.com")), id="a list too short"),
        pytest.param(body(extension(0, b"\x00\x08\x00\x00\x05a.com!")), id="bytes after the list"),
        pytest.param(body(names((0, b"a.com")), tail=b"\x00"), id="bytes after the extensions"),
        pytest.param(body(extension(23, b""), extension(23, b"")), id="any extension twice"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(content: bytes) -> None:
    assert server_name(body(names((0, b"a.com")))) == "a.com"
    with pytest.raises(HelloError):
        server_name(content)


@given(st.integers(0, len(BODY) - 1))
def test_no_beginning_of_a_hello_has_its_name(length: int) -> None:
    try:
        found = server_name(BODY[:length])
    except HelloError:
        return
    assert found == "", "extensions may be missing altogether"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_or_have_a_name_in_them(noise: bytes) -> None:
    try:
        found = server_name(noise)
    except HelloError:
        return
    assert found.encode() in noise


@given(st.integers(0, len(BODY) - 1), st.integers(0, 255))
def test_a_changed_byte_never_makes_it_fail_in_another_way(index: int, value: int) -> None:
    changed = bytearray(BODY)
    changed[index] = value
    try:
        found = server_name(bytes(changed))
    except HelloError:
        return
    assert found.encode() in changed or found == ""


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x17" + REAL[1:], id="not a handshake"),
        pytest.param(REAL[:1] + b"\x02" + REAL[2:], id="not SSL 3 or TLS"),
        pytest.param(REAL[:3] + b"\x00\x00" + REAL[5:], id="an empty record"),
        pytest.param(REAL[:3] + b"\xff\xff" + REAL[5:], id="a record too long"),
        pytest.param(REAL[:5] + b"\x02" + REAL[6:], id="not a ClientHello"),
        pytest.param(REAL[:5] + b"\x01\xff\xff\xff" + REAL[9:], id="a message too long"),
        pytest.param(
            REAL[:3] + (len(REAL) - 4).to_bytes(2) + REAL[5:] + b"\x0e", id="a second message"
        ),
    ],
)
async def test_records_that_hold_something_else_are_refused(raw: bytes) -> None:
    with pytest.raises(HelloError):
        await read(raw)


async def test_tiny_records_without_end_are_refused() -> None:
    raw = fragmented(REAL[:5] + b"\x01\x00\x40\x00" + bytes(16384), [1] * 16384)
    with pytest.raises(HelloError, match="too long"):
        await read(raw)


async def test_a_client_that_leaves_half_way_is_told_apart_from_a_bad_one() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await read(REAL[:100])
