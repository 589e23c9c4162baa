"""What every archive promises."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from isola_lifecycle import naming
from isola_lifecycle.archive import MOVED_ENTRIES, Moved, Segment, oldest, rest, whole
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode, encode_segment
from isola_lifecycle.errors import RejectedError
from isola_lifecycle.log import LIVE_ENTRIES
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesStore
from isola_store.port import Logged, Store
from isola_store.records import KubernetesRecords, MemoryRecords, RecordStore
from support.kubernetes_server import NAMESPACE, ApiServer
from support.store import Kind, append, following
from support.stories import NOT_READY, READY, RUNNING, fact

ARCHIVED = fact("Archived", "LogRolledOver")


@pytest.fixture(name="records")
def records_(request: pytest.FixtureRequest, kind: Kind, place: str) -> RecordStore:
    if place == "memory":
        return MemoryRecords()
    return KubernetesRecords(request.getfixturevalue("client"), NAMESPACE, kind.resource)


async def long_lived(store: Store[Any], kind: Kind) -> Logged:
    flapping = (*RUNNING, *(NOT_READY, READY) * LIVE_ENTRIES)[: LIVE_ENTRIES - 4]
    created = await store.create(kind.draft("records", labels={"team": "a"}))
    return await append(store, created, *flapping)


@pytest.fixture
async def item(store: Store[Any], kind: Kind) -> Logged:
    return await long_lived(store, kind)


async def test_what_was_written_is_read_as_it_was(records: RecordStore, item: Logged) -> None:
    segment = oldest(item.subject, item.log)
    assert await records.write(segment) == segment
    assert list(await records.read(item.name)) == [segment]
    assert list(await records.read(item.name, item.uid)) == [segment]
    assert list(await records.read(item.name, "another")) == []
    assert list(await records.read(f"not-{item.name}")) == []


async def test_a_part_is_written_once_and_the_first_writer_s_counts(
    records: RecordStore, item: Logged
) -> None:
    first = await records.write(oldest(item.subject, item.log))
    again = await records.write(rest(item.subject, item.log, 0))
    assert again == first
    assert (again.last, again.final) == (MOVED_ENTRIES, False)


async def test_a_history_is_put_together_from_the_archive_and_the_object(
    store: Store[Any], records: RecordStore, item: Logged, kind: Kind
) -> None:
    before = item.log
    segment = await records.write(oldest(item.subject, before))
    moved = Moved(segment.name, segment.first, segment.last)
    entries = following(item, ARCHIVED, NOT_READY)
    version = before.version
    after = await store.append(item.name, entries, expected_version=version, moved=moved)
    assert after.log == (await store.read(item.name)).log
    assert (after.log.archived, after.log.version) == (MOVED_ENTRIES, version + 2)
    assert len(after.log) == version + 2 - MOVED_ENTRIES
    story = whole(await records.read(item.name, item.uid), after.log)
    assert story == (*before.entries, *entries)
    fold = kind.projection.fold
    assert fold(after.log) == fold(story)
    assert faults(item.uid, [encode(e) for e in story]) == ()
    await records.write(rest(item.subject, after.log, after.log.archived))
    assert whole(await records.read(item.name)) == story


@pytest.mark.parametrize(("first", "last"), [(2, 24), (1, 60)], ids=["a gap", "everything"])
async def test_an_object_lets_go_of_its_oldest_entries_only(
    store: Store[Any], item: Logged, first: int, last: int
) -> None:
    entries = following(item, ARCHIVED)
    version = item.log.version
    moved = Moved("somewhere", first, last)
    with pytest.raises(RejectedError):
        await store.append(item.name, entries, expected_version=version, moved=moved)
    assert (await store.read(item.name)).log == item.log


async def test_two_objects_of_one_name_have_two_histories(
    records: RecordStore, item: Logged
) -> None:
    younger = replace(
        item.subject, uid="another", created_at=item.created_at + timedelta(seconds=1)
    )
    second = rest(younger, item.log, 0)
    first = oldest(item.subject, item.log)
    await records.write(second)
    await records.write(first)
    assert list(await records.read(item.name)) == [first, second]
    assert list(await records.read(item.name, "another")) == [second]


async def test_a_sweep_sees_what_it_needs_and_removes_what_it_saw(
    records: RecordStore, item: Logged
) -> None:
    segment = await records.write(rest(item.subject, item.log, 0))
    (kept,) = [each for each in await records.list() if each.subject_uid == item.uid]
    assert (kept.name, kept.final) == (segment.name, True)
    await records.delete(replace(kept, uid="another"))
    assert len(await records.read(item.name)) == 1
    await records.delete(kept)
    await records.delete(kept)
    assert list(await records.read(item.name)) == []


# --- what the API server refuses ---------------------------------------------------------------


def _apply(server: ApiServer, item: dict[str, Any], verb: str = "create") -> str:
    done = server.run_kubectl(verb, "-f", "-", stdin=json.dumps(item))
    return done.stderr if done.returncode else ""


def _record(segment: Segment, of: naming.Resource, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": of.record_kind,
        "metadata": {"name": segment.name},
        "spec": {**encode_segment(segment, of), **spec},
    }


@pytest.fixture
async def segment(client: KubernetesClient, kind: Kind) -> Segment:
    store = KubernetesStore(client, NAMESPACE, kind.resource, Logged)
    item = await store.create(kind.draft("segment"))
    item = await append(store, item, *(NOT_READY, READY) * (MOVED_ENTRIES // 2 + 1))
    records = KubernetesRecords(client, NAMESPACE, kind.resource)
    return await records.write(oldest(item.subject, item.log))


@pytest.mark.apiserver
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"final": True}, id="a flag"),
        pytest.param({"entries": []}, id="the entries"),
        pytest.param({"first": 2}, id="a number"),
        pytest.param(
            {"SUBJECT": {"name": "x", "uid": "y", "createdAt": "2026-01-01T00:00:00Z"}},
            id="whose it is",
        ),
    ],
)
async def test_a_record_cannot_be_changed(
    api_server: ApiServer, segment: Segment, kind: Kind, change: dict[str, Any]
) -> None:
    of = kind.resource
    patch = json.dumps({"spec": change}).replace("SUBJECT", of.subject_field)
    done = api_server.run_kubectl(
        *("patch", of.record_plural, segment.name, "--type=merge", f"--patch={patch}")
    )
    assert done.returncode != 0
    assert "a record cannot be changed" in done.stderr or "Invalid value" in done.stderr


@pytest.mark.apiserver
@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        pytest.param({"first": 2}, "name is made of its", id="another name"),
        pytest.param({"last": 25}, "from first to last", id="an entry too few"),
        pytest.param({"entries": []}, "at least 1", id="nothing"),
    ],
)
async def test_a_record_is_whole_or_is_not_written(
    api_server: ApiServer, segment: Segment, kind: Kind, spec: dict[str, Any], complaint: str
) -> None:
    other = replace(segment, subject=replace(segment.subject, uid="another"))
    assert complaint in _apply(api_server, _record(other, kind.resource, **spec))


@pytest.mark.apiserver
async def test_a_record_has_its_entries_in_order(
    api_server: ApiServer, segment: Segment, kind: Kind
) -> None:
    other = replace(segment, subject=replace(segment.subject, uid="another"))
    spec = _record(other, kind.resource)
    spec["spec"]["entries"].reverse()
    assert "numbered without gaps" in _apply(api_server, spec)


@pytest.mark.apiserver
async def test_kubectl_lists_the_archive(
    api_server: ApiServer, segment: Segment, kind: Kind
) -> None:
    of = kind.resource
    shown = api_server.run_kubectl("get", of.record_plural, segment.name).stdout.splitlines()
    subject = {"sandbox": "SANDBOX", "rootfsSnapshot": "SNAPSHOT"}[of.subject_field]
    assert shown[0].split() == ["NAME", subject, "FROM", "TO", "FINAL", "OUTCOME", "AGE"]
    assert shown[1].split()[1:5] == [segment.subject.name, "1", "24", "false"]
