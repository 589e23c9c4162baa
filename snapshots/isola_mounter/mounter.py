"""The pods of this node, and the work that each of them calls for.

    a pod that starts from snapshots    stage, until that is done or it is over
    its containers were started         let go of its archives: gVisor has read them
    a pod that is gone                  remove its folder

At the start what belongs to no pod of this node is removed. Folders are listed before pods: one
that was there first, and whose pod is in no later list, has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from isola_mounter.cache import Cache
from isola_mounter.folders import Folders
from isola_mounter.pods import SandboxPod
from isola_store.reflector import Reflector

# After something that nobody has thought of: doubled each time, up to the last.
_RETRY_SECONDS = (0.5, 1, 2, 4, 8, 15)


@dataclass(slots=True)
class Mounter:
    """What is done on this node.

    Attributes:
        pods: Local copy of the sandboxes' pods on it.
        folders: What is staged.
        cache: What is kept.
        stage: Stages what a pod waits for.
    """

    pods: Reflector[SandboxPod]
    folders: Folders
    cache: Cache
    stage: Callable[[SandboxPod], Awaitable[None]]
    _known: dict[str, SandboxPod] = field(default_factory=dict[str, SandboxPod])
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])

    async def run(self) -> None:
        """Work until cancelled."""
        names: asyncio.Queue[str] = asyncio.Queue()
        self.cache.recover()
        there = self.folders.known()
        async with asyncio.TaskGroup() as group:
            self.pods.subscribe(names.put_nowait)
            group.create_task(self.pods.run())
            await self.pods.wait_synced()
            await self._sweep(there)
            while True:
                await self._look_at(await names.get(), group)

    async def _sweep(self, there: frozenset[str]) -> None:
        living = {pod.sandbox_uid for pod in self.pods.list()}
        for uid in sorted(there - living):
            await asyncio.to_thread(self.folders.remove, uid)
            structlog.get_logger().info("swept", uid=uid)

    async def _look_at(self, name: str, group: asyncio.TaskGroup) -> None:
        pod, before = self.pods.get(name), self._known.pop(name, None)
        if before and (pod is None or pod.uid != before.uid):
            await self._forget(before)
        if pod is None or not pod.sandbox_uid:
            return
        self._known[name] = pod
        if not pod.restores:
            return
        if pod.started or pod.over:
            await self._stop(pod)
            released = await asyncio.to_thread(self.folders.release, pod.sandbox_uid)
            if released:
                log = structlog.get_logger().bind(sandbox=pod.sandbox, uid=pod.sandbox_uid)
                log.info("released", archives=released)
        elif pod.uid not in self._tasks:
            self._tasks[pod.uid] = group.create_task(self._work(pod))

    async def _forget(self, pod: SandboxPod) -> None:
        await self._stop(pod)
        if pod.restores and await asyncio.to_thread(self.folders.remove, pod.sandbox_uid):
            log = structlog.get_logger().bind(sandbox=pod.sandbox, uid=pod.sandbox_uid)
            log.info("removed")
        self._tasks.pop(pod.uid, None)

    async def _stop(self, pod: SandboxPod) -> None:
        task = self._tasks.get(pod.uid)
        if task:
            task.cancel()
            await asyncio.wait({task})

    async def _work(self, pod: SandboxPod) -> None:
        log = structlog.get_logger().bind(sandbox=pod.sandbox, uid=pod.sandbox_uid)
        for delay in (*_RETRY_SECONDS, *[_RETRY_SECONDS[-1]] * 10_000):
            try:
                await self.stage(pod)
            except Exception:
                # One sandbox that we cannot digest must not stop the others.
                log.exception("staging_failed", retry_seconds=delay)
                await asyncio.sleep(delay)
            else:
                return
