"""What is asked about sandboxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isola_sdk.errors import SandboxFailedError
from isola_sdk.models import (
    Container,
    Labels,
    Network,
    ResourceList,
    ResourceRequirements,
    SandboxData,
    SandboxStatus,
    SnapshotRootfs,
    TerminationPolicy,
)
from isola_sdk.protocol.messages import Request, given, path, with_json

GRANTED_SECONDS = 20
"""How long the gateway is asked to hold an answer back: less than the 25 s that it would."""


def lone_container(  # noqa: PLR0913 - what a caller can say
    *,
    image: str | None,
    rootfs_snapshot_name: str | None,
    command: Sequence[str] | None,
    env: Mapping[str, str] | None,
    cpu: float | None,
    memory: int | None,
    ephemeral_storage: int | None,
    containers: Sequence[Container] | None,
) -> list[Container]:
    """Return the containers that the arguments of `create` mean.

    Args:
        image: Of the only container.
        rootfs_snapshot_name: What it starts from.
        command: Its argv.
        env: Its environment.
        cpu: Its cores.
        memory: In MiB.
        ephemeral_storage: In MiB.
        containers: All of them, instead of the others.

    Raises:
        ValueError: Neither `image` nor `containers`, or both.
    """
    alone = (rootfs_snapshot_name, command, env, cpu, memory, ephemeral_storage)
    if (image is None) == (containers is None):
        raise ValueError("give either `image` or `containers`")
    if image is None:
        if any(each is not None for each in alone):
            raise ValueError("with `containers`, say in each of them what it is to be")
        return list(containers or ())
    lone = Container(
        image=image,
        rootfs_snapshot_name=rootfs_snapshot_name,
        command=None if command is None else list(command),
        env=None if env is None else dict(env),
        resources=_resources(cpu, memory, ephemeral_storage),
    )
    return [lone]


def _resources(
    cpu: float | None, memory: int | None, ephemeral_storage: int | None
) -> ResourceRequirements | None:
    if cpu is None and memory is None and ephemeral_storage is None:
        return None
    amounts = ResourceList(
        cpu=None if cpu is None else f"{round(cpu * 1000)}m",
        memory=None if memory is None else f"{memory}Mi",
        ephemeral_storage=None if ephemeral_storage is None else f"{ephemeral_storage}Mi",
    )
    return ResourceRequirements(limits=amounts, requests=amounts)


def create(  # noqa: PLR0913 - what a caller can say
    containers: Sequence[Container],
    *,
    network: Network | None,
    timeout_seconds: int | None,
    startup_timeout_seconds: int | None,
    termination_policy: SnapshotRootfs | None,
    labels: Labels | None,
    wait_seconds: float,
) -> Request:
    """Return the request for a new sandbox, answered once it runs or `wait_seconds` are over."""
    policy = termination_policy and TerminationPolicy(
        type="SnapshotRootfs", snapshot_rootfs=termination_policy
    )
    body: dict[str, Any] = {
        "podTemplate": {"containers": [each.wire() for each in containers]},
        "network": None if network is None else network.wire(),
        "timeoutSeconds": timeout_seconds,
        "startupTimeoutSeconds": startup_timeout_seconds,
        "terminationPolicy": None if policy is None else policy.wire(),
        "labels": None if labels is None else dict(labels),
    }
    found = {key: value for key, value in body.items() if value is not None}
    return held(with_json("POST", path("sandboxes"), found), wait_seconds)


def held(request: Request, wait_seconds: float) -> Request:
    """Return the same, for an answer that is held back for so long at most."""
    seconds = min(int(wait_seconds), GRANTED_SECONDS)
    if seconds < 1:
        return request
    return replace(request.with_headers(Prefer=f"wait={seconds}"), held_seconds=seconds)


def get(sandbox_id: str, *, wait_seconds: float = 0) -> Request:
    """Return the request for a sandbox, answered once it starts no longer."""
    return waiting(path("sandboxes", sandbox_id), wait_seconds)


def waiting(where: str, wait_seconds: float) -> Request:
    """Return a request that is answered when something has come, or after so long."""
    seconds = max(0, min(int(wait_seconds), GRANTED_SECONDS))
    query = given(waitSeconds=seconds or None)
    return Request(method="GET", path=where, query=query, held_seconds=seconds)


def page(
    *,
    labels: Labels | str | None,
    status: SandboxStatus | str | None,
    limit: int | None,
    cursor: str | None,
) -> Request:
    """Return the request for a page of the list."""
    query = given(
        labels=selector(labels),
        status=None if status is None else SandboxStatus(status).value,
        limit=limit,
        cursor=cursor,
    )
    return Request(method="GET", path=path("sandboxes"), query=query)


def selector(labels: Labels | str | None) -> str | None:
    """Return a filter by labels as it is sent: `a=1,b!=2`, or all of a mapping."""
    if labels is None or isinstance(labels, str):
        return labels
    return ",".join(f"{key}={value}" for key, value in labels.items())


def change(
    sandbox_id: str, *, timeout_seconds: int | None = None, network: Network | None = None
) -> Request:
    """Return the request that gives it another lifetime, or another network."""
    body: dict[str, Any] = {}
    if timeout_seconds is not None:
        body["timeoutSeconds"] = timeout_seconds
    if network is not None:
        body["network"] = network.wire()
    request = with_json("PATCH", path("sandboxes", sandbox_id), body)
    # A change of the network is seen to be in force before it is answered.
    return replace(request, held_seconds=25)


def delete(sandbox_id: str) -> Request:
    """Return the request that ends it."""
    return Request(method="DELETE", path=path("sandboxes", sandbox_id))


def refusals(sandbox_id: str) -> Request:
    """Return the request for what its network refused."""
    return Request(method="GET", path=path("sandboxes", sandbox_id, "network", "refusals"))


def records(*, limit: int | None, cursor: str | None) -> Request:
    """Return the request for a page of those that are gone."""
    return Request(method="GET", path=path("records"), query=given(limit=limit, cursor=cursor))


def is_up(sandbox: SandboxData, request_id: str | None) -> bool:
    """Return whether it runs, or else is still to come.

    Raises:
        SandboxFailedError: It will never run.
    """
    if sandbox.status in (SandboxStatus.RUNNING, SandboxStatus.PENDING):
        return sandbox.status is SandboxStatus.RUNNING
    raise SandboxFailedError(
        sandbox_id=sandbox.id,
        status=sandbox.status.value,
        reason=sandbox.reason,
        explanation=sandbox.message,
        request_id=request_id,
    )
