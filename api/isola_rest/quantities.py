"""Kubernetes quantities (`500m`, `1.5Gi`, `1e3`): what they are worth, and their canonical text.

The rules are those of `k8s.io/apimachinery/pkg/api/resource`, which documents them:

    - A suffix chooses one of three notations: decimal (`m`, `k`, `M` ...), binary (`Ki`, `Mi` ...)
      or an exponent (`e3`). The canonical form keeps the notation.
    - No precision is lost, no fraction is written, and the exponent is as large as it can be:
      `0.5` is `500m`, `1024Mi` is `1Gi`. Binary notation that would need a fraction, or is worth
      less than 1024, becomes decimal.
    - Finer than nano is rounded away from zero; beyond 2**63 - 1 is cut to that.

Everything is exact: `Fraction`, never `float`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction

# Sign, digits, suffix; also a pattern of JSON Schema.
PATTERN = r"^([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]?|[KMGTPE]i|[eE][+-]?[0-9]+)$"

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {exponent: suffix for suffix, exponent in _BINARY.items()} | {0: ""}

_LIMIT = 2**63 - 1
_NANO = 10**9
_KIBI = 1024

# A longer text is nobody's quantity, and `1e999999999` must not be worked out.
LENGTH = 64
_EXPONENT = 2 * LENGTH


class Notation(Enum):
    """How a quantity is written."""

    DECIMAL = auto()
    BINARY = auto()
    EXPONENT = auto()


class QuantityError(ValueError):
    """A text that is no quantity."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount of a resource.

    Attributes:
        amount: In cores or bytes; a multiple of a billionth.
        notation: How it was written.
    """

    amount: Fraction
    notation: Notation = Notation.DECIMAL

    def __str__(self) -> str:
        if self.amount == 0:
            return "0"
        whole = self.amount.denominator == 1
        if self.notation is Notation.BINARY and whole and abs(self.amount) >= _KIBI:
            return _binary(int(self.amount))
        return _decimal(self.amount, exponent_form=self.notation is Notation.EXPONENT)


def parse(text: str) -> Quantity:
    """Return the quantity that `text` stands for.

    Raises:
        QuantityError: It stands for none.
    """
    found = re.fullmatch(PATTERN, text) if len(text) <= LENGTH else None
    if found is None:
        raise QuantityError(f"{text[:LENGTH]!r} is not a quantity such as 500m, 2 or 512Mi")
    sign, digits, suffix = found.groups()
    factor, notation = _scale(suffix)
    amount = _rounded(Fraction(digits.rstrip(".")) * factor)
    return Quantity(-amount if sign == "-" else amount, notation)


def _scale(suffix: str) -> tuple[Fraction, Notation]:
    if suffix in _DECIMAL:
        return Fraction(10) ** _DECIMAL[suffix], Notation.DECIMAL
    if suffix in _BINARY:
        return Fraction(_KIBI) ** _BINARY[suffix], Notation.BINARY
    exponent = max(-_EXPONENT, min(int(suffix[1:]), _EXPONENT))
    return Fraction(10) ** exponent, Notation.EXPONENT


def _rounded(amount: Fraction) -> Fraction:
    nanos = -(-amount.numerator * _NANO // amount.denominator)
    return min(Fraction(nanos, _NANO), Fraction(_LIMIT))


def _binary(amount: int) -> str:
    exponent = 0
    while amount % _KIBI == 0:
        amount //= _KIBI
        exponent += 1
    return f"{amount}{_BINARY_SUFFIX[exponent]}"


def _decimal(amount: Fraction, *, exponent_form: bool) -> str:
    number, exponent = int(amount * _NANO), -9
    while number % 1000 == 0:
        number //= 1000
        exponent += 3
    if exponent_form:
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_DECIMAL_SUFFIX[exponent]}"
