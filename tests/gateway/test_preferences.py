"""Prefer: wait=N on POST /v1/sandboxes: an answer that says more than Pending."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.fakes import Client, World, fact, started
from isola_gateway.lookup import Lookup
from isola_gateway.preferences import wait_seconds
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import fold

BODY = {"podTemplate": {"containers": [{"image": "busybox"}]}}


async def posted(client: Client, **headers: str) -> Any:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/sandboxes", json=BODY, headers=headers)


async def only(gateway: World) -> str:
    while not (found := gateway.view.list()):
        await gateway.view.changed("whichever", 1)
    return found[0].name


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        pytest.param(started(), "Running", id="it runs"),
        pytest.param(
            (fact("Started", "ImagePullFailed", holds=False),), "Pending", id="it has trouble"
        ),
        pytest.param((fact("Succeeded", "SpecInvalid", holds=False),), "Failed", id="it ended"),
        pytest.param((fact("TerminationRequested", "ClientRequest"),), "Terminating", id="it goes"),
    ],
)
async def test_the_answer_waits_until_the_sandbox_is_no_longer_starting(
    client: Client, gateway: World, facts: tuple[Fact, ...], status: str
) -> None:
    creating = asyncio.create_task(posted(client, Prefer="wait=20"))
    name = await only(gateway)
    await asyncio.sleep(0.05)
    assert not creating.done()
    await gateway.records(name, *facts)
    async with asyncio.timeout(1):
        response = await creating
    assert response.status_code == 201
    assert response.headers["Preference-Applied"] == "wait=20"
    assert (await response.json)["status"] == status


async def test_the_answer_waits_no_longer_than_it_was_told(client: Client) -> None:
    async with asyncio.timeout(5):
        response = await posted(client, Prefer="wait=1")
    assert response.headers["Preference-Applied"] == "wait=1"
    assert (await response.json)["status"] == "Pending"


async def test_a_sandbox_that_is_taken_away_ends_the_wait(client: Client, gateway: World) -> None:
    creating = asyncio.create_task(posted(client, Prefer="wait=20"))
    sandbox = await gateway.store.read(await only(gateway))
    await gateway.store.remove_finalizer(sandbox)
    await asyncio.sleep(0.05)
    await gateway.store.delete(sandbox.name, uid=sandbox.uid)
    async with asyncio.timeout(1):
        assert (await creating).status_code == 201


async def test_a_copy_that_is_ahead_of_the_answer_is_noticed(gateway: World) -> None:
    created = await gateway.exists("box")
    await gateway.records("box", *started())
    async with asyncio.timeout(1):
        sandbox = await Lookup(gateway.view, gateway.store).settled(created, 20)
    assert fold(sandbox.log).phase == "Running"


async def test_a_copy_of_an_earlier_sandbox_of_that_name_is_not_believed(gateway: World) -> None:
    await gateway.exists("box", *started())
    gateway.view.lags = True
    old = await gateway.store.read("box")
    await gateway.store.delete("box", uid=old.uid)
    await gateway.store.remove_finalizer(old)
    new = await gateway.exists("box")
    assert await Lookup(gateway.view, gateway.store).settled(new, 0.05) == new


async def test_who_prefers_nothing_waits_for_nothing(client: Client) -> None:
    async with asyncio.timeout(1):
        for headers in ({}, {"Prefer": "wait=0"}, {"Prefer": "respond-async"}):
            assert (await posted(client, **headers)).status_code == 201


@pytest.mark.parametrize(
    ("preferences", "seconds"),
    [
        ("", None),
        ("wait=0", 0),
        ("wait=7", 7),
        ("wait=9999", 25),
        ("WAIT = 7", 7),
        ('wait="7"', 7),
        ("respond-async, wait=7", 7),
        ("wait=7; note=x, handling=lenient", 7),
        ("wait=7, wait=9", 7),
        ('note="a, wait=9", wait=7', 7),
        ("wait", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("await=7", None),
        ("handling=lenient; wait=7", None),
        ('"', None),
    ],
)
def test_a_wish_is_read_or_passed_over(preferences: str, seconds: int | None) -> None:
    assert wait_seconds(preferences, 25) == seconds
