"""Which object a name stands for: by the logs of RootfsSnapshots, and by the bucket itself.

a snapshot of that name is being taken      it is waited for, also where an older one is stored
one is stored                               its object, which must be the one that its log tells of
none is, or none that is not leaving        what the bucket has under the name: an object outlives
                                            its custom resource and says itself what it holds
none, and the last one failed               that is said
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from isola_bucket.contents import Contents, DamagedError, contents_of
from isola_bucket.errors import AccessError, ObjectNotFoundError, UnavailableError
from isola_bucket.port import Bucket, Stored
from isola_bucket.retrying import patiently
from isola_lifecycle import naming
from isola_lifecycle.sandbox.conditions import Reason
from isola_lifecycle.sandbox.staging import Archive
from isola_lifecycle.snapshot.fold import fold
from isola_lifecycle.snapshot.state import State
from isola_mounter.cache import Trouble
from isola_mounter.fetching import patience_with
from isola_store.journal import patiently as patiently_read
from isola_store.port import Snapshot

_AGAIN = "take the snapshot again"


@dataclass(frozen=True, slots=True)
class Found:
    """An object to restore.

    Attributes:
        stored: It.
        contents: What it holds.
    """

    stored: Stored
    contents: Contents

    @property
    def archive(self) -> Archive:
        """Return it in the words of a sandbox's log."""
        origin = self.contents.origin
        return Archive(
            key=self.stored.key,
            sha256=self.contents.sha256,
            size_bytes=self.contents.size_bytes,
            image=origin.image,
            image_id=origin.imageid,
        )


@dataclass(frozen=True, slots=True)
class Awaited:
    """There is nothing yet.

    Attributes:
        reason: Why.
        message: Why, for people.
    """

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """There will be nothing.

    Attributes:
        reason: Why.
        message: Why, and what to do.
    """

    reason: Reason
    message: str


def stored_by(snapshots: Iterable[Snapshot], name: str) -> tuple[str, State] | Awaited | None:
    """Return which snapshot put there what a name stands for, with its state, or None if none has.

    One that has ended and stored nothing is an answer too, where there is no better one.
    """
    ours = [each for each in snapshots if each.snapshot_name == name]
    states: Mapping[str, State] = {each.name: fold(each.log) for each in ours if not each.deleting}
    living = {n: s for n, s in states.items() if s.deletion_requested_at is None}
    for which, state in living.items():
        if state.outcome is None:
            message = (
                f"RootfsSnapshot {which}, which becomes {name}, is {state.phase} and not stored"
            )
            return Awaited(Reason.SNAPSHOT_PENDING, message)
    stored = [(s.stored.at, which, s) for which, s in living.items() if s.stored]
    if stored:
        _, which, state = max(stored, key=lambda item: item[:2])
        return which, state
    ended = [(s.outcome.at, which, s) for which, s in living.items() if s.outcome]
    return max(ended, key=lambda item: item[:2])[1:] if ended else None


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds objects.

    Attributes:
        bucket: Where they are.
        copy: Gives the RootfsSnapshots as they were a moment ago.
        fresh: Gives them as they are.
        namespace: Where these live.
    """

    bucket: Bucket
    copy: Callable[[], Iterable[Snapshot]]
    fresh: Callable[[], Awaitable[Iterable[Snapshot]]]
    namespace: str

    async def find(self, name: str, told: Trouble, *, first: bool) -> Found | Awaited | Refused:
        """Return what a name stands for at present.

        Args:
            name: Of a snapshot, as it is stored.
            told: Hears of a bucket that does not answer.
            first: Whether nobody has looked yet: whoever asked for a snapshot, and then for a
                sandbox that starts from it, must not get the one before.
        """
        snapshots: Iterable[Snapshot] = await patiently_read()(self.fresh) if first else self.copy()
        known = stored_by(snapshots, name)
        if isinstance(known, Awaited):
            return known
        key = naming.object_key(self.namespace, name)
        try:
            stored: Stored = await patiently(patience_with(told))(self.bucket.head, key)
            return _judged(known, Found(stored, contents_of(stored.metadata)), name)
        except ObjectNotFoundError:
            return _missing(known, name, key)
        except DamagedError as error:
            return Refused(Reason.SNAPSHOT_DAMAGED, f"snapshot {name} ({key}): {error}; {_AGAIN}")
        except AccessError as error:
            return denied(name, error)
        except UnavailableError as error:
            return unavailable(name, str(error))


def denied(name: str, error: AccessError) -> Refused:
    """Return that the bucket does not let us read a snapshot."""
    advice = "check its name, and the rights of the mounter's credentials"
    return Refused(Reason.BUCKET_DENIED, f"the bucket refuses snapshot {name}; {advice}: {error}")


def unavailable(name: str, why: str) -> Awaited:
    """Return that the bucket does not answer, and is being tried again."""
    message = f"the bucket with snapshot {name} does not answer and is tried again: {why}"
    return Awaited(Reason.BUCKET_UNAVAILABLE, message)


def _judged(known: tuple[str, State] | None, found: Found, name: str) -> Found | Refused:
    which, state = known or ("", State())
    archive = state.archive if state.stored else None
    if archive is None or archive.sha256 == found.contents.sha256:
        return found
    message = (
        f"the bucket has another archive under {found.stored.key} than RootfsSnapshot {which} tells"
        f" of (SHA-256 {found.contents.sha256}, not {archive.sha256}): somebody wrote there past"
        f" Isola; {_AGAIN}, under the name {name}, with replace"
    )
    return Refused(Reason.SNAPSHOT_DAMAGED, message)


def _missing(known: tuple[str, State] | None, name: str, key: str) -> Awaited | Refused:
    which, state = known or ("", State())
    outcome = state.outcome
    if state.stored:
        message = (
            f"RootfsSnapshot {which} was stored as {name}, but {key} is not in the bucket any more:"
            f" {_AGAIN}"
        )
        return Awaited(Reason.SNAPSHOT_NOT_FOUND, message)
    if outcome and not outcome.succeeded:
        message = (
            f"snapshot {name} was not taken: RootfsSnapshot {which} failed ({outcome.reason}:"
            f" {outcome.message}); {_AGAIN}"
        )
        return Refused(Reason.SNAPSHOT_FAILED, message)
    message = (
        f"there is no snapshot {name}: no RootfsSnapshot becomes it, and {key} is not in the bucket"
    )
    return Awaited(Reason.SNAPSHOT_NOT_FOUND, message)
