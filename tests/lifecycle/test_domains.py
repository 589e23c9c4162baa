"""What an entry of `allowedEgressDomains` allows, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isola_lifecycle.domains import Domain, domain, host_name, named, permitted

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.tuples(
    st.lists(LABELS, min_size=1, max_size=4),
    st.from_regex(r"[a-z]([a-z0-9-]{0,4}[a-z0-9])?", fullmatch=True),
).map(lambda parts: ".".join((*parts[0], parts[1])))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("example.com", Domain("example.com", below=False)),
        ("*.example.com", Domain("example.com", below=True)),
        ("db.example.com:5432", Domain("db.example.com", below=False, ports=(5432,))),
        ("*.example.com:443", Domain("example.com", below=True, ports=(443,))),
        ("xn--bcher-kva.example", Domain("xn--bcher-kva.example", below=False)),
        ("_acme.example.com", Domain("_acme.example.com", below=False)),
    ],
)
def test_an_entry_is_a_name_perhaps_with_all_below_it_perhaps_on_one_port(
    entry: str, expected: Domain
) -> None:
    assert domain(entry) == expected


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.",
        "com",
        "*.com",
        "*example.com",
        "a.*.example.com",
        "**.example.com",
        "example.com.",
        "Example.com",
        "bücher.example",
        "1.2.3.4",
        "[::1]",
        "::1",
        "0x7f.1",
        "example.com:0",
        "example.com:65536",
        "example.com:080",
        "example.com:",
        "https://example.com",
        "example.com/path",
        "example..com",
        "-a.example.com",
        "a-.example.com",
        f"{'a' * 64}.com",
        f"{'a.' * 127}com",
        "example.com\n",
    ],
)
def test_what_is_no_name_of_a_host_is_no_entry(entry: str) -> None:
    assert domain(entry) is None


@pytest.mark.parametrize(
    ("entry", "name", "port", "allowed"),
    [
        pytest.param("example.com", "example.com", 443, True, id="the name"),
        pytest.param("example.com", "example.com", 80, True, id="the other standard port"),
        pytest.param("example.com", "example.com", 8443, False, id="not another port"),
        pytest.param("example.com", "www.example.com", 443, False, id="not what is below"),
        pytest.param("example.com", "badexample.com", 443, False, id="not what ends alike"),
        pytest.param("*.example.com", "www.example.com", 443, True, id="below"),
        pytest.param("*.example.com", "a.b.example.com", 443, True, id="far below"),
        pytest.param("*.example.com", "example.com", 443, False, id="not itself"),
        pytest.param("*.example.com", "badexample.com", 443, False, id="below only at a dot"),
        pytest.param("db.example.com:5432", "db.example.com", 5432, True, id="the port given"),
        pytest.param("db.example.com:5432", "db.example.com", 443, False, id="and no other"),
    ],
)
def test_what_an_entry_allows(entry: str, name: str, port: int, *, allowed: bool) -> None:
    one = domain(entry)
    assert one
    assert permitted([one], name, port) is allowed


@given(NAMES)
def test_names_are_compared_without_regard_to_case_and_final_dot(name: str) -> None:
    assert host_name(name.upper() + ".") == name
    one = domain(name)
    assert one
    assert named([one], host_name(name.title()) or "")


@given(st.text())
def test_whatever_comes_over_the_wire_is_a_name_in_one_form_or_none(text: str) -> None:
    name = host_name(text)
    assert name is None or host_name(name) == name == name.lower()


@given(st.ip_addresses())
def test_no_address_is_a_name(address: object) -> None:
    assert host_name(str(address)) is None
    assert domain(str(address)) is None


@given(NAMES, NAMES)
def test_a_wildcard_allows_exactly_what_is_below(name: str, other: str) -> None:
    below = domain(f"*.{name}")
    assert below
    assert named([below], f"x.{name}")
    assert named([below], other) is other.endswith(f".{name}")
