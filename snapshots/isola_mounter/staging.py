"""From a pod that waits to the mark that opens its gate, for one sandbox.

    wait until the log knows pod and node
    each source:  find → fits its image?
    all found:    reserve room in the cache, for all of them or none
    each source:  hold in the cache → link → RootfsStaged
    all staged:   the mark

What may still come is waited for; who ends that is the operator, by taking the pod away. What
never will be is said once, and the operator ends the sandbox by that entry.

Whoever waits for room has none: room is reserved in one step, and where there is not enough, links
that there may be are let go of. So of sandboxes that start from several archives none waits for
another one that waits, and the first to ask for what has become free goes on.

It may die anywhere. An entry without the mark is found by whoever comes next, who makes sure that
the archive in the entry is the one that lies there. A mark is only ever left after the entries, so
nothing starts that the log does not tell of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
from isola_mounter.metrics import Metrics
from isola_mounter.pods import SandboxPod
from isola_store.journal import Journal
from isola_store.port import Sandbox

T = TypeVar("T")

SandboxJournal = Journal[Sandbox, State]

# Of one source: whether it is staged; what is awaited, or refused; None: look again what there is.
Outcome = bool | Awaited | Refused | None

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
        metrics: What is counted.
    """

    node: str
    journal_of: Callable[[SandboxPod], SandboxJournal]
    bucket: Bucket
    finder: Finder
    cache: Cache
    folders: Folders
    changed: Callable[[float], Awaitable[None]]
    seconds: Callable[[], float]
    metrics: Metrics

    async def stage(self, pod: SandboxPod) -> None:
        """Stage all that a pod waits for, and open its gate; return also where that cannot be."""
        if self.folders.marked(pod.sandbox_uid):
            return
        work = _Work(self, pod, self.journal_of(pod), Place(pod_uid=pod.uid, node=self.node))
        try:
            sources = await work.wanted()
            if sources and await work.staged(sources):
                await asyncio.to_thread(self.folders.mark, pod.sandbox_uid)
                work.log.info("gate_opened", snapshots=[each.snapshot for each in sources])
        except* NotFoundError:
            work.log.info("sandbox_gone")
        finally:
            self.metrics.over(pod.sandbox_uid)


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

    async def staged(self, sources: Sequence[Source]) -> bool:
        """Return whether the archives of all sources are staged, as the log tells it."""
        told: dict[Source, str] = {}
        first = True
        while True:
            left = [each for each in sources if not await self._was_staged(each)]
            outcomes = await self._round(left, first=first)
            first = False
            refused = {s: each for s, each in outcomes.items() if isinstance(each, Refused)}
            for source, why in refused.items():
                await self._say_refused(source, why)
            if refused or False in outcomes.values():
                return False
            if set(outcomes.values()) <= {True}:
                return True
            awaited = {s: each for s, each in outcomes.items() if isinstance(each, Awaited)}
            await self._wait(awaited, told)

    async def _wait(self, awaited: Mapping[Source, Awaited], told: dict[Source, str]) -> None:
        if any(why.reason == Reason.NODE_CACHE_FULL for why in awaited.values()):
            # Whoever waits for room has none, or two sandboxes may wait for each other's.
            await asyncio.to_thread(self.all.folders.release, self.pod.sandbox_uid)
        self.all.metrics.over(self.pod.sandbox_uid)  # what it waited for until now
        for source, why in awaited.items():
            if told.get(source) != why.reason:
                told[source] = why.reason
                self.log.info(
                    "waiting", snapshot=source.snapshot, reason=why.reason, message=why.message
                )
            await self._say_awaited(source, why)
        await self.all.changed(RETRY_SECONDS)

    async def _round(self, sources: Sequence[Source], *, first: bool) -> Mapping[Source, Outcome]:
        """Find all archives, and once all are there fetch all for which there is room at once."""
        looks = await _together(sources, lambda source: self._found(source, first=first))
        found = {source: look for source, look in looks.items() if isinstance(look, Found)}
        if len(found) < len(looks):
            return {s: None if isinstance(look, Found) else look for s, look in looks.items()}
        try:
            with self.all.cache.reserved(_wanted(each) for each in found.values()):
                return await _together(sources, lambda source: self._fetched(source, found[source]))
        except NoRoomError as error:
            return {source: _without_room(source, error) for source in sources}
        except TooLargeError as error:
            return {source: _too_large(source, error) for source in sources}

    async def _was_staged(self, source: Source) -> bool:
        _, state = await self.journal.read()
        told = state.staging_of(source.container)
        if not told or not told.staged:
            return False
        path = self.all.cache.path(told.sha256)
        return self.all.folders.holds(self.pod.sandbox_uid, source.container, path)

    async def _found(self, source: Source, *, first: bool) -> Found | Awaited | Refused:
        found = await self.all.finder.find(source.snapshot, self._troubled(source), first=first)
        if isinstance(found, Found) and (message := staging.mismatch(source, found.archive)):
            return Refused(Reason.SNAPSHOT_BASE_MISMATCH, message)
        return found

    async def _fetched(self, source: Source, found: Found) -> Outcome:
        name = source.snapshot
        try:
            return await self._staged(source, found)
        except NoRoomError as error:
            return _without_room(source, error)
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
        fetch = Fetch(
            self.all.bucket,
            found.stored,
            found.contents,
            self.all.seconds,
            self.all.metrics.downloaded,
        )
        uid, container = self.pod.sandbox_uid, source.container
        holding = self.all.cache.hold(_wanted(found), fetch.into, self._troubled(source))
        async with holding as held:
            await asyncio.to_thread(self.all.folders.link, uid, container, held.path)
            took = self.all.seconds() - began
            state = await self.journal.say(
                lambda now: staging.staged(
                    now, source, archive, self.place, seconds=took, cached=held.cached
                )
            )
        told = state.staging_of(container)
        done = bool(told and told.staged and told.sha256 == archive.sha256)
        if done:
            self.all.metrics.staged(uid, container, took, cached=held.cached)
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

    async def _say_refused(self, source: Source, why: Refused) -> None:
        self.log.error("refused", snapshot=source.snapshot, reason=why.reason, message=why.message)
        self.all.metrics.refused()
        await self.journal.say(
            lambda now: staging.refused(now, source, self.place, why.reason, why.message)
        )

    def _troubled(self, source: Source) -> Trouble:
        async def troubled(why: str) -> None:
            await self._say_awaited(source, unavailable(source.snapshot, why))

        return troubled

    async def _say_awaited(self, source: Source, why: Awaited) -> None:
        self.all.metrics.waits(self.pod.sandbox_uid, source.container, why.reason)
        await self.journal.say(
            lambda now: staging.awaited(now, source, self.place, why.reason, why.message)
        )


async def _together(
    sources: Sequence[Source], work: Callable[[Source], Coroutine[None, None, T]]
) -> Mapping[Source, T]:
    async with asyncio.TaskGroup() as group:
        tasks = {source: group.create_task(work(source)) for source in sources}
    return {source: task.result() for source, task in tasks.items()}


def _wanted(found: Found) -> Wanted:
    return Wanted(found.archive.sha256, found.archive.size_bytes)


def _without_room(source: Source, error: NoRoomError) -> Awaited:
    return Awaited(Reason.NODE_CACHE_FULL, f"no room for snapshot {source.snapshot}: {error}")


def _too_large(source: Source, error: TooLargeError) -> Refused:
    message = f"snapshot {source.snapshot} is too large: {error}"
    return Refused(Reason.SNAPSHOT_TOO_LARGE, message)
