"""What the log hears of an upload while it lasts: a few entries, however long that is."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from tenacity import RetryCallState

from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.state import State
from isola_uploader.journal import Journal

# A bucket that fails once or twice is nothing to write down.
_WORTH_TELLING = 3


class Progress:
    """Tells a log of an upload.

    Args:
        journal: The log.
        seconds: Gives seconds, steadily.
    """

    def __init__(self, journal: Journal, seconds: Callable[[], float]) -> None:
        self._journal = journal
        self._seconds = seconds
        self._told_at = seconds()
        self._state = State()
        self._upload: uploading.Upload | None = None
        self._interrupted = False

    async def begin(self, upload: uploading.Upload) -> None:
        """Record an upload's id before its first part is sent; or that it goes on."""
        self._upload = upload
        going_on = upload.uploaded_bytes > 0
        await self._say(
            lambda now: (
                uploading.resumed(now, upload) if going_on else uploading.started(now, upload)
            )
        )

    async def arrived(self, uploaded_bytes: int) -> None:
        """Tell how far it is, where that is news."""
        if self._upload is None:
            return
        upload = self._upload = self._upload.come_to(uploaded_bytes)
        if self._interrupted:
            self._interrupted = False
            await self._say(lambda now: uploading.resumed(now, upload))
            return
        quiet = self._seconds() - self._told_at
        if uploading.progressed(self._state, upload, quiet_seconds=quiet):
            await self._say(lambda now: uploading.progressed(now, upload, quiet_seconds=quiet))

    async def troubled(self, attempt: RetryCallState) -> None:
        """Tell of a bucket that does not answer, once."""
        error = attempt.outcome.exception() if attempt.outcome else None
        number = attempt.attempt_number
        structlog.get_logger().warning("bucket_unavailable", attempt=number, error=str(error))
        if number >= _WORTH_TELLING and not self._interrupted:
            self._interrupted = True
            await self._say(lambda now: uploading.interrupted(now, str(error)))

    async def _say(self, saying: Callable[[State], uploading.Facts]) -> None:
        self._told_at = self._seconds()
        self._state = await self._journal.say(saying)
