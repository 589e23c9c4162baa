"""What is kept for a time only goes after it, and the log says so; everything else stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isola_bucket.errors import AccessError, ObjectNotFoundError
from isola_bucket.memory import MemoryBucket
from isola_lifecycle import naming
from isola_store.memory import MemorySnapshots
from isola_store.port import Snapshot
from isola_uploader.expiry import Sweeper
from isola_uploader.journal import journal_of, key_of
from isola_uploader.upload import Uploader
from support.store import NOW
from uploader.scene import NAMESPACE, accepted, leave_archive, noise, told

LATER = NOW + timedelta(seconds=61)
EXPIRED = ("Deleted", "True", "ObjectExpired")


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def store() -> MemorySnapshots:
    return MemorySnapshots()


async def stored(
    folder: Path, bucket: MemoryBucket, store: MemorySnapshots, **spec: Any
) -> Snapshot:
    leave_archive(folder, noise(1000))
    snapshot = await accepted(store, **spec)
    await Uploader(
        bucket=bucket,
        namespace=NAMESPACE,
        journal=journal_of(store, snapshot.name, snapshot.uid, lambda: NOW),
        folder=folder,
        clock=lambda: NOW,
        seconds=lambda: 0.0,
    ).run()
    return await store.read(snapshot.name)


async def sweep(bucket: Any, store: MemorySnapshots, now: datetime = LATER) -> None:
    await Sweeper(bucket, naming.object_prefix(NAMESPACE), store, lambda: now).run()


async def is_there(bucket: MemoryBucket, snapshot: Snapshot) -> bool:
    try:
        await bucket.head(key_of(snapshot, NAMESPACE))
    except ObjectNotFoundError:
        return False
    return True


async def test_what_has_had_its_time_goes_and_the_log_says_so_once(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    snapshot = await stored(tmp_path, bucket, store, objectTTLSeconds=60)
    await sweep(bucket, store, NOW + timedelta(seconds=59))
    assert await is_there(bucket, snapshot)
    await sweep(bucket, store)
    await sweep(bucket, store)
    assert not await is_there(bucket, snapshot)
    story = told(await store.read(snapshot.name))
    assert [each for each in story if each[0] == "Deleted"] == [EXPIRED]


async def test_it_goes_when_nobody_is_left_that_knows_it(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    snapshot = await stored(tmp_path, bucket, store, objectTTLSeconds=60)
    await sweep(bucket, MemorySnapshots())
    assert not await is_there(bucket, snapshot)


async def test_what_is_kept_for_ever_stays(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    snapshot = await stored(tmp_path, bucket, store)
    await sweep(bucket, store, NOW + timedelta(days=9999))
    assert await is_there(bucket, snapshot)


@pytest.mark.parametrize("metadata", [{}, {"expiresat": "soon"}, {"expiresat": "2026-01-01"}])
async def test_what_others_put_there_stays(
    bucket: MemoryBucket, store: MemorySnapshots, metadata: Mapping[str, str]
) -> None:
    key = naming.object_key(NAMESPACE, "strange")
    upload = await bucket.begin(key, metadata)
    await bucket.complete(upload, [await bucket.put_part(upload, 1, b"?")], metadata)
    await sweep(bucket, store)
    assert (await bucket.head(key)).size_bytes == 1


async def test_whoever_is_killed_before_it_said_so_is_followed_by_one_that_does(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    snapshot = await stored(tmp_path, bucket, store, objectTTLSeconds=60)
    await bucket.delete(key_of(snapshot, NAMESPACE))
    await sweep(bucket, store)
    assert told(await store.read(snapshot.name))[-1] == EXPIRED


async def test_nothing_is_said_of_an_object_that_is_still_there(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await stored(tmp_path, bucket, store, objectTTLSeconds=60)

    async def refuse(*_: Any, **__: Any) -> None:
        raise AccessError("403")

    monkeypatch.setattr(bucket, "delete", refuse)
    with pytest.raises(AccessError):
        await sweep(bucket, store)
    assert told(await store.read(snapshot.name))[-1] != EXPIRED
