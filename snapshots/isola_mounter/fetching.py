"""From the bucket to a file on the node: as a stream, unpacked and verified on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from tenacity import RetryCallState

from isola_bucket.contents import Contents, downloaded, unpacked
from isola_bucket.port import Bucket, Stored
from isola_mounter.cache import Trouble

# A bucket that fails once or twice is nothing to write down.
_WORTH_TELLING = 3
_PROGRESS_SECONDS = 5


def patience_with(told: Trouble) -> Callable[[RetryCallState], Awaitable[None]]:
    """Return what hears of every attempt that failed, and tells of those that matter."""

    async def troubled(attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        number = attempt.attempt_number
        structlog.get_logger().warning("bucket_unavailable", attempt=number, error=str(error))
        if number >= _WORTH_TELLING:
            await told(str(error))

    return troubled


@dataclass(frozen=True, slots=True)
class Fetch:
    """The way of one archive.

    Attributes:
        bucket: Where it is.
        stored: Which object.
        contents: What that holds.
        seconds: Gives seconds, steadily.
        came: Told of bytes that came.
    """

    bucket: Bucket
    stored: Stored
    contents: Contents
    seconds: Callable[[], float]
    came: Callable[[int], None]

    async def into(self, path: Path, told: Trouble) -> None:
        """Write the plain archive to a file, and return once all of it is right.

        Raises:
            DamagedError: It is not what was stored. Nothing of the file is to be used.
            ObjectNotFoundError: The object is gone, or another one by now.
            UnavailableError: The bucket gave no byte for too long.
            AccessError: It refuses.
            OSError: The disk does not take it.
        """
        log = structlog.get_logger().bind(key=self.stored.key, of=self.contents.size_bytes)
        began = told_at = self.seconds()
        log.info("download_started", stored_bytes=self.stored.size_bytes)
        size = 0
        with await asyncio.to_thread(path.open, "wb") as file:
            pieces = self._counted(downloaded(self.bucket, self.stored, patience_with(told)))
            async for piece in unpacked(pieces, self.contents):
                await asyncio.to_thread(file.write, piece)
                size += len(piece)
                if (now := self.seconds()) - told_at >= _PROGRESS_SECONDS:
                    told_at = now
                    log.info("downloading", bytes=size, seconds=round(now - began, 1))
        log.info("downloaded", bytes=size, seconds=round(self.seconds() - began, 3))

    async def _counted(self, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
        async for piece in pieces:
            self.came(len(piece))
            yield piece
