"""Finding objects by name, wherever what is known of them lies."""

from __future__ import annotations

import re

from isola_kubectl.errors import UnknownError, UsageError
from isola_kubectl.kinds import Target
from isola_kubectl.lives import Life, deleted, living, subject_of
from isola_kubectl.objects import Objects

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def find(objects: Objects, name: str, uid: str = "") -> tuple[Life, list[Life]]:
    """Return the object of that name, or the last one that had it, and all others known.

    Args:
        objects: Where to look.
        name: The name.
        uid: Which one, where several had it; empty for the one there is, or was last.

    Raises:
        UnknownError: Nothing is known of such an object.
    """
    kind = objects.kind
    item = objects.get(name)
    records = objects.records(name=name) if uid or not item or _rolled_over(item) else []
    # What a label says can be changed; what a record says of itself cannot.
    records = [record for record in records if subject_of(kind, record).get("name") == name]
    lives = deleted(kind, records)
    if item:
        present = living(kind, item, records)
        lives = [life for life in lives if life.uid != present.uid] + [present]
    found = [life for life in lives if uid in {"", life.uid}]
    if not found:
        which = f" with the uid {uid}" if uid else ""
        listed = f"list {kind.resource.plural} --all" if kind.prefix else "list --all"
        raise UnknownError(
            f"there is no {kind.noun} {name}{which} and no record of one in this namespace;"
            f" `{listed}` shows those that are known, -n looks in another namespace"
        )
    return found[-1], [life for life in lives if life is not found[-1]]


def everything(objects: Objects, *, gone: bool) -> list[Life]:
    """Return the objects there are, oldest first, and with `gone` those there were."""
    # Objects first: what moves to the archive meanwhile is then in both places, not in neither.
    lives = [living(objects.kind, item) for item in objects.all()]
    if gone:
        present = {life.uid for life in lives}
        there_were = deleted(objects.kind, objects.records())
        lives += [life for life in there_were if life.uid not in present]
    return sorted(lives, key=lambda life: (life.created_at, life.name))


def checked(target: Target) -> Target:
    """Refuse what cannot be a name.

    Raises:
        UsageError: It cannot.
    """
    name, kind = target.name, target.kind
    if name and (len(name) > kind.resource.name_length or not _NAME.fullmatch(name)):
        what = f"{name!r} is not a {kind.noun}'s name"
        raise UsageError(f"{what}: small letters, digits, '-' and '.'")
    return target


def _rolled_over(item: object) -> bool:
    match item:
        case {"status": {"archived": int(archived)}}:
            return archived > 0
        case _:
            return False
