"""What is staged and told for a sandbox, whatever happens on the way."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from isola_bucket.errors import UnavailableError
from isola_bucket.memory import MemoryBucket
from isola_lifecycle import naming
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_lifecycle.log import LIVE_ENTRIES
from isola_lifecycle.sandbox import staging
from isola_lifecycle.sandbox.fold import SANDBOX
from isola_mounter.cache import Cache
from isola_mounter.finding import Finder
from isola_mounter.folders import Folders
from isola_mounter.metrics import Metrics
from isola_mounter.pods import SandboxPod
from isola_mounter.staging import SandboxJournal, Stager
from isola_store.memory import MemorySandboxes, MemorySnapshots
from isola_store.port import Draft, Sandbox
from mounter.scene import (
    NODE,
    failed,
    finished,
    noise,
    pod_of,
    put,
    requested,
    rewrite,
    sha256,
    spec_of,
    store,
    told,
    waiting,
)
from support.kubernetes_server import NAMESPACE
from support.mortal import Killed, Life, Mortal
from support.store import NOW, append, unique
from support.stories import FAILED, REQUESTED, STARTED, fact

PLAIN, OTHER = noise(2_000_000), noise(50_000, seed=2)
STAGED = ("True", "ArchiveStaged")


class Scene:
    """A node, a bucket, and whoever else is around."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bucket = MemoryBucket()
        self.sandboxes = MemorySandboxes()
        self.snapshots = MemorySnapshots()
        self.listed: list[Any] = []
        self.turns = 0
        self.begin_anew()

    def begin_anew(self, limit_bytes: int = 10**9) -> None:
        """Be a process that has just started."""
        for each in ("cache", "staged"):
            (self.folder / each).mkdir(exist_ok=True)
        self.metrics = Metrics()
        self.cache = Cache(self.folder / "cache", limit_bytes, self.metrics.evicted)
        self.metrics.watch_cache(self.cache.taken, limit_bytes)
        self.cache.recover()
        self.folders = Folders(self.folder / "staged")

    def stager(self, life: Life | None = None, bucket: Any = None) -> Stager:
        alive = life or Life()
        sandboxes: Any = Mortal(self.sandboxes, alive)
        reached: Any = Mortal(bucket or self.bucket, alive)
        folders: Any = Mortal(self.folders, alive)

        def journal_of(pod: SandboxPod) -> SandboxJournal:
            return SandboxJournal(
                sandboxes, SANDBOX, pod.sandbox, pod.sandbox_uid, lambda: NOW, staging.fits
            )

        async def changed(_: float) -> None:
            self.turns += 1
            await asyncio.sleep(0)

        return Stager(
            node=NODE,
            journal_of=journal_of,
            bucket=reached,
            finder=Finder(reached, lambda: self.listed, self.snapshots.list, NAMESPACE),
            cache=self.cache,
            folders=folders,
            changed=changed,
            seconds=itertools.count().__next__,
            metrics=self.metrics,
        )

    async def look(self) -> None:
        """See the RootfsSnapshots as they are now."""
        self.listed = list(await self.snapshots.list())

    async def stage(self, pod: SandboxPod, **options: Any) -> None:
        async with asyncio.timeout(60):
            await self.stager(**options).stage(pod)

    async def log(self, sandbox: Sandbox) -> Sandbox:
        return await self.sandboxes.read(sandbox.name)

    def archive(self, sandbox: Sandbox, container: str = "sandbox0") -> Path:
        return Path(naming.archive_path(str(self.folders.root), sandbox.uid, container))

    async def assert_starts_from(self, sandbox: Sandbox, plain: bytes) -> None:
        """Check that its gate is open, and what it starts from is that, as its log says."""
        assert self.folders.marked(sandbox.uid)
        assert content(self.archive(sandbox)) == plain
        newest = (await self.log(sandbox)).log.entries[-1]
        assert (newest.type, newest.data["sha256"]) == ("RootfsStaged", sha256(plain))

    async def refused(self, sandbox: Sandbox, reason: str) -> str:
        """Check that its gate is closed, with nothing before it, and return the message."""
        after = await self.log(sandbox)
        assert told(after)[-1] == ("False", reason)
        assert not self.folders.marked(sandbox.uid)
        assert not self.archive(sandbox).exists()
        return after.log.entries[-1].message


def content(path: Path) -> bytes:
    return path.read_bytes()


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            if done():
                return
            await asyncio.sleep(0.01)


# --- well --------------------------------------------------------------------------------------


async def test_an_archive_is_staged_told_and_the_gate_opened(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    await scene.assert_starts_from(sandbox, PLAIN)
    entry = (await scene.log(sandbox)).log.entries[-1]
    assert entry.actor == "mounter"
    assert entry.data["node"] == NODE
    assert entry.data["podUID"] == pod.uid
    assert entry.data["cached"] == "false"
    assert scene.archive(sandbox).stat().st_mode & 0o777 == 0o400


async def test_several_containers_have_one_mark(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    await store(scene.bucket, "work", OTHER)
    sandbox, pod = await waiting(scene.sandboxes, ("a", "base"), ("b", "work"))
    await scene.stage(pod)
    assert scene.folders.marked(sandbox.uid)
    assert content(scene.archive(sandbox, "a")) == PLAIN
    assert content(scene.archive(sandbox, "b")) == OTHER
    entries = (await scene.log(sandbox)).log.entries[-2:]
    assert {e.data["container"] for e in entries} == {"a", "b"}


async def test_one_of_several_that_is_not_there_keeps_the_gate_closed(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("a", "base"), ("b", "later"))
    task = asyncio.create_task(scene.stage(pod))
    await until(lambda: scene.turns > 5)
    assert not scene.folders.marked(sandbox.uid)
    # It takes no room before it can have all that it needs.
    assert not scene.archive(sandbox, "a").exists()
    assert told(await scene.log(sandbox)) == [("False", "SnapshotNotFound")]
    await store(scene.bucket, "later", OTHER)
    await task
    assert scene.folders.marked(sandbox.uid)


async def test_ten_sandboxes_from_one_snapshot_are_one_download_and_one_file(
    scene: Scene,
) -> None:
    key = await store(scene.bucket, "base", PLAIN)
    reads: list[str] = []

    class Counting(MemoryBucket):
        def read(self, key: str, *, start: int = 0, tag: str = "") -> Any:
            reads.append(key)
            return super().read(key, start=start, tag=tag)

    bucket = Counting()
    bucket.__dict__.update(scene.bucket.__dict__)
    pairs = [await waiting(scene.sandboxes, ("sandbox0", "base")) for _ in range(10)]
    stager = scene.stager(bucket=bucket)
    await asyncio.gather(*(stager.stage(pod) for _, pod in pairs))
    for sandbox, _ in pairs:
        await scene.assert_starts_from(sandbox, PLAIN)
    assert reads == [key]
    cached = [(await scene.log(s)).log.entries[-1].data["cached"] for s, _ in pairs]
    assert sorted(cached) == ["false"] + ["true"] * 9
    assert scene.archive(pairs[0][0]).stat().st_nlink == 11


async def test_a_sandbox_finds_nothing_of_another_s_in_its_folder(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    await store(scene.bucket, "work", OTHER)
    one, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    other, other_pod = await waiting(scene.sandboxes, ("sandbox0", "work"))
    await scene.stage(pod)
    await scene.stage(other_pod)
    for sandbox, plain in ((one, PLAIN), (other, OTHER)):
        gate = Path(naming.gate_path(str(scene.folders.root), sandbox.uid))
        assert names(gate) == {"staged"}  # all that its pod has mounted
        assert content(scene.archive(sandbox)) == plain


# --- what may still come -----------------------------------------------------------------------


async def test_a_snapshot_that_does_not_exist_yet_is_waited_for_and_each_step_told_once(
    scene: Scene,
) -> None:
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    task = asyncio.create_task(scene.stage(pod))
    await until(lambda: scene.turns > 5)
    assert told(await scene.log(sandbox)) == [("False", "SnapshotNotFound")]
    snapshot = await requested(scene.snapshots, "base")
    await scene.look()
    turns = scene.turns
    await until(lambda: scene.turns > turns + 5)
    assert told(await scene.log(sandbox))[1:] == [("False", "SnapshotPending")]
    await store(scene.bucket, "base", PLAIN)
    await finished(scene.snapshots, snapshot, PLAIN)
    await scene.look()
    await task
    assert told(await scene.log(sandbox))[2:] == [STAGED]
    await scene.assert_starts_from(sandbox, PLAIN)


async def test_a_log_that_does_not_know_its_pod_yet_is_waited_for(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    draft = Draft(name=unique("restored"), spec=spec_of([("sandbox0", "base")]))
    sandbox = await scene.sandboxes.create(draft)
    pod = pod_of(sandbox)
    task = asyncio.create_task(scene.stage(pod))
    await asyncio.sleep(0.3)
    assert scene.folders.known() == set()
    story = (
        fact("Accepted", "SpecValid"),
        fact("PodCreated", "PodCreated", podUID=pod.uid),
        fact("Scheduled", "NodeAssigned", node=NODE),
    )
    await append(scene.sandboxes, sandbox, *story)
    await task
    await scene.assert_starts_from(sandbox, PLAIN)


async def test_without_room_it_waits_until_there_is_some(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    await store(scene.bucket, "work", OTHER)
    scene.begin_anew(limit_bytes=len(PLAIN) + 1000)
    first, first_pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(first_pod)
    second, second_pod = await waiting(scene.sandboxes, ("sandbox0", "work"))
    task = asyncio.create_task(scene.stage(second_pod))
    await until(lambda: scene.turns > 5)
    assert told(await scene.log(second)) == [("False", "NodeCacheFull")]
    scene.folders.release(first.uid)  # it has started
    await task
    await scene.assert_starts_from(second, OTHER)
    assert names(scene.folder / "cache") == {f"{sha256(OTHER)}.tar"}


PAIRS = {each: noise(50_000, seed=n) for n, each in enumerate(("one", "two", "three", "four"), 3)}
ROOM = 2 * 50_000 + 1000


async def pairs(scene: Scene) -> list[tuple[Sandbox, SandboxPod]]:
    """Have two sandboxes that start from two archives each."""
    return [
        await waiting(scene.sandboxes, ("a", "one"), ("b", "two")),
        await waiting(scene.sandboxes, ("a", "three"), ("b", "four")),
    ]


async def one_after_the_other(
    scene: Scene, both: list[tuple[Sandbox, SandboxPod]], tasks: list[asyncio.Task[None]]
) -> None:
    """Check that both are staged; one whose gate is open starts, and has read its archives."""
    for _ in both:
        await until(lambda: any(task.done() for task in tasks))
        done = next(task for task in tasks if task.done())
        await done
        sandbox, _ = both.pop(tasks.index(done))
        tasks.remove(done)
        assert scene.folders.marked(sandbox.uid)
        wanted = (
            {"a": "one", "b": "two"}
            if sandbox.spec["rootfsSnapshotSources"][0]["snapshotName"] == "one"
            else {"a": "three", "b": "four"}
        )
        for container, name in wanted.items():
            assert content(scene.archive(sandbox, container)) == PAIRS[name]
        scene.folders.release(sandbox.uid)


async def test_sandboxes_with_several_archives_do_not_wait_for_each_other_s_room(
    scene: Scene,
) -> None:
    scene.begin_anew(limit_bytes=ROOM)
    for early in ("one", "three"):
        await store(scene.bucket, early, PAIRS[early])
    both = await pairs(scene)
    tasks = [asyncio.create_task(scene.stage(pod)) for _, pod in both]
    await until(lambda: scene.turns > 20)
    for late in ("two", "four"):
        await store(scene.bucket, late, PAIRS[late])
    await one_after_the_other(scene, both, tasks)


async def test_nor_do_those_whose_mounter_died_between_two_archives(scene: Scene) -> None:
    for name, plain in PAIRS.items():
        await store(scene.bucket, name, plain)
    both = await pairs(scene)
    for sandbox, pod in both:
        await scene.stage(pod)
        # As if it had died after the first of them, and others had needed the room since.
        shutil.rmtree(Path(naming.gate_path(str(scene.folders.root), sandbox.uid)))
        scene.archive(sandbox, "b").unlink()
    for name in ("two", "four"):
        scene.cache.path(sha256(PAIRS[name])).unlink()
    scene.begin_anew(limit_bytes=ROOM)
    tasks = [asyncio.create_task(scene.stage(pod)) for _, pod in both]
    await one_after_the_other(scene, both, tasks)


async def test_several_that_no_node_can_keep_together_are_refused(scene: Scene) -> None:
    scene.begin_anew(limit_bytes=ROOM - 2000)
    for name in ("one", "two"):
        await store(scene.bucket, name, PAIRS[name])
    sandbox, pod = await waiting(scene.sandboxes, ("a", "one"), ("b", "two"))
    await scene.stage(pod)
    await scene.refused(sandbox, "SnapshotTooLarge")


class Stalling(MemoryBucket):
    """A bucket that breaks off in the middle, so many times, and has nothing to say in between."""

    def __init__(self, bucket: MemoryBucket, times: int) -> None:
        super().__init__()
        self.__dict__.update(bucket.__dict__)
        self.times = times

    async def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        # Each attempt gets a little on, the first ones nothing at all.
        if self.times > 0:
            self.times -= 1
            raise UnavailableError("503 SlowDown")
        pieces = super().read(key, start=start, tag=tag)
        yield await anext(pieces)
        if start + 300_000 < len(PLAIN):
            raise UnavailableError("the connection broke")
        async for piece in pieces:
            yield piece


@pytest.mark.timeout(120)
async def test_a_bucket_that_breaks_off_is_read_on_and_told_of_if_it_lasts(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod, bucket=Stalling(scene.bucket, 4))
    assert told(await scene.log(sandbox)) == [("False", "BucketUnavailable"), STAGED]
    await scene.assert_starts_from(sandbox, PLAIN)


# --- what never will be ------------------------------------------------------------------------


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda body: body[:-7],
    "half of it": lambda body: body[: len(body) // 2],
    "a bit flipped": lambda body: body[:1000] + bytes([body[1000] ^ 1]) + body[1001:],
    "the last bit flipped": lambda body: body[:-1] + bytes([body[-1] ^ 1]),
    "something else": lambda _: b"junk",
    "nothing": lambda _: b"",
    "more": lambda body: body + body,
}


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_archive_is_refused_and_nothing_of_it_kept(scene: Scene, how: str) -> None:
    key = await store(scene.bucket, "base", PLAIN)
    body = b"".join([piece async for piece in scene.bucket.read(key)])
    await rewrite(scene.bucket, key, DAMAGE[how](body))
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    message = await scene.refused(sandbox, "SnapshotDamaged")
    assert key in message
    assert "take it again" in message
    assert names(scene.folder / "cache") == set()


async def test_another_base_image_is_refused_before_anything_is_fetched(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"), image="python:3.12")
    await scene.stage(pod)
    message = await scene.refused(sandbox, "SnapshotBaseMismatch")
    for part in ("python:3.11", "python:3.12"):
        assert part in message
    assert names(scene.folder / "cache") == set()


async def test_the_same_image_by_its_digest_is_taken(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(
        scene.sandboxes, ("sandbox0", "base"), image="mirror.example/python@sha256:1"
    )
    await scene.stage(pod)
    await scene.assert_starts_from(sandbox, PLAIN)


async def test_a_failed_snapshot_is_refused(scene: Scene) -> None:
    await failed(scene.snapshots, await requested(scene.snapshots, "base"))
    await scene.look()
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    await scene.refused(sandbox, "SnapshotFailed")


async def test_what_no_node_can_keep_is_refused(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    scene.begin_anew(limit_bytes=len(PLAIN) - 1)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    assert "cacheSizeLimit" in await scene.refused(sandbox, "SnapshotTooLarge")


async def test_what_is_damaged_for_one_is_for_all_who_wait_and_no_other(scene: Scene) -> None:
    key = await store(scene.bucket, "base", PLAIN)
    await rewrite(scene.bucket, key, b"junk")
    await store(scene.bucket, "work", OTHER)
    bad = [await waiting(scene.sandboxes, ("sandbox0", "base")) for _ in range(3)]
    good, good_pod = await waiting(scene.sandboxes, ("sandbox0", "work"))
    stager = scene.stager()
    await asyncio.gather(*(stager.stage(pod) for pod in (*[p for _, p in bad], good_pod)))
    for sandbox, _ in bad:
        await scene.refused(sandbox, "SnapshotDamaged")
    await scene.assert_starts_from(good, OTHER)


@pytest.mark.parametrize(
    "story", [(REQUESTED,), (FAILED,), (STARTED,)], ids=["leaving", "failed", "started"]
)
async def test_for_a_sandbox_that_is_over_nothing_is_staged(scene: Scene, story: Any) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await append(scene.sandboxes, sandbox, *story)
    await scene.stage(pod)
    assert scene.folders.known() == set()


async def test_a_pod_that_is_not_the_one_in_the_log_gets_nothing(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    _, pod = await waiting(scene.sandboxes, ("sandbox0", "base"), node="another")
    await scene.stage(pod)
    assert scene.folders.known() == set()


async def test_a_sandbox_that_is_gone_leaves_nothing_to_do(scene: Scene) -> None:
    stray = SandboxPod(name="gone-pod", uid="p", sandbox_uid="u", restores=True)
    await scene.stage(stray)
    assert scene.folders.known() == set()


# --- deaths ------------------------------------------------------------------------------------


async def dies(scene: Scene, pod: SandboxPod, life: Life) -> bool:
    """Let a mounter that may die work; return whether it did."""
    try:
        await scene.stage(pod, life=life)
    except* Killed:
        pass
    await asyncio.sleep(0)
    return life.over


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_mounter_killed_at_any_step_is_followed_by_one_that_finishes(
    tmp_path: Path, *, after: bool
) -> None:
    for last in itertools.count(1):
        (tmp_path / str(last)).mkdir()
        scene = Scene(tmp_path / str(last))
        await store(scene.bucket, "base", OTHER)
        sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
        dead = await dies(scene, pod, Life(last, after=after))
        if scene.folders.marked(sandbox.uid):
            await scene.assert_starts_from(sandbox, OTHER)
        scene.begin_anew()
        await scene.stage(pod)
        await scene.assert_starts_from(sandbox, OTHER)
        entries = (await scene.log(sandbox)).log.entries
        assert told(await scene.log(sandbox)) == [STAGED]
        assert faults(sandbox.uid, [encode(entry) for entry in entries]) == ()
        assert names(scene.folder / "cache") == {f"{sha256(OTHER)}.tar"}
        if not dead:
            assert last > 8
            return


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_snapshot_replaced_between_two_lives_is_restored_as_the_log_tells(
    tmp_path: Path, *, after: bool
) -> None:
    for last in itertools.count(1):
        (tmp_path / str(last)).mkdir()
        scene = Scene(tmp_path / str(last))
        key = await store(scene.bucket, "base", OTHER)
        sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
        dead = await dies(scene, pod, Life(last, after=after))
        await store(scene.bucket, "base", PLAIN)
        scene.begin_anew()
        await scene.stage(pod)
        archive = content(scene.archive(sandbox))
        await scene.assert_starts_from(sandbox, archive)
        assert archive in {PLAIN, OTHER}
        assert key
        if not dead:
            return


async def test_what_was_told_and_is_gone_from_the_node_is_staged_again(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    scene.folders.remove(sandbox.uid)
    scene.cache.path(sha256(PLAIN)).unlink()
    await scene.stage(pod)
    assert told(await scene.log(sandbox)) == [STAGED]
    await scene.assert_starts_from(sandbox, PLAIN)


async def test_what_was_told_and_is_another_one_by_now_is_told_again(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    scene.folders.remove(sandbox.uid)
    await store(scene.bucket, "base", OTHER)
    await scene.stage(pod)
    assert told(await scene.log(sandbox)) == [STAGED, STAGED]
    await scene.assert_starts_from(sandbox, OTHER)


async def test_what_lies_there_and_is_told_opens_the_gate_without_a_bucket(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    life = Life()

    class Dying(Folders):
        def mark(self, uid: str) -> None:
            raise Killed(uid)

    scene.folders = Dying(scene.folders.root)
    assert not await dies(scene, pod, life)
    assert told(await scene.log(sandbox)) == [STAGED]
    scene.begin_anew()
    assert not scene.folders.marked(sandbox.uid)
    await scene.stage(pod, bucket=MemoryBucket())
    await scene.assert_starts_from(sandbox, PLAIN)


async def test_a_log_without_room_is_waited_for(scene: Scene) -> None:
    await store(scene.bucket, "base", PLAIN)
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    comings = [
        fact("RootfsStaged", f"Reason{n}", container="other")
        for n in range(LIVE_ENTRIES - RESERVED_ENTRIES - sandbox.log.version)
    ]
    full = await append(scene.sandboxes, sandbox, *comings)
    task = asyncio.create_task(scene.stage(pod))
    await until(lambda: scene.archive(sandbox).exists())
    await asyncio.sleep(0.2)
    assert (await scene.log(sandbox)).log.version == full.log.version
    assert not scene.folders.marked(sandbox.uid)
    task.cancel()


async def test_an_object_that_others_put_there_is_none(scene: Scene) -> None:
    await put(scene.bucket, naming.object_key(NAMESPACE, "base"), b"a tar", {"by": "hand"})
    sandbox, pod = await waiting(scene.sandboxes, ("sandbox0", "base"))
    await scene.stage(pod)
    await scene.refused(sandbox, "SnapshotDamaged")
