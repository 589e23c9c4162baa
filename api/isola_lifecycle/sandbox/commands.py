"""What can be done to a sandbox's world, beside what can be done to every object with a log."""

from __future__ import annotations

from dataclasses import dataclass

from isola_lifecycle.commands import KeepingCommand
from isola_lifecycle.sandbox.network import Network


@dataclass(frozen=True, slots=True)
class ApplyPolicy:
    """Make sure that this, and nothing else but the door if there is one, can be reached."""

    network: Network
    door: str = ""


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make sure that the pod exists, with the name servers and the rate of this network."""

    network: Network


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Make sure that the pod of this UID is on its way out."""

    uid: str


@dataclass(frozen=True, slots=True)
class ForcePodAway:
    """Make sure that nothing is left of the pod of this UID, whatever its node says."""

    uid: str


@dataclass(frozen=True, slots=True)
class RequestSnapshot:
    """Make sure that a snapshot of this container is being taken."""

    container: str


Command = KeepingCommand | ApplyPolicy | CreatePod | DeletePod | ForcePodAway | RequestSnapshot
