"""From stored bytes to the archive: constant memory, and nothing damaged gets through."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from isola_bucket.contents import (
    NONE,
    ZSTD,
    Contents,
    DamagedError,
    Origin,
    contents_of,
    downloaded,
    metadata_of,
    unpacked,
)
from isola_bucket.errors import ObjectNotFoundError, UnavailableError
from isola_bucket.memory import MemoryBucket

PLAIN = os.urandom(40_000) + bytes(3_000_000) + b"the end"
STORED = zstd.compress(PLAIN[:50_000]) + zstd.compress(PLAIN[50_000:])
ORIGIN = Origin(snapshot="s", snapshotuid="1-2", sandbox="sb", image="registry.example/a:1")
CONTENTS = Contents(
    size_bytes=len(PLAIN),
    sha256=hashlib.sha256(PLAIN).hexdigest(),
    stored_sha256=hashlib.sha256(STORED).hexdigest(),
    compression=ZSTD,
    origin=ORIGIN,
)


async def pieces(content: bytes, size: int = 1000) -> AsyncGenerator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def unfold(content: bytes, contents: Contents = CONTENTS) -> list[bytes]:
    return [piece async for piece in unpacked(pieces(content), contents)]


def test_metadata_says_what_the_object_holds() -> None:
    assert contents_of(metadata_of(CONTENTS)) == CONTENTS


@pytest.mark.parametrize("missing", ["sha256", "bytes", "compression"])
def test_an_object_that_says_too_little_is_refused(missing: str) -> None:
    metadata = metadata_of(CONTENTS)
    del metadata[missing]
    with pytest.raises(DamagedError, match="does not say what it holds"):
        contents_of(metadata)


async def test_several_frames_unfold_to_one_archive_in_small_pieces() -> None:
    found = await unfold(STORED)
    assert b"".join(found) == PLAIN
    assert max(map(len, found)) <= 1024 * 1024


async def test_an_archive_that_was_not_compressed_comes_as_it_is() -> None:
    found = await unfold(PLAIN, replace(CONTENTS, compression=NONE))
    assert b"".join(found) == PLAIN


@given(at=st.integers(0, len(STORED) - 1), bit=st.integers(0, 7))
async def test_an_archive_with_one_bit_flipped_never_unfolds_to_another_one(
    at: int, bit: int
) -> None:
    damaged = bytearray(STORED)
    damaged[at] ^= 1 << bit
    with suppress(DamagedError):
        assert b"".join(await unfold(bytes(damaged))) == PLAIN  # the format has a bit of no use


@given(end=st.integers(0, len(STORED) - 1))
async def test_an_archive_that_was_cut_short_is_refused(end: int) -> None:
    with pytest.raises(DamagedError):
        await unfold(STORED[:end])


async def test_another_archive_of_the_same_length_is_refused() -> None:
    other = PLAIN[:-1] + b"D"
    with pytest.raises(DamagedError, match="SHA-256"):
        await unfold(zstd.compress(other))


async def test_an_archive_that_unfolds_to_more_is_refused_before_it_fills_the_disk() -> None:
    bomb = zstd.compress(bytes(200_000_000))
    read: list[int] = []

    async def reading() -> None:
        async for piece in unpacked(pieces(bomb), CONTENTS):
            read.append(len(piece))  # noqa: PERF401 - what came before it was refused counts

    with pytest.raises(DamagedError, match="longer"):
        await reading()
    assert sum(read) <= len(PLAIN)


class Breaking(MemoryBucket):
    """A bucket whose every second answer breaks off after its first piece."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        self.reads += 1
        breaks = self.reads % 2
        async for piece in super().read(key, start=start, tag=tag):
            yield piece
            if breaks:
                raise UnavailableError("broken off")


async def kept(bucket: MemoryBucket, content: bytes) -> None:
    upload = await bucket.begin("k", {})
    part = await bucket.put_part(upload, 1, content)
    await bucket.complete(upload, [part], {}, replace=True)


async def test_a_download_goes_on_where_its_connection_broke() -> None:
    bucket = Breaking()
    await kept(bucket, PLAIN)
    stored = await bucket.head("k")
    assert b"".join([piece async for piece in downloaded(bucket, stored)]) == PLAIN
    assert bucket.reads == 2


async def test_a_download_does_not_go_on_with_another_object() -> None:
    bucket = Breaking()
    await kept(bucket, PLAIN)
    stored = await bucket.head("k")
    reading = downloaded(bucket, stored)
    await anext(reading)
    await kept(bucket, PLAIN[::-1])
    with pytest.raises(ObjectNotFoundError):
        async for _ in reading:
            pass
