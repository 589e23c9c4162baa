"""What is in the bucket and no RootfsSnapshot knows: listed, adopted, or refused with why."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from isola_bucket.errors import AccessError, ObjectNotFoundError, UnavailableError
from isola_bucket.memory import MemoryBucket
from isola_lifecycle import naming
from isola_lifecycle.catalogue import OPERATOR
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.conditions import CATALOGUE, Key, Reason, Type
from isola_lifecycle.snapshot.fold import fold
from isola_store.memory import MemorySnapshots
from isola_store.port import Draft, Snapshot
from isola_uploader.adoption import Adopter
from isola_uploader.expiry import Sweeper
from isola_uploader.inventory import lines
from isola_uploader.journal import journal_of, key_of
from isola_uploader.removal import Remover
from isola_uploader.upload import Uploader
from support.mortal import Killed, Life, Mortal
from support.store import NOW, append, unique
from uploader.scene import (
    NAMESPACE,
    accepted,
    assert_whole,
    ended,
    leave_archive,
    noise,
    sha256,
    told,
)

PLAIN = noise(1000)
PREFIX = naming.object_prefix(NAMESPACE)
ADOPTED = [
    ("Accepted", "True", "SpecValid"),
    ("Stored", "True", "ObjectAdopted"),
    ("Succeeded", "True", "SnapshotStored"),
]


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def store() -> MemorySnapshots:
    return MemorySnapshots()


async def orphan(folder: Path, bucket: MemoryBucket, **spec: Any) -> Snapshot:
    """Have an object in the bucket, as a snapshot left it that nobody knows any more."""
    gone = MemorySnapshots()
    leave_archive(folder, PLAIN)
    snapshot = await accepted(gone, **spec)
    await Uploader(
        bucket=bucket,
        namespace=NAMESPACE,
        journal=journal_of(gone, snapshot.name, snapshot.uid, lambda: NOW),
        folder=folder,
        clock=lambda: NOW,
        seconds=lambda: 0.0,
    ).run()
    return await gone.read(snapshot.name)


async def adopting(store: MemorySnapshots, name: str) -> Snapshot:
    draft = Draft(name=unique("again"), spec={"adopt": True, "snapshotName": name})
    data = {Key.SNAPSHOT_NAME.value: name}
    taken_on = Fact(
        type=Type.ACCEPTED,
        status=Status.TRUE,
        reason=Reason.SPEC_VALID,
        message="It is to be adopted",
        actor=OPERATOR,
        data=data,
    )
    return await append(store, await store.create(draft), taken_on)


async def adopt(
    bucket: Any, store: Any, snapshot: Snapshot, namespace: str = NAMESPACE, **later: float
) -> None:
    journal = journal_of(store, snapshot.name, snapshot.uid, lambda: NOW)
    await Adopter(
        bucket=bucket,
        namespace=namespace,
        journal=journal,
        clock=lambda: NOW + timedelta(**later),
    ).run()


async def put(bucket: MemoryBucket, key: str, metadata: Mapping[str, str]) -> None:
    upload = await bucket.begin(key, metadata)
    await bucket.complete(upload, [await bucket.put_part(upload, 1, b"?")], metadata)


async def test_an_object_is_adopted_with_all_that_it_says_of_itself(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    first = await orphan(tmp_path, bucket, objectTTLSeconds=60)
    snapshot = await adopting(store, first.snapshot_name)
    await adopt(bucket, store, snapshot)
    found = await store.read(snapshot.name)
    assert told(found) == ADOPTED
    before, after = fold(first.log), fold(found.log)
    assert before.stored
    assert after.stored
    assert after.archive == before.archive
    assert after.archive
    assert after.archive.sha256 == sha256(PLAIN)
    assert (after.stored.key, after.stored.etag) == (before.stored.key, before.stored.etag)
    assert after.stored.expires_at == before.stored.expires_at
    assert after.source
    assert (after.source.sandbox, after.source.container) == ("s", "sandbox0")
    assert after.source.image_id == "registry.example/python@sha256:abc"
    entry = found.log.entries[1]
    assert first.name in entry.message
    row = next(row for row in CATALOGUE if row.type == Type.STORED)
    assert set(entry.data) <= {"phase", *(key.value for key in row.data)}
    assert entry.data[Key.IMAGE_ID.value]  # nothing was left out for want of room


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_job_killed_at_any_step_is_followed_by_one_that_says_it_once(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots, *, after: bool
) -> None:
    first = await orphan(tmp_path, bucket)
    tag = (await bucket.head(key_of(first, NAMESPACE))).tag
    for last in itertools.count(1):
        snapshot = await adopting(store, first.snapshot_name)
        life = Life(last, after=after)
        try:
            await adopt(Mortal(bucket, life), Mortal(store, life), snapshot)
        except Killed:
            await adopt(bucket, store, snapshot)
        await adopt(bucket, store, snapshot)  # and by one that finds it done
        found = await store.read(snapshot.name)
        assert told(found) == ADOPTED
        assert_whole(found)
        assert (await bucket.head(key_of(first, NAMESPACE))).tag == tag
        if not life.over:
            assert last > 3
            return


async def refused(
    bucket: Any, store: MemorySnapshots, snapshot: Snapshot, reason: str, **how: Any
) -> str:
    """Check that it is refused for a reason, and return the message."""
    await adopt(bucket, store, snapshot, **how)
    found = await store.read(snapshot.name)
    assert told(found)[1:] == [("Stored", "False", reason), ("Succeeded", "False", reason)]
    return found.log.entries[-1].message


async def test_where_there_is_no_object_that_is_said_with_where_to_look(
    bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    message = await refused(bucket, store, await adopting(store, "nothing"), "ObjectMissing")
    assert f"{PREFIX}nothing.tar" in message
    assert "inventory" in message


async def test_another_namespace_s_object_is_none(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    first = await orphan(tmp_path, bucket)
    snapshot = await adopting(store, first.snapshot_name)
    await refused(bucket, store, snapshot, "ObjectMissing", namespace="elsewhere")


@pytest.mark.parametrize(
    "damage",
    [
        {"sha256": ""},
        {"sha256": "../../etc/passwd"},
        {"sha256": "AB" * 32},
        {"bytes": "many"},
        {"bytes": "9" * 40},
        {"compression": "lzma"},
        {"storedsha256": "?"},
    ],
    ids=str,
)
async def test_what_does_not_say_what_it_holds_is_refused_and_left_alone(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots, damage: Mapping[str, str]
) -> None:
    first = await orphan(tmp_path, bucket)
    key = naming.object_key(NAMESPACE, "harmed")
    sound = (await bucket.head(key_of(first, NAMESPACE))).metadata
    await put(bucket, key, {**sound, **damage})
    message = await refused(bucket, store, await adopting(store, "harmed"), "ObjectDamaged")
    assert "take the snapshot again" in message
    assert (await bucket.head(key)).size_bytes == 1


async def test_what_has_had_its_time_is_refused(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    first = await orphan(tmp_path, bucket, objectTTLSeconds=60)
    snapshot = await adopting(store, first.snapshot_name)
    await refused(bucket, store, snapshot, "ObjectExpired", seconds=61)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AccessError("403"), "BucketDenied"),
        (UnavailableError("503"), "BucketUnavailable"),
    ],
    ids=str,
)
async def test_a_bucket_that_refuses_or_is_silent_is_told_of(
    bucket: MemoryBucket,
    store: MemorySnapshots,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("isola_uploader.shelf.Shelf.head", fail)  # when its patience is over
    await refused(bucket, store, await adopting(store, "any"), reason)


async def test_for_one_that_ended_or_is_gone_nothing_is_said(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    first = await orphan(tmp_path, bucket)
    snapshot = await adopting(store, first.snapshot_name)
    await append(store, snapshot, ended(Reason.DEADLINE_EXCEEDED))
    before = await store.read(snapshot.name)
    await adopt(bucket, store, snapshot)
    assert await store.read(snapshot.name) == before
    await adopt(bucket, MemorySnapshots(), snapshot)


async def test_an_adopted_object_is_removed_and_expires_like_any_other(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    first = await orphan(tmp_path, bucket, objectTTLSeconds=60)
    snapshot = await adopting(store, first.snapshot_name)
    await adopt(bucket, store, snapshot)
    await Sweeper(bucket, PREFIX, store, lambda: NOW).run()
    assert told(await store.read(snapshot.name)) == ADOPTED
    await Sweeper(bucket, PREFIX, store, lambda: NOW + timedelta(seconds=61)).run()
    story = told(await store.read(snapshot.name))
    assert story[-1] == ("Deleted", "True", "ObjectExpired")

    second = await orphan(tmp_path, bucket)
    snapshot = await adopting(store, second.snapshot_name)
    await adopt(bucket, store, snapshot)
    journal = journal_of(store, snapshot.name, snapshot.uid, lambda: NOW)
    await Remover(bucket, NAMESPACE, journal).run()
    story = told(await store.read(snapshot.name))
    assert story[-1] == ("Deleted", "True", "ObjectRemoved")
    with pytest.raises(ObjectNotFoundError):
        await bucket.head(key_of(second, NAMESPACE))


async def inventory(bucket: MemoryBucket, store: MemorySnapshots, *, as_json: bool) -> list[str]:
    return [line async for line in lines(bucket, PREFIX, store, as_json=as_json)]


async def test_the_inventory_tells_what_is_known_what_can_be_adopted_and_what_is_damaged(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    one, other = await orphan(tmp_path, bucket), await orphan(tmp_path, bucket)
    await put(bucket, naming.object_key(NAMESPACE, "strange"), {})
    await put(bucket, "rootfssnapshots/elsewhere/theirs.tar", {})
    snapshot = await adopting(store, one.snapshot_name)
    await adopt(bucket, store, snapshot)

    found = {
        each["snapshotName"]: each
        for each in map(json.loads, await inventory(bucket, store, as_json=True))
    }
    assert {name: (each["state"], each["rootfsSnapshot"]) for name, each in found.items()} == {
        one.snapshot_name: ("Known", snapshot.name),
        other.snapshot_name: ("Unknown", None),
        "strange": ("Damaged", None),
    }
    assert found[other.snapshot_name]["metadata"]["sandbox"] == "s"

    head, *rows = await inventory(bucket, store, as_json=False)
    assert head.split() == ["SNAPSHOT", "BYTES", "STORED", "SANDBOX", "KNOWN", "BY"]
    told_of = {row.split()[0]: row for row in rows}
    assert told_of[one.snapshot_name].endswith(f"  {snapshot.name}")
    assert told_of[other.snapshot_name].endswith("- (can be adopted)")
    assert told_of["strange"].endswith("- (damaged)")


async def test_an_object_that_was_written_anew_past_isola_is_known_to_nobody(
    tmp_path: Path, bucket: MemoryBucket, store: MemorySnapshots
) -> None:
    first = await orphan(tmp_path, bucket)
    snapshot = await adopting(store, first.snapshot_name)
    await adopt(bucket, store, snapshot)
    key = key_of(first, NAMESPACE)
    metadata = (await bucket.head(key)).metadata
    await bucket.delete(key)
    await put(bucket, key, metadata)
    (line,) = await inventory(bucket, store, as_json=True)
    assert json.loads(line)["state"] == "Unknown"
