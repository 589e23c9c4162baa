"""LogQL, asked of what a collector received. No Loki answers: it is under the AGPL, and not built.

The query is read by the grammar of Grafana's own editor. It is applied by us, to the labels that
Loki gives what comes by OTLP (its documentation, "Ingesting logs to Loki using OpenTelemetry
Collector": format considerations).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support.collector import attributes
from support.toolchain import npm

# A resource and a log record, as OTLP in JSON.
Received = tuple[Mapping[str, Any], Mapping[str, Any]]

# Attributes of a resource of which Loki makes labels of a stream, by its defaults; of some more, of
# which we send none.
_INDEXED = ("service.name", "service.namespace", "k8s.namespace.name", "k8s.container.name")


def select(query: str, received: Iterable[Received]) -> list[Mapping[str, Any]]:
    """Return the records that a query selects.

    Raises:
        ValueError: It is no LogQL, or more than a stream's selector and filters by label.
    """
    matchers = _matchers(query)
    return [
        record
        for resource, record in received
        if all(_matches(matcher, _labels(resource, record)) for matcher in matchers)
    ]


def _matchers(query: str) -> list[tuple[str, str, str, str]]:
    """Return place, label, operator and value of each."""
    script = Path(__file__).with_suffix(".mjs")
    run = subprocess.run(
        ["node", script, npm("logql"), query], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise ValueError(run.stderr)
    return [
        (place, label, operator, value) for place, label, operator, value in json.loads(run.stdout)
    ]


def _labels(resource: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what can be matched in a stream's selector, and what in a filter behind it."""
    told = attributes(resource)
    stream = {_label(key): str(told[key]) for key in _INDEXED if key in told}
    structured = {_label(key): str(value) for key, value in (told | attributes(record)).items()}
    structured |= {"trace_id": record["traceId"], "span_id": record["spanId"]}
    return {"Selector": stream, "LabelFilter": structured | stream}


def _label(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", key)


def _matches(matcher: tuple[str, str, str, str], labels: Mapping[str, Mapping[str, str]]) -> bool:
    place, label, operator, value = matcher
    found = labels[place].get(label, "")
    match operator:
        case "=":
            return found == value
        case "!=":
            return found != value
        case "=~":
            return bool(re.fullmatch(value, found))
        case _:
            return not re.fullmatch(value, found)
