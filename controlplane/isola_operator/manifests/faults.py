"""What makes a sandbox's specification one that must not, or cannot, run. Pure and total.

Everything that is refused here would give the sandboxed code more than its sandbox, or would be
promised and not kept. Each fault says where it is and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from isola_lifecycle import naming
from isola_lifecycle.sandbox import network as networks
from isola_lifecycle.sandbox.network import Network, network_of
from isola_lifecycle.sandbox.ranges import Blocked
from isola_operator.manifests.network import NOT_INSTALLED, Egress

Json = Mapping[str, Any]

_AT = "spec.podTemplate.spec"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def faults(
    spec: Json, blocked: Blocked, by_name: Egress = NOT_INSTALLED, *, snapshots: bool = False
) -> tuple[str, ...]:
    """Return every fault of a Sandbox's `spec`, in the order of its fields.

    Args:
        spec: The specification.
        blocked: What no sandbox may reach.
        by_name: Where the egress component is.
        snapshots: Whether this installation takes snapshots.
    """
    template = _mapping(_mapping(spec.get("podTemplate")).get("spec"))
    return (
        *_of_the_pod(template),
        *_of_containers(template, "containers"),
        *_of_containers(template, "initContainers"),
        *_of_volumes(template),
        *network_faults(network_of(spec.get("network")), blocked, by_name),
        *_of_what_is_not_there_yet(spec),
        *([] if snapshots else _of_snapshots(spec)),
    )


def network_faults(
    network: Network, blocked: Blocked, by_name: Egress = NOT_INSTALLED
) -> Iterator[str]:
    """Yield what cannot be given of network settings."""
    for field, message in networks.faults(network, blocked):
        yield f"spec.network.{field}: {message}"
    if network.domains is None:
        return
    at = "spec.network.allowedEgressDomains"
    if not by_name.addresses:
        yield f"{at}: this installation has no way out by name: set egress.enabled in its values"
    elif missing := sorted(set(network.ports) - set(by_name.ports)):
        told = ", ".join(map(str, missing))
        yield f"{at}: the way out by name leads to no port {told}: add it to egress.ports"


def _of_the_pod(template: Json) -> Iterator[str]:
    if not _items(template.get("containers")):
        yield f"{_AT}.containers: there is none; give at least one with an image"
    for field in _HOST_FIELDS:
        if template.get(field):
            yield f"{_AT}.{field}: a sandbox shares nothing with its node; remove it"
    for field in ("serviceAccountName", "serviceAccount"):
        if template.get(field) not in {None, "", "default"}:
            yield f"{_AT}.{field}: a sandbox has no access to the cluster; remove it"
    if template.get("ephemeralContainers"):
        yield f"{_AT}.ephemeralContainers: not part of a sandbox; remove them"


def _of_containers(template: Json, field: str) -> Iterator[str]:
    names: set[str] = set()
    for index, container in enumerate(_items(template.get(field))):
        at = f"{_AT}.{field}[{index}]"
        name = str(container.get("name", ""))
        if not _NAME.fullmatch(name):
            yield f"{at}.name: {name!r} is no DNS label; use a-z, 0-9 and -, at most 63"
        elif name in {naming.SIDECAR_CONTAINER, naming.GATE_CONTAINER} or name in names:
            yield f"{at}.name: {name!r} is taken; choose another"
        names.add(name)
        if not container.get("image"):
            yield f"{at}.image: missing; name the image to run"
        yield from _of_security(_mapping(container.get("securityContext")), at)
        if any("hostPort" in port for port in _items(container.get("ports"))):
            yield f"{at}.ports: a sandbox takes no port of its node; remove hostPort"


def _of_security(context: Json, at: str) -> Iterator[str]:
    if context.get("privileged"):
        yield f"{at}.securityContext.privileged: a sandbox is never privileged; remove it"
    if _mapping(context.get("capabilities")).get("add"):
        yield f"{at}.securityContext.capabilities.add: a sandbox gets none; remove it"


def _of_volumes(template: Json) -> Iterator[str]:
    allowed = {"name", "emptyDir", "configMap", "secret", "persistentVolumeClaim", "downwardAPI"}
    for index, volume in enumerate(_items(template.get("volumes"))):
        for kind in sorted(volume.keys() - allowed):
            yield f"{_AT}.volumes[{index}].{kind}: not allowed in a sandbox; remove it"


def _of_what_is_not_there_yet(spec: Json) -> Iterator[str]:
    if spec.get("rootfsSnapshotSources"):
        yield "spec.rootfsSnapshotSources: this release has no snapshots; remove it"


def _of_snapshots(spec: Json) -> Iterator[str]:
    if _mapping(spec.get("terminationPolicy")).get("type") == "SnapshotRootfs":
        yield (
            "spec.terminationPolicy: this installation takes no snapshots; use type Delete, or have"
            " operator.sandboxRuntime.rootfssnapshot.enabled set"
        )


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Json]:
    return (
        [_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
    )
