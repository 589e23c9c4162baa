"""A bucket with snapshots in it, a node's disk, and sandboxes whose pods wait."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isola_bucket.contents import Contents, Origin, metadata_of
from isola_bucket.port import Bucket
from isola_lifecycle import naming
from isola_lifecycle.catalogue import OPERATOR, UPLOADER
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_lifecycle.snapshot.state import Archive, State
from isola_mounter.__main__ import utc_now
from isola_mounter.pods import SandboxPod
from isola_store.journal import Journal
from isola_store.port import Draft, Sandbox, SandboxStore, Snapshot, SnapshotStore
from isola_uploader.packing import pack
from support.kubernetes_server import NAMESPACE
from support.store import append, unique
from support.stories import fact

NODE = "n1"
IMAGE, IMAGE_ID = "python:3.11", "python@sha256:1"


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(plain: bytes) -> bytes:
    """Return an archive as the capture compresses it."""
    target = io.BytesIO()
    pack(io.BytesIO(plain), target, limit_bytes=10**12)
    return target.getvalue()


async def store(
    bucket: Bucket, name: str, plain: bytes, *, namespace: str = NAMESPACE, **changes: str
) -> str:
    """Have a snapshot of this name in the bucket, as the uploader leaves it; return its key.

    `changes` are of the object's metadata: an empty value is left out.
    """
    body = packed(plain)
    contents = Contents(
        size_bytes=len(plain),
        sha256=sha256(plain),
        stored_sha256=sha256(body),
        compression="zstd",
        origin=Origin(snapshot=name, image=IMAGE, imageid=IMAGE_ID),
    )
    metadata = {**metadata_of(contents), **changes}
    key = naming.object_key(namespace, name)
    await put(bucket, key, body, {k: v for k, v in metadata.items() if v})
    return key


async def put(bucket: Bucket, key: str, body: bytes, metadata: dict[str, str]) -> None:
    """Put an object, in the place of one that may be there."""
    upload = await bucket.begin(key, metadata)
    part = await bucket.put_part(upload, 1, body)
    await bucket.complete(upload, [part], metadata, replace=True)


async def rewrite(bucket: Bucket, key: str, body: bytes) -> None:
    """Put other bytes under a key, and say the same of them."""
    stored = await bucket.head(key)
    await put(bucket, key, body, dict(stored.metadata))


# --- snapshots ---------------------------------------------------------------------------------


def _told(about: Type, reason: Reason, actor: str = OPERATOR, **data: str) -> Fact:
    return Fact(type=about, status=Status.TRUE, reason=reason, message="…", actor=actor, data=data)


ACCEPTED = _told(Type.ACCEPTED, Reason.SPEC_VALID, **{Key.IMAGE: IMAGE, Key.IMAGE_ID: IMAGE_ID})


async def requested(snapshots: SnapshotStore, stored_as: str, **spec: Any) -> Snapshot:
    """Have a RootfsSnapshot that is being taken."""
    draft = Draft(
        name=unique("taken"), spec={"sandboxName": "s", "snapshotName": stored_as, **spec}
    )
    return await append(snapshots, await snapshots.create(draft), ACCEPTED)


async def finished(snapshots: SnapshotStore, snapshot: Snapshot, plain: bytes) -> Snapshot:
    """Let it be stored, as the uploader says it."""
    archive = Archive(len(plain), sha256(plain))
    item = uploading.Object(
        key=naming.object_key(NAMESPACE, naming.stored_name(snapshot.spec)),
        archive=archive,
        size_bytes=len(plain),
        sha256="",
        compression="zstd",
        tag="t",
        parts=1,
        seconds=0.1,
    )
    captured = _told(
        Type.CAPTURED,
        Reason.ARCHIVE_WRITTEN,
        UPLOADER,
        **{Key.BYTES: str(archive.size_bytes), Key.SHA256: archive.sha256},
    )
    return await tell(snapshots, snapshot, captured, *uploading.stored(State(), item))


async def tell(snapshots: SnapshotStore, snapshot: Snapshot, *facts: Fact) -> Snapshot:
    """Append to a snapshot's log, whoever else does."""
    journal = Journal(snapshots, SNAPSHOT, snapshot.name, snapshot.uid, utc_now, uploading.fits)
    await journal.say(lambda _: facts)
    return await snapshots.read(snapshot.name)


async def failed(snapshots: SnapshotStore, snapshot: Snapshot) -> Snapshot:
    """Let it fail."""
    told = _told(Type.SUCCEEDED, Reason.CAPTURE_FAILED)
    return await append(snapshots, snapshot, replace(told, status=Status.FALSE, message="no space"))


# --- sandboxes ---------------------------------------------------------------------------------


def spec_of(sources: Sequence[tuple[str, str]], image: str = IMAGE) -> dict[str, Any]:
    """Return the specification of a sandbox with these containers and snapshots."""
    return {
        "podTemplate": {
            "spec": {"containers": [{"name": name, "image": image} for name, _ in sources]}
        },
        "rootfsSnapshotSources": [
            {"containerName": name, "snapshotName": snapshot} for name, snapshot in sources
        ],
    }


async def waiting(
    sandboxes: SandboxStore, *sources: tuple[str, str], image: str = IMAGE, node: str = NODE
) -> tuple[Sandbox, SandboxPod]:
    """Have a sandbox whose pod waits on a node, as far as its log tells."""
    draft = Draft(name=unique("restored"), spec=spec_of(sources, image))
    sandbox = await sandboxes.create(draft)
    pod = pod_of(sandbox)
    story = (
        fact("Accepted", "SpecValid"),
        fact("PodCreated", "PodCreated", pod=pod.name, podUID=pod.uid),
        fact("Scheduled", "NodeAssigned", node=node),
    )
    return await append(sandboxes, sandbox, *story), pod


def pod_of(sandbox: Sandbox) -> SandboxPod:
    return SandboxPod(
        name=f"{sandbox.name}-pod",
        uid=f"pod-of-{sandbox.uid}",
        sandbox_uid=sandbox.uid,
        restores=True,
    )


def told(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return status and reason of every entry about archives, oldest first."""
    return [(e.status.value, e.reason) for e in sandbox.log if e.type == "RootfsStaged"]
