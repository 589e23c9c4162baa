"""A sandbox's pod as far as the mounter looks at it. Total, and without judgement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isola_lifecycle import naming

Json = Mapping[str, Any]

# What an API server makes; it becomes part of a path.
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPod:
    """The one pod of a sandbox.

    Attributes:
        name: Its name.
        uid: Its UID.
        sandbox_uid: UID of the sandbox that owns it, or empty.
        restores: Whether a container of it starts from a snapshot.
        started: Whether all its containers were started: gVisor has read what they start from.
        over: Whether it has ended, or is on its way out.
    """

    name: str
    uid: str
    sandbox_uid: str
    restores: bool = False
    started: bool = False
    over: bool = False

    @property
    def sandbox(self) -> str:
        """Return the name of its sandbox."""
        return naming.sandbox_name(self.name)


def decode_pod(item: Json) -> SandboxPod:
    """Return the pod that a Kubernetes object stands for."""
    metadata, status = item["metadata"], item.get("status", {})
    owners = metadata.get("ownerReferences", ())
    owner = next((o["uid"] for o in owners if o.get("controller") and o["kind"] == naming.KIND), "")
    annotations: Json = metadata.get("annotations") or {}
    return SandboxPod(
        name=metadata["name"],
        uid=metadata["uid"],
        sandbox_uid=owner if _UID.fullmatch(owner) else "",
        restores=any(key.startswith(naming.ROOTFS_ANNOTATION) for key in annotations),
        started=_started(item.get("spec", {}), status),
        over="deletionTimestamp" in metadata or status.get("phase") in {"Succeeded", "Failed"},
    )


def _started(spec: Json, status: Json) -> bool:
    begun = {
        each["name"]
        for each in status.get("containerStatuses", ())
        if {"running", "terminated"} & each.get("state", {}).keys()
    }
    names = [each["name"] for each in spec.get("containers", ())]
    return bool(names) and begun.issuperset(names)
