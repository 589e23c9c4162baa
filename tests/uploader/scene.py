"""A snapshot that was accepted, and the archive that its capture left."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isola_bucket.contents import contents_of, unpacked
from isola_bucket.port import Bucket
from isola_lifecycle.catalogue import OPERATOR
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_store.port import Draft, Snapshot, SnapshotStore
from isola_uploader import manifest
from isola_uploader.manifest import ARCHIVE, Manifest
from isola_uploader.packing import pack
from support.store import append, unique

NAMESPACE = "isola-sandboxes"
ACCEPTED = Fact(
    type=Type.ACCEPTED,
    status=Status.TRUE,
    reason=Reason.SPEC_VALID,
    message="The snapshot is being taken",
    actor=OPERATOR,
    data={
        Key.SANDBOX_UID.value: "5a3d",
        Key.CONTAINER.value: "sandbox0",
        Key.CONTAINER_ID.value: "c0ffee",
        Key.IMAGE.value: "registry.example/python:3.11",
        Key.IMAGE_ID.value: "registry.example/python@sha256:abc",
    },
)


def ended(reason: Reason) -> Fact:
    return Fact(
        type=Type.SUCCEEDED,
        status=Status.FALSE,
        reason=reason,
        message="It took too long",
        actor=OPERATOR,
    )


async def accepted(store: SnapshotStore, **spec: Any) -> Snapshot:
    name = unique("work")
    draft = Draft(name=name, spec={"sandboxName": "s", "snapshotName": name, **spec})
    return await append(store, await store.create(draft), ACCEPTED)


def leave_archive(folder: Path, plain: bytes) -> Manifest:
    """Leave what a capture of `plain` leaves."""
    source = folder / "plain"
    source.write_bytes(plain)
    with source.open("rb") as reader, (folder / ARCHIVE).open("wb") as writer:
        packed = pack(reader, writer, limit_bytes=10**12)
    source.unlink()
    page = Manifest(
        size_bytes=packed.size_bytes,
        sha256=packed.sha256,
        stored_bytes=packed.stored_bytes,
        stored_sha256=packed.stored_sha256,
        seconds=0.5,
    )
    manifest.write(folder, page)
    return page


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


async def restored(bucket: Bucket, key: str) -> bytes:
    """Return the archive as a restore has it."""
    stored = await bucket.head(key)
    pieces = unpacked(bucket.read(key, tag=stored.tag), contents_of(stored.metadata))
    return b"".join([piece async for piece in pieces])


def told(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    """Return type, status and reason of every entry, oldest first."""
    return [(entry.type, entry.status.value, entry.reason) for entry in snapshot.log]


def assert_whole(snapshot: Snapshot) -> None:
    """Check that the log has no gap and ends once."""
    assert [entry.sequence for entry in snapshot.log] == list(range(1, snapshot.log.version + 1))
    assert [entry.type for entry in snapshot.log].count(Type.SUCCEEDED) == 1


def variables(snapshot: Snapshot, folder: Path, url: str, kubeconfig: Path) -> Mapping[str, str]:
    """Return the environment that the operator's Job gives an uploader."""
    return {
        **os.environ,
        "ISOLA_BUCKET_URL": url,
        "ISOLA_NAMESPACE": NAMESPACE,
        "ISOLA_SNAPSHOT": snapshot.name,
        "ISOLA_SNAPSHOT_UID": snapshot.uid,
        "ISOLA_ARCHIVE": str(folder / ARCHIVE),
        "ISOLA_KUBECONFIG": str(kubeconfig),
        "ISOLA_BUCKET_SILENCE_SECONDS": "1",
    }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
