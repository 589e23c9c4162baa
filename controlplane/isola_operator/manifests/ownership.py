"""What every object that the operator makes for a sandbox has in common. Pure."""

from __future__ import annotations

import re
from typing import Any

from isola_lifecycle import naming
from isola_store.kubernetes import API_VERSION
from isola_store.port import Sandbox

OWN_LABELS = {
    "app.kubernetes.io/name": "isola-sandbox",
    "app.kubernetes.io/part-of": "isola",
    "app.kubernetes.io/managed-by": "isola-operator",
}

# What decides where a pod may get to or how it is confined: labels and annotations of ours and of
# gVisor, and those by which network plugins give it more interfaces or addresses (Multus, Calico,
# OVN) and Azure a token. None is a template's to set.
RESERVED = re.compile(
    r"([^/]*[.])?isola[.]run/|dev[.]gvisor[.]|io[.]kubernetes[.]cri|k8s[.]v1[.]cni[.]cncf[.]io/"
    r"|v1[.]multus-cni[.]io/|cni[.]projectcalico[.]org/|k8s[.]ovn[.]org/|ovn[.]kubernetes[.]io/"
    r"|azure[.]workload[.]identity/"
)


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
