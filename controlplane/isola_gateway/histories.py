"""Whole histories: what is on the sandbox, and what has moved to the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from isola_gateway.lookup import Lookup
from isola_gateway.ports import RecordReader
from isola_lifecycle.archive import Kept, whole
from isola_lifecycle.log import Condition
from isola_rest.problem import ProblemError
from isola_store.port import Sandbox


@dataclass(frozen=True, slots=True)
class History:
    """All that is known of a sandbox.

    Attributes:
        name: Its name.
        uid: Its UID: there may have been several of that name.
        entries: Oldest first.
        sandbox: Itself, or None where it is gone.
    """

    name: str
    uid: str
    entries: tuple[Condition, ...]
    sandbox: Sandbox | None = None


class Histories:
    """Histories by name.

    Args:
        lookup: Finds a sandbox that is there.
        records: The archive.
    """

    def __init__(self, lookup: Lookup, records: RecordReader) -> None:
        self._lookup = lookup
        self._records = records

    async def find(self, name: str, uid: str = "") -> History:
        """Return the history of the sandbox of that name, or of the last one that had it.

        Args:
            name: The name.
            uid: Which one, where several had it; empty for the one there is, or was last.

        Raises:
            ProblemError: 404, nothing is known of it any more.
        """
        sandbox = await self._living(name)
        if sandbox and uid in {"", sandbox.uid}:
            return History(name, sandbox.uid, await self.of(sandbox), sandbox)
        segments = await self._records.read(name, uid)
        if not segments:
            which = f" with the uid {uid}" if uid else ""
            message = f"There is no sandbox {name}{which}, and no record of one"
            raise ProblemError(HTTPStatus.NOT_FOUND, message)
        latest = segments[-1].subject.uid
        return History(name, latest, whole(s for s in segments if s.subject.uid == latest))

    async def kept(self) -> Sequence[Kept]:
        """Return all segments of the archive, but not what is in them."""
        return await self._records.list()

    async def of(self, sandbox: Sandbox) -> tuple[Condition, ...]:
        """Return every entry of a sandbox that is there."""
        if not sandbox.log.archived:
            return sandbox.log.entries
        return whole(await self._records.read(sandbox.name, sandbox.uid), sandbox.log)

    async def after(self, sandbox: Sandbox, seen: int) -> Sequence[Condition]:
        """Return the entries of a sandbox after number `seen`, wherever they are by now."""
        log = sandbox.log if sandbox.log.archived <= seen else await self.of(sandbox)
        return [entry for entry in log if entry.sequence > seen]

    async def end(self, sandbox: Sandbox, seen: int) -> Sequence[Condition]:
        """Return what the archive has after number `seen` of a sandbox that is gone."""
        entries = whole(await self._records.read(sandbox.name, sandbox.uid))
        return [entry for entry in entries if entry.sequence > seen]

    async def _living(self, name: str) -> Sandbox | None:
        try:
            return await self._lookup.find(name)
        except ProblemError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
