"""What the operator looks after, put together: for each kind a copy, a queue and a reconciler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from isola_lifecycle import naming
from isola_lifecycle.log import Condition
from isola_lifecycle.sandbox.decide import decide as decide_sandbox
from isola_lifecycle.sandbox.fold import SANDBOX
from isola_lifecycle.snapshot.decide import decide as decide_snapshot
from isola_lifecycle.snapshot.fold import SNAPSHOT
from isola_operator.archivist import Archivist
from isola_operator.controller import Controller
from isola_operator.jobs import JobPod, OwnedJob, decode_job, decode_job_pod
from isola_operator.keeper import Keeper
from isola_operator.keepsakes import TRIGGER, Keepsakes
from isola_operator.manifests.network import Doors
from isola_operator.manifests.pod import PodSettings
from isola_operator.metrics import Metrics
from isola_operator.orphans import Orphans
from isola_operator.pods import OwnedPod, decode_pod
from isola_operator.policies import (
    POLICY_SELECTOR,
    OwnedPolicy,
    Policies,
    WayOut,
    decode_policy,
    policies_path,
)
from isola_operator.queue import WorkQueue
from isola_operator.reconcile import Reconciler
from isola_operator.settings import Settings
from isola_operator.snapshots import SnapshotCluster, job_selector, jobs_path
from isola_operator.world import POD_SELECTOR, Cluster, pods_path
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.lag import WatchLag
from isola_store.port import Logged, Sandbox, Snapshot
from isola_store.ranges import cluster_ranges
from isola_store.records import KubernetesRecords
from isola_store.reflector import Reflector, sandbox_reflector, snapshot_reflector
from isola_store.services import Service, service_reflector

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Kinds:
    """The operator, but for who may run it and when.

    Attributes:
        sandboxes: Local copy of the sandboxes.
        snapshots: Local copy of the snapshots.
        copies: All local copies without which nothing is decided.
        policies: The sandboxes' NetworkPolicies, and what they depend on.
        controllers: One for each kind.
        orphans: Sees out Jobs whose snapshot is gone; None where no snapshots are taken.
    """

    sandboxes: Reflector[Sandbox]
    snapshots: Reflector[Snapshot]
    copies: tuple[Reflector[Any], ...]
    policies: Policies
    controllers: tuple[Controller, ...]
    orphans: Orphans | None

    @property
    def synced(self) -> bool:
        """Return whether every copy has its first list."""
        return all(copy.synced for copy in self.copies)

    async def wait_synced(self) -> None:
        """Return once every copy has its first list."""
        for copy in self.copies:
            await copy.wait_synced()
        await self.policies.way_out.wait_synced()

    async def wait_ranges(self) -> None:
        """Return once it is known where this cluster's own addresses lie."""
        for found in self.policies.ranges.copies:
            await found.wait_synced()

    @property
    def running(self) -> tuple[Any, ...]:
        """Return every copy that is to be kept current."""
        ours = [copy for copy in self.copies if copy is not self.policies.copy]
        return (*ours, *self.policies.copies)

    def look_at_everything(self) -> None:
        """Have a worker look at each object."""
        for copy, controller in zip(
            (self.sandboxes, self.snapshots), self.controllers, strict=True
        ):
            for item in copy.list():
                controller.queue.add(item.name)


def kinds(client: KubernetesClient, settings: Settings, metrics: Metrics, clock: Clock) -> Kinds:
    """Return what the operator looks after; nothing runs as yet."""
    namespace = settings.namespace
    sandbox_store = KubernetesSandboxes(client, namespace)
    snapshot_store = KubernetesSnapshots(client, namespace)
    sandboxes = sandbox_reflector(client, namespace)
    snapshots = snapshot_reflector(client, namespace)
    pods: Reflector[OwnedPod] = Reflector(
        client, pods_path(namespace), decode_pod, query=POD_SELECTOR
    )
    there, query = settings.snapshots.namespace, job_selector(namespace)
    jobs: Reflector[OwnedJob] = Reflector(client, jobs_path(there), decode_job, query=query)
    job_pods: Reflector[JobPod] = Reflector(client, pods_path(there), decode_job_pod, query=query)
    takes_snapshots = bool(settings.snapshots.bucket_url)
    orphans = Orphans(client, there, jobs, snapshots, snapshot_store.uids)
    own, theirs = WorkQueue(), WorkQueue()
    metrics.watch(own, theirs)
    metrics.watch_unreadable(naming.SANDBOX.kind, lambda: sandboxes.unreadable)
    metrics.watch_unreadable(naming.ROOTFS_SNAPSHOT.kind, lambda: snapshots.unreadable)

    lag = WatchLag(clock, metrics.watch_lag.observe)
    sandboxes.subscribe(own.add)
    sandboxes.subscribe(lambda name: lag.look(name, sandboxes.get(name)))
    pods.subscribe(lambda name: own.add(naming.sandbox_name(name)))
    snapshots.subscribe(lambda name: _spread(snapshots, name, own, theirs))
    snapshots.subscribe(lambda name: metrics.look(name, snapshots.get(name)))
    jobs.subscribe(lambda name: theirs.add(naming.snapshot_name(name)))
    job_pods.subscribe(lambda name: _of_job_pod(job_pods, name, theirs))

    policies = _policies(client, settings)
    policies.copy.subscribe(lambda name: own.add(naming.sandbox_of_policy(name)))
    policies.ranges.subscribe(lambda: _all(sandboxes, own))

    cluster = Cluster(
        client=client,
        keeper=Keeper(sandbox_store, _archivist(client, namespace, naming.SANDBOX)),
        keepsakes=Keepsakes(snapshot_store, snapshots, takes_snapshots),
        sandboxes=sandboxes,
        pods=pods,
        policies=policies,
        namespace=namespace,
        vouched=settings.admission_policies,
        settings=_pod_settings(settings),
    )
    snapshot_cluster = SnapshotCluster(
        client=client,
        keeper=Keeper(snapshot_store, _archivist(client, namespace, naming.ROOTFS_SNAPSHOT)),
        snapshots=snapshots,
        sandboxes=sandbox_store,
        jobs=jobs,
        job_pods=job_pods,
        namespace=namespace,
        vouched=settings.admission_policies,
        settings=settings.snapshots,
    )
    of_sandboxes = Reconciler(
        sandbox_store, cluster, SANDBOX, decide_sandbox, clock, _noted(metrics.recorded)
    )
    of_snapshots = Reconciler(
        snapshot_store,
        snapshot_cluster,
        SNAPSHOT,
        decide_snapshot,
        clock,
        _noted(metrics.recorded_of_snapshot),
    )
    return Kinds(
        sandboxes=sandboxes,
        snapshots=snapshots,
        copies=(sandboxes, snapshots, pods, policies.copy)
        + ((jobs, job_pods) if takes_snapshots else ()),
        policies=policies,
        controllers=(
            Controller(own, of_sandboxes.reconcile, metrics),
            Controller(theirs, of_snapshots.reconcile, metrics, "rootfssnapshot"),
        ),
        orphans=orphans if takes_snapshots else None,
    )


def _spread(
    snapshots: Reflector[Snapshot], name: str, sandboxes: WorkQueue, queue: WorkQueue
) -> None:
    """Have everybody looked at whom a change of a snapshot concerns."""
    queue.add(name)
    snapshot = snapshots.get(name)
    if snapshot is None:
        return
    if snapshot.spec.get("trigger") == TRIGGER:
        sandboxes.add(snapshot.spec["sandboxName"])
    stored_as = snapshot.snapshot_name
    for other in snapshots.list():
        if other.name != name and other.snapshot_name == stored_as:
            queue.add(other.name)


def _all(sandboxes: Reflector[Sandbox], queue: WorkQueue) -> None:
    for sandbox in sandboxes.list():
        queue.add(sandbox.name)


def _of_job_pod(pods: Reflector[JobPod], name: str, queue: WorkQueue) -> None:
    if pod := pods.get(name):
        queue.add(naming.snapshot_name(pod.job))


def _archivist(client: KubernetesClient, namespace: str, of: naming.Resource) -> Archivist:
    return Archivist(KubernetesRecords(client, namespace, of), client, namespace, of.kind)


def _policies(client: KubernetesClient, settings: Settings) -> Policies:
    ranges = cluster_ranges(
        client,
        settings.ranges,
        discovery=settings.discovery,
        own_addresses=settings.own_addresses,
    )
    copy: Reflector[OwnedPolicy] = Reflector(
        client, policies_path(settings.namespace), decode_policy, query=POLICY_SELECTOR
    )
    return Policies(
        client=client,
        copy=copy,
        namespace=settings.namespace,
        ranges=ranges,
        dns=settings.cluster_dns,
        way_out=WayOut(settings.egress, _egress_service(client, settings)),
        doors=Doors(
            addresses=settings.own_addresses,
            ports=settings.door_ports,
            namespace=settings.own_namespace,
            labels=settings.own_labels,
        ),
    )


def _egress_service(client: KubernetesClient, settings: Settings) -> Reflector[Service] | None:
    if not settings.egress_service:
        return None
    return service_reflector(client, settings.own_namespace, settings.egress_service)


def _pod_settings(settings: Settings) -> PodSettings:
    return PodSettings(
        runtime_class=settings.runtime_class,
        sidecar_image=settings.sidecar_image,
        sidecar_pull_policy=settings.sidecar_pull_policy,
        priority_class=settings.priority_class,
        node_loss_seconds=settings.node_loss_seconds,
        image_pull_secrets=settings.image_pull_secrets,
        gate_seconds=settings.gate_seconds,
        canaries=settings.canaries,
        api_canaries=settings.api_canaries,
        staging_root=settings.staging_root,
        version=settings.version,
    )


def _noted(
    counted: Callable[[Any, tuple[Condition, ...]], None],
) -> Callable[[Logged, tuple[Condition, ...]], None]:
    def recorded(item: Logged, entries: tuple[Condition, ...]) -> None:
        counted(item, entries)
        for entry in entries:
            structlog.get_logger().info(
                "recorded",
                name=item.name,
                sequence=entry.sequence,
                type=entry.type,
                status=str(entry.status),
                reason=entry.reason,
                request_id=entry.request_id,
            )

    return recorded
