"""From a pod that waits to the mark that opens its gate, for one sandbox.

    wait until the log knows pod and node
    each source:  find → fits its image? → hold in the cache → link → RootfsStaged
    all staged:   the mark

What may still come is waited for; who ends that is the operator, by taking the pod away. What
never will be is said once, and the operator ends the sandbox by that entry.

It may die anywhere. An entry without the mark is found by whoever comes next, who makes sure that
the archive in the entry is the one that lies there. A mark is only ever left after the entries, so
nothing starts that the log does not tell of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from isola_bucket.contents import DamagedError
from isola_bucket.errors import AccessError, ObjectNotFoundError, UnavailableError
from isola_bucket.port import Bucket
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.sandbox import staging
from isola_lifecycle.sandbox.conditions import Reason
from isola_lifecycle.sandbox.sources import Source, sources_of
from isola_lifecycle.sandbox.staging import Place
from isola_lifecycle.sandbox.state import State
from isola_mounter.cache import Cache, NoRoomError, TooLargeError, Trouble, Wanted
from isola_mounter.fetching import Fetch
from isola_mounter.finding import Awaited, Finder, Found, Refused, denied, unavailable
from isola_mounter.folders import Folders
from isola_mounter.pods import SandboxPod
from isola_store.journal import Journal
from isola_store.port import Sandbox

SandboxJournal = Journal[Sandbox, State]

# How long to wait before what is awaited is looked for again, if nobody tells of a change before.
RETRY_SECONDS = 2.0
# How often a log is read that does not know its pod yet.
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stager:
    """Stages the archives of sandboxes on this node.

    Attributes:
        node: Name of the node.
        journal_of: Gives the log of the sandbox that a pod belongs to.
        bucket: Where the archives are.
        finder: Finds them there.
        cache: What the node has of them.
        folders: Where they are staged.
        changed: Returns when something about snapshots changed, or so many seconds are over.
        seconds: Gives seconds, steadily.
    """

    node: str
    journal_of: Callable[[SandboxPod], SandboxJournal]
    bucket: Bucket
    finder: Finder
    cache: Cache
    folders: Folders
    changed: Callable[[float], Awaitable[None]]
    seconds: Callable[[], float]

    async def stage(self, pod: SandboxPod) -> None:
        """Stage all that a pod waits for, and open its gate; return also where that cannot be."""
        if self.folders.marked(pod.sandbox_uid):
            return
        work = _Work(self, pod, self.journal_of(pod), Place(pod_uid=pod.uid, node=self.node))
        try:
            sources = await work.wanted()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work.one(source)) for source in sources]
        except* NotFoundError:
            work.log.info("sandbox_gone")
        else:
            if sources and all(task.result() for task in tasks):
                await asyncio.to_thread(self.folders.mark, pod.sandbox_uid)
                work.log.info("gate_opened", snapshots=[each.snapshot for each in sources])


@dataclass(frozen=True, slots=True)
class _Work:
    """The work on one sandbox."""

    all: Stager
    pod: SandboxPod
    journal: SandboxJournal
    place: Place

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        return structlog.get_logger().bind(sandbox=self.pod.sandbox, uid=self.pod.sandbox_uid)

    async def wanted(self) -> tuple[Source, ...]:
        """Return what the sandbox waits for, once its log knows the pod; nothing if it is over."""
        while True:
            sandbox, state = await self.journal.read()
            if staging.is_wanted(state, self.place):
                return sources_of(sandbox.spec)
            known = state.pod_uid and state.node
            if known or state.outcome or state.termination_requested or state.terminated:
                self.log.info("not_wanted", phase=str(state.phase), pod=state.pod_uid)
                return ()
            await asyncio.sleep(_LOOK_SECONDS)

    async def one(self, source: Source) -> bool:
        """Return whether the archive of a source is staged, as the log tells it."""
        if await self._was_staged(source):
            return True
        told, first = "", True
        while True:
            troubled = self._troubled(source)
            found = await self.all.finder.find(source.snapshot, troubled, first=first)
            first = False
            outcome = await self._dealt_with(source, found)
            if isinstance(outcome, bool):
                return outcome
            if outcome and outcome.reason != told:
                told = outcome.reason
                self.log.info(
                    "waiting", snapshot=source.snapshot, reason=told, message=outcome.message
                )
            if outcome:
                await self._say_awaited(source, outcome)
            await self.all.changed(RETRY_SECONDS)

    async def _was_staged(self, source: Source) -> bool:
        _, state = await self.journal.read()
        told = state.staging_of(source.container)
        if not told or not told.staged:
            return False
        path = self.all.cache.path(told.sha256)
        return self.all.folders.holds(self.pod.sandbox_uid, source.container, path)

    async def _dealt_with(
        self, source: Source, found: Found | Awaited | Refused
    ) -> bool | Awaited | None:
        if isinstance(found, Awaited):
            return found
        if isinstance(found, Found) and (message := staging.mismatch(source, found.archive)):
            found = Refused(Reason.SNAPSHOT_BASE_MISMATCH, message)
        if isinstance(found, Found):
            outcome = await self._fetched(source, found)
            if not isinstance(outcome, Refused):
                return outcome
            found = outcome
        refusal = found
        self.log.error(
            "refused", snapshot=source.snapshot, reason=refusal.reason, message=refusal.message
        )
        await self.journal.say(
            lambda now: staging.refused(now, source, self.place, refusal.reason, refusal.message)
        )
        return False

    async def _fetched(self, source: Source, found: Found) -> bool | Awaited | Refused | None:
        """Return whether it is staged, or why not (yet); None: look again what there is."""
        name = source.snapshot
        try:
            return await self._staged(source, found)
        except NoRoomError as error:
            return Awaited(Reason.NODE_CACHE_FULL, f"no room for snapshot {name}: {error}")
        except TooLargeError as error:
            return Refused(Reason.SNAPSHOT_TOO_LARGE, f"snapshot {name} is too large: {error}")
        except DamagedError as error:
            message = (
                f"snapshot {name} is damaged in the bucket ({found.stored.key}), and nothing of it"
                f" was used: {error}; take it again"
            )
            return Refused(Reason.SNAPSHOT_DAMAGED, message)
        except AccessError as error:
            return denied(name, error)
        except UnavailableError as error:
            return unavailable(name, str(error))
        except ObjectNotFoundError:
            return None  # replaced, or removed, while it came

    async def _staged(self, source: Source, found: Found) -> bool:
        began, archive = self.all.seconds(), found.archive
        wanted = Wanted(archive.sha256, archive.size_bytes)
        fetch = Fetch(self.all.bucket, found.stored, found.contents, self.all.seconds)
        uid, container = self.pod.sandbox_uid, source.container
        async with self.all.cache.hold(wanted, fetch.into, self._troubled(source)) as held:
            await asyncio.to_thread(self.all.folders.link, uid, container, held.path)
            took = self.all.seconds() - began
            state = await self.journal.say(
                lambda now: staging.staged(
                    now, source, archive, self.place, seconds=took, cached=held.cached
                )
            )
        told = state.staging_of(container)
        done = bool(told and told.staged and told.sha256 == archive.sha256)
        self.log.info(
            "staged" if done else "not_wanted",
            snapshot=source.snapshot,
            container=container,
            bytes=archive.size_bytes,
            sha256=archive.sha256,
            seconds=round(took, 3),
            cached=held.cached,
        )
        return done

    def _troubled(self, source: Source) -> Trouble:
        async def troubled(why: str) -> None:
            await self._say_awaited(source, unavailable(source.snapshot, why))

        return troubled

    async def _say_awaited(self, source: Source, why: Awaited) -> None:
        await self.journal.say(
            lambda now: staging.awaited(now, source, self.place, why.reason, why.message)
        )
