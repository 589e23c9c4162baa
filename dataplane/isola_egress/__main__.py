"""Wiring: the only place that reads clock and environment, and the only one that knows it all."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import dns.asyncresolver
import dns.resolver
import structlog

from isola_egress.control import Control
from isola_egress.directory import Directory
from isola_egress.door import Door
from isola_egress.following import Following
from isola_egress.metrics import Metrics
from isola_egress.nameserver import Nameserver
from isola_egress.passages import Passages
from isola_egress.refusals import Ledger
from isola_egress.settings import Settings, settings_from
from isola_egress.upstream import Address, Upstream, is_blocked
from isola_process import probes
from isola_process.environment import SettingsError
from isola_process.logs import configure
from isola_process.signals import ordered_to_stop
from isola_store.client import KubernetesClient
from isola_store.ranges import ClusterRanges, cluster_ranges

# Names whose addresses are remembered, for as long as their own name servers say.
REMEMBERED_NAMES = 10_000

# After the order to stop: until nobody sends anything new here, and then for what is under way.
LEAVING_SECONDS = 5
DRAIN_SECONDS = 20


def utc_now() -> datetime:
    """Return the time that refusals carry."""
    return datetime.now(UTC)  # noqa: TID251 - the clock is read here and nowhere else


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve sandboxes until `stop` is set, and what is under way then a little longer."""
    directory = Directory()
    passages = Passages(directory, settings.most_connections)
    metrics = Metrics(lambda: len(passages))
    ledger = Ledger(utc_now, metrics.refused)
    directory.subscribe(lambda uid: None if directory.version(uid) else ledger.forget(uid))
    async with AsyncExitStack() as stack:
        client = await KubernetesClient.connect(settings.kubeconfig or None)
        await stack.enter_async_context(client)
        following = Following(
            client, settings.namespace, settings.own_namespace, settings.service, directory
        )
        ranges = cluster_ranges(
            client,
            settings.ranges,
            discovery=settings.discovery,
            own_address=settings.addresses[0],
        )

        def ready() -> bool:
            return following.synced and not ranges.unknown()

        await _serve_own(stack, settings, ready, metrics, Control(directory, ledger))
        async with asyncio.TaskGroup() as group:
            copies = (*following.copies, *ranges.copies)
            tasks = [group.create_task(copy.run()) for copy in copies]
            upstream = Upstream(_resolver(settings), _blocked(ranges))
            addresses, count = following.addresses, metrics.answered
            nameserver = Nameserver(directory, passages, ledger, addresses, count)
            idle = settings.idle_seconds
            door = Door(directory, passages, ledger, upstream, metrics.ended, idle_seconds=idle)
            listening = await _listen(settings, nameserver, door)
            await stop.wait()
            await asyncio.sleep(LEAVING_SECONDS)
            for each in listening:
                each.close()
            await _drained(passages)
            for task in tasks:
                task.cancel()
    structlog.get_logger().info("egress_stopped", connections=len(passages))


async def _listen(settings: Settings, nameserver: Nameserver, door: Door) -> list[Any]:
    listening: list[Any] = []
    for host in settings.addresses:
        listening += await nameserver.listen(host, settings.dns_port)
        listening += [await door.listen(host, port) for port in settings.ports]
    return listening


async def _drained(passages: Passages) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while len(passages):  # noqa: ASYNC110 - a number, no event
                await asyncio.sleep(0.2)


async def _serve_own(
    stack: AsyncExitStack,
    settings: Settings,
    is_ready: Callable[[], bool],
    metrics: Metrics,
    control: Control,
) -> None:
    for routes, port in (
        (probes.health(is_ready), settings.health_port),
        (probes.metrics(metrics.registry), settings.metrics_port),
        (control.routes(), settings.control_port),
    ):
        await probes.serve(stack, port, routes)


def _resolver(settings: Settings) -> dns.asyncresolver.Resolver:
    made = dns.asyncresolver.Resolver(configure=not settings.nameservers)
    if settings.nameservers:
        made.nameservers = list(settings.nameservers)
    made.cache = dns.resolver.LRUCache(REMEMBERED_NAMES)
    return made


def _blocked(ranges: ClusterRanges) -> Callable[[Address], bool]:
    return lambda address: bool(ranges.unknown()) or is_blocked(address, ranges.blocked())


async def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        print(f"isola-egress: {error}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        return 2
    configure(settings.log_level, dev_mode=settings.dev_mode)
    await run(settings, ordered_to_stop())
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
