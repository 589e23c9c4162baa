"""Make the pictures in `controlplane/pictures` again, from a real run of some minutes.

    hack/uv run --group pictures python tests/pictures [SECONDS]

Dashboards are drawn by `panels` (no Grafana runs here) from what a real Prometheus answers to the
queries of `chart/files/dashboards`, and the life and log of one sandbox from what a real collector
received; pages are photographed in a real browser. What ran, and what played the nodes: `day`.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from playwright.async_api import expect

from pictures.day import Day, delivered, lived
from pictures.panels import Bar, Series, draw, small
from support.browser import chromium
from support.collector import attributes

FOLDER = ROOT / "controlplane" / "pictures"
DASHBOARDS = ROOT / "chart" / "files" / "dashboards"
SECONDS = 240
POINTS = 160  # of a line
DESK, PHONE = (1120, 760), (390, 760)


@dataclass(frozen=True)
class Seen:
    """What dashboards show of a day.

    Attributes:
        day: The day.
        end: When it was over, as seconds since 1970.
        trace: Of one life that ended, in hexadecimal.
    """

    day: Day
    end: float
    trace: str

    def of(self, panel: dict[str, Any]) -> Any:
        """Return what a panel shows."""
        match panel["type"]:
            case "traces":
                return _bars([s for s in self.day.collector.spans() if s["traceId"] == self.trace])
            case "logs":
                of_it = (r for r in self.day.collector.records() if r["traceId"] == self.trace)
                return [
                    _line(record)
                    for record in {r["timeUnixNano"] + r["eventName"]: r for r in of_it}.values()
                ]
            case "stat":
                found = self.day.prometheus.ask(
                    "query", query=self._query(panel["targets"][0]), time=str(self.end)
                )["result"]
                return float(found[0]["value"][1]) if found else None
            case _:
                return [each for target in panel["targets"] for each in self._series(target)]

    def _series(self, target: dict[str, Any]) -> Sequence[Series]:
        began, step = int(self.day.began), math.ceil((self.end - self.day.began) / POINTS)
        times = range(began, int(self.end) + 1, step)
        found = self.day.prometheus.ask(
            "query_range",
            query=self._query(target),
            start=str(began),
            end=str(times[-1]),
            step=str(step),
        )["result"]
        series: list[Series] = []
        for each in found:
            name = re.sub(
                r"\{\{(\w+)\}\}",
                lambda m, each=each: each["metric"].get(m[1], ""),
                target["legendFormat"],
            )
            values = {at: float(v) for at, v in each["values"] if math.isfinite(float(v))}
            points = [(at, values.get(at, math.nan)) for at in times]
            if values:
                series.append(Series(name, points))
        return sorted(series, key=lambda each: each.name)

    def _query(self, target: dict[str, Any]) -> str:
        whole = f"{self.end - self.day.began:.0f}s"
        return target["expr"].replace("$__rate_interval", "20s").replace("$__range", whole)


def _bars(spans: Sequence[dict[str, Any]]) -> list[Bar]:
    by_id = {span["spanId"]: span for span in spans}
    start = min(int(span["startTimeUnixNano"]) for span in spans)

    def below(parent: str) -> Iterator[dict[str, Any]]:
        inside = [span for span in by_id.values() if span.get("parentSpanId", "") == parent]
        for span in sorted(
            inside, key=lambda each: (each["startTimeUnixNano"], each["endTimeUnixNano"])
        ):
            yield span
            yield from below(span["spanId"])

    def depth(span: dict[str, Any]) -> int:
        parent = by_id.get(span.get("parentSpanId", ""))
        return 1 + depth(parent) if parent else 0

    def seconds(nanoseconds: str) -> float:
        return (int(nanoseconds) - start) / 1e9

    return [
        Bar(
            span["name"],
            depth(span),
            seconds(span["startTimeUnixNano"]),
            seconds(span["endTimeUnixNano"]),
            bool(span["status"].get("message")),
        )
        for span in below("")
    ]


def _line(record: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(int(record["timeUnixNano"]) / 1e9, UTC)
    event, said = record["eventName"], record["body"].get("stringValue", "")
    return f"{at:%H:%M:%S.%f}"[:-3] + f"  {record['severityText']:<5}  {event:<37}  {said}"


def _a_life(day: Day, fate: str) -> tuple[str, str]:
    """Return trace id and name of a sandbox that fared so and is gone: of the longest log."""
    lengths = Counter(record["traceId"] for record in day.collector.records())
    found: dict[str, str] = {}
    for span in day.collector.spans():
        name = attributes(span)["isola.sandbox.name"]
        if span["name"] == "sandbox" and day.fates.get(str(name)) == fate:
            found[span["traceId"]] = str(name)
    if not found:
        raise LookupError(f"no life that {fate} has ended: let it take longer")
    trace = max(found, key=lambda each: lengths[each])
    return trace, found[trace]


async def _pages(day: Day) -> None:
    living = {s.name for s in await day.there.store.list() if not s.deleting and len(s.log) >= 6}
    serving = next(name for name, fate in day.fates.items() if name in living and fate == "serves")
    _, failed = _a_life(day, "fails")
    _, wavering = _a_life(day, "wavers")
    pages = (
        ("ui-list", "", DESK, "light"),
        ("ui-failed", f"#/sandboxes/{failed}", DESK, "dark"),
        ("ui-wavering-phone", f"#/sandboxes/{wavering}", PHONE, "light"),
        ("ui-live-phone", f"#/sandboxes/{serving}", PHONE, "dark"),
    )
    async with chromium() as browser:
        for name, where, size, scheme in pages:
            page = await browser.new_page(
                viewport={"width": size[0], "height": size[1]},
                color_scheme=scheme,  # pyright: ignore[reportArgumentType] - a literal each
                device_scale_factor=1.5 if size == PHONE else 1,
                timezone_id="UTC",
                locale="en-GB",
            )
            await page.goto(f"{day.url}/ui/{where}")
            shown = page.locator(".log > li" if where else "tbody tr")
            await expect(shown.first).to_be_visible()
            await expect(page.locator("#connection")).to_have_text(re.compile("live|complete"))
            small(await page.screenshot(), FOLDER / f"{name}.png")
            await page.close()


async def _make(seconds: float) -> None:
    FOLDER.mkdir(exist_ok=True)
    async with lived(seconds, time.time) as day:
        await delivered(day)
        end = time.time()
        await _pages(day)
        seen = Seen(day, end, _a_life(day, "wavers")[0])
        for path in sorted(DASHBOARDS.glob("*.json")):
            draw(
                json.loads(path.read_text()), seen.of, (day.began, end), FOLDER / f"{path.stem}.png"
            )
    for path in sorted(FOLDER.glob("*.png")):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(_make(float(sys.argv[1]) if sys.argv[1:] else SECONDS))
