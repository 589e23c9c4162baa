"""What every bucket promises, real or not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from isola_bucket.errors import ObjectExistsError, ObjectNotFoundError, UploadNotFoundError
from isola_bucket.port import SMALLEST_PART_BYTES, Bucket, Part, Upload

METADATA = {"sha256": "e3b0c4", "image": "registry.example/team/python:3.11", "bytes": "12"}
FIRST = os.urandom(SMALLEST_PART_BYTES)
SECOND = b"the end"


async def put(
    bucket: Bucket,
    key: str,
    *bodies: bytes,
    metadata: Mapping[str, str] = METADATA,
    replace: bool = False,
) -> None:
    upload = await bucket.begin(key, metadata)
    parts = [await bucket.put_part(upload, number, body) for number, body in enumerate(bodies, 1)]
    await bucket.complete(upload, parts, metadata, replace=replace)


async def content(bucket: Bucket, key: str, *, start: int = 0, tag: str = "") -> bytes:
    return b"".join([piece async for piece in bucket.read(key, start=start, tag=tag)])


def sizes(parts: Sequence[Part]) -> list[tuple[int, int]]:
    return [(part.number, part.size_bytes) for part in parts]


async def test_the_object_is_its_parts_in_the_order_of_their_numbers(
    bucket: Bucket, key: str
) -> None:
    upload = await bucket.begin(key, METADATA)
    later, sooner = await asyncio.gather(
        bucket.put_part(upload, 2, SECOND), bucket.put_part(upload, 1, FIRST)
    )
    await bucket.complete(upload, [sooner, later], METADATA)
    assert await content(bucket, key) == FIRST + SECOND


async def test_an_object_tells_its_size_and_what_was_said_of_it(bucket: Bucket, key: str) -> None:
    await put(bucket, key, SECOND)
    stored = await bucket.head(key)
    assert (stored.key, stored.size_bytes, stored.metadata) == (key, len(SECOND), METADATA)
    assert stored.modified_at.utcoffset() == timedelta(0)


async def test_nothing_is_visible_before_an_upload_is_complete(bucket: Bucket, key: str) -> None:
    upload = await bucket.begin(key, METADATA)
    await bucket.put_part(upload, 1, SECOND)
    with pytest.raises(ObjectNotFoundError):
        await bucket.head(key)
    with pytest.raises(ObjectNotFoundError):
        await content(bucket, key)
    assert [entry async for entry in bucket.entries(key)] == []


async def test_whoever_knows_an_upload_sees_what_has_arrived_and_goes_on(
    bucket: Bucket, key: str
) -> None:
    begun = await bucket.begin(key, METADATA)
    await bucket.put_part(begun, 1, FIRST)
    known = Upload(key, begun.id)
    arrived = await bucket.parts(known)
    assert sizes(arrived) == [(1, len(FIRST))]
    last = await bucket.put_part(known, 2, SECOND)
    await bucket.complete(known, [*arrived, last], METADATA)
    assert await content(bucket, key) == FIRST + SECOND


async def test_a_part_that_is_put_again_takes_the_place_of_the_first(
    bucket: Bucket, key: str
) -> None:
    upload = await bucket.begin(key, METADATA)
    await bucket.put_part(upload, 1, b"half of i")
    again = await bucket.put_part(upload, 1, SECOND)
    assert sizes(await bucket.parts(upload)) == [(1, len(SECOND))]
    await bucket.complete(upload, [again], METADATA)
    assert await content(bucket, key) == SECOND


async def test_an_object_that_exists_is_not_overwritten(bucket: Bucket, key: str) -> None:
    await put(bucket, key, b"precious")
    with pytest.raises(ObjectExistsError):
        await put(bucket, key, b"other")
    assert await content(bucket, key) == b"precious"


async def test_an_object_that_exists_is_replaced_by_who_says_so(bucket: Bucket, key: str) -> None:
    await put(bucket, key, b"old")
    before = await bucket.head(key)
    await put(bucket, key, b"new", metadata={"sha256": "f"}, replace=True)
    after = await bucket.head(key)
    assert await content(bucket, key) == b"new"
    assert after.metadata == {"sha256": "f"}
    assert after.tag != before.tag


async def test_of_two_uploads_completed_at_once_one_makes_the_object(
    bucket: Bucket, key: str
) -> None:
    if type(bucket).__name__ == "GcsBucket":
        pytest.skip("the emulator composes without heeding the precondition; see test_refusals")
    bodies = (b"one", b"other")
    uploads = [await bucket.begin(key, METADATA) for _ in bodies]
    parts = [await bucket.put_part(u, 1, body) for u, body in zip(uploads, bodies, strict=True)]
    done = await asyncio.gather(
        *(bucket.complete(u, [part], METADATA) for u, part in zip(uploads, parts, strict=True)),
        return_exceptions=True,
    )
    assert done.count(None) == 1
    refused = next(each for each in done if each is not None)
    assert isinstance(refused, ObjectExistsError | UploadNotFoundError)
    assert await content(bucket, key) == bodies[done.index(None)]


async def test_a_completed_upload_is_not_under_way(bucket: Bucket, key: str) -> None:
    upload = await bucket.begin(key, METADATA)
    part = await bucket.put_part(upload, 1, SECOND)
    assert await bucket.uploads(key) == [upload]
    await bucket.complete(upload, [part], METADATA)
    assert await bucket.uploads(key) == []
    with pytest.raises(UploadNotFoundError):
        await bucket.parts(upload)


async def test_an_aborted_upload_leaves_nothing(bucket: Bucket, key: str) -> None:
    upload = await bucket.begin(key, METADATA)
    part = await bucket.put_part(upload, 1, SECOND)
    await bucket.abort(upload)
    await bucket.abort(upload)
    assert await bucket.uploads(key) == []
    with pytest.raises(UploadNotFoundError):
        await bucket.complete(upload, [part], METADATA)
    with pytest.raises(ObjectNotFoundError):
        await bucket.head(key)


async def test_aborting_an_upload_spares_the_object_it_was_to_replace(
    bucket: Bucket, key: str
) -> None:
    await put(bucket, key, b"precious")
    upload = await bucket.begin(key, METADATA)
    await bucket.put_part(upload, 1, SECOND)
    await bucket.abort(upload)
    assert await bucket.uploads(key) == []
    assert await content(bucket, key) == b"precious"
    assert (await bucket.head(key)).metadata == METADATA


async def test_a_refused_upload_is_still_there_to_be_aborted(bucket: Bucket, key: str) -> None:
    await put(bucket, key, b"precious")
    upload = await bucket.begin(key, METADATA)
    part = await bucket.put_part(upload, 1, SECOND)
    with pytest.raises(ObjectExistsError):
        await bucket.complete(upload, [part], METADATA)
    assert await bucket.uploads(key) == [upload]
    await bucket.abort(upload)
    assert await bucket.uploads(key) == []


async def test_an_upload_is_not_completed_without_a_part_that_never_came(
    bucket: Bucket, key: str
) -> None:
    upload = await bucket.begin(key, METADATA)
    first = await bucket.put_part(upload, 1, FIRST)
    with pytest.raises(UploadNotFoundError):
        await bucket.complete(upload, [first, Part(2, 7, '"0cc175b9c0f1b6a831c399e269772661"')], {})
    with pytest.raises(ObjectNotFoundError):
        await bucket.head(key)


async def test_reading_begins_where_the_reader_left_off(bucket: Bucket, key: str) -> None:
    await put(bucket, key, FIRST, SECOND)
    tag = (await bucket.head(key)).tag
    assert await content(bucket, key, start=len(FIRST) - 2, tag=tag) == FIRST[-2:] + SECOND
    assert await content(bucket, key, start=len(FIRST + SECOND), tag=tag) == b""


async def test_a_reader_is_not_handed_the_bytes_of_another_object(bucket: Bucket, key: str) -> None:
    await put(bucket, key, b"old")
    tag = (await bucket.head(key)).tag
    await put(bucket, key, b"new", replace=True)
    with pytest.raises(ObjectNotFoundError):
        await content(bucket, key, tag=tag)


async def test_an_object_is_read_in_pieces(bucket: Bucket, key: str) -> None:
    await put(bucket, key, FIRST, FIRST)
    pieces = [len(piece) async for piece in bucket.read(key)]
    assert sum(pieces) == 2 * len(FIRST)
    assert max(pieces) <= len(FIRST)


async def test_a_listing_has_what_begins_with_the_prefix_by_key(bucket: Bucket, key: str) -> None:
    folder = key.removesuffix(".tar.zst")
    for name in ("b", "a/deep"):
        await put(bucket, f"{folder}/{name}", SECOND)
    await put(bucket, f"{folder}-not", SECOND)
    found = [entry async for entry in bucket.entries(f"{folder}/")]
    assert [(entry.key, entry.size_bytes) for entry in found] == [
        (f"{folder}/a/deep", len(SECOND)),
        (f"{folder}/b", len(SECOND)),
    ]


async def test_deleting_is_done_once_and_harmless_again(bucket: Bucket, key: str) -> None:
    await put(bucket, key, SECOND)
    await bucket.delete(key, tag=(await bucket.head(key)).tag)
    await bucket.delete(key)
    await bucket.delete(key, tag='"0"')
    with pytest.raises(ObjectNotFoundError):
        await bucket.head(key)


async def test_an_upload_of_many_parts_is_complete(bucket: Bucket, key: str) -> None:
    # Google composes at most 32 at once; S3's parts must be of 5 MiB, so that these are few there.
    upload = await bucket.begin(key, METADATA)
    few = type(bucket).__name__ == "S3Bucket"
    bodies = [FIRST, FIRST, SECOND] if few else [b"%d," % number for number in range(70)]
    parts = [await bucket.put_part(upload, at, body) for at, body in enumerate(bodies, 1)]
    await bucket.complete(upload, parts, METADATA)
    assert await content(bucket, key) == b"".join(bodies)
    assert await bucket.uploads(key) == []
