"""Attributes by OpenTelemetry's semantic conventions where these have a word, else `isola.*`."""

from __future__ import annotations

from typing import Any

from isola_exporter.model import Attributes
from isola_exporter.stories import Subject
from isola_lifecycle.log import Condition


def of_subject(subject: Subject, state: Any) -> dict[str, str | int]:
    """Return what every span and record of a life says of its object."""
    story = subject.story
    return {
        f"isola.{story.noun}.name": subject.name,
        f"isola.{story.noun}.uid": subject.uid,
        "isola.state": state.phase.value,
        "k8s.namespace.name": subject.namespace,
        **story.about(subject.name, state),
    }


def of_entry(subject: Subject, state: Any, entry: Condition) -> Attributes:
    """Return the attributes of an entry's record: with them and its message nothing is lost."""
    told: dict[str, str | int] = of_subject(subject, state)
    told |= {
        "isola.sequence": entry.sequence,
        "isola.type": entry.type,
        "isola.status": str(entry.status),
        "isola.reason": entry.reason,
        "isola.actor": entry.actor,
        "isola.generation": entry.observed_generation,
        "isola.digest": entry.digest,
    }
    if entry.request_id:
        told["isola.request_id"] = entry.request_id
    for key, value in entry.data.items():
        told[f"isola.data.{key}"] = value
        if word := subject.story.words.get(key):
            told[word] = int(value) if value.isdecimal() else value
    return told
