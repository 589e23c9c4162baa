"""What is measured of lives. The README prints this table, and a test holds it to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SECONDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120)
_LONG = (1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)

START = "isola.life.start.duration"
STEP = "isola.life.step.duration"
STATE = "isola.life.state.duration"
DURATION = "isola.life.duration"
TRANSITIONS = "isola.life.transitions"
WRITES = "isola.life.writes"
SIZE = "isola.life.size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric.

    Attributes:
        name: By OpenTelemetry's conventions.
        kind: What is done with its values.
        unit: In UCUM, as OpenTelemetry has it.
        labels: Names of its labels.
        buckets: Bounds of a histogram.
        description: For people.
    """

    name: str
    kind: Literal["counter", "histogram"] = "histogram"
    unit: Literal["s", "By", "1"] = "s"
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    description: str

    @property
    def prometheus(self) -> str:
        """Return its name in Prometheus, by OpenTelemetry's rules for that."""
        suffix = {"s": "_seconds", "By": "_bytes", "1": ""}[self.unit]
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + suffix + total


METRICS = (
    Metric(name=START, buckets=_SECONDS, description="From acceptance to the first Ready."),
    Metric(
        name=STEP,
        labels=("step",),
        buckets=_SECONDS,
        description="Each step of a start that was taken.",
    ),
    Metric(
        name=STATE, labels=("state",), buckets=_LONG, description="Each stay in a state, once over."
    ),
    Metric(name=DURATION, buckets=_LONG, description="From acceptance to the last entry."),
    Metric(
        name=TRANSITIONS,
        kind="counter",
        unit="1",
        labels=("type", "status", "reason"),
        description="Entries of logs.",
    ),
    Metric(
        name=WRITES,
        unit="1",
        buckets=(2, 3, 4, 5, 6, 8, 12, 20, 50),
        description="Status writes of a life, once over.",
    ),
    Metric(
        name=SIZE,
        unit="By",
        buckets=(1024, 2048, 3072, 4096, 6144, 8192, 16384, 65536),
        description="Bytes of a life's log, once over.",
    ),
)
