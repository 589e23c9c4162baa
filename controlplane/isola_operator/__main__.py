"""Wiring: the only place that reads clock and environment, and the only one that knows it all."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from isola_lifecycle import naming
from isola_lifecycle.durations import span
from isola_operator import canary
from isola_operator.kinds import Kinds, kinds
from isola_operator.lease import Lease
from isola_operator.manifests.network import joined
from isola_operator.metrics import Metrics
from isola_operator.settings import Settings, settings_from
from isola_operator.sweep import Sweep
from isola_process import probes
from isola_process.environment import SettingsError
from isola_process.logs import configure
from isola_process.signals import ordered_to_stop
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.records import KubernetesRecords

LEASE_NAME = "isola-operator"

# How long work waits for the cluster's ranges to be found. Without them, what needs them waits on.
RANGES_SECONDS = 5


def utc_now() -> datetime:
    """Return the time that observations and entries carry."""
    return datetime.now(UTC)  # noqa: TID251 - the clock is read here and nowhere else


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        client = await KubernetesClient.connect(settings.kubeconfig or None)
        await stack.enter_async_context(client)
        settings = replace(settings, canaries=await _canaries(stack, client, settings))
        for port in settings.door_ports:
            stack.callback((await canary.serve(port)).close)
        looked_after = kinds(client, settings, metrics, utc_now)
        for controller in looked_after.controllers:
            stack.callback(controller.queue.close)
        await _serve_probes(stack, settings, looked_after, metrics)
        lease = Lease(client, settings.own_namespace, LEASE_NAME, settings.identity, utc_now)
        elected = lease if settings.leader_election else None
        if elected:
            stack.push_async_callback(elected.release)
        async with asyncio.TaskGroup() as group:
            tasks = [
                *(group.create_task(copy.run()) for copy in looked_after.running),
                group.create_task(_lead(looked_after, elected)),
                # By every replica: removing what another one has removed is no harm.
                *(group.create_task(sweep.run()) for sweep in _sweeps(client, settings)),
                *(group.create_task(each.run()) for each in (looked_after.orphans,) if each),
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()  # what it was doing is repeated by whoever comes next
    structlog.get_logger().info("operator_stopped")


async def _lead(looked_after: Kinds, lease: Lease | None) -> None:
    await looked_after.wait_synced()
    with suppress(TimeoutError):
        async with asyncio.timeout(RANGES_SECONDS):
            await looked_after.wait_ranges()
    if lease is None:
        await _work(looked_after)
        return
    while True:
        await lease.acquire()
        structlog.get_logger().info("leading", identity=lease.identity)
        looked_after.look_at_everything()
        work = asyncio.create_task(_work(looked_after))
        keeping = asyncio.create_task(lease.keep())
        try:
            await asyncio.wait({work, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, keeping):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _canaries(
    stack: AsyncExitStack, client: KubernetesClient, settings: Settings
) -> tuple[str, ...]:
    if not settings.gate_seconds:
        return ()
    server = await canary.serve(settings.canary_port)
    stack.callback(server.close)
    addresses = [*settings.own_addresses]
    if name := settings.canary_service:
        addresses += await canary.service_addresses(client, settings.own_namespace, name)
    return tuple(joined(each, settings.canary_port) for each in addresses)


async def _work(looked_after: Kinds) -> None:
    async with asyncio.TaskGroup() as group:
        for controller in looked_after.controllers:
            group.create_task(controller.run())


def _sweeps(client: KubernetesClient, settings: Settings) -> tuple[Sweep, ...]:
    stores = {
        naming.SANDBOX: KubernetesSandboxes(client, settings.namespace),
        naming.ROOTFS_SNAPSHOT: KubernetesSnapshots(client, settings.namespace),
    }
    return tuple(
        Sweep(
            records=KubernetesRecords(client, settings.namespace, of),
            living=store.uids,
            retention=span(settings.record_ttl_seconds),
            clock=utc_now,
        )
        for of, store in stores.items()
    )


async def _serve_probes(
    stack: AsyncExitStack, settings: Settings, looked_after: Kinds, metrics: Metrics
) -> None:
    def refresh() -> None:
        metrics.count_phases(looked_after.sandboxes.list())

    await probes.serve(stack, settings.health_port, probes.health(lambda: looked_after.synced))
    shown = probes.metrics(metrics.registry, refresh)
    await probes.serve(stack, settings.metrics_port, shown)


async def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        print(f"isola-operator: {error}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        return 2
    configure(settings.log_level, dev_mode=settings.dev_mode)
    await run(settings, ordered_to_stop())
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
