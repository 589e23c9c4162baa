"""What is in the bucket and in the log after an upload, whatever happened on the way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from isola_bucket.contents import contents_of
from isola_bucket.errors import AccessError, ObjectNotFoundError, UploadNotFoundError
from isola_bucket.memory import MemoryBucket
from isola_bucket.port import Part, Upload
from isola_lifecycle.snapshot.conditions import Key, Reason
from isola_lifecycle.snapshot.fold import fold
from isola_store.memory import MemorySnapshots
from isola_store.port import Snapshot
from isola_uploader import manifest
from isola_uploader.journal import journal_of, key_of
from isola_uploader.manifest import ARCHIVE, Failure
from isola_uploader.removal import Remover
from isola_uploader.upload import Uploader
from support.mortal import Killed, Life, Mortal
from support.store import NOW, append
from uploader.scene import (
    NAMESPACE,
    accepted,
    assert_whole,
    ended,
    leave_archive,
    noise,
    restored,
    sha256,
    told,
)

PLAIN = noise(50_000)  # three parts
STORY = [
    ("Accepted", "True", "SpecValid"),
    ("Captured", "True", "ArchiveWritten"),
    ("Uploading", "True", "UploadStarted"),
    ("Stored", "True", "ObjectWritten"),
    ("Succeeded", "True", "SnapshotStored"),
]


class Failing(MemoryBucket):
    """A bucket, or what is in another one, that fails to do one thing."""

    def __init__(
        self, method: str, error: BaseException, bucket: MemoryBucket | None = None
    ) -> None:
        super().__init__()
        if bucket:
            self.__dict__.update(bucket.__dict__)

        async def fail(*_: Any, **__: Any) -> None:
            raise error

        setattr(self, method, fail)


class Scene:
    """A snapshot, its archive, a bucket."""

    def __init__(self, folder: Path, snapshot: Snapshot, store: MemorySnapshots) -> None:
        self.folder = folder
        self.store = store
        self.name = snapshot.name
        self.uid = snapshot.uid
        self.key = key_of(snapshot, NAMESPACE)
        self.bucket = MemoryBucket()
        self.ticks = itertools.count()

    def uploader(self, life: Life | None = None, bucket: Any = None) -> Uploader:
        alive = life or Life()
        store: Any = Mortal(self.store, alive)
        reached: Any = Mortal(bucket or self.bucket, alive)
        return Uploader(
            bucket=reached,
            namespace=NAMESPACE,
            journal=journal_of(store, self.name, self.uid, lambda: NOW),
            folder=self.folder,
            clock=lambda: NOW,
            seconds=lambda: float(next(self.ticks)),
            part_bytes=20_000,
        )

    async def snapshot(self) -> Snapshot:
        return await self.store.read(self.name)

    async def remove(self, bucket: Any = None) -> None:
        journal = journal_of(self.store, self.name, self.uid, lambda: NOW)
        await Remover(bucket or self.bucket, NAMESPACE, journal).run()


@pytest.fixture
def store() -> MemorySnapshots:
    return MemorySnapshots()


async def prepared(store: MemorySnapshots, folder: Path, **spec: Any) -> Scene:
    leave_archive(folder, PLAIN)
    return Scene(folder, await accepted(store, **spec), store)


@pytest.fixture
async def scene(store: MemorySnapshots, tmp_path: Path) -> Scene:
    return await prepared(store, tmp_path)


async def put(bucket: MemoryBucket, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
    upload = await bucket.begin(key, metadata)
    await bucket.complete(upload, [await bucket.put_part(upload, 1, body)], metadata)


async def test_the_archive_is_in_the_bucket_and_the_log_tells_how(scene: Scene) -> None:
    await scene.uploader().run()
    snapshot = await scene.snapshot()
    assert told(snapshot) == STORY
    assert await restored(scene.bucket, scene.key) == PLAIN
    state = fold(snapshot.log)
    assert state.stored
    assert state.archive
    assert (state.archive.size_bytes, state.archive.sha256) == (len(PLAIN), sha256(PLAIN))
    stored = await scene.bucket.head(scene.key)
    assert (state.stored.key, state.stored.etag) == (scene.key, stored.tag)
    assert state.stored.size_bytes == stored.size_bytes


async def test_the_object_says_what_it_was_taken_from(scene: Scene) -> None:
    await scene.uploader().run()
    origin = contents_of((await scene.bucket.head(scene.key)).metadata).origin
    assert (origin.snapshot, origin.snapshotuid, origin.sandbox) == (scene.name, scene.uid, "s")
    assert origin.imageid == "registry.example/python@sha256:abc"


async def test_an_uploader_that_comes_again_finds_it_done(scene: Scene) -> None:
    await scene.uploader().run()
    before = await scene.snapshot()
    await scene.uploader().run()
    assert await scene.snapshot() == before


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_uploader_killed_at_any_step_is_followed_by_one_that_finishes(
    store: MemorySnapshots, tmp_path: Path, *, after: bool
) -> None:
    for last in itertools.count(1):
        scene = await prepared(store, tmp_path)
        life = Life(last, after=after)
        try:
            await scene.uploader(life).run()
        except Killed:
            await scene.uploader().run()
        snapshot = await scene.snapshot()
        assert_whole(snapshot)
        assert told(snapshot)[-2:] == STORY[-2:]
        assert await restored(scene.bucket, scene.key) == PLAIN
        assert await scene.bucket.uploads(scene.key) == []
        if not life.over:
            assert last > 10
            return


async def test_what_has_arrived_is_not_sent_again(scene: Scene) -> None:
    sent: list[int] = []

    class Counting(MemoryBucket):
        async def put_part(self, upload: Upload, number: int, body: bytes) -> Part:
            sent.append(number)
            if sent == [1, 2, 3]:
                raise Killed
            return await super().put_part(upload, number, body)

    bucket = Counting()
    life = Life()
    with pytest.raises(Killed):
        await scene.uploader(life, KilledWith(bucket, life)).run()
    scene.bucket = bucket
    await scene.uploader().run()
    assert sorted(sent) == [1, 2, 3, 3]
    assert ("Uploading", "True", "UploadResumed") in told(await scene.snapshot())


class KilledWith:
    """A bucket, the death of which is the process's."""

    def __init__(self, bucket: Any, life: Life) -> None:
        self._bucket = bucket
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._bucket, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            try:
                return await method(*arguments, **options)
            except Killed:
                self._life.over = True
                raise

        return call


async def test_an_upload_that_was_begun_and_never_recorded_is_aborted(scene: Scene) -> None:
    await scene.bucket.begin(scene.key, {})
    await scene.uploader().run()
    assert await scene.bucket.uploads(scene.key) == []


async def test_parts_of_another_archive_are_not_taken_for_those_of_this_one(
    scene: Scene, tmp_path: Path
) -> None:
    life = Life()
    with pytest.raises(Killed):
        await scene.uploader(
            life, KilledWith(Failing("complete", Killed(), scene.bucket), life)
        ).run()
    assert fold((await scene.snapshot()).log).upload_id
    assert await scene.bucket.uploads(scene.key)
    other = noise(len(PLAIN), seed=2)
    leave_archive(tmp_path, other)  # in a new pod
    await scene.uploader().run()
    assert await restored(scene.bucket, scene.key) == other
    captured = [entry for entry in (await scene.snapshot()).log if entry.type == "Captured"]
    assert [entry.data[Key.SHA256] for entry in captured] == [sha256(PLAIN), sha256(other)]


async def test_a_name_that_is_taken_is_refused_and_left_alone(scene: Scene) -> None:
    await put(scene.bucket, scene.key, b"precious", {"snapshotuid": "another"})
    await scene.uploader().run()
    snapshot = await scene.snapshot()
    assert told(snapshot)[-2:] == [
        ("Stored", "False", "NameTaken"),
        ("Succeeded", "False", "NameTaken"),
    ]
    advice = snapshot.log.entries[-1].message
    for way_out in ("choose another snapshotName", "replace: true", "adopt: true"):
        assert way_out in advice
    assert (await scene.bucket.head(scene.key)).metadata == {"snapshotuid": "another"}
    assert await scene.bucket.uploads(scene.key) == []


async def test_a_snapshot_that_replaces_takes_the_place(
    store: MemorySnapshots, tmp_path: Path
) -> None:
    scene = await prepared(store, tmp_path, replace=True)
    await put(scene.bucket, scene.key, b"old", {"snapshotuid": "another"})
    await scene.uploader().run()
    assert await restored(scene.bucket, scene.key) == PLAIN


@pytest.mark.parametrize("harm", ["cut short", "a bit flipped", "gone"])
async def test_an_archive_that_was_harmed_on_the_node_is_not_stored(
    scene: Scene, tmp_path: Path, harm: str
) -> None:
    archive = tmp_path / ARCHIVE
    content = bytearray(archive.read_bytes())
    content[-1000] ^= 1
    if harm == "gone":
        archive.unlink()
    else:
        archive.write_bytes(content if harm == "a bit flipped" else content[:-1])
    await scene.uploader().run()
    snapshot = await scene.snapshot()
    assert told(snapshot)[-1] == ("Succeeded", "False", "ChecksumMismatch")
    assert await scene.bucket.uploads(scene.key) == []
    with pytest.raises(ObjectNotFoundError):
        await scene.bucket.head(scene.key)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        pytest.param(
            Failure(reason="ContainerGone", message="it ended"), "ContainerGone", id="gone"
        ),
        pytest.param(None, "CaptureFailed", id="no page"),
    ],
)
async def test_a_capture_that_failed_is_told_with_its_reason(
    scene: Scene, tmp_path: Path, page: Failure | None, reason: str
) -> None:
    (tmp_path / "manifest.json").unlink()
    if page:
        manifest.write(tmp_path, page)
    await scene.uploader().run()
    assert told(await scene.snapshot())[1:] == [
        ("Captured", "False", reason),
        ("Succeeded", "False", reason),
    ]


async def test_a_bucket_that_refuses_is_told_with_what_to_check(scene: Scene) -> None:
    bucket = Failing("begin", AccessError("403"))
    await scene.uploader(bucket=bucket).run()
    newest = (await scene.snapshot()).log.entries[-1]
    assert (newest.type, newest.reason) == ("Succeeded", "BucketDenied")
    assert "rights of the uploader's credentials" in newest.message


async def test_an_upload_that_others_abort_is_begun_anew_but_not_for_ever(scene: Scene) -> None:
    begun: list[str] = []

    class Losing(Failing):
        async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
            upload = await super().begin(key, metadata)
            begun.append(upload.id)
            return upload

    bucket = Losing("complete", UploadNotFoundError("aborted"))
    await scene.uploader(bucket=bucket).run()
    assert len(begun) == 3
    assert told(await scene.snapshot())[-1] == ("Succeeded", "False", "UploadFailed")


async def test_a_snapshot_that_ended_meanwhile_leaves_nothing_in_the_bucket(scene: Scene) -> None:
    class Slow(MemoryBucket):
        async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
            await append(scene.store, await scene.snapshot(), ended(Reason.DEADLINE_EXCEEDED))
            return await super().begin(key, metadata)

    scene.bucket = Slow()
    await scene.uploader().run()
    snapshot = await scene.snapshot()
    assert_whole(snapshot)
    assert told(snapshot)[-1] == ("Succeeded", "False", "DeadlineExceeded")
    assert await scene.bucket.uploads(scene.key) == []
    with pytest.raises(ObjectNotFoundError):
        await scene.bucket.head(scene.key)


async def test_a_stored_object_says_when_it_may_go(store: MemorySnapshots, tmp_path: Path) -> None:
    scene = await prepared(store, tmp_path, objectTTLSeconds=60)
    await scene.uploader().run()
    stored = fold((await scene.snapshot()).log).stored
    assert stored
    assert datetime.fromisoformat(stored.expires_at) == NOW.replace(minute=NOW.minute + 1)


async def test_another_snapshot_of_the_same_name_is_none_of_ours(scene: Scene) -> None:
    uploader = scene.uploader()
    await replace(uploader, journal=journal_of(scene.store, scene.name, "1-2-3", lambda: NOW)).run()
    assert told(await scene.snapshot()) == STORY[:1]


async def test_removing_an_object_is_told_once(scene: Scene) -> None:
    await scene.uploader().run()
    await scene.remove()
    await scene.remove()
    assert told(await scene.snapshot())[-1] == ("Deleted", "True", "ObjectRemoved")
    assert [e.type for e in (await scene.snapshot()).log].count("Deleted") == 1
    with pytest.raises(ObjectNotFoundError):
        await scene.bucket.head(scene.key)


async def test_an_object_that_is_another_snapshots_by_now_stays(scene: Scene) -> None:
    await scene.uploader().run()
    await scene.bucket.delete(scene.key)
    await put(scene.bucket, scene.key, b"another", {})
    await scene.remove()
    assert told(await scene.snapshot())[-1] == ("Deleted", "True", "ObjectReplaced")
    assert (await scene.bucket.head(scene.key)).size_bytes == len(b"another")


async def test_an_object_that_is_gone_is_missed(scene: Scene) -> None:
    await scene.uploader().run()
    await scene.bucket.delete(scene.key)
    await scene.remove()
    assert told(await scene.snapshot())[-1] == ("Deleted", "True", "ObjectMissing")


async def test_an_object_that_cannot_be_removed_is_told(scene: Scene) -> None:
    await scene.uploader().run()
    await scene.remove(Failing("delete", AccessError("403"), scene.bucket))
    assert told(await scene.snapshot())[-1] == ("Deleted", "False", "RemovalFailed")
