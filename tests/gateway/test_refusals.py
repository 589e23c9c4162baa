"""What a sandbox was refused by name: asked of real replicas, and put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.fakes import Client, World
from isola_egress.control import Control
from isola_egress.directory import Directory, Grant
from isola_egress.refusals import Ledger, Protocol, Reason, Refusal
from isola_gateway.egress import MOST_REFUSALS, Replicas
from isola_store.endpoints import addresses_of
from support.kubernetes_server import free_port

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
TLS = Refusal(
    reason=Reason.NAME_NOT_ALLOWED, protocol=Protocol.TLS, name="pypi.org", address="", port=443
)
DNS = Refusal(reason=Reason.NAME_NOT_ALLOWED, protocol=Protocol.DNS, name="pypi.org")


class Replica:
    """A replica's control port."""

    def __init__(self) -> None:
        self.now = NOON
        self.directory = Directory()
        self.ledger = Ledger(lambda: self.now, lambda _: None)

    def refuses(self, uid: str, refusal: Refusal, seconds: int) -> None:
        self.now = NOON + timedelta(seconds=seconds)
        self.ledger.record(uid, refusal)


class Egress:
    """Replicas on loopback, and those who should be there but are not."""

    def __init__(self, replicas: Replicas, both: list[Replica], found: set[str]) -> None:
        self.replicas = replicas
        self.first, self.second = both
        self.found = found


@pytest.fixture
async def egress() -> AsyncGenerator[Egress]:
    port, found = free_port(), {"127.0.0.21", "127.0.0.22"}
    both = [Replica(), Replica()]
    async with AsyncExitStack() as stack:
        for replica, address in zip(both, sorted(found), strict=True):
            app = web.Application()
            app.router.add_routes(Control(replica.directory, replica.ledger).routes())
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port).start()
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def find() -> Collection[str]:
            return found

        yield Egress(Replicas(session, find, port=port), both, found)


async def refusals(gateway: World, egress: Egress) -> Any:
    answer = (
        await gateway.app(egress=egress.replicas)
        .test_client()
        .get("/v1/sandboxes/box/network/refusals")
    )
    assert answer.status_code == 200
    return await answer.json


async def test_what_all_replicas_refused_is_told_once_each_and_the_latest_first(
    gateway: World, egress: Egress
) -> None:
    uid = (await gateway.runs()).uid
    egress.first.refuses(uid, TLS, 1)
    egress.first.refuses(uid, DNS, 5)
    egress.second.refuses(uid, TLS, 3)
    egress.second.refuses(uid, TLS, 9)
    egress.second.refuses("of-somebody-else", TLS, 20)
    assert await refusals(gateway, egress) == {
        "refusals": [
            {
                "reason": "NameNotAllowed",
                "protocol": "tls",
                "name": "pypi.org",
                "port": 443,
                "count": 3,
                "firstTime": "2026-11-26T12:00:01Z",
                "lastTime": "2026-11-26T12:00:09Z",
            },
            {
                "reason": "NameNotAllowed",
                "protocol": "dns",
                "name": "pypi.org",
                "count": 1,
                "firstTime": "2026-11-26T12:00:05Z",
                "lastTime": "2026-11-26T12:00:05Z",
            },
        ],
        "replicas": 2,
        "silent": 0,
    }


async def test_a_replica_that_does_not_answer_is_counted_as_silent(
    gateway: World, egress: Egress
) -> None:
    uid = (await gateway.runs()).uid
    egress.first.refuses(uid, TLS, 1)
    egress.found.add("127.0.0.23")
    told = await refusals(gateway, egress)
    assert (len(told["refusals"]), told["replicas"], told["silent"]) == (1, 3, 1)


async def test_so_many_are_told_and_no_more(gateway: World, egress: Egress) -> None:
    uid = (await gateway.runs()).uid
    for replica in (egress.first, egress.second):
        for number in range(MOST_REFUSALS):
            name = f"{id(replica)}-{number}.example.com"
            refusal = Refusal(reason=Reason.NAME_NOT_ALLOWED, protocol=Protocol.DNS, name=name)
            replica.refuses(uid, refusal, number)
    told = await refusals(gateway, egress)
    assert len(told["refusals"]) == MOST_REFUSALS
    assert told["refusals"][0]["lastTime"] == "2026-11-26T12:01:39Z"


async def test_without_the_component_there_are_none(gateway: World, client: Client) -> None:
    await gateway.runs()
    answer = await client.get("/v1/sandboxes/box/network/refusals")
    assert await answer.json == {"refusals": [], "replicas": 0, "silent": 0}


async def test_of_a_sandbox_that_is_not_there_nothing_is_told(client: Client) -> None:
    assert (await client.get("/v1/sandboxes/box/network/refusals")).status_code == 404


async def test_a_change_is_followed_when_every_replica_has_it(egress: Egress) -> None:
    for replica in (egress.first, egress.second):
        replica.directory.put_grant("box", Grant("box", "u1", 4))
    assert await egress.replicas.lagging("u1", 4) == 0


async def test_a_replica_waits_a_little_for_the_change_that_it_is_asked_for(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_egress.control.WAIT_SECONDS", 0.3)
    egress.first.directory.put_grant("box", Grant("box", "u1", 5))
    egress.second.directory.put_grant("box", Grant("box", "u1", 4))
    assert await egress.replicas.lagging("u1", 5) == 1
    monkeypatch.setattr("isola_egress.control.WAIT_SECONDS", 10)

    asked = asyncio.create_task(egress.replicas.lagging("u1", 5))
    await asyncio.sleep(0.1)
    egress.second.directory.put_grant("box", Grant("box", "u1", 5))
    assert await asked == 0
    egress.found.add("127.0.0.23")
    assert await egress.replicas.lagging("u1", 5) == 1


def test_pods_behind_a_service_are_found_once_each_as_long_as_they_serve() -> None:
    def endpoint(uid: str, address: str, **conditions: bool | None) -> dict[str, Any]:
        return {
            "addresses": [address],
            "conditions": conditions,
            "targetRef": {"kind": "Pod", "uid": uid},
        }

    slices = [
        {"endpoints": [endpoint("a", "10.0.0.1", serving=True), endpoint("b", "10.0.0.2")]},
        {"endpoints": [endpoint("a", "fd00::1", serving=True)]},
        {"endpoints": [endpoint("c", "10.0.0.3", ready=False, serving=True, terminating=True)]},
        {"endpoints": [endpoint("d", "10.0.0.4", ready=False, serving=False)]},
        {"endpoints": None},
    ]
    assert addresses_of(slices) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
