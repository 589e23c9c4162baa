"""What a sandbox may reach: the settings, what is blocked in them, and what is recorded of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.commands import ApplyPolicy, CreatePod
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.intents import Asker, Denial, Obstacle, change_network, confirm_network
from isola_lifecycle.sandbox.network import (
    NOTHING,
    Network,
    described,
    faults,
    json_of,
    network_of,
)
from isola_lifecycle.sandbox.observation import Pod
from isola_lifecycle.sandbox.ranges import Block, blocked, range_of
from isola_lifecycle.sandbox.state import carried, restored
from support.stories import (
    ACCEPTED,
    FAILED,
    NOT_READY,
    READY_POD,
    REQUESTED,
    RUNNING,
    START,
    assert_in_catalogue,
    fact,
    given,
    log_of,
    world,
)

FALSE = Status.FALSE
INTERNET = Network(internet=True)
APPLIED = fact("NetworkConfigured", "PolicyApplied", policy="s-custom-netpol")
CORRECTED = fact("NetworkConfigured", "PolicyCorrected")
REFUSED = fact("NetworkConfigured", "ChangeRefused", FALSE)
SOME = Network(
    internet=True,
    cidrs=("1.2.0.0/16", "2606:4700::/32"),
    cluster_dns=True,
    nameservers=("9.9.9.9",),
    ipv6=True,
    rate=1000,
)


def changed(network: Network) -> Fact:
    """Return the entry by which somebody asked for `network`."""
    asker = Asker(caller="10.0.0.7", request_id="r", now=START)
    promised = Network(ipv6=True, nameservers=network.nameservers, cluster_dns=network.cluster_dns)
    facts = change_network(fold(log_of(RUNNING)), promised, network, asker)
    assert isinstance(facts, tuple)
    return facts[0]


# --- the settings ------------------------------------------------------------------------------


def test_settings_are_the_same_in_the_form_of_the_specification() -> None:
    assert network_of(json_of(SOME)) == SOME
    assert json_of(NOTHING) == {}
    assert network_of(None) == network_of({}) == NOTHING


@pytest.mark.parametrize(
    "told",
    [
        7,
        {"allowInternetEgress": "yes"},
        {"nameservers": "8.8.8.8"},
        {"allowedEgressCIDRs": [7]},
        {"egressRateLimitBytesPerSecond": True},
        {"egressRateLimitBytesPerSecond": -1},
    ],
)
def test_what_makes_no_sense_opens_nothing(told: Any) -> None:
    assert network_of(told) == NOTHING


@pytest.mark.parametrize(
    ("network", "resolvers"),
    [
        (NOTHING, ()),
        (INTERNET, ("8.8.8.8", "1.1.1.1")),
        (Network(cidrs=("1.2.3.0/24",)), ("8.8.8.8", "1.1.1.1")),
        (Network(internet=True, cluster_dns=True), ()),
        (Network(internet=True, nameservers=("9.9.9.9",)), ("9.9.9.9",)),
        (Network(cluster_dns=True, nameservers=("9.9.9.9",)), ("9.9.9.9",)),
    ],
)
def test_which_name_servers_may_be_asked(network: Network, resolvers: tuple[str, ...]) -> None:
    assert network.resolvers == resolvers


def test_a_person_is_told_what_may_be_reached() -> None:
    assert described(NOTHING).startswith("Nothing may be reached")
    words = described(SOME)
    for part in ("IPv4 and IPv6", *SOME.cidrs, "cluster's name servers", "9.9.9.9", "1000 bytes"):
        assert part in words


# --- what is blocked ---------------------------------------------------------------------------

CLUSTER = (
    Block(ip_network("1.2.3.0/24"), "pods of this cluster"),
    Block(ip_network("2a00:1::/64"), "services of this cluster"),
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.0.0/16", "10.0.0.0/8"),
        ("169.254.169.254/32", "169.254.0.0/16"),
        ("168.63.129.16/32", "168.63.129.16/32"),
        ("224.0.0.0/3", "several ranges"),
        ("fd00::/8", "fc00::/7"),
        ("64:ff9b::a00:1/128", "64:ff9b::a00:0/104"),
        ("1.2.3.4/32", "pods of this cluster"),
        ("64:ff9b::102:304/128", "pods of this cluster"),
        ("2a00:1::/80", "services of this cluster"),
        ("::ffff:8.8.8.8/128", "IPv4 written as IPv6"),
        ("8.8.8.8", "no range"),
        ("8.8.8.0/255.255.255.0", "neither"),
        ("x/8", "neither"),
        ("fe80::1%eth0/128", "neither"),
    ],
)
def test_a_range_in_what_is_blocked_is_named_with_what_blocks_it(text: str, why: str) -> None:
    network = Network(cidrs=("8.8.8.0/24", text), ipv6=True)
    ((field, message),) = faults(network, blocked(CLUSTER))
    assert field == "allowedEgressCIDRs[1]"
    assert text in message
    assert why in message


@pytest.mark.parametrize("address", ["10.96.0.10", "169.254.169.254", "1.2.3.4", "fe80::1"])
def test_name_servers_are_held_to_the_same(address: str) -> None:
    ((field, message),) = faults(Network(nameservers=(address,), ipv6=True), blocked(CLUSTER))
    assert field == "nameservers[0]"
    assert "allowClusterDNS" in message


def test_a_name_server_is_an_address() -> None:
    ((field, _),) = faults(Network(nameservers=("8.8.8.0/24",)), blocked())
    assert field == "nameservers[0]"


def test_ipv6_is_asked_for_by_name() -> None:
    network = Network(cidrs=("2606:4700::/32",), nameservers=("2606:4700::1",))
    found = list(faults(network, blocked()))
    assert ["allowIPv6Egress" in message for _, message in found] == [True, True]
    assert list(faults(replace(network, ipv6=True), blocked())) == []


def test_what_is_blocked_inside_a_range_is_cut_out_of_it_whole() -> None:
    whole = blocked(CLUSTER).inside(ip_network("0.0.0.0/0"))
    assert {"10.0.0.0/8", "169.254.0.0/16", "1.2.3.0/24", "224.0.0.0/3"} <= set(whole)
    assert blocked(CLUSTER).inside(ip_network("1.2.0.0/16")) == ("1.2.3.0/24",)
    assert blocked().inside(ip_network("8.8.8.0/24")) == ()


addresses = st.integers(0, 2**32 - 1) | st.integers(2**32, 2**128 - 1)


@forall(addresses, st.integers(0, 128))
def test_no_blocked_address_is_left_open_by_any_range(number: int, length: int) -> None:
    bits = 32 if number < 2**32 else 128
    address = ip_network((number, bits))
    wanted = address.supernet(new_prefix=min(length, bits))
    ranges = blocked(CLUSTER)
    held = [ip_network(text) for text in ranges.inside(wanted)]
    cut_out = any(address.subnet_of(each) for each in held)  # type: ignore[arg-type]
    refused = ranges.around(wanted) is not None
    assert (cut_out or refused) == (ranges.around(address) is not None)


def test_host_bits_are_no_way_round() -> None:
    assert range_of("8.8.8.8/24") == ip_network("8.8.8.0/24")
    assert list(faults(Network(cidrs=("10.1.2.3/8",)), blocked())) != []


# --- what is recorded --------------------------------------------------------------------------


def test_the_policy_comes_before_the_pod() -> None:
    missing = world(network=INTERNET, policy="s-custom-netpol", policy_current=False)
    given().when(missing).then(("Accepted", "SpecValid"), ApplyPolicy(INTERNET))
    there = replace(missing, policy_current=True, policy_applied=True)
    given().when(there).then(
        ("Accepted", "SpecValid"), ("NetworkConfigured", "PolicyApplied"), CreatePod(INTERNET)
    )
    configured = given().when(there).decision.facts[1]
    assert configured.data == {"policy": "s-custom-netpol"}
    assert "the internet" in configured.message


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (world(ranges_unknown="set it"), "ClusterRangesUnknown"),
        (world(policy_current=False, policy_refusal="no right"), "PolicyRejected"),
    ],
)
def test_without_certainty_there_is_no_pod_and_the_log_says_why(seen: Any, reason: str) -> None:
    when = given().when(seen)
    when.then(("Accepted", "SpecValid"), ("NetworkConfigured", reason, FALSE))
    assert when.decision.requeue_after is not None
    assert when.decision.requeue_after < timedelta(seconds=6)
    trouble = fact("NetworkConfigured", reason, FALSE)
    given(ACCEPTED, trouble).when(seen).then_nothing()
    given(ACCEPTED, trouble).when(world()).then(
        ("NetworkConfigured", "NothingAllowed"), CreatePod(NOTHING)
    )
    assert fold(log_of((ACCEPTED, trouble, APPLIED))).trouble is None


def test_a_running_sandbox_does_not_suffer_from_what_is_not_known_at_present() -> None:
    given(*RUNNING).when(world(READY_POD, ranges_unknown="not read yet")).then_nothing()


def test_an_obstacle_to_a_change_is_told_once() -> None:
    story = (*RUNNING, changed(INTERNET))
    seen = world(READY_POD, policy_current=False, policy_refusal="no right")
    given(*story).when(seen).then(("NetworkConfigured", "PolicyRejected", FALSE))
    given(*story, fact("NetworkConfigured", "PolicyRejected", FALSE)).when(seen).then_nothing()


def test_a_policy_that_somebody_changed_is_put_right_and_that_is_told_once() -> None:
    seen = world(READY_POD, policy="s-custom-netpol", policy_current=False)
    given(*RUNNING).when(seen).then(ApplyPolicy(NOTHING))
    again = replace(seen, policy_current=True, policy_applied=True)
    given(*RUNNING).when(again).then(("NetworkConfigured", "PolicyCorrected"))
    given(*RUNNING, CORRECTED).when(again).then_nothing()
    given(*RUNNING, CORRECTED, APPLIED).when(again).then(("NetworkConfigured", "PolicyCorrected"))


# --- changes -----------------------------------------------------------------------------------


def ask(network: Network, *story: Fact, promised: Network = NOTHING) -> tuple[Fact, ...] | Denial:
    asker = Asker(caller="10.0.0.7", request_id="r-1", now=START, traceparent="00-1")
    return change_network(fold(log_of(story)), promised, network, asker)


def test_a_change_says_who_asked_for_what() -> None:
    facts = ask(INTERNET, *RUNNING)
    assert isinstance(facts, tuple)
    (change,) = facts
    assert_in_catalogue(change)
    assert (change.actor, change.request_id) == ("gateway on behalf of 10.0.0.7", "r-1")
    assert change.data == {"network": '{"allowInternetEgress":true}', "traceparent": "00-1"}
    assert "the internet" in change.message


def test_what_holds_already_is_not_asked_again() -> None:
    assert ask(INTERNET, *RUNNING, promised=INTERNET) == ()
    assert ask(INTERNET, *RUNNING, changed(INTERNET)) == ()
    assert ask(INTERNET, *RUNNING, changed(INTERNET), APPLIED) == ()
    assert ask(INTERNET, *RUNNING, changed(INTERNET), REFUSED) != ()


@pytest.mark.parametrize("end", [FAILED, REQUESTED], ids=["ended", "leaving"])
def test_what_has_ended_is_not_changed(end: Fact) -> None:
    denied = ask(INTERNET, *RUNNING, end)
    assert isinstance(denied, Denial)
    assert denied.obstacle is Obstacle.ENDED


@pytest.mark.parametrize(
    ("network", "field"),
    [
        (Network(cidrs=("10.0.0.0/8",)), "allowedEgressCIDRs[0]"),
        (Network(nameservers=("169.254.169.254",)), "nameservers[0]"),
        (Network(internet=True, rate=7), "egressRateLimitBytesPerSecond"),
        (Network(internet=True, nameservers=("9.9.9.9",)), "nameservers"),
        (Network(cluster_dns=True), "allowClusterDNS"),
        (Network(domains=()), "allowedEgressDomains"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(network: Network, field: str) -> None:
    denied = ask(network, *RUNNING)
    assert isinstance(denied, Denial)
    assert (denied.obstacle, denied.field) == (Obstacle.IMPOSSIBLE, field)


def test_a_change_is_answered_and_then_in_force() -> None:
    story = (*RUNNING, changed(INTERNET))
    seen = world(READY_POD, policy="s-custom-netpol", policy_current=False)
    given(*story).when(seen).then(ApplyPolicy(INTERNET))
    applied = replace(seen, policy_current=True, policy_applied=True)
    given(*story).when(applied).then(("NetworkConfigured", "PolicyApplied"))
    state = fold(log_of((*story, APPLIED)))
    assert (state.network, state.network_asked) == (INTERNET, None)
    given(*story, APPLIED).when(world(READY_POD)).then_nothing()


def test_a_change_that_this_cluster_cannot_grant_leaves_things_as_they_were() -> None:
    story = (*RUNNING, changed(INTERNET))
    seen = world(READY_POD, network_faults=("1.2.3.4 is a pod",), policy_current=False)
    given(*story).when(seen).then(("NetworkConfigured", "ChangeRefused", FALSE))
    state = fold(log_of((*story, REFUSED)))
    assert (state.network, state.network_asked, state.trouble) == (None, None, None)
    assert state.network_wanted(NOTHING) == NOTHING
    assert "1.2.3.4 is a pod" in given(*story).when(seen).decision.facts[0].message


def test_as_many_settings_as_there_can_be_fit_an_entry() -> None:
    most = Network(
        internet=True,
        cidrs=tuple(f"2606:4700:{n:04x}:{n:04x}:{n:04x}:{n:04x}:0:0/112" for n in range(1, 17)),
        nameservers=tuple(f"2606:4700:4700:1111:2222:3333:4444:{n}" for n in range(1, 4)),
        ipv6=True,
    )
    change = changed(most)
    assert len(change.data) <= 16
    assert fold(log_of((*RUNNING, change))).network_asked == most
    assert len(described(most)) <= 1024


def test_an_entry_that_cannot_be_read_asks_for_nothing() -> None:
    story = (*RUNNING, fact("NetworkChanged", "ClientRequest", network="{"))
    assert fold(log_of(story)) == fold(log_of(RUNNING))


def test_an_impossible_specification_says_nothing_of_the_network() -> None:
    given().when(world(spec_faults=("spec.network: no",))).then(
        ("Accepted", "SpecInvalid", FALSE), ("Succeeded", "SpecInvalid", FALSE)
    )


def test_name_servers_can_be_taken_away_and_given_back() -> None:
    promised = Network(cluster_dns=True, nameservers=("9.9.9.9", "8.8.4.4"))
    less = Network(nameservers=("8.8.4.4",))
    taken = ask(less, *RUNNING, promised=promised)
    assert isinstance(taken, tuple)
    (change,) = taken
    assert ask(promised, *RUNNING, change, APPLIED, promised=promised) != ()
    assert not isinstance(ask(promised, *RUNNING, change, promised=promised), Denial)


@pytest.mark.parametrize("story", [(), (ACCEPTED,), (*RUNNING, NOT_READY)])
def test_what_does_not_run_is_not_changed_yet(story: tuple[Fact, ...]) -> None:
    denied = ask(INTERNET, *story)
    assert isinstance(denied, Denial)
    assert denied.obstacle is Obstacle.NOT_RUNNING
    assert "once the sandbox runs" in denied.message


# --- the door ----------------------------------------------------------------------------------

DOOR = "10.0.0.5:18006"
OPENED = fact("NetworkConfigured", "PolicyApplied", policy="s-custom-netpol", door=DOOR)
SEEN = fact("NetworkEnforced", "SeenInForce")
UNSEEN = fact("NetworkEnforced", "NotSeenInForce", FALSE)
CHANGED = (*RUNNING, changed(INTERNET))
CHANGE = len(CHANGED)


def confirm(change: int, *story: Fact) -> tuple[Fact, ...]:
    asker = Asker(caller="10.0.0.7", request_id="r-1", now=START, traceparent="00-1")
    return confirm_network(fold(log_of(story)), change, asker)


def test_a_change_comes_with_a_door_and_its_address_is_told() -> None:
    seen = world(READY_POD, policy="s-custom-netpol", policy_current=False, door=DOOR)
    given(*CHANGED).when(seen).then(ApplyPolicy(INTERNET, DOOR))
    applied = replace(seen, policy_current=True, policy_applied=True)
    (told,) = given(*CHANGED).when(applied).decision.facts
    assert told.data == {"policy": "s-custom-netpol", "door": DOOR}
    assert f"Until that is seen in force, {DOOR} as well" in told.message
    assert_in_catalogue(told)
    assert fold(log_of((*CHANGED, OPENED))).door_wanted("") == DOOR


def test_a_policy_of_a_door_alone_opens_nothing_else_and_is_told_so() -> None:
    story = (*RUNNING, changed(NOTHING))
    applied = world(READY_POD, policy_applied=True, door=DOOR)
    given(*story).when(applied).then(("NetworkConfigured", "NothingAllowed"))
    assert given(*story).when(applied).decision.facts[0].data == {"door": DOOR}


def test_a_new_change_takes_the_door_that_is_offered_and_closes_the_one_before() -> None:
    state = fold(log_of((*CHANGED, OPENED, changed(NOTHING))))
    assert state.door_wanted("10.0.0.5:18008") == "10.0.0.5:18008"
    given(*CHANGED, OPENED, changed(NOTHING), REFUSED).when(
        world(READY_POD, after=timedelta(seconds=61))
    ).then_nothing()


def test_who_gets_through_says_so_once_and_the_door_is_closed() -> None:
    (told,) = confirm(CHANGE, *CHANGED, OPENED)
    assert_in_catalogue(told)
    assert (told.actor, told.request_id) == ("gateway on behalf of 10.0.0.7", "r-1")
    assert (told.type, told.data) == ("NetworkEnforced", {"traceparent": "00-1"})
    assert confirm(CHANGE, *CHANGED, OPENED, told) == ()
    assert fold(log_of((*CHANGED, OPENED, told))).door_wanted("") == ""
    assert ask(INTERNET, *CHANGED, OPENED, told) == ()


@pytest.mark.parametrize(
    "story",
    [CHANGED, (*CHANGED, APPLIED), (*CHANGED, OPENED, UNSEEN), (*CHANGED, OPENED, FAILED)],
    ids=["not yet applied", "without a door", "given up", "ended"],
)
def test_where_no_door_is_open_nobody_gets_through(story: tuple[Fact, ...]) -> None:
    assert confirm(CHANGE, *story) == ()


def test_who_waits_for_a_change_does_not_speak_for_a_later_one() -> None:
    later = (*CHANGED, OPENED, changed(NOTHING), OPENED)
    assert confirm(CHANGE, *later) == ()
    assert confirm(CHANGE + 2, *later) != ()


def test_a_door_that_nobody_came_through_is_closed_and_that_is_told_once() -> None:
    open_ = world(READY_POD, policy="s-custom-netpol", door=DOOR)
    early = given(*CHANGED, OPENED).when(replace(open_, now=START + timedelta(seconds=59)))
    early.then_nothing()
    assert early.decision.requeue_after is not None
    assert early.decision.requeue_after <= timedelta(seconds=1.1)
    late = replace(open_, now=START + timedelta(seconds=60))
    given(*CHANGED, OPENED).when(late).then(("NetworkEnforced", "NotSeenInForce", FALSE))
    closed = replace(late, door="", policy_current=False, policy_ajar=True)
    given(*CHANGED, OPENED, UNSEEN).when(closed).then(ApplyPolicy(INTERNET))
    applied = replace(closed, policy_current=True, policy_applied=True)
    given(*CHANGED, OPENED, UNSEEN).when(applied).then_nothing()


def test_what_nobody_saw_in_force_can_be_asked_for_again() -> None:
    again = ask(INTERNET, *CHANGED, OPENED, UNSEEN)
    assert isinstance(again, tuple)
    assert [each.type for each in again] == ["NetworkChanged"]
    assert ask(INTERNET, *CHANGED, OPENED) == (), "somebody may get through yet"
    assert ask(INTERNET, *CHANGED, OPENED, UNSEEN, *again) == ()


def test_a_door_outlasts_the_place_where_a_log_is_cut() -> None:
    for story in ((*CHANGED, OPENED), (*CHANGED, OPENED, SEEN), CHANGED):
        state = fold(log_of(story))
        assert restored(carried(state) or {}) == state


def test_a_door_that_is_tampered_with_stays_the_change_s_own() -> None:
    open_ = world(READY_POD, policy="s-custom-netpol", door=DOOR, policy_applied=True)
    given(*CHANGED, OPENED).when(open_).then(("NetworkConfigured", "PolicyCorrected"))
    (told,) = given(*CHANGED, OPENED).when(open_).decision.facts
    before, after = (fold(log_of(s)) for s in ((*CHANGED, OPENED), (*CHANGED, OPENED, told)))
    assert after.network_door == before.network_door


# --- the gate ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (replace(READY_POD, containers=()), "None of its containers was started"),
        (READY_POD, "Started all the same: sandbox0"),
    ],
    ids=["nothing ran", "something did"],
)
def test_a_network_that_was_not_seen_closed_ends_the_sandbox_whatever_runs(
    pod: Pod, told: str
) -> None:
    story = given(*RUNNING).when(world(replace(pod, unenforced="still reached a:1")))
    (ended,) = (f for f in story.decision.facts if f.type == "Succeeded")
    assert (ended.reason, ended.status) == ("NetworkNotEnforced", FALSE)
    assert "still reached a:1" in ended.message
    assert told in ended.message
