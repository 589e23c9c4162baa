"""Quantities, against the rules of `k8s.io/apimachinery/pkg/api/resource`."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isola_rest.quantities import QuantityError, parse

DECIMALS = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
BINARIES = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]

texts = st.builds(
    "{}{}{}".format,
    st.integers(0, 10**6),
    st.sampled_from(["", ".", ".5", ".25", ".001", ".125"]),
    st.sampled_from([*DECIMALS, *BINARIES, "e3", "E-2", "e0", "e+5"]),
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Mi", "0"),
        ("500m", "500m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+7k", "7k"),
        ("-1.5", "-1500m"),
        ("1000", "1k"),
        ("1100k", "1100k"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("100000Ki", "100000Ki"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("1e3", "1e3"),
        ("1000e0", "1e3"),
        ("1E2", "100"),
        ("1e-30", "1e-9"),
        ("0.0000000001", "1n"),
        ("5E", "5E"),
        ("99999999999E", "9223372036854775807"),
        ("1e999999999999999999", "9223372036854775807"),
    ],
)
def test_the_canonical_form(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "m",
        "e3",
        "1e",
        "1e+",
        "1Mib",
        "1GB",
        "1K",
        "--1",
        "1.1.1",
        "0x1",
        "\u0661",
    ],
)
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)


@given(texts)
def test_the_canonical_form_is_worth_the_same_and_has_no_fraction(text: str) -> None:
    quantity = parse(text)
    assert parse(str(quantity)).amount == quantity.amount
    assert "." not in str(quantity)


@given(st.integers(1, 10**6), st.sampled_from(BINARIES))
def test_a_binary_suffix_is_a_power_of_1024(number: int, suffix: str) -> None:
    power = BINARIES.index(suffix) + 1
    assert parse(f"{number}{suffix}").amount == min(Fraction(number * 1024**power), 2**63 - 1)


@given(st.text(max_size=80))
def test_no_text_makes_it_stumble(text: str) -> None:
    try:
        assert parse(str(parse(text))).amount == parse(text).amount
    except QuantityError:
        return
