"""What a log is told as, whatever it is about. The kinds are in `sandboxes` and `snapshots`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from isola_exporter.metrics import Family, Value
from isola_exporter.model import Link, Severity
from isola_lifecycle.catalogue import Meaning
from isola_lifecycle.log import Condition
from isola_lifecycle.naming import Resource
from isola_lifecycle.projection import Projection


def _no_links(_: Condition) -> tuple[Link, ...]:
    return ()


def _no_values(_: Condition) -> tuple[Value, ...]:
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Story:
    """What is particular to the logs of one resource.

    Attributes:
        resource: Which.
        noun: Names it in attributes and records: `isola.<noun>.uid`.
        title: Names the span of a life, for people.
        projection: What its logs amount to.
        phases: What a state may be in one word.
        catalogue: What its entries may be.
        over: Whether, by a state, all is told: nothing opens any more.
        steps: Each milestone of a start, in their order, and the step that it ends; the first step
            begins with `Accepted`.
        starting: Whether in a state a step may begin.
        about: Attributes that a state adds, by the name of the object.
        words: Keys of `data` for which the semantic conventions have a word too.
        severity: How much an entry is worth a look.
        links: What an entry refers to beside the request that caused it.
        values: What an entry measures beside the time that has passed.
        metrics: Where measurements go.
    """

    resource: Resource
    noun: str
    title: str
    projection: Projection[Any]
    phases: type[StrEnum]
    catalogue: tuple[Meaning[Any, Any, Any], ...]
    over: Callable[[Any], bool]
    steps: Mapping[str, str]
    starting: Callable[[Any], bool]
    about: Callable[[str, Any], Mapping[str, str]]
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    severity: Callable[[Condition], Severity]
    links: Callable[[Condition], Iterable[Link]] = _no_links
    values: Callable[[Condition], Iterable[Value]] = _no_values
    metrics: Family

    @property
    def last_step(self) -> str:
        """Return the step with whose end the start is over."""
        return list(self.steps.values())[-1]

    def step_after(self, milestone: str) -> str:
        """Return the step that begins where `milestone` is reached, or empty."""
        names = list(self.steps.values())
        order = ["Accepted", *self.steps]
        return names[order.index(milestone)] if milestone in order[:-1] else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose log it is.

    Attributes:
        uid: `metadata.uid`.
        name: `metadata.name`.
        namespace: `metadata.namespace`.
        story: What its log is told as.
    """

    uid: str
    name: str
    namespace: str
    story: Story
