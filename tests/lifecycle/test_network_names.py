"""Names among the settings of a network: what they mean, what goes against them, what changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from isola_lifecycle.domains import STANDARD_PORTS
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.intents import Asker, Denial, change_network
from isola_lifecycle.sandbox.network import (
    DOMAINS_LENGTH,
    NOTHING,
    Network,
    described,
    faults,
    json_of,
    network_of,
)
from isola_lifecycle.sandbox.ranges import blocked
from support.stories import RUNNING, START, log_of

NAMES = Network(domains=("example.com", "*.example.org", "db.example.com:5432"))
NONE_YET = Network(domains=())


@pytest.mark.parametrize("network", [NAMES, NONE_YET, NOTHING])
def test_names_are_read_as_they_are_written_and_none_yet_is_not_none_at_all(
    network: Network,
) -> None:
    assert network_of(json_of(network)) == network


@pytest.mark.parametrize("given", [None, "example.com", 7, {}])
def test_what_is_no_list_is_not_set(given: object) -> None:
    assert network_of({"allowedEgressDomains": given}).domains is None


def test_names_lead_to_their_ports_and_need_no_other_name_server() -> None:
    assert NAMES.ports == (*STANDARD_PORTS, 5432)
    assert Network(domains=NAMES.domains, cidrs=("1.1.1.1/32",)).resolvers == ()
    assert NAMES.needs_cluster_ranges
    assert [name.name for name in NAMES.names] == ["example.com", "example.org", "db.example.com"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"internet": True}, "allowInternetEgress"),
        ({"cluster_dns": True}, "allowClusterDNS"),
        ({"nameservers": ("9.9.9.9",)}, "nameservers"),
        ({"domains": ("example.com", "1.2.3.4")}, "allowedEgressDomains[1]"),
        ({"domains": ("a" * 60 + ".com",) * (DOMAINS_LENGTH // 60)}, "allowedEgressDomains"),
    ],
)
def test_what_would_go_round_the_names_or_is_none_is_a_fault(
    more: dict[str, Any], field: str
) -> None:
    wrong = replace(NAMES, **more)
    assert [where for where, _ in faults(wrong, blocked())] == [field]


def test_names_and_ranges_go_together() -> None:
    assert not list(faults(Network(domains=NAMES.domains, cidrs=("9.9.9.9/32",)), blocked()))


def test_it_is_told_in_words() -> None:
    assert "by name example.com and *.example.org" in described(NAMES)
    assert "by name nothing yet" in described(NONE_YET)


def asker() -> Asker:
    return Asker(caller="10.0.0.7", request_id="r-1", now=START, traceparent="")


def test_names_come_and_go_while_it_runs_but_only_where_there_may_be_some() -> None:
    running = fold(log_of(RUNNING))
    for before, after in ((NONE_YET, NAMES), (NAMES, NONE_YET)):
        changed = change_network(running, before, after, asker())
        assert not isinstance(changed, Denial)
        assert fold(log_of((*RUNNING, *changed))).network_wanted(before) == after
    for before, after in ((NOTHING, NAMES), (NAMES, NOTHING)):
        denied = change_network(running, before, after, asker())
        assert isinstance(denied, Denial)
        assert denied.field == "allowedEgressDomains"


def test_what_is_in_force_is_what_was_configured_not_what_is_asked() -> None:
    changed = change_network(fold(log_of(RUNNING)), NAMES, NONE_YET, asker())
    assert not isinstance(changed, Denial)
    state = fold(log_of((*RUNNING, *changed)))
    assert state.network_in_force(NAMES) == NAMES
    assert state.network_wanted(NAMES) == NONE_YET
