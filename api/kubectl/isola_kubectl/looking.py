"""Finding sandboxes by name, wherever what is known of them lies."""

from __future__ import annotations

import re

from isola_kubectl.errors import UnknownError, UsageError
from isola_kubectl.kubectl import Kubectl
from isola_kubectl.lives import Life, deleted, living, subject_of
from isola_lifecycle.naming import SANDBOX_NAME_LENGTH

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def find(kubectl: Kubectl, name: str, uid: str = "") -> tuple[Life, list[Life]]:
    """Return the sandbox of that name, or the last one that had it, and all others known.

    Args:
        kubectl: Where to look.
        name: The name.
        uid: Which one, where several had it; empty for the one there is, or was last.

    Raises:
        UnknownError: Nothing is known of such a sandbox.
    """
    checked(name)
    sandbox = kubectl.sandbox(name)
    records = kubectl.records(name=name) if uid or not sandbox or _rolled_over(sandbox) else []
    # What a label says can be changed; what a record says of itself cannot.
    records = [record for record in records if subject_of(record).get("name") == name]
    lives = deleted(records)
    if sandbox:
        present = living(sandbox, records)
        lives = [life for life in lives if life.uid != present.uid] + [present]
    found = [life for life in lives if uid in {"", life.uid}]
    if not found:
        which = f" with the uid {uid}" if uid else ""
        raise UnknownError(
            f"there is no sandbox {name}{which} and no record of one in this namespace;"
            " `list --all` shows those that are known, -n looks in another namespace"
        )
    return found[-1], [life for life in lives if life is not found[-1]]


def everything(kubectl: Kubectl, *, gone: bool) -> list[Life]:
    """Return the sandboxes there are, oldest first, and with `gone` those there were."""
    # Sandboxes first: what moves to the archive meanwhile is then in both places, not in neither.
    lives = [living(sandbox) for sandbox in kubectl.sandboxes()]
    if gone:
        present = {life.uid for life in lives}
        lives += [life for life in deleted(kubectl.records()) if life.uid not in present]
    return sorted(lives, key=lambda life: (life.created_at, life.name))


def checked(name: str) -> None:
    """Refuse what cannot be a sandbox's name.

    Raises:
        UsageError: It cannot.
    """
    if len(name) > SANDBOX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a sandbox's name: small letters, digits, '-' and '.'")


def _rolled_over(sandbox: object) -> bool:
    match sandbox:
        case {"status": {"archived": int(archived)}}:
            return archived > 0
        case _:
            return False
