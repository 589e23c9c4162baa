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
from isola_lifecycle.sandbox.fold import extend, fold
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Sandbox, SandboxStore
from isola_store.records import KubernetesRecords, MemoryRecords, RecordStore
from support.kubernetes_server import NAMESPACE, ApiServer
from support.store import NOW, SPEC, append, unique
from support.stories import NOT_READY, READY, RUNNING, fact

ARCHIVED = fact("Archived", "LogRolledOver")


@pytest.fixture(name="records")
def records_(store: SandboxStore, request: pytest.FixtureRequest) -> RecordStore:
    if type(store).__name__ == "MemorySandboxes":
        return MemoryRecords()
    return KubernetesRecords(request.getfixturevalue("client"), NAMESPACE)


async def long_lived(store: SandboxStore) -> Sandbox:
    draft = Draft(name=unique("records"), spec=SPEC, labels={"team": "a"})
    flapping = (*RUNNING, *(NOT_READY, READY) * LIVE_ENTRIES)[: LIVE_ENTRIES - 4]
    return await append(store, await store.create(draft), *flapping)


@pytest.fixture
async def sandbox(store: SandboxStore) -> Sandbox:
    return await long_lived(store)


async def test_what_was_written_is_read_as_it_was(records: RecordStore, sandbox: Sandbox) -> None:
    segment = oldest(sandbox.subject, sandbox.log)
    assert await records.write(segment) == segment
    assert list(await records.read(sandbox.name)) == [segment]
    assert list(await records.read(sandbox.name, sandbox.uid)) == [segment]
    assert list(await records.read(sandbox.name, "another")) == []
    assert list(await records.read(f"not-{sandbox.name}")) == []


async def test_a_part_is_written_once_and_the_first_writer_s_counts(
    records: RecordStore, sandbox: Sandbox
) -> None:
    first = await records.write(oldest(sandbox.subject, sandbox.log))
    again = await records.write(rest(sandbox.subject, sandbox.log, 0))
    assert again == first
    assert (again.last, again.final) == (MOVED_ENTRIES, False)


async def test_a_history_is_put_together_from_the_archive_and_the_object(
    store: SandboxStore, records: RecordStore, sandbox: Sandbox
) -> None:
    before = sandbox.log
    segment = await records.write(oldest(sandbox.subject, before))
    moved = Moved(segment.name, segment.first, segment.last)
    entries = extend(before, (ARCHIVED, NOT_READY), at=NOW, generation=1)
    version = before.version
    after = await store.append(sandbox.name, entries, expected_version=version, moved=moved)
    assert after.log == (await store.read(sandbox.name)).log
    assert (after.log.archived, after.log.version) == (MOVED_ENTRIES, version + 2)
    assert len(after.log) == version + 2 - MOVED_ENTRIES
    story = whole(await records.read(sandbox.name, sandbox.uid), after.log)
    assert story == (*before.entries, *entries)
    assert fold(after.log) == fold(story)
    assert faults(sandbox.uid, [encode(e) for e in story]) == ()
    await records.write(rest(sandbox.subject, after.log, after.log.archived))
    assert whole(await records.read(sandbox.name)) == story


@pytest.mark.parametrize(("first", "last"), [(2, 24), (1, 60)], ids=["a gap", "everything"])
async def test_an_object_lets_go_of_its_oldest_entries_only(
    store: SandboxStore, sandbox: Sandbox, first: int, last: int
) -> None:
    entries = extend(sandbox.log, (ARCHIVED,), at=NOW, generation=1)
    version = sandbox.log.version
    moved = Moved("somewhere", first, last)
    with pytest.raises(RejectedError):
        await store.append(sandbox.name, entries, expected_version=version, moved=moved)
    assert (await store.read(sandbox.name)).log == sandbox.log


async def test_two_sandboxes_of_one_name_have_two_histories(
    records: RecordStore, sandbox: Sandbox
) -> None:
    younger = replace(
        sandbox.subject, uid="another", created_at=sandbox.created_at + timedelta(seconds=1)
    )
    second = rest(younger, sandbox.log, 0)
    first = oldest(sandbox.subject, sandbox.log)
    await records.write(second)
    await records.write(first)
    assert list(await records.read(sandbox.name)) == [first, second]
    assert list(await records.read(sandbox.name, "another")) == [second]


async def test_a_sweep_sees_what_it_needs_and_removes_what_it_saw(
    records: RecordStore, sandbox: Sandbox
) -> None:
    segment = await records.write(rest(sandbox.subject, sandbox.log, 0))
    (kept,) = [each for each in await records.list() if each.subject_uid == sandbox.uid]
    assert (kept.name, kept.final) == (segment.name, True)
    await records.delete(replace(kept, uid="another"))
    assert len(await records.read(sandbox.name)) == 1
    await records.delete(kept)
    await records.delete(kept)
    assert list(await records.read(sandbox.name)) == []


# --- what the API server refuses ---------------------------------------------------------------


def _apply(server: ApiServer, item: dict[str, Any], verb: str = "create") -> str:
    done = server.run_kubectl(verb, "-f", "-", stdin=json.dumps(item))
    return done.stderr if done.returncode else ""


def _record(segment: Segment, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": naming.RECORD_KIND,
        "metadata": {"name": segment.name},
        "spec": {**encode_segment(segment), **spec},
    }


@pytest.fixture
async def segment(client: KubernetesClient) -> Segment:
    sandbox = await long_lived(KubernetesSandboxes(client, NAMESPACE))
    return await KubernetesRecords(client, NAMESPACE).write(oldest(sandbox.subject, sandbox.log))


@pytest.mark.apiserver
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"final": True}, id="a flag"),
        pytest.param({"entries": []}, id="the entries"),
        pytest.param({"first": 2}, id="a number"),
        pytest.param({"sandbox": {"name": "x", "uid": "y", "createdAt": "2026-01-01T00:00:00Z"}}),
    ],
)
async def test_a_record_cannot_be_changed(
    api_server: ApiServer, segment: Segment, change: dict[str, Any]
) -> None:
    patch = json.dumps({"spec": change})
    done = api_server.run_kubectl(
        *("patch", "sbr", segment.name, "--type=merge", f"--patch={patch}")
    )
    assert done.returncode != 0
    assert "a record cannot be changed" in done.stderr or "Invalid value" in done.stderr


@pytest.mark.apiserver
@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        pytest.param({"first": 2}, "made of its sandbox's name", id="another name"),
        pytest.param({"last": 25}, "from first to last", id="an entry too few"),
        pytest.param({"entries": []}, "at least 1", id="nothing"),
    ],
)
async def test_a_record_is_whole_or_is_not_written(
    api_server: ApiServer, segment: Segment, spec: dict[str, Any], complaint: str
) -> None:
    other = replace(segment, subject=replace(segment.subject, uid="another"))
    assert complaint in _apply(api_server, _record(other, **spec))


@pytest.mark.apiserver
async def test_a_record_has_its_entries_in_order(api_server: ApiServer, segment: Segment) -> None:
    other = replace(segment, subject=replace(segment.subject, uid="another"))
    spec = _record(other)
    spec["spec"]["entries"].reverse()
    assert "numbered without gaps" in _apply(api_server, spec)


@pytest.mark.apiserver
async def test_kubectl_lists_the_archive(api_server: ApiServer, segment: Segment) -> None:
    shown = api_server.run_kubectl("get", "sbr", segment.name).stdout.splitlines()
    assert shown[0].split() == ["NAME", "SANDBOX", "FROM", "TO", "FINAL", "OUTCOME", "AGE"]
    assert shown[1].split()[1:5] == [segment.subject.name, "1", "24", "false"]
