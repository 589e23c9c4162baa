"""What the Jobs of a snapshot run. Clock, environment and signals are read here alone.

    capture     the archive of a container's upper layer, into a folder of the pod
    upload      that archive into the bucket, and all of it into the log
    adopt       what the object in the bucket says of itself, into the log
    remove      the object out of the bucket
    expire      every object that has had its time out of the bucket
    inventory   what is in the bucket, and which RootfsSnapshot knows it

All may be killed at any point, and are then to be run again. They end with 0 once what was to be
said is in the log, that something failed included.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from isola_bucket.connection import connected
from isola_bucket.errors import AddressError, BucketError
from isola_bucket.port import Bucket
from isola_lifecycle import naming
from isola_lifecycle.errors import LifecycleError, NotFoundError
from isola_process.environment import SettingsError
from isola_process.logs import configure
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSnapshots
from isola_uploader import manifest
from isola_uploader.adoption import Adopter
from isola_uploader.capture import capture
from isola_uploader.expiry import Sweeper
from isola_uploader.inventory import lines
from isola_uploader.journal import Journal, journal_of
from isola_uploader.removal import Remover
from isola_uploader.settings import Settings
from isola_uploader.upload import Uploader


def utc_now() -> datetime:
    """Return the time that entries are dated with."""
    return datetime.now(UTC)  # noqa: TID251 - the clock is read here and nowhere else


def run_capture(settings: Settings) -> None:
    """Leave an archive, or why there is none; a predecessor's is as good."""
    folder = settings.folder
    if not isinstance(manifest.read(folder), manifest.Manifest):
        page = capture(settings.runsc, settings.order, time.monotonic)
        manifest.write(folder, page)
        structlog.get_logger().info("captured", page=page)


async def run_upload(settings: Settings) -> None:
    """Bring the archive into the bucket."""
    async with _bucket(settings) as bucket, _journal(settings) as journal:
        await Uploader(
            bucket=bucket,
            namespace=settings.namespace,
            journal=journal,
            folder=settings.folder,
            clock=utc_now,
            seconds=time.monotonic,
        ).run()


async def run_adopt(settings: Settings) -> None:
    """Say what the object is that the snapshot adopts."""
    async with _bucket(settings) as bucket, _journal(settings) as journal:
        await Adopter(
            bucket=bucket, namespace=settings.namespace, journal=journal, clock=utc_now
        ).run()


async def run_remove(settings: Settings) -> None:
    """Remove the object; where the snapshot is gone nobody wants to know."""
    async with _bucket(settings) as bucket, _journal(settings) as journal:
        with suppress(NotFoundError):
            await Remover(bucket, settings.namespace, journal).run()


async def run_expire(settings: Settings) -> None:
    """Remove what has had its time."""
    async with (
        _bucket(settings) as bucket,
        await KubernetesClient.connect(settings.kubeconfig or None) as client,
    ):
        store = KubernetesSnapshots(client, settings.namespace)
        await Sweeper(bucket, naming.object_prefix(settings.namespace), store, utc_now).run()


async def run_inventory(settings: Settings) -> None:
    """Print what is in the bucket of the snapshots of a namespace."""
    async with (
        _bucket(settings) as bucket,
        await KubernetesClient.connect(settings.kubeconfig or None) as client,
    ):
        store = KubernetesSnapshots(client, settings.namespace)
        prefix = naming.object_prefix(settings.namespace)
        async for line in lines(bucket, prefix, store, as_json=settings.as_json):
            print(line, flush=True)  # noqa: T201 - its result


def _bucket(settings: Settings) -> AbstractAsyncContextManager[Bucket]:
    silence = settings.silence_seconds
    return connected(settings.bucket_url, os.environ, silence_seconds=silence)


@asynccontextmanager
async def _journal(settings: Settings) -> AsyncGenerator[Journal]:
    async with await KubernetesClient.connect(settings.kubeconfig or None) as client:
        store = KubernetesSnapshots(client, settings.namespace)
        yield journal_of(store, settings.snapshot, settings.snapshot_uid, utc_now)


_COMMANDS: dict[str, Callable[[Settings], Coroutine[None, None, None]]] = {
    "upload": run_upload,
    "adopt": run_adopt,
    "remove": run_remove,
    "expire": run_expire,
    "inventory": run_inventory,
}


async def run(command: str, settings: Settings) -> None:
    """Run a command; SIGTERM cancels it, which lets it put things in order."""
    task = asyncio.ensure_future(_COMMANDS[command](settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def main(command: str, settings: Settings) -> int:
    """Run a command and return the exit code: 2 for what a run again would not mend."""
    try:
        configure(settings.log_level, to=sys.stderr)  # standard output is for results
        if command == "capture":
            run_capture(settings)
        else:
            asyncio.run(run(command, settings))
    except (SettingsError, AddressError) as error:
        print(f"isola-uploader: {error}", file=sys.stderr)  # noqa: T201 - for whoever set it up
        return 2
    except (BucketError, LifecycleError, TimeoutError, asyncio.CancelledError) as error:
        structlog.get_logger().error("failed", command=command, error=repr(error))
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in {"capture", *_COMMANDS}:  # noqa: PLR2004
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], Settings(os.environ)))
