"""What is in the bucket of a namespace's snapshots, and which RootfsSnapshot knows each object.

For people, a line each, the snapshots' names first:

    SNAPSHOT  BYTES  STORED  SANDBOX  KNOWN BY

For programs, a JSON object a line:

    {"key": …, "snapshotName": …, "sizeBytes": …, "modifiedAt": …, "tag": …, "metadata": {…},
     "state": "Known" | "Unknown" | "Damaged", "rootfsSnapshot": … | null}

`Unknown` is what can be adopted (`spec.adopt`): no RootfsSnapshot tells of these very bytes in its
log. What is stored while this is printed may be called so too: to adopt it is refused
(`NameTaken`). `Damaged` does not say itself what it holds, so nothing can start from it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC
from enum import StrEnum

from isola_bucket.contents import DamagedError, contents_of
from isola_bucket.port import Bucket, Stored
from isola_lifecycle.snapshot.fold import fold
from isola_store.port import SnapshotStore
from isola_uploader.shelf import Shelf

_SUFFIX = ".tar"
# Of the columns: as most of what stands there; what is longer moves the rest.
_LINE = "{:<40}  {:>14}  {:<20}  {:<24}  {}"
_HEAD = _LINE.format("SNAPSHOT", "BYTES", "STORED", "SANDBOX", "KNOWN BY")


class State(StrEnum):
    """What is known of an object."""

    KNOWN = "Known"
    UNKNOWN = "Unknown"
    DAMAGED = "Damaged"


async def lines(
    bucket: Bucket, prefix: str, store: SnapshotStore, *, as_json: bool
) -> AsyncGenerator[str]:
    """Yield a line for every object below a prefix; one that goes meanwhile is left out.

    Args:
        bucket: Where they are.
        prefix: What their keys begin with.
        store: Where the snapshots are that may know them.
        as_json: Whether it is for programs.
    """
    known = await _known(store)
    if not as_json:
        yield _HEAD
    async for entry in bucket.entries(prefix):
        stored = await Shelf(bucket, entry.key).head()
        if stored is None:
            continue
        knows = known.get((stored.key, stored.tag), "")
        name = stored.key.removeprefix(prefix).removesuffix(_SUFFIX)
        yield _for_programs(stored, name, knows) if as_json else _for_people(stored, name, knows)


async def _known(store: SnapshotStore) -> Mapping[tuple[str, str], str]:
    states = [(each.name, fold(each.log).stored) for each in await store.list()]
    return {(stored.key, stored.etag): name for name, stored in states if stored}


def _state(stored: Stored, knows: str) -> State:
    if knows:
        return State.KNOWN
    try:
        contents_of(stored.metadata)
    except DamagedError:
        return State.DAMAGED
    return State.UNKNOWN


def _for_people(stored: Stored, name: str, knows: str) -> str:
    state = _state(stored, knows)
    by = {State.KNOWN: knows, State.UNKNOWN: "- (can be adopted)", State.DAMAGED: "- (damaged)"}
    when = stored.modified_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sandbox = stored.metadata.get("sandbox", "-")
    return _LINE.format(name, stored.size_bytes, when, sandbox, by[state])


def _for_programs(stored: Stored, name: str, knows: str) -> str:
    return json.dumps(
        {
            "key": stored.key,
            "snapshotName": name,
            "sizeBytes": stored.size_bytes,
            "modifiedAt": stored.modified_at.astimezone(UTC).isoformat(),
            "tag": stored.tag,
            "metadata": dict(stored.metadata),
            "state": _state(stored, knows),
            "rootfsSnapshot": knows or None,
        }
    )
