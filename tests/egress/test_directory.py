"""Whose address it is, and what is remembered of refusals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from egress.scene import NOON
from isola_egress.directory import Directory, Grant, Place, decode_place
from isola_egress.refusals import MOST_ITEMS, Ledger, Protocol, Reason, Refusal

SMALL = st.integers(0, 2)
ADDRESSES = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]), unique=True, max_size=2)


class Moves(RuleBasedStateMachine):
    """Sandboxes and pods come, change and go, in any order; names and addresses are used again."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Directory()
        self.grants: dict[str, Grant] = {}
        self.places: dict[str, Place] = {}

    @rule(name=SMALL, uid=SMALL, version=SMALL)
    def a_sandbox_is_seen(self, name: int, uid: int, version: int) -> None:
        # A UID never has two names.
        grant = Grant(f"s{name}", f"u{name}{uid}", version)
        self.grants[grant.name] = grant
        self.directory.put_grant(grant.name, grant)

    @rule(name=SMALL)
    def a_sandbox_is_gone(self, name: int) -> None:
        self.grants.pop(f"s{name}", None)
        self.directory.put_grant(f"s{name}", None)

    @rule(name=SMALL, owner=SMALL, uid=SMALL, addresses=ADDRESSES)
    def a_pod_is_seen(self, name: int, owner: int, uid: int, addresses: list[str]) -> None:
        place = Place(f"p{name}", f"u{owner}{uid}", tuple(addresses))
        self.places[place.name] = place
        self.directory.put_place(place.name, place)

    @rule(name=SMALL)
    def a_pod_is_gone(self, name: int) -> None:
        self.places.pop(f"p{name}", None)
        self.directory.put_place(f"p{name}", None)

    @invariant()
    def an_address_leads_to_the_sandbox_of_its_only_pod(self) -> None:
        by_uid = {grant.uid: grant for grant in self.grants.values()}
        for address in ("10.0.0.1", "10.0.0.2", "fd00::1"):
            claims = [p.owner_uid for p in self.places.values() if address in p.addresses]
            expected = by_uid.get(claims[0]) if len(claims) == 1 else None
            assert self.directory.find(address) == expected


TestMoves = Moves.TestCase


def pod(**more: Any) -> dict[str, Any]:
    owner = {"uid": "u1", "controller": True}
    metadata: dict[str, Any] = {"name": "p", "ownerReferences": [owner], **more.pop("metadata", {})}
    return {"metadata": metadata, "status": {"podIPs": [{"ip": "10.0.0.1"}], **more}}


def test_a_pod_counts_until_it_ends_or_is_to_be_removed() -> None:
    assert decode_place(pod()) == Place("p", "u1", ("10.0.0.1",))
    assert decode_place(pod(phase="Succeeded")).addresses == ()
    assert decode_place(pod(phase="Failed")).addresses == ()
    going = pod(metadata={"deletionTimestamp": "2026-11-26T12:00:00Z"})
    assert decode_place(going).addresses == ()


def refusal(name: str) -> Refusal:
    return Refusal(reason=Reason.NAME_NOT_ALLOWED, protocol=Protocol.TLS, name=name, port=443)


@given(st.lists(st.integers(0, 2 * MOST_ITEMS)))
def test_the_latest_refusals_are_kept_each_once_with_its_count_and_times(names: list[int]) -> None:
    counted: list[Refusal] = []
    times = iter(NOON + timedelta(seconds=n) for n in range(len(names)))
    ledger = Ledger(lambda: next(times), counted.append)
    for name in names:
        ledger.record("u1", refusal(str(name)))
    kept = ledger.latest("u1")
    last_first = list(dict.fromkeys(str(name) for name in reversed(names)))[:MOST_ITEMS]
    assert [item.refusal.name for item in kept] == last_first
    assert len(counted) == len(names)
    for item in kept:
        last = len(names) - 1 - names[::-1].index(int(item.refusal.name))
        assert item.last == NOON + timedelta(seconds=last)
        assert item.first <= item.last
        assert item.count <= names.count(int(item.refusal.name))


def test_refusals_are_each_sandboxs_own_and_go_with_it() -> None:
    ledger = Ledger(lambda: NOON, lambda _: None)
    ledger.record("u1", refusal("a"))
    ledger.record("u2", refusal("b"))
    ledger.forget("u1")
    assert ledger.latest("u1") == ()
    assert [item.refusal.name for item in ledger.latest("u2")] == ["b"]
