"""Dashboards as Grafana's JSON has them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

# Grafana's grid is 24 wide.
_WIDTHS = {"stat": 6, "timeseries": 12, "heatmap": 12, "traces": 24, "logs": 24, "barchart": 12}
_HEIGHTS = {"stat": 4, "traces": 12, "logs": 10}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel.

    Attributes:
        title: What it answers.
        queries: In PromQL, TraceQL's trace id or LogQL, and the legend of each.
        unit: As Grafana names units.
        kind: How it is drawn.
        source: The kind of data source.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    source: str = "prometheus"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        title: What it is about.
        panels: In reading order.
        variables: Names of text variables, beside the data sources.
    """

    title: str
    panels: tuple[Panel, ...]
    variables: tuple[str, ...] = ()


def document(name: str, dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard in Grafana's JSON."""
    numbers = count(1)
    panels: list[dict[str, Any]] = []
    x = y = 0
    for panel in dashboard.panels:
        width, height = _WIDTHS[panel.kind], _HEIGHTS.get(panel.kind, 8)
        if x + width > 24:  # noqa: PLR2004 - Grafana's grid
            x, y = 0, y + panels[-1]["gridPos"]["h"]
        panels.append(_panel(panel, next(numbers), {"x": x, "y": y, "w": width, "h": height}))
        x += width
    sources = sorted({panel.source for panel in dashboard.panels} | {"prometheus"})
    return {
        "uid": f"isola-{name}",
        "title": dashboard.title,
        "tags": ["isola"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                *(
                    {"name": source, "type": "datasource", "query": source, "label": source.title()}
                    for source in sources
                ),
                *(
                    {"name": name, "type": "textbox", "label": "UID of the sandbox without dashes"}
                    for name in dashboard.variables
                ),
            ]
        },
        "links": [{"type": "dashboards", "tags": ["isola"], "title": "Isola", "asDropdown": True}],
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": panel.source, "uid": f"${{{panel.source}}}"}
    field = "query" if panel.source == "tempo" else "expr"
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": source,
            field: query,
            "legendFormat": legend or panel.title,
            **({"exemplar": True} if panel.source == "prometheus" else {}),
            **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
            **({"instant": True} if panel.kind == "stat" else {}),
        }
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }
