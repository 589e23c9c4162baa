"""What makes a sandbox's specification one that must not, or cannot, run. Pure and total.

Everything that is refused here would give the sandboxed code more than its sandbox, or would be
promised and not kept. Each fault says where it is and what to do.

The chart's admission policies say the same of templates, word for word, before an object exists
(`tests/chart/test_isolation.py` holds the two together). This is for where they are off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from isola_lifecycle import naming
from isola_lifecycle.sandbox import network as networks
from isola_lifecycle.sandbox.network import Network, network_of
from isola_lifecycle.sandbox.ranges import Blocked
from isola_lifecycle.sandbox.sources import Source, sources_of
from isola_operator.manifests.network import NOT_INSTALLED, Egress
from isola_operator.manifests.ownership import RESERVED

Json = Mapping[str, Any]

_TEMPLATE = "spec.podTemplate"
_AT = f"{_TEMPLATE}.spec"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SNAPSHOT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")

# What a volume of a template may be.
VOLUMES = {"name", "emptyDir", "configMap", "secret", "persistentVolumeClaim", "downwardAPI"}
# Of containers, of those before them and of volumes, each: the policy's loops are as long.
MOST = 64
_ENABLE = "have operator.sandboxRuntime.rootfssnapshot.enabled set"
_SNAPSHOT_LENGTH = 59
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")


def faults(
    spec: Json,
    blocked: Blocked,
    by_name: Egress = NOT_INSTALLED,
    *,
    snapshots: bool = False,
    restores: bool = False,
) -> tuple[str, ...]:
    """Return every fault of a Sandbox's `spec`, in the order of its fields.

    Args:
        spec: The specification.
        blocked: What no sandbox may reach.
        by_name: Where the egress component is.
        snapshots: Whether this installation takes snapshots.
        restores: Whether it can start sandboxes from them.
    """
    given = _mapping(spec.get("podTemplate"))
    template = _mapping(given.get("spec"))
    return (
        *_of_metadata(_mapping(given.get("metadata"))),
        *_of_the_pod(template),
        *_of_containers(template, "containers"),
        *_of_containers(template, "initContainers"),
        *_of_volumes(template),
        *network_faults(network_of(spec.get("network")), blocked, by_name),
        *_of_sources(spec, template, restores=restores),
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


def _of_metadata(metadata: Json) -> Iterator[str]:
    for field in ("labels", "annotations"):
        for key in sorted(filter(RESERVED.match, _mapping(metadata.get(field)))):
            yield f"{_TEMPLATE}.metadata.{field}: '{key}' is not for templates; remove it"


def _of_the_pod(template: Json) -> Iterator[str]:
    if not _items(template.get("containers")):
        yield f"{_AT}.containers: there is none; give at least one with an image"
    yield from (
        f"{_AT}.{field}: more than {MOST}; give fewer"
        for field in ("containers", "initContainers", "volumes")
        if len(_items(template.get(field))) > MOST
    )
    for field in _HOST_FIELDS:
        if template.get(field):
            yield f"{_AT}.{field}: a sandbox shares nothing with its node; remove it"
    for field in ("serviceAccountName", "serviceAccount"):
        if template.get(field) not in {None, "", "default"}:
            yield f"{_AT}.{field}: a sandbox has no access to the cluster; remove it"
    if template.get("automountServiceAccountToken"):
        yield f"{_AT}.automountServiceAccountToken: a sandbox gets no token; remove it"
    if template.get("ephemeralContainers"):
        yield f"{_AT}.ephemeralContainers: not part of a sandbox; remove them"


def _of_containers(template: Json, field: str) -> Iterator[str]:
    names: set[str] = set()
    for index, container in enumerate(_items(template.get(field))):
        at = f"{_AT}.{field}[{index}]"
        name = str(container.get("name", ""))
        if not _NAME.fullmatch(name):
            yield f"{at}.name: '{name}' is no DNS label; use a-z, 0-9 and -, at most 63"
        elif name in naming.OWN_CONTAINERS or name in names:
            yield f"{at}.name: '{name}' is taken; choose another"
        names.add(name)
        if not container.get("image"):
            yield f"{at}.image: missing; name the image to run"
        yield from _of_security(_mapping(container.get("securityContext")), at)
        if any("hostPort" in port for port in _items(container.get("ports"))):
            yield f"{at}.ports: a sandbox takes no port of its node; remove hostPort"
        yield from _of_callers(container, at)


def _of_callers(container: Json, at: str) -> Iterator[str]:
    # The kubelet calls these, from the node's own network.
    hooks = _mapping(container.get("lifecycle"))
    for where, caller in (
        *((field, _mapping(container.get(field))) for field in _PROBES),
        *((f"lifecycle.{field}", _mapping(hooks.get(field))) for field in _HOOKS),
    ):
        for how in ("httpGet", "tcpSocket"):
            if _mapping(caller.get(how)).get("host"):
                yield f"{at}.{where}.{how}.host: its node calls nobody for a sandbox; remove it"


def _of_security(context: Json, at: str) -> Iterator[str]:
    if context.get("privileged"):
        yield f"{at}.securityContext.privileged: a sandbox is never privileged; remove it"
    if _mapping(context.get("capabilities")).get("add"):
        yield f"{at}.securityContext.capabilities.add: a sandbox gets none; remove it"


def _of_volumes(template: Json) -> Iterator[str]:
    for index, volume in enumerate(_items(template.get("volumes"))):
        for kind in sorted(volume.keys() - VOLUMES):
            yield f"{_AT}.volumes[{index}].{kind}: not allowed in a sandbox; remove it"


def _of_sources(spec: Json, template: Json, *, restores: bool) -> Iterator[str]:
    at = "spec.rootfsSnapshotSources"
    if not spec.get("rootfsSnapshotSources"):
        return
    if not restores:
        yield f"{at}: this installation has no snapshots; {_ENABLE}"
        return
    containers = {str(each.get("name")): each for each in _items(template.get("containers"))}
    restored: set[str] = set()
    for index, source in enumerate(sources_of(spec)):
        if not _SNAPSHOT.fullmatch(source.snapshot) or len(source.snapshot) > _SNAPSHOT_LENGTH:
            yield f"{at}[{index}].snapshotName: '{source.snapshot}' is no name of a snapshot"
        yield from _of_a_container_to_restore(f"{at}[{index}].containerName", source, containers)
        if source.container in restored:
            yield f"{at}[{index}].containerName: {source.container} starts from another one already"
        restored.add(source.container)


def _of_a_container_to_restore(
    at: str, source: Source, containers: Mapping[str, Json]
) -> Iterator[str]:
    name = source.container
    if name not in containers:
        known = ", ".join(containers)
        yield f"{at}: '{name}' is none of the containers {known}; name the one to start from it"
    elif len(name) > naming.RESTORED_CONTAINER_LENGTH:
        # gVisor is told by an annotation of that name, and Kubernetes bounds those.
        most = naming.RESTORED_CONTAINER_LENGTH
        yield f"{at}: {name} has over {most} characters; a container with a shorter name can"
    elif _mapping(containers[name].get("securityContext")).get("readOnlyRootFilesystem"):
        yield f"{at}: {name} has readOnlyRootFilesystem, with which gVisor restores none; remove it"


def _of_snapshots(spec: Json) -> Iterator[str]:
    if _mapping(spec.get("terminationPolicy")).get("type") == "SnapshotRootfs":
        yield (
            f"spec.terminationPolicy: this installation takes no snapshots; use type Delete, or"
            f" {_ENABLE}"
        )


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Json]:
    return (
        [_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
    )
