"""Draws a dashboard: its panels where Grafana would have them, from answers to their queries."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

# A dependency of who draws, and of nobody else: `uv run --group pictures`.
_MATPLOTLIB: Any = import_module("matplotlib")
_MATPLOTLIB.use("agg")
_PLOT: Any = import_module("matplotlib.pyplot")
_DATES: Any = import_module("matplotlib.dates")
_TICKER: Any = import_module("matplotlib.ticker")
_IMAGE: Any = import_module("PIL.Image")

# Grafana's: its grid, a unit of its height in pixels, and the colours it gives to series.
COLUMNS, UNIT = 24, 38
WIDTH, DPI = 1280, 100
COLOURS = (
    *("#5a9e48", "#c9a200", "#4a7fd6", "#e06c12", "#d23c50", "#8a5ac0", "#2f9c95", "#7a7a7a"),
    *("#a05a2c", "#d67ab1", "#4c5fa8", "#93a81d"),
)
_INK, _FAINT, _LINE, _GROUND = "#24292e", "#6b7280", "#e2e4e8", "#f4f5f5"
_MARGIN = 5  # pixels around a panel
_MOST_BYTES = 100_000
_SHADES = ((1, 0.8, 0.6, 0.4, 0.25, 0.12, 0.06), (1, 0.6, 0.25, 0.08), (1, 0.4, 0.08), (1, 0.3))
_SHOWN = 8  # series in a legend
_FILLED = 2  # series in a panel whose areas are filled
_NAME = 23  # characters in a legend
_LINES = 24  # of a log


@dataclass(frozen=True)
class Series:
    """One line of a panel.

    Attributes:
        name: For the legend.
        points: Seconds since 1970, and values.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bar:
    """One span of a trace.

    Attributes:
        name: Of the span.
        depth: How many spans are around it.
        start: Seconds after the trace's.
        end: Likewise.
        failed: Whether it ended with an error.
    """

    name: str
    depth: int
    start: float
    end: float
    failed: bool


Answers = Callable[[dict[str, Any]], Any]


def told(value: float, unit: str) -> str:
    """Return a value as people read it, by Grafana's name of its unit."""
    if not math.isfinite(value):  # Prometheus' word for no data
        return "-"
    match unit:
        case "s":
            return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.3g} s"
        case "percentunit":
            return f"{value:.0%}"
        case "bytes":
            return f"{value / 1024:.2f} KiB" if value >= 1024 else f"{value:.0f} B"
        case "cps" | "reqps" | "ops":
            return f"{value:.3g} /s"
        case _:
            return f"{value:.3g}"


def draw(
    dashboard: dict[str, Any], answers: Answers, span: tuple[float, float], path: Path
) -> None:
    """Write a dashboard's picture.

    Args:
        dashboard: Grafana's JSON.
        span: From when to when, in seconds since 1970.
        answers: What a panel shows: a number, or None, of a `stat`; else series; of traces, bars;
            of logs, lines.
        path: Of the PNG.
    """
    panels = dashboard["panels"]
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels) * UNIT
    figure = _PLOT.figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=_GROUND)
    for panel in panels:
        place = panel["gridPos"]
        box = (
            place["x"] / COLUMNS * WIDTH + _MARGIN,
            height - (place["y"] + place["h"]) * UNIT + _MARGIN,
            place["w"] / COLUMNS * WIDTH - 2 * _MARGIN,
            place["h"] * UNIT - 2 * _MARGIN,
        )
        _panel(_Place(figure, box, height, span), panel, answers(panel))
    drawn = io.BytesIO()
    figure.savefig(drawn, facecolor=_GROUND)
    _PLOT.close(figure)
    picture = _IMAGE.open(io.BytesIO(drawn.getvalue())).convert("RGB")
    # It lies in the repository: the larger it is, the fewer shades its edges have.
    for shares in _SHADES:
        plain = picture.quantize(palette=_palette(shares), dither=_IMAGE.Dither.NONE)
        plain.save(path, optimize=True)
        if path.stat().st_size < _MOST_BYTES:
            return


def small(png: bytes, path: Path) -> None:
    """Write a photograph of a page with the colours that it needs."""
    picture = _IMAGE.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=_IMAGE.Dither.NONE).save(path, optimize=True)


def _palette(shares: Sequence[float]) -> Any:
    """Return all colours of a dashboard, and so much of each on white."""
    colours = [tuple(bytes.fromhex(colour[1:])) for colour in (*COLOURS, _INK, _FAINT)]
    tints = [
        tuple(round(part * share + 255 * (1 - share)) for part in colour)
        for colour in colours
        for share in shares
    ]
    grounds = [tuple(bytes.fromhex(colour[1:])) for colour in (_LINE, _GROUND)]
    picture = _IMAGE.new("P", (1, 1))
    picture.putpalette([part for each in (*tints, *grounds, (255, 255, 255)) for part in each])
    return picture


@dataclass(frozen=True)
class _Place:
    """Where a panel is drawn: its box, in pixels from the left and from below, and its time."""

    figure: Any
    box: tuple[float, float, float, float]
    high: int
    span: tuple[float, float]

    def axes(self, x: float, y: float, w: float, h: float) -> Any:
        return self.figure.add_axes((x / WIDTH, y / self.high, w / WIDTH, h / self.high))


def _panel(place: _Place, panel: dict[str, Any], shown: Any) -> None:
    left, bottom, width, height = place.box
    card = place.axes(*place.box)
    card.set(xticks=[], yticks=[], facecolor="white")
    for side in card.spines.values():
        side.set_color(_LINE)
    top = (9 / width, 1 - 16 / height)
    card.text(*top, panel["title"], va="center", fontsize=9, weight="bold", color=_INK)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    inner = (left + 66, bottom + 24, width - 80, height - 58)
    match panel["type"]:
        case "stat":
            value = "no data" if shown is None else told(shown, unit)
            card.text(0.5, 0.4, value, ha="center", va="center", fontsize=25, color=COLOURS[0])
        case "traces":
            _trace(place.axes(left + 170, bottom + 28, width - 200, height - 62), shown)
        case "logs":
            _log(card, shown, height)
        case "heatmap":
            _heatmap(place.axes(*inner), shown, unit, place.span)
        case _:
            legend = min(len(shown), _SHOWN)
            rows = -(-legend // 4)
            x, y, w, h = inner
            _lines(place.axes(x, y + 17 * rows, w, h - 17 * rows), shown, unit, place.span)
            _legend(card, shown, width, height)


def _lines(axes: Any, series: Sequence[Series], unit: str, span: tuple[float, float]) -> None:
    _timed(axes, span)
    for colour, each in zip(_colours(), series, strict=False):
        times, values = zip(*each.points, strict=True)
        axes.plot(_clock(times), values, color=colour, linewidth=1.3)
        if len(series) <= _FILLED:
            axes.fill_between(_clock(times), values, color=colour, alpha=0.08, linewidth=0)
    highest = max((v for each in series for _, v in each.points if math.isfinite(v)), default=0)
    axes.set_ylim(0, highest * 1.08 or 1)
    axes.yaxis.set_major_locator(_TICKER.MaxNLocator(4))
    axes.yaxis.set_major_formatter(_units(unit))


def _legend(card: Any, series: Sequence[Series], width: float, height: float) -> None:
    for index, (colour, each) in enumerate(zip(_colours(), series[:_SHOWN], strict=False)):
        row, column = divmod(index, 4)
        rows = -(-min(len(series), _SHOWN) // 4)
        x, y = 14 + column * (width - 20) / 4, 14 + 16 * (rows - 1 - row)
        card.plot([x / width, (x + 10) / width], [y / height] * 2, color=colour, linewidth=2.5)
        more = f" (+{len(series) - _SHOWN})" if index == _SHOWN - 1 < len(series) - 1 else ""
        room = _NAME - len(more)
        name = each.name if len(each.name) <= room else f"{each.name[: room - 1]}…"
        card.text((x + 15) / width, y / height, name + more, va="center", fontsize=7, color=_INK)
    card.set(xlim=(0, 1), ylim=(0, 1))


def _heatmap(axes: Any, series: Sequence[Series], unit: str, span: tuple[float, float]) -> None:
    """Draw how many values fell between each two bounds: the series are cumulative, by bound."""
    ordered = sorted(series, key=lambda each: float(each.name))
    times = sorted({at for each in ordered for at, _ in each.points})
    counts: list[list[float]] = []
    below = dict.fromkeys(times, 0.0)
    for each in ordered:
        values = {at: value for at, value in each.points if math.isfinite(value)}
        now = {at: values.get(at, below[at]) for at in times}
        counts.append([max(now[at] - below[at], 0) for at in times])
        below = now
    some = [index for index, row in enumerate(counts) if any(row)]
    low, up = some[0], some[-1] + 1
    axes.pcolormesh(
        _clock(times), range(up - low), counts[low:up], cmap="Oranges", shading="nearest"
    )
    _timed(axes, span)
    names = [told(float(each.name), unit) for each in ordered[low:up]]
    axes.set_yticks(range(up - low), [f"≤ {name}" for name in names])
    axes.grid(visible=False)


def _trace(axes: Any, bars: Sequence[Bar]) -> None:
    kinds = {bar.depth: COLOURS[2 + bar.depth % 3 * 3] for bar in bars}
    whole = max(bar.end for bar in bars)
    for row, bar in enumerate(bars):
        colour = COLOURS[4] if bar.failed else kinds[bar.depth]
        length = max(bar.end - bar.start, whole / 400)
        axes.barh(row, length, left=bar.start, height=0.62, color=colour)
        seconds = told(bar.end - bar.start, "s")
        fits = bar.start + length < whole * 0.9
        x, side = (bar.start + length, "left") if fits else (bar.start, "right")
        if length > whole * 0.9:
            x, side = whole / 2, "center"
        ink = "white" if side == "center" else _INK
        axes.text(x, row, f" {seconds} ", va="center", ha=side, fontsize=8, color=ink)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, whole)
    axes.set_yticks(range(len(bars)), ["   " * bar.depth + bar.name for bar in bars], ha="left")
    axes.tick_params(axis="y", pad=155 * 72 / DPI, length=0, labelsize=8, labelcolor=_INK)
    axes.tick_params(axis="x", labelsize=8, labelcolor=_FAINT, color=_LINE)
    axes.xaxis.set_major_formatter(_units("s"))
    axes.grid(visible=True, axis="x", color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    _bare(axes)


def _log(card: Any, lines: Sequence[str], height: float) -> None:
    for index, line in enumerate(lines[:_LINES]):
        y = 1 - (40 + index * 19) / height
        card.text(0.012, y, line, va="center", fontsize=8, family="monospace", color=_INK)


def _timed(axes: Any, span: tuple[float, float]) -> None:
    axes.set_xlim(_clock(span))
    axes.xaxis.set_major_locator(_DATES.AutoDateLocator(minticks=2, maxticks=6))
    axes.xaxis.set_major_formatter(_DATES.DateFormatter("%H:%M:%S", tz=UTC))
    axes.tick_params(labelsize=7, labelcolor=_FAINT, color=_LINE, length=2)
    axes.grid(visible=True, color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    _bare(axes)


def _units(unit: str) -> Any:
    def written(value: float, _: int) -> str:
        return told(value, unit)

    return _TICKER.FuncFormatter(written)


def _bare(axes: Any) -> None:
    for side in axes.spines.values():
        side.set_visible(False)


def _clock(times: Iterable[float]) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC) for at in times]


def _colours() -> Iterable[str]:
    while True:
        yield from COLOURS
