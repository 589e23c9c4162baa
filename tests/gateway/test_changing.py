"""A living sandbox is given another lifetime."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.fakes import Client, World, fact, started
from isola_lifecycle.errors import ExpectedVersionError
from isola_lifecycle.keeping import RESERVED_ENTRIES
from isola_rest.models import CreateSandboxRequest

BOX = "/v1/sandboxes/box"


async def changed(client: Client, seconds: object, code: int = 200, name: str = "box") -> Any:
    response = await client.patch(
        f"/v1/sandboxes/{name}",
        json={"timeoutSeconds": seconds},
        headers={"X-Request-Id": "r-9"},
    )
    assert response.status_code == code, await response.get_data(as_text=True)
    return await response.json


async def test_a_change_is_shown_and_counts_from_acceptance(client: Client, gateway: World) -> None:
    await gateway.exists("box", *started(), timeoutSeconds=600)
    before = await (await client.get(BOX)).json
    told = await changed(client, 3600)
    assert (before["timeoutSeconds"], told["timeoutSeconds"]) == (600, 3600)
    accepted = (await gateway.store.read("box")).log.entries[0].last_transition_time
    for shown, seconds in ((before, 600), (told, 3600)):
        expires = datetime.fromisoformat(shown["expiresAt"])
        assert expires == accepted + timedelta(seconds=seconds)
    assert await (await client.get(BOX)).json == told


async def test_the_log_says_who_asked(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    await changed(client, 3600)
    entry = (await gateway.store.read("box")).log.entries[-1]
    assert (entry.type, entry.reason) == ("TimeoutChanged", "ClientRequest")
    assert entry.data == {"phase": "Running", "timeoutSeconds": "3600"}
    assert entry.request_id == "r-9"
    assert entry.actor.startswith("gateway")


async def test_a_request_that_is_repeated_writes_nothing(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    first = await changed(client, 3600)
    assert await changed(client, 3600) == first
    assert gateway.store.writes == ["append"]


async def test_a_sandbox_without_a_limit_never_expires(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    told = await (await client.get(BOX)).json
    assert "expiresAt" not in told
    assert "timeoutSeconds" not in told


async def test_a_sandbox_that_is_not_there_is_404(client: Client) -> None:
    await changed(client, 60, 404, "nobody")


@pytest.mark.parametrize(
    "end",
    [
        fact("TerminationRequested", "ClientRequest"),
        fact("Succeeded", "Error", holds=False),
    ],
    ids=lambda f: f.type,
)
async def test_a_sandbox_that_ends_is_409(client: Client, gateway: World, end: Any) -> None:
    await gateway.exists("box", *started(), end)
    await changed(client, 3600, 409)
    assert gateway.store.writes == []


async def test_an_object_that_is_being_deleted_is_409(client: Client, gateway: World) -> None:
    sandbox = await gateway.runs("box")
    await gateway.store.delete("box", uid=sandbox.uid)
    await changed(client, 3600, 409)


async def test_an_end_in_the_past_is_422_and_says_when(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.clock.now += timedelta(seconds=100)
    told = await changed(client, 50, 422)
    assert told["errors"][0]["location"] == "body.timeoutSeconds"
    assert "would have ended at 2026-11-24T01:4" in told["detail"]


@pytest.mark.parametrize("seconds", [0, -1, "60", None, 1.5, True, 10**11])
async def test_what_is_no_lifetime_is_422(client: Client, gateway: World, seconds: object) -> None:
    await gateway.runs("box")
    await changed(client, seconds, 422)


async def test_another_writer_in_between_costs_another_look(
    client: Client, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.runs("box")
    real, losses = gateway.store.append, [ExpectedVersionError("first"), ExpectedVersionError("2")]

    async def racing(*arguments: Any, **named: Any) -> Any:
        if losses:
            raise losses.pop()
        return await real(*arguments, **named)

    monkeypatch.setattr(gateway.store, "append", racing)
    assert (await changed(client, 3600))["timeoutSeconds"] == 3600


async def test_room_for_the_end_is_not_given_away(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    seconds = 1000
    while (await gateway.store.read("box")).log.room > RESERVED_ENTRIES:
        seconds += 1
        await changed(client, seconds)
    response = await client.patch(BOX, json={"timeoutSeconds": 9999})
    assert response.status_code == 503
    assert response.headers["Retry-After"]


async def test_a_lifetime_longer_than_any_calendar_is_shown(client: Client, gateway: World) -> None:
    template = {"containers": [{"image": "i"}]}
    asked = {"podTemplate": template, "timeoutSeconds": 2**63 - 1}
    CreateSandboxRequest.model_validate(asked)
    await gateway.exists("box", *started(), timeoutSeconds=2**63 - 1)
    assert (await (await client.get(BOX)).json)["timeoutSeconds"] == 2**63 - 1
