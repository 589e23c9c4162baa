"""A log that is full: what the uploader has to say waits for room, and the end does not."""

from __future__ import annotations

import asyncio

from isola_lifecycle.archive import Moved, oldest
from isola_lifecycle.log import LIVE_ENTRIES
from isola_lifecycle.snapshot import uploading
from isola_lifecycle.snapshot.conditions import Reason
from isola_lifecycle.snapshot.state import Archive
from isola_store.memory import MemorySnapshots
from isola_store.port import Snapshot
from isola_uploader.journal import Journal, journal_of
from support.store import NOW, append, following
from support.stories import fact
from uploader.scene import accepted

ARCHIVE = Archive(7, "ab")


async def full(store: MemorySnapshots) -> tuple[Snapshot, Journal]:
    snapshot = await accepted(store)
    repeats = LIVE_ENTRIES - len(snapshot.log) - 4
    snapshot = await append(store, snapshot, *[fact("Uploading", "UploadProgressed")] * repeats)
    return snapshot, journal_of(store, snapshot.name, snapshot.uid, lambda: NOW)


async def test_what_is_said_waits_until_the_oldest_entries_have_moved() -> None:
    store = MemorySnapshots()
    snapshot, journal = await full(store)
    saying = asyncio.create_task(
        journal.say(lambda state: uploading.captured(state, ARCHIVE, seconds=1))
    )
    await asyncio.sleep(0.3)
    assert (await store.read(snapshot.name)).log == snapshot.log
    segment = oldest(snapshot.subject, snapshot.log)
    moved = Moved(segment.name, segment.first, segment.last)
    entries = following(snapshot, fact("Archived", "LogRolledOver"))
    version = snapshot.log.version
    await store.append(snapshot.name, entries, expected_version=version, moved=moved)
    async with asyncio.timeout(60):
        assert (await saying).archive == ARCHIVE


async def test_the_end_is_told_although_nothing_moves() -> None:
    store = MemorySnapshots()
    snapshot, journal = await full(store)
    async with asyncio.timeout(60):
        state = await journal.say(
            lambda state: uploading.not_stored(state, Reason.BUCKET_DENIED, "no such bucket")
        )
    assert state.outcome is not None
    assert (await store.read(snapshot.name)).log.room == 2
