"""Idempotency-Key on POST /v1/sandboxes: one key, one sandbox."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from gateway.fakes import TEMPLATE, Client, World
from isola_gateway.idempotency import digest_of
from isola_lifecycle import naming
from isola_lifecycle.errors import AlreadyExistsError, TransientError
from isola_rest.identifiers import derived_id
from isola_rest.models import CreateSandboxRequest
from isola_store.memory import MemorySandboxes
from isola_store.port import Draft

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
BODY: dict[str, Any] = {
    "podTemplate": {"containers": [{"image": "busybox", "env": {"A": "1", "B": "2"}}]},
    "timeoutSeconds": 60,
}


async def posted(client: Client, body: Any = BODY, key: str = KEY, **more: str) -> Any:
    headers = {"Idempotency-Key": key, **more}
    return await client.post("/v1/sandboxes", json=body, headers=headers)


async def test_a_repeated_request_is_the_same_sandbox(client: Client, gateway: World) -> None:
    first, again = await posted(client), await posted(client)
    assert (first.status_code, again.status_code) == (201, 201)
    assert await again.json == await first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(await gateway.store.list()) == 1


async def test_a_repeated_request_tells_what_has_become_of_the_sandbox(
    client: Client, gateway: World
) -> None:
    made = (await (await posted(client)).json)["id"]
    await client.delete(f"/v1/sandboxes/{made}")
    again = await posted(client)
    assert (await again.json)["status"] == "Terminating"
    assert (await gateway.store.read(made)).log.version == 1


async def test_another_gateway_knows_the_key_as_well(client: Client, gateway: World) -> None:
    other = gateway.app().test_client()
    answers = await asyncio.gather(*(posted(c) for c in (client, other) * 5))
    assert {(await a.json)["id"] for a in answers} == {derived_id(KEY)}
    replayed = [a.headers.get("Idempotent-Replayed") for a in answers]
    assert (replayed.count(None), replayed.count("true")) == (1, 9)


async def test_an_answer_that_was_lost_is_given_again(client: Client, gateway: World) -> None:
    gateway.store.failures = [TransientError("no answer", code=503)]
    assert (await posted(client)).status_code == 503
    assert (await posted(client)).status_code == 201
    assert len(await gateway.store.list()) == 1


@pytest.mark.parametrize(
    "written",
    [
        pytest.param({**BODY, "network": None}, id="null for not given"),
        pytest.param({**BODY, "$schema": "https://example.com/s"}, id="a schema"),
        pytest.param(dict(reversed(BODY.items())), id="another order"),
        pytest.param({**BODY, "timeoutSeconds": 60.0}, id="another way to write a number"),
    ],
)
async def test_the_same_request_written_otherwise_is_the_same(client: Client, written: Any) -> None:
    await posted(client)
    assert (await posted(client, written)).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({**BODY, "timeoutSeconds": 61}, id="a number"),
        pytest.param({"podTemplate": BODY["podTemplate"]}, id="a field less"),
        pytest.param(
            {**BODY, "podTemplate": {"containers": [{"image": "busybox", "env": {"A": "1"}}]}},
            id="what is never shown",
        ),
    ],
)
async def test_a_key_reused_for_another_request_is_422(
    client: Client, gateway: World, other: Any
) -> None:
    await posted(client)
    refused = await posted(client, other)
    told = await refused.json
    assert refused.status_code == 422
    assert told["errors"][0]["location"] == "header.Idempotency-Key"
    assert "another request" in told["detail"]
    assert len(await gateway.store.list()) == 1


async def test_other_keys_are_other_sandboxes_and_no_key_is_always_a_new_one(
    client: Client, gateway: World
) -> None:
    for key in ("a", "b", "A"):
        await posted(client, key=key)
    for _ in range(2):
        response = await client.post("/v1/sandboxes", json=BODY)
        assert (
            naming.REQUEST_DIGEST_ANNOTATION
            not in (await gateway.store.read((await response.json)["id"])).annotations
        )
    assert len(await gateway.store.list()) == 5


async def test_once_the_sandbox_is_gone_its_key_makes_a_new_one(
    client: Client, gateway: World
) -> None:
    made = (await (await posted(client)).json)["id"]
    await client.delete(f"/v1/sandboxes/{made}")
    gone = await gateway.store.read(made)
    await gateway.store.remove_finalizer(gone)
    again = await posted(client, {**BODY, "timeoutSeconds": 61})
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers
    assert (await gateway.store.read(made)).uid != gone.uid


async def test_a_sandbox_that_goes_while_it_is_looked_at_is_made_anew(
    client: Client, gateway: World
) -> None:
    gateway.store.failures = [AlreadyExistsError("taken")]  # and then there is none to be read
    response = await posted(client)
    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response.headers


async def test_a_name_taken_by_something_without_a_key_is_409(
    client: Client, gateway: World
) -> None:
    await MemorySandboxes.create(gateway.store, Draft(name=derived_id(KEY), spec=TEMPLATE))
    assert (await posted(client)).status_code == 409


@pytest.mark.parametrize("key", ["x", "a b", "!~", '"quoted"', "k" * 255], ids=repr)
async def test_a_key_is_any_printable_ascii(client: Client, key: str) -> None:
    assert (await posted(client, key=key)).status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 256, "\u00e9", "a\tb"], ids=repr)
async def test_anything_else_is_no_key(client: Client, gateway: World, key: str) -> None:
    refused = await posted(client, key=key)
    assert refused.status_code == 422
    assert (await refused.json)["errors"][0]["location"] == "header.Idempotency-Key"
    assert not await gateway.store.list()


def test_ids_from_keys_look_like_any_other_and_never_change() -> None:
    assert derived_id(KEY) == "uuim66nqebdhyle0xuwupi"
    ids = {derived_id(str(number)) for number in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch("[a-z][a-z0-9]{21}", i) for i in ids)
    assert len({i[0] for i in ids}) == 26
    assert len({i[21] for i in ids}) == 36


def test_the_digest_of_a_request_is_the_same_in_every_release() -> None:
    asked = CreateSandboxRequest.model_validate(BODY)
    assert digest_of(asked) == "e92c50575c86465d380d74be4b681ea99d5e90e3edc9d01c347bcea4b7c4d52c"
