"""DNS: allowed names have our address, others do not exist, and nothing is asked elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.edns
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.scene import COMPONENT, OTHER, SANDBOX, Scene
from isola_egress.answers import answer
from isola_egress.directory import Grant, Place
from isola_lifecycle.domains import domain


def addresses(reply: dns.message.Message) -> list[str]:
    answer: Any = reply.answer
    return [record.address for rrset in answer for record in rrset]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_an_allowed_name_has_our_own_address(scene: Scene, *, tcp: bool) -> None:
    scene.allow("example.com", "*.example.com")
    assert addresses(await scene.ask("example.com", tcp=tcp)) == [COMPONENT]
    assert addresses(await scene.ask("A.b.EXAMPLE.com", "AAAA", tcp=tcp)) == ["fd00::1"]
    assert not scene.names.asked, "nothing was asked of the world"


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_another_name_does_not_exist_and_that_is_told(scene: Scene, *, tcp: bool) -> None:
    scene.allow("example.com")
    reply = await scene.ask("secret.tunnel.evil.net", "TXT", tcp=tcp, use_edns=0)
    assert reply.rcode() == dns.rcode.NXDOMAIN
    told: Any = reply
    assert [o.code for o in told.options if isinstance(o, dns.edns.EDEOption)] == [18]
    assert scene.refused() == [("NameNotAllowed", "dns", "secret.tunnel.evil.net", "", 0)]
    assert not scene.names.asked, "nothing was asked of the world"


@pytest.mark.parametrize("kind", ["TXT", "MX", "HTTPS", "SVCB", "NS", "ANY", "CNAME"])
async def test_an_allowed_name_has_nothing_but_addresses(scene: Scene, kind: str) -> None:
    scene.allow("example.com")
    reply = await scene.ask("example.com", kind)
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
    assert scene.refused() == []


async def test_a_name_that_is_allowed_on_another_port_alone_resolves_too(scene: Scene) -> None:
    scene.allow("db.example.com:5432")
    assert addresses(await scene.ask("db.example.com")) == [COMPONENT]


async def test_each_sandbox_has_a_list_of_its_own(scene: Scene) -> None:
    scene.allow("example.com")
    scene.allow("other.org", at=OTHER)
    assert addresses(await scene.ask("example.com")) == [COMPONENT]
    assert (await scene.ask("example.com", at=OTHER)).rcode() == dns.rcode.NXDOMAIN
    assert scene.refused() == []
    assert scene.refused(OTHER) == [("NameNotAllowed", "dns", "example.com", "", 0)]


async def test_who_is_not_known_is_refused(scene: Scene) -> None:
    scene.allow("example.com")
    assert (await scene.ask("example.com", at="127.0.0.99")).rcode() == dns.rcode.REFUSED


async def test_a_query_that_comes_before_the_news_of_its_pod_waits_for_it(scene: Scene) -> None:
    asked = asyncio.create_task(scene.ask("example.com"))
    over_tcp = asyncio.create_task(scene.ask("example.com", tcp=True))
    await asyncio.sleep(0.05)
    scene.allow("example.com")
    assert addresses(await asked) == addresses(await over_tcp) == [COMPONENT]


async def test_an_address_that_two_pods_claim_belongs_to_neither(scene: Scene) -> None:
    scene.allow("example.com")
    scene.directory.put_place("late", Place("late", "uid-late", (SANDBOX,)))
    assert (await scene.ask("example.com")).rcode() == dns.rcode.REFUSED
    scene.directory.put_place("late", None)
    assert addresses(await scene.ask("example.com")) == [COMPONENT]


async def test_what_is_no_question_is_answered_as_such(scene: Scene) -> None:
    scene.allow("example.com")
    update = dns.message.make_query("example.com", "A")
    update.set_opcode(dns.opcode.NOTIFY)
    grant = scene.directory.find(SANDBOX)
    reply, _ = answer(update.to_wire(), grant, [COMPONENT])
    assert reply
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NOTIMP
    chaos = dns.message.make_query("example.com", "A", rdclass="CH")
    reply, _ = answer(chaos.to_wire(), grant, [COMPONENT])
    assert reply
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


GRANT = Grant("s", "u", 1, tuple(filter(None, [domain("example.com")])))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_answered_shortly_or_not_at_all(noise: bytes) -> None:
    reply, _ = answer(noise, GRANT, ["10.0.0.1"])
    assert reply is None or len(reply) <= len(noise) + 128


@given(st.integers(0, 40), st.integers(0, 255))
def test_a_changed_byte_never_gives_another_name_our_address(index: int, value: int) -> None:
    wire = bytearray(dns.message.make_query("example.com", "A", use_edns=0, id=7).to_wire())
    index %= len(wire)
    wire[index] = value
    reply, _ = answer(bytes(wire), GRANT, ["10.0.0.1"])
    if reply:
        for rrset in dns.message.from_wire(reply).answer:
            assert rrset.name.to_text().lower() == "example.com."


async def test_an_answer_is_not_answered() -> None:
    query = dns.message.make_query("example.com", "A")
    assert answer(dns.message.make_response(query).to_wire(), GRANT, []) == (None, None)
