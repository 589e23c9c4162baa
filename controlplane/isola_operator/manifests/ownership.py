"""What every object that the operator makes for a sandbox has in common. Pure."""

from __future__ import annotations

from typing import Any

from isola_lifecycle import naming
from isola_store.kubernetes import API_VERSION
from isola_store.port import Sandbox

OWN_LABELS = {
    "app.kubernetes.io/name": "isola-sandbox",
    "app.kubernetes.io/part-of": "isola",
    "app.kubernetes.io/managed-by": "isola-operator",
}


def owner_of(sandbox: Sandbox, *, blocks: bool = False) -> dict[str, Any]:
    """Return the reference by which an object goes with its sandbox, or holds it until it went."""
    return {
        "apiVersion": API_VERSION,
        "kind": naming.SANDBOX.kind,
        "name": sandbox.name,
        "uid": sandbox.uid,
        "controller": True,
        "blockOwnerDeletion": blocks,
    }
