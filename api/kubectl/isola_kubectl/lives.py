"""Objects, living and deleted, as put together from what is there and the records of their logs.

Entries are kept as they are stored: what is shown as JSON, and what is verified, is what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from isola_kubectl.errors import DamagedError
from isola_kubectl.kinds import Kind
from isola_kubectl.kubectl import Object
from isola_lifecycle.chain import Item
from isola_lifecycle.codec import decode, decode_time
from isola_lifecycle.log import Condition


@dataclass(frozen=True)
class Life:
    """One sandbox, or one snapshot.

    Attributes:
        kind: Which of them.
        name: Its name.
        uid: Its UID: several may have had the name, one after the other.
        created_at: When its object was created, UTC.
        deleted: Whether that is gone.
        items: Entries as they are stored, oldest first.
        archived: Number of the newest entry that the object has left to the archive.
    """

    kind: Kind
    name: str
    uid: str
    created_at: datetime
    deleted: bool
    items: tuple[Item, ...]
    archived: int = 0

    @cached_property
    def entries(self) -> tuple[Condition, ...]:
        """Return the entries.

        Raises:
            DamagedError: One is not what any release has written.
        """
        return tuple(self._decoded(item) for item in self.items)

    @property
    def legible(self) -> bool:
        """Return whether every entry can be read."""
        try:
            _ = self.entries
        except DamagedError:
            return False
        return True

    @cached_property
    def state(self) -> Any:
        """Return what the log amounts to: a state of its kind."""
        return self.kind.fold(self.entries)

    @property
    def complete(self) -> bool:
        """Return whether the entries that have moved to the archive are among these."""
        return not self.archived or any(item.get("sequence") == 1 for item in self.items)

    @property
    def begun(self) -> str:
        """Return when it was taken on: times are texts that sort, and creation is in seconds."""
        return str(self.items[0].get("lastTransitionTime")) if self.items else ""

    def _decoded(self, item: Item) -> Condition:
        try:
            return decode(item)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise DamagedError(
                f"entry {item.get('sequence')} of {self.name} (uid {self.uid}) cannot be read:"
                f" {error!r}; `verify {self.kind.prefix}{self.name}` tells what was done to the log"
            ) from error


def living(kind: Kind, item: Object, records: Iterable[Object] = ()) -> Life:
    """Return the life of an object that is there, with what its records have."""
    metadata, status = item["metadata"], mapping(item.get("status"))
    uid = metadata["uid"]
    segments = [entries_of(r) for r in records if subject_of(kind, r).get("uid") == uid]
    return Life(
        kind=kind,
        name=metadata["name"],
        uid=uid,
        created_at=decode_time(metadata["creationTimestamp"]),
        deleted=False,
        items=joined(*segments, oldest_first(status.get("conditions"))),
        archived=int(status.get("archived") or 0),
    )


def deleted(kind: Kind, records: Iterable[Object]) -> list[Life]:
    """Return the lives that records tell of, in the order of their creation."""
    by_uid: dict[str, list[Object]] = {}
    for record in records:
        by_uid.setdefault(str(subject_of(kind, record).get("uid")), []).append(record)
    lives = [_of_records(kind, uid, parts) for uid, parts in by_uid.items()]
    return sorted(lives, key=lambda life: (life.created_at, life.begun, life.uid))


def _of_records(kind: Kind, uid: str, records: list[Object]) -> Life:
    subject = subject_of(kind, records[0])
    try:
        name, created_at = str(subject["name"]), decode_time(subject["createdAt"])
    except (LookupError, TypeError, ValueError) as error:
        record = records[0]["metadata"]["name"]
        message = f"record {record} does not say whose it is; `verify --all` tells more"
        raise DamagedError(message) from error
    items = joined(*map(entries_of, records))
    return Life(kind=kind, name=name, uid=uid, created_at=created_at, deleted=True, items=items)


def subject_of(kind: Kind, record: Object) -> Mapping[str, Any]:
    """Return what a record says of the object whose log it has a part of."""
    return mapping(record["spec"].get(kind.resource.subject_field))


def entries_of(record: Object) -> tuple[Item, ...]:
    """Return the entries of a record, oldest first."""
    return oldest_first(record["spec"].get("entries"))


def oldest_first(stored: Any) -> tuple[Item, ...]:
    """Return a stored list of entries, which has the newest first, the other way round."""
    return tuple(reversed(mappings(stored)))


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings in a list of JSON; of anything else, none."""
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [mapping(item) for item in items if isinstance(item, dict)]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping of JSON; of anything else, an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def joined(*parts: Iterable[Item]) -> tuple[Item, ...]:
    """Return entries of one log in order; what is in several parts comes once."""
    found = {item.get("sequence"): item for part in parts for item in part}
    return tuple(found[number] for number in sorted(n for n in found if isinstance(n, int)))
