"""From an object that is in the bucket to a RootfsSnapshot that knows it (`spec.adopt`).

    the log says that it ended, or it is to go?   ── yes ──> nothing
    look at the object; it is whole by its own word, and has time left?
                                                  ── yes ──> Stored (`ObjectAdopted`), Succeeded
                                                  ── no  ──> Stored=False, Succeeded=False, with why

Nothing is written to the bucket, and what is said is said in one write: a process that is killed
anywhere is followed by one that does the same again. The key is made of the snapshot's own
namespace, so no other namespace's objects can be adopted. The bytes are not read: whoever restores
them holds them to the SHA-256 that is written down here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from isola_bucket.contents import EXPIRES_AT, DamagedError, contents_of, is_past
from isola_bucket.errors import AccessError, UnavailableError
from isola_bucket.port import Bucket, Stored
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Reason
from isola_lifecycle.snapshot.state import Source, State
from isola_uploader.journal import Journal, key_of
from isola_uploader.shelf import Shelf, object_of

_LIST = "the inventory tells which objects there are (snapshots/README.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopter:
    """The adoption of one object.

    Attributes:
        bucket: Where it is.
        namespace: Where the snapshot is.
        journal: Whose log tells of it.
        clock: Gives the time, UTC.
    """

    bucket: Bucket
    namespace: str
    journal: Journal
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Look at the object and say what it is, or why it cannot be adopted.

        Where the snapshot is gone nobody wants to know.
        """
        try:
            snapshot, state = await self.journal.read()
            if state.outcome or state.deletion_requested_at or snapshot.deleting:
                return
            say = await self._looked_at(Shelf(self.bucket, key_of(snapshot, self.namespace)))
            await self.journal.say(say)
        except NotFoundError:
            structlog.get_logger().info("snapshot_gone")

    async def _looked_at(self, shelf: Shelf) -> Callable[[State], uploading.Facts]:
        key = shelf.key
        try:
            stored = await shelf.head()
            if stored is None:
                message = f"there is no object {key} in the bucket: check the name; {_LIST}"
                return _refused(Reason.OBJECT_MISSING, message)
            return self._judged(stored)
        except DamagedError as error:
            message = f"{key} is left alone: {error}; take the snapshot again, with replace: true"
            return _refused(Reason.OBJECT_DAMAGED, message)
        except AccessError as error:
            advice = "check its name, and the rights of the uploader's credentials"
            return _refused(Reason.BUCKET_DENIED, f"the bucket refuses {key}; {advice}: {error}")
        except UnavailableError as error:
            advice = "adopt it again when it does"
            message = f"the bucket did not answer for too long; {advice}: {error}"
            return _refused(Reason.BUCKET_UNAVAILABLE, message)

    def _judged(self, stored: Stored) -> Callable[[State], uploading.Facts]:
        origin = contents_of(stored.metadata).origin
        until = stored.metadata.get(EXPIRES_AT, "")
        if is_past(until, self.clock()):
            message = (
                f"{stored.key} was to be kept until {until}, and is about to be removed: take the"
                " snapshot again"
            )
            return _refused(Reason.OBJECT_EXPIRED, message)
        item = object_of(stored, None)
        source = Source(
            sandbox=origin.sandbox,
            sandbox_uid=origin.sandboxuid,
            container=origin.container,
            image=origin.image,
            image_id=origin.imageid,
        )
        return lambda now: uploading.adopted(now, item, source, origin.snapshot)


def _refused(reason: Reason, message: str) -> Callable[[State], uploading.Facts]:
    return lambda now: uploading.not_stored(now, reason, message)
