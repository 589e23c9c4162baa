"""Logs changed in etcd, behind the API server's back: `verify` finds each change, and says where.

Each test first shows that the log, as the API server took it, is intact.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from isola_kubectl.errors import UnknownError
from isola_kubectl.objects import Objects
from isola_lifecycle.chain import digest
from isola_lifecycle.naming import PLURAL, RECORD_PLURAL
from isola_store.port import Logged
from kubectl.conftest import Cli, Run
from support.etcd import Etcd
from support.kubernetes_server import NAMESPACE, ApiServer
from support.lives import Lives
from support.stories import NOT_READY, READY

pytestmark = pytest.mark.apiserver

Item = dict[str, Any]
# Changes a list of entries, oldest first, and returns what is to be stored.
Tampering = Callable[[list[Item]], list[Item]]


def edited(entries: list[Item]) -> list[Item]:
    entries[2]["actor"] = "somebody else"
    return entries


def a_word_of_data_edited(entries: list[Item]) -> list[Item]:
    entries[2]["data"]["phase"] = "Running"
    return entries


def removed(entries: list[Item]) -> list[Item]:
    return entries[:2] + entries[3:]


def removed_and_renumbered(entries: list[Item]) -> list[Item]:
    return renumbered(removed(entries))


def inserted(entries: list[Item]) -> list[Item]:
    return renumbered([*entries[:2], {**entries[1], "message": "It was like this"}, *entries[2:]])


def inserted_with_a_digest_that_fits(entries: list[Item]) -> list[Item]:
    forged = {**entries[1], "sequence": entries[1]["sequence"] + 1, "message": "It was like this"}
    forged["digest"] = digest(forged, entries[1]["digest"])
    return renumbered([*entries[:2], forged, *entries[2:]])


def two_swapped(entries: list[Item]) -> list[Item]:
    return [*entries[:2], entries[3], entries[2], *entries[4:]]


def two_swapped_and_renumbered(entries: list[Item]) -> list[Item]:
    return renumbered(two_swapped(entries))


def renumbered(entries: list[Item]) -> list[Item]:
    first = entries[0]["sequence"]
    return [{**entry, "sequence": first + place} for place, entry in enumerate(entries)]


# What was done, by how many the numbers that show it are away from the third entry's, and a word.
CHANGES = [
    pytest.param(edited, 0, "edited", id="an edit"),
    pytest.param(a_word_of_data_edited, 0, "data.phase was 'Pending'", id="an edit of data"),
    pytest.param(removed, 0, "missing", id="a removal"),
    pytest.param(removed_and_renumbered, 0, "taken out", id="a removal with new numbers"),
    pytest.param(inserted, 0, "put in", id="an insertion"),
    pytest.param(
        inserted_with_a_digest_that_fits,
        1,
        "does not belong here",
        id="an insertion that fits what is before it",
    ),
    pytest.param(two_swapped, 0, "stands after", id="a reordering"),
    pytest.param(two_swapped_and_renumbered, 0, "was written as", id="a reordering, new numbers"),
]


@pytest.mark.parametrize(("tampering", "away", "told"), CHANGES)
async def test_a_change_to_a_living_sandbox_s_log_is_found(
    cli: Cli, lives: Lives, etcd: Etcd, tampering: Tampering, away: int, told: str
) -> None:
    sandbox = await lives.begin()
    assert_intact(cli, sandbox.name)
    etcd.edit(PLURAL, sandbox.name, in_status(tampering))
    assert_found(cli, sandbox, 3 + away, told, f"Sandbox {sandbox.name}")
    assert_found_in_an_export(cli, sandbox, 3 + away, told)


@pytest.mark.parametrize(("tampering", "away", "told"), CHANGES)
async def test_a_change_to_what_is_left_of_a_long_log_is_found(
    cli: Cli, lives: Lives, etcd: Etcd, tampering: Tampering, away: int, told: str
) -> None:
    sandbox = await lives.go_on(await lives.long(), *(NOT_READY, READY) * 3)
    assert_intact(cli, sandbox.name)
    etcd.edit(PLURAL, sandbox.name, in_status(tampering))
    assert_found(cli, sandbox, 27 + away, told, f"Sandbox {sandbox.name}")
    assert_found_in_an_export(cli, sandbox, 27 + away, told)


@pytest.mark.parametrize(("tampering", "away", "told"), CHANGES)
async def test_a_change_to_a_record_is_found(
    cli: Cli, lives: Lives, etcd: Etcd, tampering: Tampering, away: int, told: str
) -> None:
    sandbox = await lives.end(await lives.begin())
    assert_intact(cli, sandbox.name)
    record = f"{sandbox.name}-{sandbox.uid}-1"
    etcd.edit(RECORD_PLURAL, record, in_record(tampering))
    assert_found(cli, sandbox, 3 + away, told, f"SandboxRecord {record}")
    assert_found_in_an_export(cli, sandbox, 3 + away, told)


async def test_a_record_that_was_removed_is_missed(cli: Cli, lives: Lives, etcd: Etcd) -> None:
    sandbox = await lives.long()
    assert_intact(cli, sandbox.name)
    etcd.remove(RECORD_PLURAL, f"{sandbox.name}-{sandbox.uid}-1")
    assert_found(cli, sandbox, 1, "entries 1 to 24 are missing: what follows is 25")


async def test_the_last_record_that_was_removed_is_missed(
    cli: Cli, lives: Lives, etcd: Etcd
) -> None:
    sandbox = await lives.end(await lives.long())
    assert_intact(cli, sandbox.name)
    etcd.remove(RECORD_PLURAL, f"{sandbox.name}-{sandbox.uid}-25")
    assert_found(cli, sandbox, 25, "no SandboxRecord has the end of its log")


async def test_a_record_that_was_put_in_is_found(cli: Cli, lives: Lives, etcd: Etcd) -> None:
    sandbox = await lives.end(await lives.begin())
    assert_intact(cli, sandbox.name)
    forged = etcd.read(RECORD_PLURAL, f"{sandbox.name}-{sandbox.uid}-1")
    forged["spec"]["entries"] = edited(forged["spec"]["entries"])
    name = f"{sandbox.name}-{sandbox.uid}-2"
    forged["metadata"] |= {"name": name, "uid": "00000000-0000-4000-8000-000000000000"}
    etcd.write(RECORD_PLURAL, name, forged)
    assert_found(cli, sandbox, 1, "named as the record of another", f"SandboxRecord {name}")
    assert_found(cli, sandbox, 1, "entry 6 is there twice, with different actor")


async def test_a_record_given_to_another_sandbox_is_found(
    cli: Cli, lives: Lives, etcd: Etcd
) -> None:
    mine, other = await lives.end(await lives.begin()), await lives.end(await lives.begin())
    assert_intact(cli, mine.name)
    stolen = etcd.read(RECORD_PLURAL, f"{other.name}-{other.uid}-1")["spec"]["entries"]

    def give(record: Item) -> None:
        record["spec"]["entries"] = stolen

    etcd.edit(RECORD_PLURAL, f"{mine.name}-{mine.uid}-1", give)
    assert_found(cli, mine, 1, "does not begin at this object's UID: the log is another object's")


async def test_a_record_hidden_behind_another_label_is_verified_all_the_same(
    cli: Cli, lives: Lives, etcd: Etcd
) -> None:
    sandbox = await lives.end(await lives.begin())
    record = f"{sandbox.name}-{sandbox.uid}-1"

    def hide(stored: Item) -> None:
        del stored["metadata"]["labels"]
        stored["spec"]["entries"] = edited(stored["spec"]["entries"])

    etcd.edit(RECORD_PLURAL, record, hide)
    assert_found(cli, sandbox, 6, "edited", f"SandboxRecord {record}")


async def test_newest_entries_cut_off_or_a_chain_made_anew_show_to_a_witness_only(
    cli: Cli, lives: Lives, etcd: Etcd
) -> None:
    cut, anew = await lives.begin(), await lives.begin()
    noted = {each.name: witness_of(cli, each.name) for each in (cut, anew)}

    def lie(entries: list[Item]) -> list[Item]:
        entries = edited(entries)
        previous = anew.uid
        for entry in entries:
            previous = entry["digest"] = digest(entry, previous)
        return entries

    etcd.edit(PLURAL, cut.name, in_status(lambda entries: entries[:-1]))
    etcd.edit(PLURAL, anew.name, in_status(lie))
    for sandbox, told in ((cut, "witnessed, and is not there"), (anew, "not the one that was")):
        assert_intact(cli, sandbox.name)
        done = cli("verify", sandbox.name, "--witness", noted[sandbox.name])
        assert done.code == 1
        assert f"#5{'' if sandbox is cut else f' in Sandbox {sandbox.name}'}: entry 5" in done.out
        assert told in done.out


async def test_all_logs_are_verified_at_once_and_only_the_changed_one_is_told(
    cli: Cli, lives: Lives, etcd: Etcd
) -> None:
    before = json.loads(cli("verify", "--all", "-o", "json").out)
    untouched = {log["uid"]: log["intact"] for log in before["logs"]}
    sandbox, other = await lives.end(await lives.long()), await lives.begin()
    etcd.edit(PLURAL, other.name, in_status(edited))
    done = cli("verify", "--all", "-o", "json")
    assert done.code == 1
    after = {log["uid"]: log["intact"] for log in json.loads(done.out)["logs"]}
    assert after == untouched | {sandbox.uid: True, other.uid: False}


async def test_a_life_whose_time_is_over_is_no_finding_while_its_records_go(
    cli: Cli, lives: Lives, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator removes them one by one; here one goes before the first look, one after it."""
    sandbox = await lives.end(await lives.long())
    assert_intact(cli, sandbox.name)
    first, last = (f"{sandbox.name}-{sandbox.uid}-{number}" for number in (1, 25))
    etcd.remove(RECORD_PLURAL, first)
    left = [last]
    looked = Objects.records

    def looked_before_it_went(objects: Objects, **labels: str) -> list[Any]:
        found = looked(objects, **labels)
        if left:
            etcd.remove(RECORD_PLURAL, left.pop())
        return found

    assert_found(cli, sandbox, 1, "entries 1 to 24 are missing: what follows is 25")
    monkeypatch.setattr(Objects, "records", looked_before_it_went)
    done = cli("verify", sandbox.name)
    assert (done.code, done.out) == (UnknownError.code, "")


async def test_an_entry_that_cannot_even_be_read_is_a_finding_and_history_says_so(
    cli: Cli, lives: Lives, etcd: Etcd
) -> None:
    sandbox = await lives.begin()
    assert_intact(cli, sandbox.name)

    def garble(entries: list[Item]) -> list[Item]:
        del entries[2]["lastTransitionTime"]
        return entries

    etcd.edit(PLURAL, sandbox.name, in_status(garble))
    assert_found(cli, sandbox, 3, "edited", f"Sandbox {sandbox.name}")
    done = cli("history", sandbox.name)
    assert done.code == 1
    assert f"entry 3 of {sandbox.name} (uid {sandbox.uid}) cannot be read" in done.err
    listed = {line.split()[0]: line.split()[1] for line in cli("list").lines}
    assert listed[sandbox.name] == "Damaged"
    etcd.remove(PLURAL, sandbox.name)  # no operator of other tests can read it either


async def test_the_api_server_serves_what_was_changed_as_if_nothing_were(
    lives: Lives, etcd: Etcd, api_server: ApiServer
) -> None:
    """Without the chain nobody would know: no rule is asked about what is in etcd already."""
    sandbox = await lives.begin()
    etcd.edit(PLURAL, sandbox.name, in_status(edited))
    done = api_server.run_kubectl("get", "sandbox", sandbox.name, "-o", "json")
    assert json.loads(done.stdout)["status"]["conditions"][2]["actor"] == "somebody else"


def in_status(tampering: Tampering) -> Callable[[Item], None]:
    def change(stored: Item) -> None:
        oldest_first = stored["status"]["conditions"][::-1]
        stored["status"]["conditions"] = tampering(oldest_first)[::-1]

    return change


def in_record(tampering: Tampering) -> Callable[[Item], None]:
    def change(stored: Item) -> None:
        spec = stored["spec"]
        spec["entries"] = tampering(spec["entries"][::-1])[::-1]
        spec["last"] = spec["entries"][0]["sequence"]  # as whoever covers the traces would

    return change


def assert_intact(cli: Cli, name: str) -> None:
    done = cli("verify", name)
    assert (done.code, done.lines[-1]) == (0, "1 log verified, nothing found"), done.out


def witness_of(cli: Cli, name: str) -> str:
    return cli("verify", name).lines[0].split("witness ")[1]


def assert_found_in_an_export(cli: Cli, sandbox: Logged, number: int, told: str) -> None:
    """Verify what kubectl exported after the change, of all there is in the namespace."""
    kinds = ("sandboxes,sandboxrecords", "--namespace", NAMESPACE)
    command = [os.environ["KUBECTL"], "get", *kinds, "--output=json"]
    exported = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert_told(cli("verify", "-f", "-", "-o", "json", stdin=exported), sandbox, number, told)


def assert_found(cli: Cli, sandbox: Logged, number: int, told: str, place: str = "") -> None:
    assert_told(cli("verify", sandbox.name, "-o", "json"), sandbox, number, told, place)


def assert_told(done: Run, sandbox: Logged, number: int, told: str, place: str = "") -> None:
    assert done.code == 1
    (log,) = (log for log in json.loads(done.out)["logs"] if log["uid"] == sandbox.uid)
    assert (log["id"], log["uid"]) == (sandbox.name, sandbox.uid)
    findings = log["findings"]
    assert findings[0]["sequence"] == number, findings
    assert told in " ".join(finding["message"] for finding in findings)
    if place:
        assert place in {each for finding in findings for each in finding["places"]}
