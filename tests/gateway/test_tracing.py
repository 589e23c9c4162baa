"""The trace context of requests: into the log, and on to the sidecar."""

from __future__ import annotations

import pytest

from gateway.fakes import Client, World
from isola_lifecycle import naming

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
COMMAND = "0b5f2f0e-8f5a-4a52-9d1c-3c1d5b3f0a11"
ASKED = {"podTemplate": {"containers": [{"image": "python"}]}}

malformed = pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param("hello", id="a word"),
        pytest.param(TRACE.upper(), id="upper case"),
        pytest.param("ff" + TRACE[2:], id="a version that is none"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="no trace"),
        pytest.param(f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", id="no span"),
        pytest.param(TRACE + "-00", id="too long"),
    ],
)


async def annotation(client: Client, gateway: World, given: str) -> str | None:
    response = await client.post("/v1/sandboxes", json=ASKED, headers={"traceparent": given})
    assert response.status_code == 201
    sandbox = await gateway.store.read((await response.json)["id"])
    return sandbox.annotations.get(naming.TRACEPARENT_ANNOTATION)


async def test_the_trace_of_a_create_travels_with_the_object(
    client: Client, gateway: World
) -> None:
    assert await annotation(client, gateway, TRACE) == TRACE


@malformed
async def test_a_malformed_trace_counts_as_none(client: Client, gateway: World, given: str) -> None:
    assert await annotation(client, gateway, given) is None


async def test_the_trace_of_a_delete_is_in_the_log(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    await client.delete("/v1/sandboxes/box", headers={"traceparent": TRACE})
    requested = (await gateway.store.read("box")).log.entries[-1]
    assert (requested.type, requested.data["traceparent"]) == ("TerminationRequested", TRACE)


@pytest.mark.parametrize(("given", "passed"), [(TRACE, TRACE), ("hello", None)])
async def test_the_trace_of_a_command_reaches_the_sidecar_where_it_is_well_formed(
    client: Client, gateway: World, given: str, passed: str | None
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(202, {"id": COMMAND})
    body = {"args": ["true"]}
    await client.post("/v1/sandboxes/box/commands", json=body, headers={"traceparent": given})
    [received] = gateway.sidecars.received
    assert received.call.headers.get("traceparent") == passed
