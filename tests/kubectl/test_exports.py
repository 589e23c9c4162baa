"""Exported logs, verified without any cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isola_lifecycle.archive import MOVED_ENTRIES, Segment, Subject, rest
from isola_lifecycle.codec import encode, encode_segment
from isola_lifecycle.log import Log
from kubectl.conftest import Cli
from support.stories import (
    ACCEPTED,
    NOT_READY,
    POD_CREATED,
    READY,
    REQUESTED,
    SCHEDULED,
    START,
    STARTED,
    TERMINATED,
    UID,
    log_of,
)

PENDING = (ACCEPTED, POD_CREATED)
RUNNING = (*PENDING, SCHEDULED, STARTED, READY)

SUBJECT = Subject(name="s", uid=UID, created_at=START)
LIFE = log_of((*RUNNING, REQUESTED, NOT_READY, TERMINATED))
LONG = log_of((*RUNNING, *(NOT_READY, READY) * 15, REQUESTED, NOT_READY, TERMINATED))

Document = dict[str, Any]


def sandbox(log: Log = LIFE) -> Document:
    status: Document = {"conditions": [encode(entry) for entry in reversed(log.entries)]}
    if log.archived:
        status["archived"] = log.archived
    return {"kind": "Sandbox", "metadata": {"name": "s", "uid": UID}, "status": status}


def record(segment: Segment) -> Document:
    spec = encode_segment(segment)
    return {"kind": "SandboxRecord", "metadata": {"name": segment.name}, "spec": spec}


def history(log: Log = LIFE, *, deleted: bool = True) -> Document:
    return {"id": "s", "uid": UID, "deleted": deleted, "entries": [encode(e) for e in log]}


def records() -> list[Document]:
    moved = Segment(subject=SUBJECT, entries=LONG.entries[:MOVED_ENTRIES])
    return [record(moved), record(rest(SUBJECT, LONG, MOVED_ENTRIES))]


def listed(*items: Document) -> Document:
    return {"kind": "List", "apiVersion": "v1", "items": list(items)}


def verify(cli: Cli, *documents: Any, options: tuple[str, ...] = ()) -> Document:
    """Return what `verify` says, to a program, of documents that it reads one after the other."""
    text = "\n".join(json.dumps(document, indent=4) for document in documents)
    done = cli("verify", "-f", "-", "-o", "json", *options, stdin=text)
    told = json.loads(done.out)
    assert done.code == (1 if told["withFindings"] else 0)
    return told


def found(told: Document) -> list[tuple[int, str]]:
    (log,) = told["logs"]
    return [(finding["sequence"], finding["message"]) for finding in log["findings"]]


@pytest.mark.parametrize(
    "documents",
    [
        pytest.param([sandbox()], id="kubectl get sandbox NAME -o json"),
        pytest.param([listed(sandbox())], id="kubectl get sandboxes -o json"),
        pytest.param([listed(*records())], id="kubectl get sandboxrecords -o json"),
        pytest.param([history()], id="GET .../history"),
        pytest.param(
            [{**history(), "entries": history()["entries"][::-1]}], id="GET .../history?order=desc"
        ),
        pytest.param([*records()], id="one document after the other"),
        pytest.param([[*records()[::-1]]], id="an array, in any order"),
        pytest.param([sandbox(LONG.archived_to(24)), records()[0]], id="both halves of a long log"),
        pytest.param([sandbox(), history()], id="the same log twice"),
    ],
)
def test_whatever_was_exported_and_not_touched_is_intact(cli: Cli, documents: list[Any]) -> None:
    told = verify(cli, *documents)
    assert [(log["id"], log["uid"], log["intact"]) for log in told["logs"]] == [("s", UID, True)]
    assert told["verified"] == 1


def test_logs_of_several_sandboxes_are_told_apart(cli: Cli) -> None:
    empty = {"kind": "Sandbox", "metadata": {"name": "t", "uid": "another"}}
    told = verify(cli, listed(sandbox(), empty), listed())
    assert [(log["id"], log["newest"]) for log in told["logs"]] == [("s", 8), ("t", 0)]


def test_an_edit_is_told_with_entry_field_and_place(cli: Cli) -> None:
    forged = records()
    forged[0]["spec"]["entries"][-6]["reason"] = "PodReady"
    (log,) = verify(cli, listed(*forged))["logs"]
    (finding,) = log["findings"]
    assert (finding["sequence"], finding["field"]) == (6, "reason")
    assert finding["places"] == [f"-: SandboxRecord s-{UID}-1"]
    assert "reason was 'ReadinessLost'" in finding["message"]


def test_a_record_that_was_not_exported_is_missed(cli: Cli) -> None:
    first, last = records()
    assert found(verify(cli, last)) == [(1, "entries 1 to 24 are missing: what follows is 25")]
    assert verify(cli, first)["logs"][0]["intact"]  # of a living sandbox, perhaps


def test_a_story_said_to_be_whole_must_tell_its_end(cli: Cli) -> None:
    cut = Log(UID, LIFE.entries[:-1])
    (told,) = found(verify(cli, history(cut)))
    assert told == (8, "it is said to be whole, and its end (Terminated) is missing")
    assert verify(cli, history(cut, deleted=False))["logs"][0]["intact"]


def test_the_end_that_was_cut_off_a_record_is_missed(cli: Cli) -> None:
    spec = records()[1]["spec"]
    spec |= {"entries": spec["entries"][1:], "last": spec["last"] - 1}
    told = found(verify(cli, records()[0], {**records()[1], "spec": spec}))
    assert [number for number, _ in told] == [38]


def test_what_a_record_says_of_itself_must_fit_its_entries_and_its_name(cli: Cli) -> None:
    first, last = records()
    first["spec"]["last"] += 1
    last["metadata"]["name"] = "another"
    told = [message for _, message in found(verify(cli, first, last))]
    assert "says that it holds entries 1 to 25, and holds 1 to 24" in told[0]
    assert f"named as the record of another sandbox or part than it says: s-{UID}-25" in told[1]


def test_the_archive_mark_must_fit_the_oldest_entry(cli: Cli) -> None:
    living = sandbox(LONG.archived_to(24))
    living["status"]["archived"] = 23
    told = found(verify(cli, records()[0], living))
    assert told == [(1, "status.archived of -: Sandbox s is 23, and its oldest entry is number 25")]


def test_a_witness_finds_what_the_chain_cannot(cli: Cli) -> None:
    done = cli("verify", "-f", "-", stdin=json.dumps(sandbox()))
    noted = done.lines[0].split("witness ")[1]
    assert noted == f"8:{LIFE.head}"
    cut = Log(UID, LIFE.entries[:-1])
    assert found(verify(cli, sandbox(cut))) == []
    told = found(verify(cli, sandbox(cut), options=("--witness", noted)))
    assert told == [(8, "entry 8 was witnessed, and is not there")]
    assert found(verify(cli, sandbox(), options=("--witness", noted))) == []


def test_people_are_told_where_and_what(cli: Cli) -> None:
    forged = sandbox()
    forged["status"]["conditions"][3]["actor"] = "nobody"
    done = cli("verify", "-f", "-", stdin=json.dumps(forged))
    assert done.code == 1
    assert done.lines == [
        f"FOUND   s  uid {UID}",
        "        #5, actor in -: Sandbox s: entry 5 was edited: actor was 'operator'",
        "1 log verified, 1 with findings",
    ]


def test_files_are_read_by_name_and_errors_name_them(cli: Cli, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(history()))
    bad.write_text('{"kind": "Pod", "metadata": {"uid": "x"}}')
    assert cli("verify", "-f", str(good), str(good)).code == 0
    done = cli("verify", "-f", str(good), "-f", str(bad))
    assert done.code == 2
    assert done.err.startswith(f"kubectl isola: {bad}: neither a Sandbox, a RootfsSnapshot, a")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("kind: Sandbox", "-: not JSON: Expecting value", id="YAML"),
        pytest.param("[1]", "-: 1 is no object of Kubernetes", id="a number"),
        pytest.param("", "there is nothing to verify", id="nothing"),
        pytest.param('{"entries": []}', "-: neither a Sandbox", id="a history of nobody"),
        pytest.param('{"items": {}}', "-: neither a Sandbox", id="an odd list"),
    ],
)
def test_what_is_no_log_is_refused_with_the_reason(cli: Cli, text: str, complaint: str) -> None:
    done = cli("verify", "-f", "-", stdin=text)
    assert done.code in {2, 3}
    assert complaint in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "say what is to be verified"),
        (("s", "--all"), "say what is to be verified"),
        (("-f", "no/such/file"), "no/such/file cannot be read"),
        (("-f", "-", "--witness", "8"), "'8' is not SEQ:DIGEST"),
        (("-f", "-", "--witness", "0:" + "a" * 64), "is not SEQ:DIGEST"),
        (("Not_A_Name",), "'Not_A_Name' is not a sandbox's name"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    cli: Cli, words: tuple[str, ...], complaint: str
) -> None:
    done = cli("verify", *words, stdin=json.dumps(sandbox()))
    assert done.code == 2
    assert complaint in done.err


def test_a_witness_of_one_log_among_several_must_say_whose(cli: Cli) -> None:
    other = {"kind": "Sandbox", "metadata": {"name": "t", "uid": "another"}}
    text = json.dumps(listed(sandbox(), other))
    noted = ("--witness", f"8:{LIFE.head}")
    assert cli("verify", "-f", "-", *noted, stdin=text).code == 2
    assert cli("verify", "-f", "-", *noted, "--uid", UID, stdin=text).code == 0


def test_a_record_that_no_longer_says_whose_it_is_is_a_finding(cli: Cli) -> None:
    stray = record(Segment(subject=SUBJECT, entries=log_of((ACCEPTED, *PENDING)).entries))
    del stray["spec"]["sandbox"]
    told = [message for _, message in found(verify(cli, stray))]
    assert any("is named as the record of another sandbox" in message for message in told)
