"""A living sandbox is let reach something else: on record, carried out, seen in force, answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from gateway.fakes import ADDRESS, Client, World, fact, started
from gateway.real import RealSandbox
from gateway.serving import LOOPBACK, served
from isola_gateway.egress import Replicas
from isola_lifecycle.errors import TransientError
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import fold

BOX = "/v1/sandboxes/box"
DOOR = "10.0.0.5:18006"
SOME = {"allowedEgressCIDRs": ["8.8.8.0/24"]}
OPENED = fact("NetworkConfigured", "PolicyApplied", policy="box-custom-netpol", door=DOOR)
WITHOUT_DOOR = fact("NetworkConfigured", "PolicyApplied", policy="box-custom-netpol")
REFUSED = fact(
    "NetworkConfigured", "ChangeRefused", "What was before stays in force: no", holds=False
)
UNSEEN = fact("NetworkEnforced", "NotSeenInForce", holds=False)


@dataclass
class Operator:
    """What the operator would do: answer changes.

    Attributes:
        gateway: Its world.
        answers: What it appends to a change.
    """

    gateway: World
    answers: tuple[Fact, ...] = (OPENED,)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list[asyncio.Task[Any]])

    def look(self, name: str) -> None:
        sandbox = self.gateway.view.get(name)
        newest = sandbox.log.newest if sandbox else None
        if newest and newest.type == "NetworkChanged" and self.answers:
            answered = self.gateway.records(name, *self.answers)
            self.tasks.append(asyncio.get_running_loop().create_task(answered))


@pytest.fixture
async def operator(gateway: World) -> AsyncIterator[Operator]:
    operator = Operator(gateway)
    unsubscribe = gateway.view.subscribe(operator.look)
    gateway.sidecars.says(200, {"reachable": True})
    yield operator
    unsubscribe()
    await asyncio.gather(*operator.tasks)


@pytest.fixture
async def impatient(gateway: World) -> Client:
    """A client of a gateway that waits for nothing long."""
    return gateway.app(enforcement_seconds=0.2).test_client()


async def patched(client: Client, code: int = 200, **changes: Any) -> Any:
    response = await client.patch(BOX, json=changes, headers={"X-Request-Id": "r-9"})
    assert response.status_code == code, await response.get_data(as_text=True)
    if code == 503:
        assert response.headers["Retry-After"]
    return await response.json


async def types(gateway: World) -> list[str]:
    return [e.type for e in (await gateway.store.read("box")).log]


async def test_a_change_is_on_record_then_carried_out_then_seen_and_then_answered(
    client: Client, gateway: World, operator: Operator
) -> None:
    assert operator
    await gateway.runs("box")
    before = await (await client.get(BOX)).json
    told = await patched(client, network=SOME)
    assert ("network" in before, told["network"]) == (False, SOME)
    entries = (await gateway.store.read("box")).log.entries[-3:]
    assert [e.type for e in entries] == ["NetworkChanged", "NetworkConfigured", "NetworkEnforced"]
    assert [e.request_id for e in entries] == ["r-9", "", "r-9"]
    assert await (await client.get(BOX)).json == told
    history = await (await client.get(f"{BOX}/history")).json
    assert [(e["type"], e["requestId"]) for e in history["entries"][-3::2]] == [
        ("NetworkChanged", "r-9"),
        ("NetworkEnforced", "r-9"),
    ]


async def test_the_sandbox_is_asked_for_the_door_of_the_change(
    client: Client, gateway: World, operator: Operator
) -> None:
    assert operator
    await gateway.runs("box")
    await patched(client, network=SOME)
    (received,) = gateway.sidecars.received
    assert (received.address, received.call.path) == (ADDRESS, "/v1/network/reachable")
    assert received.call.query == {"address": "10.0.0.5", "port": "18006", "waitSeconds": "30"}
    assert received.call.headers == {"X-Request-Id": "r-9"}


async def test_where_a_door_has_an_address_of_each_protocol_the_sandbox_is_asked_for_both(
    client: Client, gateway: World, operator: Operator
) -> None:
    door = "10.0.0.5:18006,[fd00::5]:18006"
    operator.answers = (fact("NetworkConfigured", "PolicyApplied", door=door),)
    await gateway.runs("box")
    await patched(client, network=SOME)
    asked = [each.call.query for each in gateway.sidecars.received]
    assert [(each["address"], each["port"]) for each in asked] == [
        ("10.0.0.5", "18006"),
        ("fd00::5", "18006"),
    ]
    assert (await types(gateway))[-1] == "NetworkEnforced"


async def test_everything_can_be_closed_again(
    client: Client, gateway: World, operator: Operator
) -> None:
    await gateway.exists("box", *started(), network=SOME)
    operator.answers = (fact("NetworkConfigured", "NothingAllowed", door=DOOR),)
    told = await patched(client, network={})
    assert told["network"] == {}


async def test_lifetime_and_network_change_together_or_not_at_all(
    client: Client, gateway: World, operator: Operator
) -> None:
    assert operator
    await gateway.runs("box")
    await patched(client, 422, timeoutSeconds=3600, network={"nameservers": ["9.9.9.9"]})
    assert gateway.store.writes == []
    told = await patched(client, timeoutSeconds=3600, network=SOME)
    assert (told["timeoutSeconds"], told["network"]) == (3600, SOME)
    assert (await types(gateway))[-4:-2] == ["TimeoutChanged", "NetworkChanged"]


@pytest.mark.parametrize("body", [{}, {"network": None}, {"timeoutSeconds": None, "network": None}])
async def test_a_request_for_nothing_is_422(client: Client, gateway: World, body: Any) -> None:
    await gateway.runs("box")
    await patched(client, 422, **body)


async def test_a_request_that_is_repeated_writes_and_asks_nothing(
    client: Client, gateway: World, operator: Operator
) -> None:
    assert operator
    await gateway.runs("box")
    first = await patched(client, network=SOME)
    asked, written = len(gateway.sidecars.received), list(gateway.store.writes)
    assert await patched(client, network=SOME) == first
    assert (len(gateway.sidecars.received), gateway.store.writes) == (asked, written)


async def test_where_there_is_no_door_nobody_waits_to_get_through_it(
    client: Client, gateway: World, operator: Operator
) -> None:
    operator.answers = (WITHOUT_DOOR,)
    await gateway.runs("box")
    assert (await patched(client, network=SOME))["network"] == SOME
    assert (gateway.sidecars.received, (await types(gateway))[-1]) == ([], "NetworkConfigured")


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "field", "word"),
    [
        ({"allowedEgressCIDRs": ["10.0.0.0/8"]}, "allowedEgressCIDRs[0]", "10.0.0.0/8"),
        ({"egressRateLimitBytesPerSecond": 7}, "egressRateLimitBytesPerSecond", "at the start"),
        ({"nameservers": ["9.9.9.9"]}, "nameservers", "fixed at its start"),
        ({"allowClusterDNS": True}, "allowClusterDNS", "fixed at its start"),
        ({"allowedEgressDomains": ["pypi.org"]}, "allowedEgressDomains", "fixed at its start"),
    ],
)
async def test_what_cannot_change_is_422_and_says_why(
    client: Client, gateway: World, network: Any, field: str, word: str
) -> None:
    await gateway.runs("box")
    told = await patched(client, 422, network=network)
    assert told["errors"][0]["location"] == f"body.network.{field}"
    assert word in told["errors"][0]["message"]
    assert gateway.store.writes == []


async def test_what_this_cluster_does_not_grant_is_422_with_its_reason(
    client: Client, gateway: World, operator: Operator
) -> None:
    operator.answers = (REFUSED,)
    await gateway.runs("box")
    told = await patched(client, 422, network=SOME)
    assert "What was before stays in force: no" in told["detail"]
    assert "network" not in await (await client.get(BOX)).json


async def test_a_sandbox_that_does_not_run_yet_is_409_and_says_when_it_can_be(
    client: Client, gateway: World
) -> None:
    await gateway.exists("box", *started()[:-1])
    told = await patched(client, 409, network=SOME)
    assert "once the sandbox runs" in told["detail"]


@pytest.mark.parametrize(
    "end",
    [fact("TerminationRequested", "ClientRequest"), fact("Succeeded", "Error", holds=False)],
    ids=lambda f: f.type,
)
async def test_a_sandbox_that_ends_meanwhile_is_409(
    client: Client, gateway: World, operator: Operator, end: Fact
) -> None:
    operator.answers = (end,)
    await gateway.runs("box")
    await patched(client, 409, network=SOME)


async def test_whose_change_is_overtaken_is_told_so(
    client: Client, gateway: World, operator: Operator
) -> None:
    operator.answers = (
        fact("NetworkChanged", "ClientRequest", network='{"allowInternetEgress":true}'),
        OPENED,
    )
    await gateway.runs("box")
    told = await patched(client, 409, network=SOME)
    assert "changed the network again" in told["detail"]
    assert (await types(gateway))[-1] == "NetworkConfigured"


# --- what takes too long -----------------------------------------------------------------------


async def test_a_change_that_nobody_carries_out_is_503_and_stays_on_record(
    impatient: Client, gateway: World
) -> None:
    await gateway.runs("box")
    told = await patched(impatient, 503, network=SOME)
    assert "on record" in told["detail"]
    assert (await types(gateway))[-1] == "NetworkChanged"


@pytest.mark.parametrize(
    "sidecar",
    [
        {"status": 200, "body": {"reachable": False}},
        {"status": 404, "body": {"detail": "there is no such route"}},
        {"status": 500},
        {"status": 200, "body": {"reachable": "yes"}},
        {"status": 200, "hangs": True},
    ],
    ids=["not reached", "of an older release", "broken", "forged", "silent"],
)
async def test_a_change_that_is_not_seen_in_force_is_503_and_its_door_is_left_to_the_operator(
    impatient: Client, gateway: World, operator: Operator, sidecar: dict[str, Any]
) -> None:
    assert operator
    await gateway.runs("box")
    gateway.sidecars.says(**sidecar)
    told = await patched(impatient, 503, network=SOME)
    assert "on record" in told["detail"]
    assert fold((await gateway.store.read("box")).log).door_wanted("") == DOOR


async def test_the_same_request_waits_on_where_another_one_gave_up(
    impatient: Client, client: Client, gateway: World, operator: Operator
) -> None:
    assert operator
    await gateway.runs("box")
    gateway.sidecars.says(200, {"reachable": False})
    await patched(impatient, 503, network=SOME)
    gateway.sidecars.says(200, {"reachable": True})
    assert (await patched(client, network=SOME))["network"] == SOME
    told = await types(gateway)
    assert (told.count("NetworkChanged"), told[-1]) == (1, "NetworkEnforced")


async def test_the_same_request_is_a_new_change_once_the_operator_has_given_up(
    client: Client, gateway: World, operator: Operator
) -> None:
    await gateway.exists("box", *started())
    operator.answers = (OPENED, UNSEEN)
    await patched(client, network=SOME)
    operator.answers = (OPENED,)
    await patched(client, network=SOME)
    told = await types(gateway)
    assert (told.count("NetworkChanged"), told[-1]) == (2, "NetworkEnforced")
    assert fold((await gateway.store.read("box")).log).network_pending is False


# --- names -------------------------------------------------------------------------------------


class Played(Replicas):
    """Replicas that lag, and are not even known, for so many questions."""

    def __init__(self, lags: int) -> None:
        self.lags = lags
        self.asked: list[tuple[str, int]] = []

    async def lagging(self, uid: str, version: int) -> int:
        self.asked.append((uid, version))
        if len(self.asked) == 1:
            raise TransientError("the API server does not answer")
        return int(len(self.asked) <= self.lags)


async def test_names_are_in_force_once_every_replica_goes_by_them(
    gateway: World, operator: Operator
) -> None:
    assert operator
    replicas = Played(lags=3)
    client = gateway.app(egress=replicas).test_client()
    before = {"allowedEgressDomains": ["pypi.org"]}
    sandbox = await gateway.exists("box", *started(), network=before)
    after = {"allowedEgressDomains": ["pypi.org", "example.com"]}
    assert (await patched(client, network=after))["network"] == after
    configured = sandbox.log.version + 2
    assert replicas.asked == [(sandbox.uid, configured)] * 4


async def test_a_replica_that_stays_behind_is_503(gateway: World, operator: Operator) -> None:
    assert operator
    client = gateway.app(egress=Played(lags=1000), enforcement_seconds=0.5).test_client()
    await gateway.exists("box", *started(), network={"allowedEgressDomains": []})
    told = await patched(client, 503, network={"allowedEgressDomains": ["pypi.org"]})
    assert "on record" in told["detail"]


# --- with a real sidecar -----------------------------------------------------------------------


async def test_a_real_sidecar_gets_through_a_door_once_it_opens(
    gateway: World, operator: Operator, sandbox: RealSandbox
) -> None:
    closed = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    door = f"{LOOPBACK}:{port}"
    operator.answers = (fact("NetworkConfigured", "PolicyApplied", door=door),)
    await gateway.runs("box", LOOPBACK, sandbox.certificate)
    async with (
        served(gateway, sandbox.port) as url,
        aiohttp.ClientSession(url) as session,
        asyncio.TaskGroup() as tasks,
    ):
        change = tasks.create_task(_patch(session))
        while "NetworkConfigured" not in await types(gateway):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert not change.done()
        opened = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, port)
        assert await change == 200
        opened.close()
    entries = (await gateway.store.read("box")).log.entries[-3:]
    assert [(e.type, e.actor) for e in entries] == [
        ("NetworkChanged", f"gateway on behalf of {LOOPBACK}"),
        ("NetworkConfigured", "operator"),
        ("NetworkEnforced", f"gateway on behalf of {LOOPBACK}"),
    ]


async def _patch(session: aiohttp.ClientSession) -> int:
    async with session.patch(BOX, json={"network": SOME}) as response:
        return response.status
