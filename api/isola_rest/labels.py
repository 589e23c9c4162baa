"""Labels that clients put on sandboxes, and selectors that choose by them.

Both are those of Kubernetes, and the labels are kept on the custom resource as they are, so that
`kubectl get sandboxes -l team=a` chooses what the REST API chooses. Prefixes that mean something
to Kubernetes or to us are not for clients to write, and are not shown to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from isola_rest.identifiers import SUBDOMAIN_PATTERN

MOST_LABELS = 16

# A mistake is quoted, but not all of a mebibyte.
_SHOWN_LENGTH = 80
_GRAMMAR = "up to 63 of letters, digits, '-', '_', '.', the first and last a letter or digit"

_SUBDOMAIN = SUBDOMAIN_PATTERN.removeprefix("^").removesuffix("$")
_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = f"({_SUBDOMAIN}/)?{_NAME}"
_VALUE = f"({_NAME})?"
_RESERVED = r"([^/]*\.)?(isola\.run|kubernetes\.io|k8s\.io)/"
_LONG_PREFIX = "[^/]{254}"
_REQUIREMENT = f" *{_KEY} *(=|==|!=) *{_VALUE} *"
_SELECTOR = f"^({_REQUIREMENT}(,{_REQUIREMENT})*)?$"

_SPLIT = re.compile("(?P<key>[^!= ]+) *(?P<operator>==?|!=) *(?P<value>.*)")


def _fault(key: str, value: str) -> str:
    if not re.fullmatch(_KEY, key) or re.match(_LONG_PREFIX, key):
        return (
            f"{_quoted(key)} is no key: it is {_GRAMMAR}; before it a DNS subdomain and '/' or not"
        )
    if re.match(_RESERVED, key):
        return f"{_quoted(key)} is reserved: choose another prefix, or none"
    if not re.fullmatch(_VALUE, value):
        return f"{_quoted(value)} is no value of {_quoted(key)}: it is empty or {_GRAMMAR}"
    return ""


def _quoted(text: str) -> str:
    return repr(text[:_SHOWN_LENGTH])


def _checked(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > MOST_LABELS:
        raise _error(f"At most {MOST_LABELS} labels, not {len(labels)}")
    for key, value in labels.items():
        if fault := _fault(key, value):
            raise _error(fault)
    return labels


Labels = Annotated[
    dict[str, str],
    AfterValidator(_checked),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_LABELS,
            "propertyNames": {"pattern": f"^(?!{_LONG_PREFIX})(?!{_RESERVED}){_KEY}$"},
            "additionalProperties": {"type": "string", "pattern": f"^{_VALUE}$"},
        }
    ),
]


def shown(labels: Mapping[str, str]) -> dict[str, str]:
    """Return those of an object's labels that are its clients' business."""
    return {key: value for key, value in labels.items() if not re.match(_RESERVED, key)}


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one part of a selector asks of labels.

    Attributes:
        key: Of a label.
        value: The value it is compared with.
        equal: Whether it must have that value. If not, it may also be missing.
    """

    key: str
    value: str
    equal: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` are as required."""
        return (labels.get(self.key) == self.value) is self.equal


def _selector(text: str) -> tuple[Requirement, ...]:
    if not text.strip(" "):
        if text:
            raise _error("a selector of spaces selects nothing")
        return ()
    return tuple(_requirement(part.strip(" ")) for part in text.split(","))


def _requirement(text: str) -> Requirement:
    found = _SPLIT.fullmatch(text)
    if found is None:
        raise _error(f"{text!r} is none of key=value, key==value and key!=value")
    key, value = found["key"], found["value"]
    if not re.fullmatch(_KEY, key) or not re.fullmatch(_VALUE, value):
        raise _error(f"{text!r} compares what cannot be a label's key or value")
    return Requirement(key, value, equal=found["operator"] != "!=")


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("labels", "{message}", {"message": message})


Selector = Annotated[
    tuple[Requirement, ...],
    PlainValidator(_selector),
    WithJsonSchema({"type": "string", "pattern": _SELECTOR}),
]
