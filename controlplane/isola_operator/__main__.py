"""Wiring: the only place that reads clock and environment, and the only one that knows it all."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial

import structlog

from isola_lifecycle import naming
from isola_lifecycle.durations import span
from isola_lifecycle.log import Condition
from isola_operator import probes
from isola_operator.archivist import Archivist
from isola_operator.controller import Controller
from isola_operator.lease import Lease
from isola_operator.manifests.pod import PodSettings
from isola_operator.metrics import Metrics
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
from isola_operator.settings import Settings, SettingsError, settings_from
from isola_operator.sweep import Sweep
from isola_operator.world import POD_SELECTOR, Cluster, pods_path
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.lag import WatchLag
from isola_store.port import Sandbox
from isola_store.ranges import cluster_ranges
from isola_store.records import KubernetesRecords
from isola_store.reflector import Reflector, sandbox_reflector
from isola_store.services import Service, service_reflector

LEASE_NAME = "isola-operator"

# How long work waits for the cluster's ranges to be found. Without them, what needs them waits on.
RANGES_SECONDS = 5


def utc_now() -> datetime:
    """Return the time that observations and entries carry."""
    return datetime.now(UTC)  # noqa: TID251 - the clock is read here and nowhere else


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set."""
    metrics, queue = Metrics(), WorkQueue()
    async with AsyncExitStack() as stack:
        client = await KubernetesClient.connect(settings.kubeconfig or None)
        await stack.enter_async_context(client)
        cluster = _cluster(client, settings)
        cluster.sandboxes.subscribe(queue.add)
        lag = WatchLag(utc_now, metrics.watch_lag.observe)
        cluster.sandboxes.subscribe(lambda name: lag.look(name, cluster.recall(name)))
        metrics.watch(queue)
        cluster.pods.subscribe(lambda name: queue.add(naming.sandbox_name(name)))
        cluster.policies.copy.subscribe(lambda name: queue.add(naming.sandbox_of_policy(name)))
        cluster.policies.ranges.subscribe(partial(_look_at_all, cluster, queue))
        stack.callback(queue.close)
        await _serve_probes(stack, settings, cluster, metrics)
        reconciler = Reconciler(cluster.store, cluster, utc_now, _recorder(metrics))
        controller = Controller(queue, reconciler.reconcile, metrics)
        lease = Lease(client, settings.own_namespace, LEASE_NAME, settings.identity, utc_now)
        elected = lease if settings.leader_election else None
        if elected:
            stack.push_async_callback(elected.release)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(cluster.sandboxes.run()),
                group.create_task(cluster.pods.run()),
                *(group.create_task(found.run()) for found in cluster.policies.copies),
                group.create_task(_lead(controller, cluster, elected)),
                # By every replica: removing what another one has removed is no harm.
                group.create_task(_sweep(client, settings).run()),
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()  # what it was doing is repeated by whoever comes next
    structlog.get_logger().info("operator_stopped")


def _look_at_all(cluster: Cluster, queue: WorkQueue) -> None:
    for sandbox in cluster.sandboxes.list():
        queue.add(sandbox.name)


async def _lead(controller: Controller, cluster: Cluster, lease: Lease | None) -> None:
    await cluster.sandboxes.wait_synced()
    await cluster.pods.wait_synced()
    await cluster.policies.copy.wait_synced()
    await cluster.policies.way_out.wait_synced()
    with suppress(TimeoutError):
        async with asyncio.timeout(RANGES_SECONDS):
            for found in cluster.policies.ranges.copies:
                await found.wait_synced()
    if lease is None:
        await controller.run()
        return
    while True:
        await lease.acquire()
        structlog.get_logger().info("leading", identity=lease.identity)
        _look_at_all(cluster, controller.queue)
        work = asyncio.create_task(controller.run())
        keeping = asyncio.create_task(lease.keep())
        try:
            await asyncio.wait({work, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, keeping):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def _sweep(client: KubernetesClient, settings: Settings) -> Sweep:
    return Sweep(
        records=KubernetesRecords(client, settings.namespace),
        living=KubernetesSandboxes(client, settings.namespace).uids,
        retention=span(settings.record_ttl_seconds),
        clock=utc_now,
    )


def _cluster(client: KubernetesClient, settings: Settings) -> Cluster:
    namespace = settings.namespace
    pods: Reflector[OwnedPod] = Reflector(
        client, pods_path(namespace), decode_pod, query=POD_SELECTOR
    )
    return Cluster(
        client=client,
        store=KubernetesSandboxes(client, namespace),
        sandboxes=sandbox_reflector(client, namespace),
        pods=pods,
        policies=_policies(client, settings),
        namespace=namespace,
        archivist=Archivist(KubernetesRecords(client, namespace), client, namespace),
        vouched=settings.admission_policies,
        settings=PodSettings(
            runtime_class=settings.runtime_class,
            sidecar_image=settings.sidecar_image,
            sidecar_pull_policy=settings.sidecar_pull_policy,
            priority_class=settings.priority_class,
            node_loss_seconds=settings.node_loss_seconds,
            image_pull_secrets=settings.image_pull_secrets,
            version=settings.version,
        ),
    )


def _policies(client: KubernetesClient, settings: Settings) -> Policies:
    ranges = cluster_ranges(
        client, settings.ranges, discovery=settings.discovery, own_address=settings.own_address
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
    )


def _egress_service(client: KubernetesClient, settings: Settings) -> Reflector[Service] | None:
    if not settings.egress_service:
        return None
    return service_reflector(client, settings.own_namespace, settings.egress_service)


async def _serve_probes(
    stack: AsyncExitStack, settings: Settings, cluster: Cluster, metrics: Metrics
) -> None:
    def ready() -> bool:
        return all(copy.synced for copy in (cluster.sandboxes, cluster.pods, cluster.policies.copy))

    def exposition() -> probes.web.Response:
        metrics.count_phases(cluster.sandboxes.list())
        return probes.exposition(metrics.registry)

    health = {
        "/healthz": lambda: probes.status(ok=True),
        "/readyz": lambda: probes.status(ok=ready()),
    }
    for routes, port in (
        (health, settings.health_port),
        ({"/metrics": exposition}, settings.metrics_port),
    ):
        runner = await probes.serve(routes, port)
        stack.push_async_callback(runner.cleanup)


def _recorder(metrics: Metrics) -> probes.Callable[[Sandbox, tuple[Condition, ...]], None]:
    def recorded(sandbox: Sandbox, entries: tuple[Condition, ...]) -> None:
        metrics.recorded(sandbox, entries)
        for entry in entries:
            structlog.get_logger().info(
                "recorded",
                sandbox=sandbox.name,
                sequence=entry.sequence,
                type=entry.type,
                status=str(entry.status),
                reason=entry.reason,
                request_id=entry.request_id,
            )

    return recorded


def _configure_logs(settings: Settings) -> None:
    renderer = (
        structlog.dev.ConsoleRenderer()
        if settings.dev_mode
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
    )


async def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        print(f"isola-operator: {error}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        return 2
    _configure_logs(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
