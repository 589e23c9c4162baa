"""Wiring: the only place that reads clock and environment, and the only one that knows it all."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import structlog

from isola_bucket.connection import connected
from isola_bucket.errors import AddressError
from isola_lifecycle.sandbox import staging
from isola_lifecycle.sandbox.fold import SANDBOX
from isola_mounter.cache import Cache
from isola_mounter.changes import Changes
from isola_mounter.finding import Finder
from isola_mounter.folders import Folders
from isola_mounter.metrics import Metrics
from isola_mounter.mounter import Mounter
from isola_mounter.pods import SandboxPod, decode_pod
from isola_mounter.settings import Settings, settings_from
from isola_mounter.staging import SandboxJournal, Stager
from isola_process import probes
from isola_process.environment import SettingsError
from isola_process.logs import configure
from isola_process.signals import ordered_to_stop
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.reflector import Reflector, snapshot_reflector

# Whoever else is root on the node has no business here either.
_FOLDER_MODE = 0o700


def utc_now() -> datetime:
    """Return the time that entries are dated with."""
    return datetime.now(UTC)  # noqa: TID251 - the clock is read here and nowhere else


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Stage what the pods of this node wait for, until `stop` is set."""
    cache, staged = settings.folder / "cache", settings.folder / "staged"
    for each in (settings.folder, cache, staged):
        each.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        each.chmod(_FOLDER_MODE)
    async with AsyncExitStack() as stack:
        client = await KubernetesClient.connect(settings.kubeconfig or None)
        await stack.enter_async_context(client)
        silence = settings.silence_seconds
        opening = connected(settings.bucket_url, os.environ, silence_seconds=silence)
        bucket = await stack.enter_async_context(opening)
        pods = _pods(client, settings)
        snapshots = snapshot_reflector(client, settings.namespace)
        metrics = Metrics()
        ready = probes.health(lambda: pods.synced and snapshots.synced)
        await probes.serve(stack, settings.health_port, ready)
        await probes.serve(stack, settings.metrics_port, probes.metrics(metrics.registry))
        await _alone(stack, settings.folder)
        changes = Changes()
        snapshots.subscribe(lambda _: changes.happened())
        kept = Cache(cache, settings.cache_bytes, metrics.evicted)
        metrics.watch_cache(kept.taken, settings.cache_bytes)
        folders = Folders(staged)
        stager = Stager(
            node=settings.node,
            journal_of=_journals(KubernetesSandboxes(client, settings.namespace)),
            bucket=bucket,
            finder=Finder(bucket, snapshots.list, snapshots.fresh, settings.namespace),
            cache=kept,
            folders=folders,
            changed=changes.next,
            seconds=time.monotonic,
            metrics=metrics,
        )

        async def stage(pod: SandboxPod) -> None:
            await snapshots.wait_synced()
            await stager.stage(pod)

        mounter = Mounter(pods, folders, kept, stage)
        structlog.get_logger().info(
            "mounter_started", node=settings.node, cache_bytes=settings.cache_bytes
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.run()) for each in (snapshots, mounter)]
            await stop.wait()
            for task in tasks:
                task.cancel()  # what it was doing is repeated by whoever comes next
    structlog.get_logger().info("mounter_stopped")


def _pods(client: KubernetesClient, settings: Settings) -> Reflector[SandboxPod]:
    path = f"/api/v1/namespaces/{settings.namespace}/pods"
    query = {
        "labelSelector": "isola.run/sandbox=true",
        "fieldSelector": f"spec.nodeName={settings.node}",
    }
    return Reflector(client, path, decode_pod, query=query)


def _journals(store: KubernetesSandboxes) -> Callable[[SandboxPod], SandboxJournal]:
    def journal_of(pod: SandboxPod) -> SandboxJournal:
        return SandboxJournal(store, SANDBOX, pod.sandbox, pod.sandbox_uid, utc_now, staging.fits)

    return journal_of


async def _alone(stack: AsyncExitStack, folder: Path) -> None:
    """Return once no other process works on the folder: a predecessor may be on its way out."""
    lock = stack.enter_context((folder / "lock").open("w"))
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                structlog.get_logger().warning("waiting_for_another_mounter", folder=str(folder))
            told = True
            await asyncio.sleep(0.5)
        else:
            return


async def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = settings_from(os.environ)
        configure(settings.log_level)
        await run(settings, ordered_to_stop())
    except (SettingsError, AddressError) as error:
        print(f"isola-mounter: {error}", file=sys.stderr)  # noqa: T201 - for whoever set it up
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
