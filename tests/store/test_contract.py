"""What every store of sandboxes promises."""

from __future__ import annotations

import pytest

from isola_lifecycle import naming
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.errors import (
    AlreadyExistsError,
    ExpectedVersionError,
    NotFoundError,
    RejectedError,
)
from isola_lifecycle.log import LIVE_ENTRIES
from isola_lifecycle.sandbox.fold import fold
from isola_store.port import Draft, Sandbox, SandboxStore
from support.store import SPEC, append, following, unique
from support.stories import ACCEPTED, NOT_READY, PENDING, POD_CREATED, READY


@pytest.fixture
async def sandbox(store: SandboxStore) -> Sandbox:
    return await store.create(Draft(name=unique("contract"), spec=SPEC))


async def test_a_new_sandbox_has_our_finalizer_an_empty_log_and_the_defaults(
    sandbox: Sandbox,
) -> None:
    assert sandbox.finalizers == (naming.FINALIZER,)
    assert (sandbox.log.version, sandbox.log.origin) == (0, sandbox.uid)
    assert sandbox.spec["startupTimeoutSeconds"] == 90
    assert not sandbox.deleting


async def test_who_asked_travels_with_the_draft(store: SandboxStore) -> None:
    draft = Draft(
        name=unique("contract"),
        spec=SPEC,
        labels={"team": "a"},
        caller="10.0.0.7",
        request_id="r-1",
        traceparent="00-1-2-01",
        request_digest="d-1",
    )
    sandbox = await store.create(draft)
    assert sandbox.labels == {"team": "a"}
    assert sandbox.annotations[naming.CALLER_ANNOTATION] == "10.0.0.7"
    assert sandbox.annotations[naming.REQUEST_ID_ANNOTATION] == "r-1"
    assert sandbox.annotations[naming.TRACEPARENT_ANNOTATION] == "00-1-2-01"
    assert sandbox.annotations[naming.REQUEST_DIGEST_ANNOTATION] == "d-1"


async def test_a_name_is_given_once(store: SandboxStore, sandbox: Sandbox) -> None:
    with pytest.raises(AlreadyExistsError):
        await store.create(Draft(name=sandbox.name, spec=SPEC))


async def test_a_name_that_is_too_long_is_rejected(store: SandboxStore) -> None:
    with pytest.raises(RejectedError) as caught:
        await store.create(Draft(name="x" * 48, spec=SPEC))
    assert caught.value.code == 422


async def test_what_was_created_is_read_and_listed(store: SandboxStore, sandbox: Sandbox) -> None:
    assert await store.read(sandbox.name) == sandbox
    assert sandbox in await store.list()


async def test_what_is_not_there_is_not_found(store: SandboxStore) -> None:
    with pytest.raises(NotFoundError):
        await store.read("nobody")
    with pytest.raises(NotFoundError):
        await store.append("nobody", (), expected_version=0)


async def test_appended_entries_come_back_as_they_were_written(
    store: SandboxStore, sandbox: Sandbox
) -> None:
    after = await append(store, sandbox, *PENDING)
    after = await append(store, after, READY)
    again = await store.read(sandbox.name)
    assert again.log == after.log
    assert [e.sequence for e in again.log] == [1, 2, 3]
    assert faults(sandbox.uid, [encode(e) for e in again.log]) == ()
    assert fold(again.log).ready


async def test_of_two_writers_who_read_the_same_version_one_comes_first(
    store: SandboxStore, sandbox: Sandbox
) -> None:
    await append(store, sandbox, ACCEPTED)
    with pytest.raises(ExpectedVersionError):
        await append(store, sandbox, ACCEPTED)
    current = await append(store, await store.read(sandbox.name), POD_CREATED)
    with pytest.raises(ExpectedVersionError):
        await append(store, sandbox, ACCEPTED)
    assert (await store.read(sandbox.name)).log == current.log


async def test_an_expected_version_ahead_of_the_log_is_a_conflict(
    store: SandboxStore, sandbox: Sandbox
) -> None:
    ahead = await append(store, sandbox, ACCEPTED)
    entries = following(ahead, POD_CREATED)
    with pytest.raises(ExpectedVersionError):
        await store.append(sandbox.name, entries, expected_version=2)


async def test_entries_with_a_gap_are_rejected(store: SandboxStore, sandbox: Sandbox) -> None:
    after = await append(store, sandbox, ACCEPTED)
    gap = following(after, POD_CREATED, READY)[1:]
    with pytest.raises(RejectedError):
        await store.append(sandbox.name, gap, expected_version=1)
    assert (await store.read(sandbox.name)).log == after.log


async def test_a_log_is_bounded(store: SandboxStore, sandbox: Sandbox) -> None:
    flapping = (READY, NOT_READY) * (LIVE_ENTRIES // 2)
    full = await append(store, sandbox, *flapping)
    assert full.log.room == 0
    with pytest.raises(RejectedError):
        await append(store, full, READY)


async def test_deletion_waits_for_the_finalizer(store: SandboxStore, sandbox: Sandbox) -> None:
    await store.delete(sandbox.name, uid="another")
    assert not (await store.read(sandbox.name)).deleting
    await store.delete(sandbox.name, uid=sandbox.uid)
    leaving = await store.read(sandbox.name)
    assert leaving.deleting
    after = await append(store, leaving, ACCEPTED)
    await store.remove_finalizer(after)
    with pytest.raises(NotFoundError):
        await store.read(sandbox.name)
    await store.delete(sandbox.name, uid=sandbox.uid)
    await store.remove_finalizer(after)


async def test_a_finalizer_is_put_on_once(store: SandboxStore, sandbox: Sandbox) -> None:
    await store.remove_finalizer(sandbox)
    bare = await store.read(sandbox.name)
    assert bare.finalizers == ()
    await store.add_finalizer(bare)
    again = await store.read(sandbox.name)
    assert again.finalizers == (naming.FINALIZER,)
    await store.add_finalizer(again)
    assert (await store.read(sandbox.name)).finalizers == (naming.FINALIZER,)
