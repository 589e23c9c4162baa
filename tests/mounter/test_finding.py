"""Which object a name stands for, whatever logs and bucket say of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from isola_bucket.errors import AccessError, UnavailableError
from isola_bucket.memory import MemoryBucket
from isola_bucket.port import Stored
from isola_mounter.finding import Awaited, Finder, Found, Refused
from isola_store.memory import MemorySnapshots
from isola_store.port import Snapshot
from mounter.scene import (
    IMAGE,
    IMAGE_ID,
    failed,
    finished,
    noise,
    requested,
    rewrite,
    sha256,
    store,
)
from support.kubernetes_server import NAMESPACE
from support.store import append
from support.stories import fact

PLAIN, OTHER = noise(50_000), noise(50_000, seed=2)


class Scene:
    """A bucket, and RootfsSnapshots."""

    def __init__(self) -> None:
        self.bucket = MemoryBucket()
        self.snapshots = MemorySnapshots()
        self.heard: list[str] = []
        self.stale: Sequence[Snapshot] = ()

    async def find(self, name: str = "base", bucket: Any = None) -> Found | Awaited | Refused:
        async def hear(why: str) -> None:
            self.heard.append(why)

        items = await self.snapshots.list()
        finder = Finder(bucket or self.bucket, lambda: self.stale, self.snapshots.list, NAMESPACE)
        fresh = await finder.find(name, hear, first=True)
        if bucket is None:
            self.stale = items
            assert await finder.find(name, hear, first=False) == fresh
        return fresh

    async def taken(self, plain: bytes, name: str = "base", **spec: Any) -> Snapshot:
        await store(self.bucket, name, plain)
        return await finished(self.snapshots, await requested(self.snapshots, name, **spec), plain)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def found(scene: Scene) -> str:
    answer = await scene.find()
    assert isinstance(answer, Found), answer
    return answer.archive.sha256


async def test_a_stored_snapshot_is_found_with_all_that_counts(scene: Scene) -> None:
    await scene.taken(PLAIN)
    answer = await scene.find()
    assert isinstance(answer, Found)
    archive = answer.archive
    assert archive.key == f"rootfssnapshots/{NAMESPACE}/base.tar"
    assert (archive.sha256, archive.size_bytes) == (sha256(PLAIN), len(PLAIN))
    assert (archive.image, archive.image_id) == (IMAGE, IMAGE_ID)


async def test_a_snapshot_whose_resource_is_gone_is_found_by_its_name(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    assert await found(scene) == sha256(PLAIN)


async def test_one_whose_resource_is_leaving_is_too(scene: Scene) -> None:
    snapshot = await scene.taken(PLAIN)
    leaves = fact("DeletionRequested", "TimeToLiveExceeded", object="Retain")
    await append(scene.snapshots, snapshot, leaves)
    assert await found(scene) == sha256(PLAIN)


async def test_what_nobody_has_taken_may_still_come(scene: Scene) -> None:
    await scene.taken(PLAIN, "another")
    answer = await scene.find()
    assert isinstance(answer, Awaited)
    assert answer.reason == "SnapshotNotFound"
    assert f"rootfssnapshots/{NAMESPACE}/base.tar" in answer.message


async def test_what_is_being_taken_is_waited_for_also_where_an_older_one_is_there(
    scene: Scene,
) -> None:
    for _ in range(2):
        snapshot = await requested(scene.snapshots, "base", replace=True)
        answer = await scene.find()
        assert isinstance(answer, Awaited)
        assert answer.reason == "SnapshotPending"
        assert snapshot.name in answer.message
        await store(scene.bucket, "base", PLAIN)
        await finished(scene.snapshots, snapshot, PLAIN)


async def test_a_copy_that_lags_behind_does_not_hide_what_was_asked_for(scene: Scene) -> None:
    await scene.taken(PLAIN)
    scene.stale = await scene.snapshots.list()
    await requested(scene.snapshots, "base", replace=True)
    assert isinstance(await scene.find(), Awaited)


async def test_one_that_was_never_accepted_is_waited_for(scene: Scene) -> None:
    snapshot = await requested(scene.snapshots, "base")
    assert isinstance(await scene.find(), Awaited)
    await failed(scene.snapshots, snapshot)
    assert isinstance(await scene.find(), Refused)


async def test_without_a_name_of_its_own_a_snapshot_has_its_sandbox_s(scene: Scene) -> None:
    await requested(scene.snapshots, "", sandboxName="base")
    answer = await scene.find()
    assert isinstance(answer, Awaited)
    assert answer.reason == "SnapshotPending"


async def test_of_several_the_one_stored_last_counts(scene: Scene) -> None:
    await scene.taken(OTHER)
    newest = await requested(scene.snapshots, "base", replace=True)
    await store(scene.bucket, "base", PLAIN)
    await finished(scene.snapshots, newest, PLAIN)
    items = {s.name: s for s in await scene.snapshots.list()}
    assert len(items) == 2
    assert await found(scene) == sha256(PLAIN)


async def test_one_that_failed_and_left_nothing_is_told_with_its_reason(scene: Scene) -> None:
    snapshot = await failed(scene.snapshots, await requested(scene.snapshots, "base"))
    answer = await scene.find()
    assert isinstance(answer, Refused)
    assert answer.reason == "SnapshotFailed"
    for part in (snapshot.name, "CaptureFailed", "no space", "take the snapshot again"):
        assert part in answer.message


async def test_one_that_failed_does_not_hide_what_an_earlier_one_left(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    await failed(scene.snapshots, await requested(scene.snapshots, "base"))
    assert await found(scene) == sha256(PLAIN)


async def test_what_is_stored_and_not_there_may_come_again(scene: Scene) -> None:
    snapshot = await scene.taken(PLAIN)
    await scene.bucket.delete(f"rootfssnapshots/{NAMESPACE}/base.tar")
    answer = await scene.find()
    assert isinstance(answer, Awaited)
    assert answer.reason == "SnapshotNotFound"
    assert snapshot.name in answer.message


async def test_an_object_that_is_not_the_one_in_the_log_is_refused(scene: Scene) -> None:
    await scene.taken(PLAIN)
    await store(scene.bucket, "base", OTHER)
    answer = await scene.find()
    assert isinstance(answer, Refused)
    assert answer.reason == "SnapshotDamaged"
    assert sha256(OTHER) in answer.message
    assert sha256(PLAIN) in answer.message


@pytest.mark.parametrize("field", ["sha256", "bytes", "compression"])
async def test_an_object_that_does_not_say_what_it_holds_is_refused(
    scene: Scene, field: str
) -> None:
    await store(scene.bucket, "base", PLAIN, **{field: ""})
    answer = await scene.find()
    assert isinstance(answer, Refused)
    assert answer.reason == "SnapshotDamaged"
    assert "not written by Isola" in answer.message


async def test_other_bytes_under_the_right_words_are_not_seen_here(scene: Scene) -> None:
    # But when they are read: `test_staging`.
    await scene.taken(PLAIN)
    await rewrite(scene.bucket, f"rootfssnapshots/{NAMESPACE}/base.tar", b"junk")
    assert await found(scene) == sha256(PLAIN)


Head = Callable[[str], Awaitable[Stored]]


class Failing(MemoryBucket):
    """A bucket that does not say what is in it, so many times."""

    def __init__(self, error: Exception, times: int) -> None:
        super().__init__()
        self.error, self.times = error, times

    async def head(self, key: str) -> Stored:
        self.times -= 1
        if self.times >= 0:
            raise self.error
        return await super().head(key)


async def test_a_bucket_that_refuses_is_for_people_to_mend(scene: Scene) -> None:
    answer = await scene.find(bucket=Failing(AccessError("403"), 1))
    assert isinstance(answer, Refused)
    assert answer.reason == "BucketDenied"
    assert "credentials" in answer.message


async def test_a_bucket_that_hesitates_is_nothing_to_tell(scene: Scene) -> None:
    bucket = Failing(UnavailableError("503"), 1)
    await store(bucket, "base", PLAIN)
    bucket.times = 1
    assert isinstance(await scene.find(bucket=bucket), Found)
    assert scene.heard == []
