"""The log of one snapshot, as the uploader reads and writes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from isola_lifecycle import naming
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_lifecycle.snapshot.state import State
from isola_lifecycle.snapshot.uploading import fits
from isola_store import journal
from isola_store.port import Snapshot, SnapshotStore

Journal = journal.Journal[Snapshot, State]


def journal_of(store: SnapshotStore, name: str, uid: str, clock: Callable[[], datetime]) -> Journal:
    """Return the log of the snapshot of this name and UID."""
    return Journal(store, SNAPSHOT, name, uid, clock, fits)


def key_of(snapshot: Snapshot, namespace: str) -> str:
    """Return where in the bucket a snapshot's object belongs."""
    return naming.object_key(namespace, snapshot.snapshot_name)
