"""Names that several components have to agree on. Each is deterministic."""

from __future__ import annotations

GROUP = "sandbox.isola.run"
VERSION = "v1alpha1"
KIND = "Sandbox"
PLURAL = "sandboxes"

RECORD_KIND = "SandboxRecord"
RECORD_PLURAL = "sandboxrecords"

# Labels of a record, by which it is found.
RECORD_NAME_LABEL = "isola.run/sandbox"
RECORD_UID_LABEL = "isola.run/sandbox-uid"
RECORD_FINAL_LABEL = "isola.run/final"

FINALIZER = f"{GROUP}/cleanup"

# Couriers from the create request to the first entry of the log. They decide nothing: once the
# operator has copied them into `Accepted`, nobody reads them again.
CALLER_ANNOTATION = "isola.run/requested-by"
REQUEST_ID_ANNOTATION = "isola.run/request-id"
TRACEPARENT_ANNOTATION = "isola.run/traceparent"

# A courier too, but from one create request to the next under the same key:
# is this the request that made the object? It decides nothing about the sandbox's life and has no
# place in the log: it is about what came before the first entry, and a status cannot be written at
# creation.
REQUEST_DIGEST_ANNOTATION = "isola.run/request-digest"

CONTAINER_NAME_VARIABLE = "ISOLA_CONTAINER_NAME"
SIDECAR_CONTAINER = "sandbox-sidecar"
SIDECAR_PORT = 10032

# `<sandbox>-custom-netpol`, the longest name made from it, must fit a label of 63 characters.
SANDBOX_NAME_LENGTH = 47


def pod_name(sandbox: str) -> str:
    """Return the name of a sandbox's one pod."""
    return f"{sandbox}-pod"


def sandbox_name(pod: str) -> str:
    """Return the name of the sandbox whose one pod has the name `pod`."""
    return pod.removesuffix("-pod")


def container_name(index: int) -> str:
    """Return the name of the container at `index` of a template that does not name it."""
    return f"sandbox{index}"
