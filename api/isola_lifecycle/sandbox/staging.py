"""What the mounter tells of the archives that a sandbox starts from, as facts for its log.

Whoever has nothing new to tell tells nothing: no entry repeats the one before it of its container.
Nothing is told of a sandbox whose pod is another one, that has started, or that is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isola_lifecycle.catalogue import MOUNTER
from isola_lifecycle.images import same
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.conditions import UNRESTORABLE, Key, Reason, Type
from isola_lifecycle.sandbox.fold import State
from isola_lifecycle.sandbox.sources import Source

Facts = tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """For whom, and where, archives are staged.

    Attributes:
        pod_uid: UID of the pod.
        node: Name of its node.
    """

    pod_uid: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What is restored.

    Attributes:
        key: Of the object in the bucket.
        sha256: Of the plain archive, hex.
        size_bytes: Of the plain archive.
        image: The base image, as the snapshotted sandbox named it, or empty.
        image_id: The base image, as that sandbox's node resolved it, or empty.
    """

    key: str
    sha256: str
    size_bytes: int
    image: str = ""
    image_id: str = ""


def fits(facts: Facts, room: int) -> bool:
    """Return whether a log with `room` takes `facts`; if not, they wait for the operator."""
    return len(facts) <= room - RESERVED_ENTRIES


def is_wanted(state: State, place: Place) -> bool:
    """Return whether this pod, on this node, is the sandbox's, and waits for its archives."""
    over = state.outcome or state.termination_requested or state.terminated or state.started
    return not over and (state.pod_uid, state.node) == (place.pod_uid, place.node)


def staged(
    state: State, source: Source, archive: Archive, place: Place, *, seconds: float, cached: bool
) -> Facts:
    """Return that an archive is where the container starts from, verified.

    Args:
        state: As the log has it.
        source: What was wanted.
        archive: What is there.
        place: Where.
        seconds: How long that took from when the snapshot was found.
        cached: Whether the node had it already, or somebody else was fetching it.
    """
    before = state.staging_of(source.container)
    if not is_wanted(state, place) or (before and before.sha256 == archive.sha256):
        return ()
    data = {
        Key.KEY: archive.key,
        Key.SHA256: archive.sha256,
        Key.BYTES: str(archive.size_bytes),
        Key.SECONDS: f"{seconds:.3f}",
        Key.CACHED: str(cached).lower(),
        Key.IMAGE_ID: archive.image_id,
    }
    how = "from the node's cache" if cached else "from the bucket"
    message = (
        f"Snapshot {source.snapshot} is on the node for container {source.container}:"
        f" {archive.size_bytes} bytes {how} in {seconds:.1f} s"
    )
    return (_fact(Reason.ARCHIVE_STAGED, message, source, place, data, status=Status.TRUE),)


def awaited(state: State, source: Source, place: Place, reason: Reason, message: str) -> Facts:
    """Return that an archive is not there yet, and why."""
    return _unstaged(state, source, place, reason, message)


def refused(state: State, source: Source, place: Place, reason: Reason, message: str) -> Facts:
    """Return that an archive will never be there, and why. The operator ends the sandbox by it."""
    assert reason in UNRESTORABLE  # noqa: S101 - a mistake of ours
    return _unstaged(state, source, place, reason, message)


def mismatch(source: Source, archive: Archive) -> str:
    """Return why an archive does not belong onto a container's image, or empty.

    What a name means on this node shows only when the container runs: the operator looks then.
    """
    if same(source.image, archive.image, archive.image_id):
        return ""
    was = archive.image or archive.image_id or "an image that is not known"
    known = f" ({archive.image_id})" if archive.image and archive.image_id else ""
    return (
        f"snapshot {source.snapshot} was taken from image {was}{known}, but container"
        f" {source.container} has image {source.image}: give it the image of the snapshot, or take"
        " a snapshot of a sandbox with this one"
    )


def _unstaged(state: State, source: Source, place: Place, reason: Reason, message: str) -> Facts:
    before = state.staging_of(source.container)
    settled = before and (before.staged or before.reason in {reason, *UNRESTORABLE})
    if settled or not is_wanted(state, place):
        return ()
    return (_fact(reason, message, source, place, {}, status=Status.FALSE),)


def _fact(
    reason: Reason,
    message: str,
    source: Source,
    place: Place,
    data: Mapping[Key, str],
    *,
    status: Status,
) -> Fact:
    told = {
        Key.CONTAINER: source.container,
        Key.SNAPSHOT: source.snapshot,
        **data,
        Key.NODE: place.node,
        Key.POD_UID: place.pod_uid,
    }
    return Fact(
        type=Type.ROOTFS_STAGED,
        status=status,
        reason=reason,
        message=message,
        actor=MOUNTER,
        data={key.value: value for key, value in told.items() if value},
    )
