"""Takes a snapshot's object from the bucket, and every part that is on its way there."""

from __future__ import annotations

from dataclasses import dataclass

from isola_bucket.errors import AccessError, UnavailableError
from isola_bucket.port import Bucket
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Reason
from isola_lifecycle.snapshot.state import State
from isola_uploader.journal import Journal, key_of
from isola_uploader.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Remover:
    """The end of one snapshot's object.

    Attributes:
        bucket: Where it is.
        namespace: Where the snapshot is.
        journal: Whose log tells of it.
    """

    bucket: Bucket
    namespace: str
    journal: Journal

    async def run(self) -> None:
        """Remove the object, unless it is another snapshot's by now, and say so.

        Raises:
            NotFoundError: The snapshot is gone.
        """
        snapshot, state = await self.journal.read()
        key = state.stored.key if state.stored else key_of(snapshot, self.namespace)
        try:
            reason, message = await self._removed(state, key)
        except (AccessError, UnavailableError) as error:
            message = f"{key} could not be removed, and stays in the bucket: {error}"
            await self.journal.say(lambda now: uploading.not_removed(now, key, message))
            return
        await self.journal.say(lambda now: uploading.removed(now, key, reason, message))

    async def _removed(self, state: State, key: str) -> tuple[Reason, str]:
        shelf = Shelf(self.bucket, key)
        await shelf.abort()
        there = await shelf.head()
        if there is None or state.stored is None:
            return Reason.OBJECT_MISSING, f"There is no object {key} of this snapshot in the bucket"
        if there.tag != state.stored.etag:
            return Reason.OBJECT_REPLACED, f"{key} is another snapshot's by now, and stays"
        await shelf.delete(there)
        return Reason.OBJECT_REMOVED, f"{key} was removed from the bucket"
