"""What every store of objects with a log promises."""

from __future__ import annotations

from typing import Any

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
from isola_store.port import Draft, Logged, Store
from support.store import Kind, append, following
from support.stories import ACCEPTED, NOT_READY, POD_CREATED, READY

Anything = Store[Any]


@pytest.fixture
async def item(store: Anything, kind: Kind) -> Logged:
    return await store.create(kind.draft("contract"))


async def test_a_new_object_has_our_finalizer_an_empty_log_and_the_defaults(
    item: Logged, kind: Kind
) -> None:
    assert item.finalizers == (naming.FINALIZER,)
    assert (item.log.version, item.log.origin) == (0, item.uid)
    field, value = kind.default
    assert item.spec[field] == value
    assert not item.deleting


async def test_who_asked_travels_with_the_draft(store: Anything, kind: Kind) -> None:
    draft = kind.draft(
        "contract",
        labels={"team": "a"},
        caller="10.0.0.7",
        request_id="r-1",
        traceparent="00-1-2-01",
        request_digest="d-1",
    )
    item = await store.create(draft)
    assert item.labels == {"team": "a"}
    assert item.annotations[naming.CALLER_ANNOTATION] == "10.0.0.7"
    assert item.annotations[naming.REQUEST_ID_ANNOTATION] == "r-1"
    assert item.annotations[naming.TRACEPARENT_ANNOTATION] == "00-1-2-01"
    assert item.annotations[naming.REQUEST_DIGEST_ANNOTATION] == "d-1"


async def test_a_name_is_given_once(store: Anything, item: Logged, kind: Kind) -> None:
    with pytest.raises(AlreadyExistsError):
        await store.create(Draft(name=item.name, spec=kind.spec))


async def test_a_name_that_is_too_long_is_rejected(store: Anything, kind: Kind) -> None:
    name = "x" * (kind.resource.name_length + 1)
    with pytest.raises(RejectedError) as caught:
        await store.create(Draft(name=name, spec=kind.spec))
    assert caught.value.code == 422


async def test_what_was_created_is_read_and_listed(store: Anything, item: Logged) -> None:
    assert await store.read(item.name) == item
    assert item in await store.list()


async def test_what_is_not_there_is_not_found(store: Anything) -> None:
    with pytest.raises(NotFoundError):
        await store.read("nobody")
    with pytest.raises(NotFoundError):
        await store.append("nobody", (), expected_version=0)


async def test_appended_entries_come_back_as_they_were_written(
    store: Anything, item: Logged, kind: Kind
) -> None:
    after = await append(store, item, ACCEPTED, POD_CREATED)
    after = await append(store, after, READY)
    again = await store.read(item.name)
    assert again.log == after.log
    assert [e.sequence for e in again.log] == [1, 2, 3]
    assert faults(item.uid, [encode(e) for e in again.log]) == ()
    assert kind.projection.fold(again.log).phase


async def test_of_two_writers_who_read_the_same_version_one_comes_first(
    store: Anything, item: Logged
) -> None:
    await append(store, item, ACCEPTED)
    with pytest.raises(ExpectedVersionError):
        await append(store, item, ACCEPTED)
    current = await append(store, await store.read(item.name), POD_CREATED)
    with pytest.raises(ExpectedVersionError):
        await append(store, item, ACCEPTED)
    assert (await store.read(item.name)).log == current.log


async def test_an_expected_version_ahead_of_the_log_is_a_conflict(
    store: Anything, item: Logged
) -> None:
    ahead = await append(store, item, ACCEPTED)
    entries = following(ahead, POD_CREATED)
    with pytest.raises(ExpectedVersionError):
        await store.append(item.name, entries, expected_version=2)


async def test_entries_with_a_gap_are_rejected(store: Anything, item: Logged) -> None:
    after = await append(store, item, ACCEPTED)
    gap = following(after, POD_CREATED, READY)[1:]
    with pytest.raises(RejectedError):
        await store.append(item.name, gap, expected_version=1)
    assert (await store.read(item.name)).log == after.log


async def test_a_log_is_bounded(store: Anything, item: Logged) -> None:
    flapping = (READY, NOT_READY) * (LIVE_ENTRIES // 2)
    full = await append(store, item, *flapping)
    assert full.log.room == 0
    with pytest.raises(RejectedError):
        await append(store, full, READY)


async def test_deletion_waits_for_the_finalizer(store: Anything, item: Logged) -> None:
    await store.delete(item.name, uid="another")
    assert not (await store.read(item.name)).deleting
    await store.delete(item.name, uid=item.uid)
    leaving = await store.read(item.name)
    assert leaving.deleting
    after = await append(store, leaving, ACCEPTED)
    await store.remove_finalizer(after)
    with pytest.raises(NotFoundError):
        await store.read(item.name)
    await store.delete(item.name, uid=item.uid)
    await store.remove_finalizer(after)


async def test_a_finalizer_is_put_on_once(store: Anything, item: Logged) -> None:
    await store.remove_finalizer(item)
    bare = await store.read(item.name)
    assert bare.finalizers == ()
    await store.add_finalizer(bare)
    again = await store.read(item.name)
    assert again.finalizers == (naming.FINALIZER,)
    await store.add_finalizer(again)
    assert (await store.read(item.name)).finalizers == (naming.FINALIZER,)
