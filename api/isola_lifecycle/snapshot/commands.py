"""What can be done to a snapshot's world, beside what can be done to every object with a log."""

from __future__ import annotations

from dataclasses import dataclass

from isola_lifecycle.commands import KeepingCommand


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Make sure that the Job exists that takes the snapshot, or adopts its object."""


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Make sure that the Job of this UID is on its way out, and its pods before it."""

    uid: str


@dataclass(frozen=True, slots=True)
class CreateRemoval:
    """Make sure that the Job exists that removes the object from the bucket."""


@dataclass(frozen=True, slots=True)
class DeleteRemoval:
    """Make sure that the Job of this UID, which removed the object, is on its way out."""

    uid: str


Command = KeepingCommand | CreateJob | DeleteJob | CreateRemoval | DeleteRemoval
