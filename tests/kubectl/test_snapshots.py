"""The commands for snapshots: named as kubectl names them, living and deleted."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable

import pytest

from isola_lifecycle.codec import encode
from isola_lifecycle.log import Status
from isola_lifecycle.naming import ROOTFS_SNAPSHOT
from kubectl.conftest import Cli, Run
from support.etcd import Etcd
from support.lives import STORED, Lives
from support.stories import fact

pytestmark = pytest.mark.apiserver

LIFE = ["Accepted", "Capturing", "Captured", "Stored", "Succeeded"]
DENIED = [fact(about, "BucketDenied", Status.FALSE) for about in ("Stored", "Succeeded")]


@pytest.mark.parametrize(
    "word",
    ["rfs", "rootfssnapshot", "rootfssnapshots", "rootfssnapshots.sandbox.isola.run"],
)
async def test_a_living_snapshot_is_named_as_kubectl_names_it(
    cli: Cli, snapshots: Lives, word: str
) -> None:
    snapshot = await snapshots.begin()
    done = cli("history", f"{word}/{snapshot.name}")
    assert done.code == 0
    assert done.lines[0] == f"{snapshot.name}  Succeeded  uid {snapshot.uid}"
    assert done.events == LIFE


async def test_a_sandbox_of_the_same_name_is_another_story(
    cli: Cli, lives: Lives, snapshots: Lives
) -> None:
    snapshot = await snapshots.begin()
    sandbox = await lives.begin(snapshot.name)
    assert sandbox.uid in cli("history", snapshot.name).lines[0]
    assert sandbox.uid in cli("history", f"sb/{snapshot.name}").lines[0]
    assert snapshot.uid in cli("history", f"rfs/{snapshot.name}").lines[0]


async def test_a_deleted_snapshot_and_what_became_of_it(cli: Cli, snapshots: Lives) -> None:
    snapshot = await snapshots.end(await snapshots.begin())
    done = cli("history", f"rfs/{snapshot.name}")
    assert done.lines[0] == f"{snapshot.name}  Succeeded, deleted  uid {snapshot.uid}"
    assert done.events == [*LIFE, "DeletionRequested", "Deleted"]
    told = cli("why", f"rfs/{snapshot.name}")
    assert told.out.startswith("It was stored, and is no more")


async def test_why_there_is_no_snapshot(cli: Cli, snapshots: Lives) -> None:
    snapshot = await snapshots.begin("", *STORED[:3], *DENIED)
    told = cli("why", f"rfs/{snapshot.name}", "-o", "json")
    said = json.loads(told.out)
    assert (said["state"], said["reason"]) == ("Failed", "BucketDenied")
    assert said["sentence"].startswith("The bucket does not take it")
    assert "bucket" in said["advice"]


async def test_a_long_history_comes_whole_from_archive_and_object(
    cli: Cli, snapshots: Lives
) -> None:
    snapshot = await snapshots.long()
    exported = cli("history", f"rfs/{snapshot.name}", "-o", "json").out
    told = json.loads(exported)
    assert [entry["sequence"] for entry in told["entries"]] == list(range(1, 27))
    assert told["entries"][-1] == encode(snapshot.log.entries[-1])
    assert cli("verify", "-f", "-", stdin=exported).code == 0


async def test_an_export_of_what_is_gone_must_tell_its_end(cli: Cli, snapshots: Lives) -> None:
    snapshot = await snapshots.end(await snapshots.begin())
    exported = json.loads(cli("history", f"rfs/{snapshot.name}", "-o", "json").out)
    assert cli("verify", "-f", "-", stdin=json.dumps(exported)).code == 0
    exported["entries"].pop()
    done = cli("verify", "-f", "-", stdin=json.dumps(exported))
    assert done.code == 1
    assert "#7: it is said to be whole, and its end" in done.out


async def test_what_is_there_is_listed_and_with_all_what_was(cli: Cli, snapshots: Lives) -> None:
    stored, failed = await snapshots.begin(), await snapshots.begin("", *STORED[:3], *DENIED)
    gone = await snapshots.end(await snapshots.long())

    def listed(*words: str) -> dict[str, list[str]]:
        head, *rows = cli("list", *words).lines
        assert head.split() == ["NAME", "STATE", "REASON", "NODE", "BYTES", "AGE", "ENDED", "UID"]
        return {row.split()[0]: row.split() for row in rows}

    rows = listed("rootfssnapshots")
    assert rows[stored.name][1:5] == ["Succeeded", "SnapshotStored", "n1", "512"]
    assert rows[failed.name][1:5] == ["Failed", "BucketDenied", "n1", "-"]
    assert gone.name not in rows
    assert listed("rfs", "--all")[gone.name][1:5] == ["Succeeded", "SnapshotStored", "n1", "-"]


async def test_one_is_watched_from_its_beginning_to_its_end(snapshots: Lives) -> None:
    snapshot = await snapshots.begin()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isola_kubectl", "watch", f"rfs/{snapshot.name}", "-o", "json"),
        stdout=PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(120):
        told = [json.loads(await process.stdout.readline()) for _ in range(5)]
        await snapshots.end(snapshot)
        out, _ = await process.communicate()
    told += [json.loads(line) for line in out.splitlines()]
    assert [each["entry"]["sequence"] for each in told] == list(range(1, 8))
    assert {(each["id"], each["uid"]) for each in told} == {(snapshot.name, snapshot.uid)}
    assert process.returncode == 0


async def test_all_are_watched_from_now_on(snapshots: Lives) -> None:
    await snapshots.begin()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isola_kubectl", "watch", "rootfssnapshots"),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout
    assert process.stderr
    async with asyncio.timeout(120):
        assert b" rootfssnapshots are there" in await process.stderr.readline()
        new = await snapshots.begin("", STORED[0])
        assert f"  {new.name}  #1 Accepted".encode() in await process.stdout.readline()
        process.terminate()
        await process.communicate()


async def test_a_change_behind_the_api_server_s_back_is_found(
    cli: Cli, snapshots: Lives, etcd: Etcd
) -> None:
    living, gone = await snapshots.begin(), await snapshots.end(await snapshots.begin())
    for snapshot in (living, gone):
        assert cli("verify", f"rfs/{snapshot.name}").code == 0
    record = f"{gone.name}-{gone.uid}-1"
    etcd.edit(
        ROOTFS_SNAPSHOT.plural,
        living.name,
        lambda stored: stored["status"]["conditions"][1].update(actor="nobody"),
    )
    etcd.edit(
        ROOTFS_SNAPSHOT.record_plural,
        record,
        lambda stored: stored["spec"]["entries"][0].update(actor="nobody"),
    )
    done = cli("verify", "rootfssnapshots")
    assert done.code == 1
    assert f"#4, actor in RootfsSnapshot {living.name}: entry 4 was edited" in done.out
    assert f"#7, actor in RootfsSnapshotRecord {record}: entry 7 was edited" in done.out
    told = json.loads(cli("verify", "--all", "-o", "json").out)["logs"]
    bad = {(log["kind"], log["id"]) for log in told if not log["intact"]}
    assert {("RootfsSnapshot", living.name), ("RootfsSnapshot", gone.name)} <= bad
    etcd.remove(ROOTFS_SNAPSHOT.record_plural, record)
    etcd.remove(ROOTFS_SNAPSHOT.plural, living.name)


async def test_a_record_that_was_removed_is_missed(cli: Cli, snapshots: Lives, etcd: Etcd) -> None:
    snapshot = await snapshots.end(await snapshots.long())
    assert cli("verify", f"rfs/{snapshot.name}").code == 0
    etcd.remove(ROOTFS_SNAPSHOT.record_plural, f"{snapshot.name}-{snapshot.uid}-25")
    done = cli("verify", f"rfs/{snapshot.name}")
    assert done.code == 1
    assert "the snapshot is gone, and no RootfsSnapshotRecord has the end of its log" in done.out
    etcd.remove(ROOTFS_SNAPSHOT.record_plural, f"{snapshot.name}-{snapshot.uid}-1")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("history", "pods/x"), "'pods' is no type that has a history; sandboxes and rootfss"),
        (("history", "rfs/"), "'rfs/' says no name: rfs/NAME"),
        (("why", "rootfssnapshots"), "say which snapshot: rootfssnapshot/NAME"),
        (("list", "rfs/x"), "list takes a type"),
        (("verify", f"rfs/{'x' * 60}"), "is not a snapshot's name"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    cli: Cli, words: tuple[str, ...], complaint: str
) -> None:
    done = cli(*words)
    assert done.code == 2
    assert complaint in done.err


@pytest.mark.parametrize("command", ["history", "why", "verify", "watch"])
@pytest.mark.usefixtures("lives")
def test_a_name_that_no_snapshot_ever_had_is_told_as_such(cli: Cli, command: str) -> None:
    done = cli(command, "rfs/nobody-ever")
    assert done.code == 3
    assert done.err.startswith("kubectl isola: there is ")


async def test_names_are_completed_once_their_type_is_begun(
    completed: Callable[..., Run], snapshots: Lives
) -> None:
    living, gone = await snapshots.begin(), await snapshots.end(await snapshots.begin())

    def words(*line: str) -> list[str]:
        return [word.split("\t")[0] for word in completed(*line).lines]

    assert {f"rfs/{living.name}", f"rfs/{gone.name}"} <= set(words("history", "rf"))
    assert f"rootfssnapshot/{living.name}" in words("why", "rootfssnapshot/l")
    assert f"rfs/{gone.name}" not in words("watch", "rfs/")
    assert words("history", f"rfs/{gone.name}", "--uid", "") == [gone.uid, ":4"]
    assert words("verify", "rootfss")[0] == "rootfssnapshots"
