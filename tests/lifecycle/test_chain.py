"""What the chain of digests gives away, and where."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.chain import Stretch, digest, faults, verify
from isola_lifecycle.codec import encode
from support.stories import FAILED, NOT_READY, REQUESTED, RUNNING, TERMINATED, UID, fact, log_of

EXITED = fact("ContainerExited", "Error", message="It exited", container="sandbox0", exitCode="3")
STORY = [*RUNNING, EXITED, NOT_READY, FAILED, REQUESTED, TERMINATED]


def items() -> list[dict[str, Any]]:
    return [encode(entry) for entry in log_of(STORY)]


def stretch(*numbers: int, source: str = "status") -> Stretch:
    return Stretch(source, tuple(item for item in items() if item["sequence"] in numbers))


def renumbered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "sequence": number} for number, item in enumerate(entries, start=1)]


def resealed(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the chain written anew, as somebody who can write to etcd may do."""
    previous, sealed = UID, list[dict[str, Any]]()
    for item in entries:
        sealed.append({**item, "digest": digest(item, previous)})
        previous = sealed[-1]["digest"]
    return sealed


def test_the_digest_is_the_documented_one() -> None:
    first = items()[0]
    content = {key: value for key, value in first.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first["digest"] == sha256(f"{UID}\n{text}".encode()).hexdigest()
    assert first["digest"] == digest(first, UID)


def test_an_untouched_log_has_no_faults() -> None:
    assert faults(UID, items()) == ()
    assert faults(UID, items()[2:]) == ()
    assert faults(UID, []) == ()


@forall(st.integers(0, 9), st.sampled_from(["message", "reason", "actor", "lastTransitionTime"]))
def test_an_edit_is_found_where_it_is(index: int, key: str) -> None:
    forged = items()
    forged[index][key] += "x"
    assert faults(UID, forged)[0].sequence == index + 1


def test_a_field_smuggled_in_is_found() -> None:
    forged = items()
    forged[3]["note"] = "nothing to see"
    assert [fault.sequence for fault in faults(UID, forged)] == [4]


@forall(st.integers(1, 8))
def test_a_removal_is_found(index: int) -> None:
    forged = items()
    del forged[index]
    assert faults(UID, forged)[0].sequence == index + 1


@forall(st.integers(0, 8))
def test_a_reordering_is_found(index: int) -> None:
    forged = items()
    forged[index], forged[index + 1] = forged[index + 1], forged[index]
    forged[index]["sequence"], forged[index + 1]["sequence"] = index + 1, index + 2
    assert faults(UID, forged)[0].sequence == index + 1


def test_an_insertion_is_found() -> None:
    forged = items()
    forged.insert(2, dict(forged[1]))
    for number, item in enumerate(forged, start=1):
        item["sequence"] = number
    assert faults(UID, forged)[0].sequence == 3


def test_a_log_moved_to_another_object_is_found() -> None:
    assert faults("another", items())[0].sequence == 1


@pytest.mark.parametrize(
    ("number", "change", "field", "told"),
    [
        pytest.param(9, {"status": "True"}, "status", "status was 'False'", id="status"),
        pytest.param(9, {"reason": "PodReady"}, "reason", "reason was 'Error'", id="reason"),
        pytest.param(
            9,
            {"data": {"phase": "Failed", "container": "sandbox0", "exitCode": "0"}},
            "data.exitCode",
            "data.exitCode was '3'",
            id="a word of data",
        ),
        pytest.param(
            9,
            {"data": {"phase": "Failed", "container": "sandbox0"}},
            "data.exitCode",
            "data.exitCode was '3'",
            id="a word of data left out",
        ),
        pytest.param(3, {"note": "x"}, "note", "note was put in", id="a field put in"),
        pytest.param(
            1, {"data": {"phase": "Pending", "x": "y"}}, "data.x", "was put in", id="data put in"
        ),
        pytest.param(7, {"message": "It did not"}, "", "it was edited, or", id="not told"),
    ],
)
def test_the_field_is_named_where_the_log_tells_it_elsewhere(
    number: int, change: dict[str, Any], field: str, told: str
) -> None:
    forged = [{**item, **change} if item["sequence"] == number else item for item in items()]
    (fault,) = faults(UID, forged)
    assert (fault.sequence, fault.field) == (number, field)
    assert told in fault.message


def test_a_removal_with_new_numbers_is_told_as_such() -> None:
    forged = renumbered([item for item in items() if item["sequence"] != 4])
    first, second = faults(UID, forged)
    assert (first.sequence, second.sequence) == (4, 5)
    assert "entry 5 was written as number 6: entries before it were taken out" in second.message


@pytest.mark.parametrize(
    ("digest_of_it", "told"),
    [
        (None, "entry 5 was written as number 4: entries before it were taken out or put in"),
        ("0" * 64, "entry 5 does not belong here: it was written as number 4 to follow"),
    ],
)
def test_an_insertion_with_new_numbers_is_told_as_such(digest_of_it: str | None, told: str) -> None:
    forged = items()
    forged.insert(3, {**forged[2], "reason": "Invented"})
    forged[3]["digest"] = digest_of_it or forged[3]["digest"]
    first, second = faults(UID, renumbered(forged))
    assert first.sequence == 4
    assert (second.sequence, second.field) == (5, "sequence")
    assert told in second.message


def test_two_entries_that_changed_places_are_told_as_such() -> None:
    forged = items()
    forged[3], forged[4] = forged[4], forged[3]
    first, *_ = found = faults(UID, renumbered(forged))
    assert [fault.sequence for fault in found] == [4, 5, 6]
    assert "it was written as number 5" in first.message


def test_entries_out_of_place_under_their_own_numbers_are_found() -> None:
    forged = items()
    forged[3], forged[4] = forged[4], forged[3]
    assert [fault.sequence for fault in faults(UID, forged)] == [4]


def test_a_rewritten_tail_breaks_where_it_begins() -> None:
    genuine, forged = items(), items()
    forged[5]["message"] = "all is well"
    tail = resealed(forged)
    assert faults(UID, [*genuine[:5], *tail[5:]]) == ()  # the newest entries anew: needs a witness
    assert [f.sequence for f in faults(UID, [*genuine[:4], *tail[5:]])] == [5]
    assert [f.sequence for f in faults(UID, [*genuine[:5], tail[5], *genuine[6:]])] == [7]


def test_a_witness_finds_what_the_chain_cannot() -> None:
    forged = items()
    forged[7]["status"] = "True"
    forged = resealed(forged)
    whole = [Stretch("status", tuple(forged))]
    witnesses = [(item["sequence"], item["digest"]) for item in items()]
    assert verify(UID, whole) == ()
    assert [f.sequence for f in verify(UID, whole, witnesses=witnesses)] == [8, 9, 10, 11]
    cut = [Stretch("status", tuple(items()[:6]))]
    assert verify(UID, cut) == ()
    (fault,) = verify(UID, cut, witnesses=witnesses[10:])
    assert (fault.sequence, fault.message) == (11, "entry 11 was witnessed, and is not there")
    assert verify(UID, [stretch(*range(1, 12))], witnesses=witnesses) == ()


def test_a_log_is_verified_across_archive_and_object() -> None:
    parts = [stretch(7, 8, 9, 10), stretch(1, 2, 3, 4, source="a"), stretch(4, 5, 6, 7, source="b")]
    assert verify(UID, parts) == ()
    assert verify(UID, parts[::-1]) == ()
    assert [f.sequence for f in verify(UID, parts[:2])] == [5]


@pytest.mark.parametrize(
    ("numbers", "sequence", "message"),
    [
        ((4, 5, 6), 1, "entries 1 to 3 are missing: what follows is 4"),
        ((1, 2, 4, 5), 3, "entry 3 is missing: what follows is 4"),
    ],
)
def test_a_missing_part_is_found(numbers: tuple[int, ...], sequence: int, message: str) -> None:
    (fault,) = verify(UID, [stretch(*numbers)])
    assert (fault.sequence, fault.message) == (sequence, message)


def test_two_copies_that_differ_are_told_with_field_and_places() -> None:
    forged = [{**item, "reason": "Completed"} for item in items() if item["sequence"] in {2, 3}]
    found = verify(UID, [stretch(*range(1, 11)), Stretch("a", tuple(forged))])
    assert [(f.sequence, f.field) for f in found] == [(2, "reason"), (3, "reason")]
    assert "in status and a" in found[0].message


@pytest.mark.parametrize("number", [None, "3", 0, -1, 1.5, [], {}])
def test_what_has_no_number_is_a_finding(number: object) -> None:
    forged = items()
    forged[2]["sequence"] = number
    assert 3 in [fault.sequence for fault in faults(UID, forged)]


def test_a_log_edited_all_over_is_told_in_a_few_words() -> None:
    forged = [{**item, "message": f"forged {item['sequence']}"} for item in items()]
    found = faults(UID, forged)
    assert len(found) == 9
    assert found[-1].message == "… and more after it"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@forall(st.integers(0, 9), st.sampled_from([*items()[0], "x"]), JSON)
def test_whatever_an_entry_holds_is_a_finding_never_an_exception(
    index: int, key: str, value: Any
) -> None:
    forged = items()
    genuine = forged[index].get(key)
    forged[index][key] = value
    changed = key == "x" or json.dumps(value) != json.dumps(genuine)
    assert bool(faults(UID, forged)) == changed
