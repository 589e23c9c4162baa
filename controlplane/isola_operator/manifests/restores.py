"""What the pod of a sandbox gets that starts from snapshots. Pure.

gVisor reads the archives as root on the node, outside of every container: a sandbox has none
mounted, neither its own nor another's. Its gate sees one folder of its own, with a mark in it once
all is staged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.sandbox.sources import Source

Json = Mapping[str, Any]

# Where the gate looks for the mark that the archives of its pod are staged.
_MOUNT = "/isola-gate"
MARK = f"{_MOUNT}/{naming.STAGED_MARK}"


def paths(root: str, uid: str, sources: tuple[Source, ...]) -> dict[str, str]:
    """Return the annotations by which gVisor finds the archives of a sandbox's containers.

    Args:
        root: The folder on every node below which archives are staged.
        uid: UID of the sandbox.
        sources: What it starts from.
    """
    return {
        f"{naming.ROOTFS_ANNOTATION}{each.container}": naming.archive_path(
            root, uid, each.container
        )
        for each in sources
    }


def gated(spec: dict[str, Any], root: str, uid: str) -> dict[str, Any]:
    """Return a pod's specification whose gate sees the mark for which it waits, and no archive.

    Args:
        spec: A specification that has the gate for archives.
        root: The folder on every node below which archives are staged.
        uid: UID of the sandbox.
    """
    name = _unused(spec)
    path = naming.gate_path(root, uid)
    volume = {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
    mount = {"name": name, "mountPath": _MOUNT, "readOnly": True}
    waiting = [
        {**each, "volumeMounts": [mount]} if each["name"] == naming.STAGED_CONTAINER else each
        for each in spec["initContainers"]
    ]
    return {**spec, "initContainers": waiting, "volumes": [*(spec.get("volumes") or []), volume]}


def _unused(spec: Json) -> str:
    """Return a name for our volume that nothing of the template means already."""
    volumes: list[Json] = spec.get("volumes") or []
    containers: list[Json] = [*spec["containers"], *spec["initContainers"]]
    used = {each.get("name") for each in volumes}
    for container in containers:
        for field in ("volumeMounts", "volumeDevices"):
            mounts: list[Json] = container.get(field) or []
            used |= {each.get("name") for each in mounts}
    names = (f"isola-gate{number or ''}" for number in range(len(used) + 1))
    return next(name for name in names if name not in used)
