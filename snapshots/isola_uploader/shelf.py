"""One key of a bucket, asked patiently: what is under it, and what is on its way there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tenacity import RetryCallState

from isola_bucket.contents import EXPIRES_AT, contents_of
from isola_bucket.errors import ObjectNotFoundError, UploadNotFoundError
from isola_bucket.port import Bucket, Part, Stored, Upload
from isola_bucket.retrying import patiently
from isola_lifecycle.snapshot.state import Archive
from isola_lifecycle.snapshot.uploading import Object
from isola_uploader.parts import Plan, read

T = TypeVar("T")

# Parts under way at once, and in memory.
_AT_ONCE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What is to be brought.

    Attributes:
        path: Where it is.
        plan: Its parts.
        sha256: What it must be, hex.
    """

    path: Path
    plan: Plan
    sha256: str


def object_of(stored: Stored, seconds: float | None) -> Object:
    """Return an object in the words of a snapshot's log.

    Args:
        stored: It.
        seconds: That bringing it took, or None where nobody knows.

    Raises:
        DamagedError: It does not say what it holds.
    """
    contents = contents_of(stored.metadata)
    parts = stored.metadata.get("parts", "")
    return Object(
        key=stored.key,
        archive=Archive(contents.size_bytes, contents.sha256),
        size_bytes=stored.size_bytes,
        sha256=contents.stored_sha256,
        compression=contents.compression,
        tag=stored.tag,
        parts=int(parts) if parts.isdecimal() and len(parts) < _DIGITS else 0,
        seconds=seconds,
        expires_at=stored.metadata.get(EXPIRES_AT, ""),
    )


# Of a number of parts: more than any service takes.
_DIGITS = 6


async def _untold(_: RetryCallState) -> None:
    return


@dataclass(frozen=True, slots=True)
class Shelf:
    """A key of a bucket.

    Every method raises `AccessError` where the bucket refuses, and `UnavailableError` where it did
    not answer for too long.

    Attributes:
        bucket: Which one.
        key: Which key.
        troubled: Told of every attempt that failed and is followed by another.
    """

    bucket: Bucket
    key: str
    troubled: Callable[[RetryCallState], Awaitable[None]] = _untold

    async def head(self) -> Stored | None:
        """Return what is under the key, or None."""
        try:
            return await self._ask(self.bucket.head, self.key)
        except ObjectNotFoundError:
            return None

    async def own(self, uid: str) -> Stored | None:
        """Return the object under the key if the snapshot with this UID has put it there."""
        stored = await self.head()
        return stored if stored and stored.metadata.get("snapshotuid") == uid else None

    async def begin(self, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload."""
        return await self._ask(self.bucket.begin, self.key, metadata)

    async def arrived(self, upload: Upload, plan: Plan) -> dict[int, Part]:
        """Return the parts that have arrived whole, by number; none of an unknown upload."""
        try:
            found = await self._ask(self.bucket.parts, upload)
        except UploadNotFoundError:
            return {}
        return {
            part.number: part
            for part in found
            if part.number <= plan.count and part.size_bytes == plan.size_of(part.number)
        }

    async def abort(self, *, spare: str = "") -> None:
        """Leave nothing of what is on its way, but for the upload with the id `spare`."""
        for upload in await self._ask(self.bucket.uploads, self.key):
            if upload.key == self.key and upload.id != spare:
                await self._ask(self.bucket.abort, upload)

    async def complete(
        self, upload: Upload, parts: Sequence[Part], metadata: Mapping[str, str], *, replace: bool
    ) -> None:
        """Make the object of the parts.

        Raises:
            ObjectExistsError: There is one. It may be this one, where only an answer was lost.
            UploadNotFoundError: The upload is gone; likewise.
        """
        await self._ask(self.bucket.complete, upload, parts, metadata, replace=replace)

    async def delete(self, stored: Stored) -> None:
        """Remove an object, and no other one."""
        await self._ask(self.bucket.delete, self.key, tag=stored.tag)

    async def bring(
        self,
        upload: Upload,
        file: File,
        arrived: Mapping[int, Part],
        told: Callable[[int], Awaitable[None]],
    ) -> Sequence[Part]:
        """Bring those parts of a file that have not arrived, and return all, by number.

        Args:
            upload: To which they belong.
            file: Where they come from.
            arrived: What is there.
            told: Told after every part how many bytes have arrived.

        Raises:
            ChangedError: The file is not what it should be.
            UploadNotFoundError: The upload is gone.
        """
        here = dict(arrived)
        free = asyncio.Semaphore(_AT_ONCE)

        async def put(number: int, body: bytes) -> None:
            try:
                here[number] = await self._ask(self.bucket.put_part, upload, number, body)
            finally:
                free.release()
            await told(sum(part.size_bytes for part in here.values()))

        try:
            async with asyncio.TaskGroup() as group:
                async for number, body in read(file.path, file.plan, sha256=file.sha256):
                    if number not in here:
                        await free.acquire()
                        group.create_task(put(number, body))
        except ExceptionGroup as errors:
            first: Exception = errors.exceptions[0]  # the group ended the others
            raise first from errors
        return [here[number] for number in sorted(here)]

    async def _ask(
        self, call: Callable[..., Awaitable[T]], *arguments: object, **options: object
    ) -> T:
        answer: T = await patiently(self.troubled)(call, *arguments, **options)
        return answer
