"""Start the gateway: `python3 -m isola_gateway`. Only here are clock and environment read."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from functools import partial

from isola_gateway.admission import Admission
from isola_gateway.app import create_app
from isola_gateway.egress import Replicas, nowhere
from isola_gateway.metrics import Metrics
from isola_gateway.ports import Access
from isola_gateway.server import Server, listening_socket, raise_descriptor_limit
from isola_gateway.settings import Settings, settings_from
from isola_gateway.sidecars import HttpSidecars, sessions
from isola_lifecycle.naming import ROOTFS_SNAPSHOT
from isola_process.environment import SettingsError
from isola_process.logs import configure
from isola_process.signals import ordered_to_stop
from isola_store.client import KubernetesClient
from isola_store.endpoints import serving
from isola_store.kubernetes import KubernetesSandboxes, KubernetesSnapshots
from isola_store.records import KubernetesRecords
from isola_store.reflector import sandbox_reflector, snapshot_reflector

MISCONFIGURED = 2


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - this is where the clock is read


async def _run(settings: Settings) -> None:
    stop = ordered_to_stop()
    kubeconfig = os.environ.get("KUBECONFIG")
    async with (
        await KubernetesClient.connect(kubeconfig) as client,
        sessions() as session,
        asyncio.TaskGroup() as tasks,
    ):
        namespace = settings.namespace
        sandboxes = sandbox_reflector(client, namespace)
        snapshots = snapshot_reflector(client, namespace)
        admission = Admission(settings.limits, Metrics())
        app = create_app(
            sandboxes=Access(
                view=sandboxes,
                store=KubernetesSandboxes(client, namespace),
                records=KubernetesRecords(client, namespace),
            ),
            snapshots=Access(
                view=snapshots,
                store=KubernetesSnapshots(client, namespace),
                records=KubernetesRecords(client, namespace, ROOTFS_SNAPSHOT),
            ),
            sidecars=HttpSidecars(session),
            egress=Replicas(session, _finder(client, settings)),
            clock=_now,
            release=settings.version,
            with_ui=settings.ui,
            admission=admission,
            stopping=stop,
        )
        watching = [tasks.create_task(copy.run()) for copy in (sandboxes, snapshots)]
        await Server(app, admission).run(listening_socket(settings.port), stop)
        for task in watching:
            task.cancel()


def _finder(
    client: KubernetesClient, settings: Settings
) -> Callable[[], Awaitable[Collection[str]]]:
    if not settings.egress_service:
        return nowhere
    return partial(serving, client, settings.own_namespace, settings.egress_service)


def main() -> int:
    """Run until told to stop, and return the exit code."""
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"isola_gateway: {error}\n")
        return MISCONFIGURED
    configure(settings.log_level, dev_mode=settings.dev_mode)
    raise_descriptor_limit()
    asyncio.run(_run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
