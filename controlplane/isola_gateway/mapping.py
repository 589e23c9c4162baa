"""Between the wire and the custom resource: requests to specs, specs and states to responses.

Reading is lenient. The CRD leaves `podTemplate` to Kubernetes, so an object made with `kubectl`
may hold anything there; it must still be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar, cast

from isola_lifecycle.durations import span
from isola_lifecycle.naming import container_name
from isola_lifecycle.sandbox.fold import State, fold
from isola_lifecycle.sandbox.network import Network as Settings
from isola_lifecycle.sandbox.network import json_of, network_of
from isola_rest.labels import shown
from isola_rest.models import (
    DEFAULT_STARTUP_TIMEOUT_SECONDS,
    Container,
    ContainerInfo,
    CreateSandboxRequest,
    Network,
    PodTemplateInfo,
    ResourceRequirements,
    Resources,
    SandboxResponse,
    SandboxSummary,
    TerminationPolicy,
    Wire,
)
from isola_rest.problem import ProblemError
from isola_rest.quantities import QuantityError, parse
from isola_store.port import Sandbox

W = TypeVar("W", bound=Wire)

# Our names of resources, and those of Kubernetes.
_RESOURCES = {"cpu": "cpu", "memory": "memory", "ephemeralStorage": "ephemeral-storage"}


def spec_of(asked: CreateSandboxRequest, name: str) -> dict[str, Any]:
    """Return the `spec` of the Sandbox `name` that a request asks for.

    Raises:
        ProblemError: 400, an amount is no quantity.
    """
    containers = asked.pod_template.containers
    spec: dict[str, Any] = {
        "podTemplate": {
            "spec": {"containers": [_container(c, i) for i, c in enumerate(containers)]}
        }
    }
    sources = [
        {"snapshotName": c.rootfs_snapshot_name, "containerName": c.name or container_name(i)}
        for i, c in enumerate(containers)
        if c.rootfs_snapshot_name
    ]
    if sources:
        spec["rootfsSnapshotSources"] = sources
    if asked.termination_policy:
        spec["terminationPolicy"] = _policy(asked.termination_policy, name)
    rest = {"timeout_seconds", "startup_timeout_seconds", "network"}
    return spec | _dumped(asked, include=rest)


def _container(asked: Container, index: int) -> dict[str, Any]:
    container: dict[str, Any] = {"name": asked.name or container_name(index), "image": asked.image}
    if asked.command:
        container["command"] = asked.command
    if asked.env:
        # Sorted, so that the same request makes the same object.
        container["env"] = [{"name": k, "value": v} for k, v in sorted(asked.env.items())]
    if asked.resources:
        container["resources"] = {
            kind: _amounts(amounts, f"{kind} of container {container['name']}")
            for kind, amounts in _dumped(asked.resources).items()
        }
    return container


def _amounts(asked: Mapping[str, str], place: str) -> dict[str, str]:
    amounts: dict[str, str] = {}
    for name, text in asked.items():
        try:
            amounts[_RESOURCES[name]] = str(parse(text))
        except QuantityError as error:
            message = f"{name} in the {place}: {error}"
            raise ProblemError(HTTPStatus.BAD_REQUEST, message) from error
    return amounts


def _policy(asked: TerminationPolicy, name: str) -> dict[str, Any]:
    policy = _dumped(asked)
    if asked.snapshot_rootfs:
        policy["snapshotRootfs"] = {"snapshotName": name, **policy["snapshotRootfs"]}
    return policy


def _dumped(model: Wire, *, include: set[str] | None = None) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True, include=include)


def settings_of(asked: Network) -> Settings:
    """Return the network settings that a request asks for."""
    return network_of(_dumped(asked))


def summary_of(sandbox: Sandbox) -> SandboxSummary:
    """Return `sandbox` as an item of a list."""
    return SandboxSummary(
        id=sandbox.name,
        status=fold(sandbox.log).phase,
        creation_timestamp=sandbox.created_at.replace(microsecond=0),
        labels=shown(sandbox.labels) or None,
    )


def response_of(sandbox: Sandbox) -> SandboxResponse:
    """Return `sandbox` as it is shown."""
    spec, state = sandbox.spec, fold(sandbox.log)
    told = state.outcome or sandbox.log.newest
    return SandboxResponse(
        id=sandbox.name,
        status=state.phase,
        creation_timestamp=sandbox.created_at.replace(microsecond=0),
        labels=shown(sandbox.labels) or None,
        pod_template=PodTemplateInfo(containers=_containers(spec)),
        startup_timeout_seconds=spec.get("startupTimeoutSeconds", DEFAULT_STARTUP_TIMEOUT_SECONDS),
        timeout_seconds=_seconds(state, spec),
        expires_at=state.deadline(lifetime_of(spec)),
        network=_stored(Network, _network(state, spec)),
        termination_policy=_stored(TerminationPolicy, spec.get("terminationPolicy")),
        reason=told.reason if told else None,
        message=told.message if told else None,
        exit_code=state.outcome.exit_code if state.outcome else None,
        node=state.node or None,
    )


def lifetime_of(spec: Mapping[str, Any]) -> timedelta | None:
    """Return the lifetime that a specification promises, or None for no limit."""
    seconds = spec.get("timeoutSeconds")
    return span(seconds) if seconds else None


def _network(state: State, spec: Mapping[str, Any]) -> Any:
    changed = state.network
    return spec.get("network") if changed is None else json_of(changed)


def _seconds(state: State, spec: Mapping[str, Any]) -> int | None:
    changed = state.changed_lifetime
    return int(changed.total_seconds()) if changed else spec.get("timeoutSeconds")


def _stored(model: type[W], value: Any) -> W | None:
    # Fields of a newer CRD are none of ours.
    return None if value is None else model.model_validate(value, strict=False, extra="ignore")


def _containers(spec: Mapping[str, Any]) -> list[ContainerInfo]:
    template = _mapping(_mapping(spec.get("podTemplate")).get("spec"))
    sources = [_mapping(item) for item in _items(spec.get("rootfsSnapshotSources"))]
    # A single source need not say which container it is for: it is the first.
    restored = {s.get("containerName"): s.get("snapshotName") for s in sources}
    return [
        _shown(_mapping(item), restored.get(_mapping(item).get("name")) or restored.get(None))
        if index == 0
        else _shown(_mapping(item), restored.get(_mapping(item).get("name")))
        for index, item in enumerate(_items(template.get("containers")))
    ]


def _shown(container: Mapping[str, Any], snapshot: Any) -> ContainerInfo:
    command = [str(word) for word in _items(container.get("command"))]
    resources = _mapping(container.get("resources"))
    return ContainerInfo(
        name=str(container.get("name", "")),
        image=str(container.get("image", "")),
        command=command or None,
        rootfs_snapshot_name=str(snapshot) if snapshot else None,
        resources=ResourceRequirements(
            limits=_resources(resources.get("limits")),
            requests=_resources(resources.get("requests")),
        )
        if resources
        else None,
    )


def _resources(amounts: Any) -> Resources | None:
    known = _mapping(amounts)
    shown = {ours: str(known[theirs]) for ours, theirs in _RESOURCES.items() if theirs in known}
    return Resources.model_validate(shown) if shown else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
