"""From the archive on the node to the object in the bucket, and all of it in the log.

    the log says that it ended?    ── yes ──> leave nothing behind
    this snapshot's object there?  ── yes ──> say so
    no archive?                    ── yes ──> say why
    bring it, complete it, look at it, say so; what goes wrong is said, and nothing left behind

A process that is killed anywhere is followed by one that goes the same way from the top. The upload
goes on where it was: its id is in the log. One that was begun and never recorded is aborted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from isola_bucket.contents import (
    EXPIRES_AT,
    ZSTD,
    Contents,
    DamagedError,
    Origin,
    metadata_of,
)
from isola_bucket.errors import (
    AccessError,
    BucketError,
    ObjectExistsError,
    UnavailableError,
    UploadNotFoundError,
)
from isola_bucket.port import Bucket, Part, Stored, Upload
from isola_lifecycle.codec import encode_time
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Reason
from isola_lifecycle.snapshot.state import Archive, Source, State
from isola_store.port import Snapshot
from isola_uploader import manifest
from isola_uploader.journal import Journal, key_of
from isola_uploader.manifest import Failure, Manifest
from isola_uploader.parts import USUAL_PART_BYTES, ChangedError, Plan
from isola_uploader.progress import Progress
from isola_uploader.shelf import File, Shelf, object_of

# An upload that somebody else aborted is begun anew, but not for ever.
_BEGINNINGS = 3
_TIDY_SECONDS = 20


class GivenUpError(Exception):
    """There will be no object, for this reason."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploader:
    """The upload of one snapshot's archive.

    Attributes:
        bucket: Where to.
        namespace: Where the snapshot is.
        journal: Whose log tells of it.
        folder: Where the capture left the archive.
        clock: Gives the time, UTC.
        seconds: Gives seconds, steadily.
        part_bytes: Size of the parts.
    """

    bucket: Bucket
    namespace: str
    journal: Journal
    folder: Path
    clock: Callable[[], datetime]
    seconds: Callable[[], float]
    part_bytes: int = USUAL_PART_BYTES

    async def run(self) -> None:
        """Bring the archive, and say so; or say why not.

        Cancelled, it leaves nothing behind: the pod goes, and the archive with it.
        """
        try:
            snapshot, state = await self.journal.read()
        except NotFoundError:
            structlog.get_logger().info("snapshot_gone")
            return
        try:
            if not (state.outcome or state.deletion_requested_at or snapshot.deleting):
                await self._told(snapshot, state)
        finally:
            async with asyncio.timeout(_TIDY_SECONDS):
                await self._tidy(snapshot)

    async def _told(self, snapshot: Snapshot, state: State) -> None:
        progress = Progress(self.journal, self.seconds)
        shelf = Shelf(self.bucket, key_of(snapshot, self.namespace), progress.troubled)
        began = self.seconds()
        try:
            stored = await shelf.own(snapshot.uid)
            took = None
            if stored is None:
                stored = await self._brought(snapshot, state, shelf, progress)
                took = self.seconds() - began
            item = object_of(stored, took)
            await self.journal.say(lambda now: uploading.stored(now, item))
        except (BucketError, ChangedError, GivenUpError) as error:
            reason, message = _explained(error, shelf.key)
            say = (
                uploading.not_captured
                if isinstance(error, GivenUpError) and error.reason not in _OF_THE_UPLOAD
                else uploading.not_stored
            )
            await self.journal.say(lambda now: say(now, reason, message))
        except NotFoundError:
            structlog.get_logger().info("snapshot_gone")

    async def _brought(
        self, snapshot: Snapshot, state: State, shelf: Shelf, progress: Progress
    ) -> Stored:
        page = self._page()
        archive = Archive(page.size_bytes, page.sha256)
        state = await self.journal.say(
            lambda now: uploading.captured(now, archive, seconds=page.seconds)
        )
        replace = bool(snapshot.spec.get("replace"))
        await self._refuse_to_overwrite(shelf, replace=replace)
        plan = Plan(page.stored_bytes, self.part_bytes)
        file = File(path=self.folder / manifest.ARCHIVE, plan=plan, sha256=page.stored_sha256)
        metadata = _metadata(snapshot, state.source or Source(), page, plan)
        if lasts := snapshot.spec.get("objectTTLSeconds"):
            metadata[EXPIRES_AT] = encode_time(self.clock() + timedelta(seconds=lasts))
        for _ in range(_BEGINNINGS):
            upload, arrived = await self._upload(shelf, state, file, metadata)
            await progress.begin(_told_of(upload, file, arrived))
            try:
                parts = await shelf.bring(upload, file, arrived, progress.arrived)
                await shelf.complete(upload, parts, metadata, replace=replace)
            except (UploadNotFoundError, ObjectExistsError) as error:
                structlog.get_logger().warning("upload_lost", error=str(error))
            # Also where the upload is gone: only the answer to its completion may have been lost.
            if stored := await shelf.own(snapshot.uid):
                return _verified(stored, page)
            await self._refuse_to_overwrite(shelf, replace=replace)
        raise GivenUpError(
            Reason.UPLOAD_FAILED,
            f"the upload was aborted {_BEGINNINGS} times by somebody else: does another snapshot go"
            f" to {shelf.key} as well, or does a rule of the bucket abort uploads early?",
        )

    def _page(self) -> Manifest:
        page = manifest.read(self.folder)
        if page is None:
            raise GivenUpError(Reason.CAPTURE_FAILED, "the capture left no archive")
        if isinstance(page, Failure):
            raise GivenUpError(Reason(page.reason), page.message)
        return page

    async def _upload(
        self, shelf: Shelf, state: State, file: File, metadata: dict[str, str]
    ) -> tuple[Upload, dict[int, Part]]:
        if state.upload_sha256 == file.sha256:
            upload = Upload(shelf.key, state.upload_id)
            if arrived := await shelf.arrived(upload, file.plan):
                await shelf.abort(spare=upload.id)
                return upload, arrived
        await shelf.abort()
        return await shelf.begin(metadata), {}

    async def _refuse_to_overwrite(self, shelf: Shelf, *, replace: bool) -> None:
        if not replace and await shelf.head():
            raise GivenUpError(
                Reason.NAME_TAKEN,
                f"there is an object {shelf.key} already, of another snapshot, whose resource may"
                " have gone after its ttlSecondsAfterFinished: choose another snapshotName, say"
                " that this one replaces it (replace: true), or have that one back by a"
                " RootfsSnapshot with this snapshotName and adopt: true",
            )

    async def _tidy(self, snapshot: Snapshot) -> None:
        """Leave no part, and no object of a snapshot that is none."""
        shelf = Shelf(self.bucket, key_of(snapshot, self.namespace))
        try:
            await shelf.abort()
            if await self._in_vain() and (stored := await shelf.own(snapshot.uid)):
                await shelf.delete(stored)
        except AccessError as error:
            # Who may not even do this has said why, in the log.
            structlog.get_logger().warning("not_tidied", error=str(error))

    async def _in_vain(self) -> bool:
        try:
            _, state = await self.journal.read()
        except NotFoundError:
            return True
        return state.outcome is not None and not state.outcome.succeeded


_OF_THE_UPLOAD = {Reason.NAME_TAKEN, Reason.UPLOAD_FAILED}


def _metadata(snapshot: Snapshot, source: Source, page: Manifest, plan: Plan) -> dict[str, str]:
    contents = Contents(
        size_bytes=page.size_bytes,
        sha256=page.sha256,
        stored_sha256=page.stored_sha256,
        compression=ZSTD,
        origin=Origin(
            snapshot=snapshot.name,
            snapshotuid=snapshot.uid,
            sandbox=str(snapshot.spec.get("sandboxName", "")),
            sandboxuid=source.sandbox_uid,
            container=source.container,
            image=source.image,
            imageid=source.image_id,
        ),
    )
    return {**metadata_of(contents), "parts": str(plan.count)}


def _told_of(upload: Upload, file: File, arrived: dict[int, Part]) -> uploading.Upload:
    return uploading.Upload(
        id=upload.id,
        sha256=file.sha256,
        uploaded_bytes=sum(part.size_bytes for part in arrived.values()),
        total_bytes=file.plan.total_bytes,
        parts=file.plan.count,
    )


def _verified(stored: Stored, page: Manifest) -> Stored:
    if (stored.size_bytes, stored.metadata.get("storedsha256")) != (
        page.stored_bytes,
        page.stored_sha256,
    ):
        raise DamagedError(
            f"the bucket has {stored.size_bytes} bytes under {stored.key},"
            f" not the {page.stored_bytes} that were sent"
        )
    return stored


def _explained(error: Exception, key: str) -> tuple[Reason, str]:
    match error:
        case GivenUpError():
            return error.reason, str(error)
        case AccessError():
            advice = "check its name, and the rights of the uploader's credentials"
            return Reason.BUCKET_DENIED, f"the bucket refuses {key}; {advice}: {error}"
        case UnavailableError():
            advice = "take the snapshot again when it does"
            message = f"the bucket did not answer for too long; {advice}: {error}"
            return Reason.BUCKET_UNAVAILABLE, message
        case ChangedError() | DamagedError():
            return Reason.CHECKSUM_MISMATCH, f"{error}; take the snapshot again"
        case _:
            return Reason.UPLOAD_FAILED, f"the upload failed: {error}"
