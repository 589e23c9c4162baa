"""The world of one snapshot at one instant: what was seen, not what it means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from isola_lifecycle.seen import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of the sandbox.

    Attributes:
        name: Its name.
        running: Whether it runs.
        id: As the kubelet tells it: `containerd://9f86d0…`, or empty.
        image: Its image, as the specification names it.
        image_id: Its image, as the node resolved it: with the digest.
    """

    name: str
    running: bool = False
    id: str = ""
    image: str = ""
    image_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The sandbox of that name.

    Attributes:
        uid: Its UID.
        running: Whether its pod runs, and is not on its way out.
        node: Where, or empty.
        containers: Its containers, in the order of the template.
    """

    uid: str
    running: bool = False
    node: str = ""
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Job of the snapshot's.

    Attributes:
        uid: Its UID.
        deleting: Whether it carries a deletion timestamp.
        complete: Whether it is done.
        failed: Whether it was given up.
        message: What keeps it, or kept it, from being done, or empty.
    """

    uid: str
    deleting: bool = False
    complete: bool = False
    failed: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namesake:
    """Another RootfsSnapshot for the same place in the bucket.

    Attributes:
        name: Of the resource.
        older: Whether it was there first.
        ended: Whether it ended.
        stored_at: When it put its object there, or None where the object is not its own.
    """

    name: str
    older: bool
    ended: bool
    stored_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Seen):
    """Everything that a decision about one snapshot may depend on, beside its log.

    Attributes:
        enabled: Whether this installation takes snapshots.
        snapshot_name: The name to restore it by.
        adopts: Whether its object is in the bucket already, and there is no sandbox.
        sandbox_name: The sandbox to take it from, or empty.
        sandbox_uid: The only UID that this may have, or empty for any.
        container_name: The container to take it from, or empty for the first.
        timeout: How long it may take.
        time_to_live: How long the resource is kept once it ended.
        replaces: Whether it may take the place of a stored snapshot of its name.
        deletes_object: Whether what is stored goes when somebody deletes the resource.
        namesakes: Others of the same snapshot name.
        sandbox: The sandbox, or None where there is none.
        job: The Job that takes the snapshot, or None where there is none.
        removal: The Job that removes the object, or None where there is none.
    """

    enabled: bool = True
    snapshot_name: str
    adopts: bool = False
    sandbox_name: str = ""
    sandbox_uid: str = ""
    container_name: str = ""
    timeout: timedelta = timedelta(seconds=300)
    time_to_live: timedelta = timedelta(seconds=300)
    replaces: bool = False
    deletes_object: bool = False
    namesakes: tuple[Namesake, ...] = ()
    sandbox: Sandbox | None = None
    job: Job | None = None
    removal: Job | None = None
