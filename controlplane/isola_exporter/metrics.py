"""What is measured of lives. `exporter.md` prints this table, and a test holds it to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SECONDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120)
_LONG = (1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_WORK = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_SIZES = tuple(mebibytes << 20 for mebibytes in (1, 10, 50, 100, 500, 1024, 5120, 10240, 51200))


@dataclass(frozen=True, slots=True)
class Family:
    """The metrics that lives of every kind have: names by OpenTelemetry's conventions.

    Attributes:
        prefix: What the names begin with.
    """

    prefix: str

    @property
    def start(self) -> str:
        """Return the name of how long the whole start takes."""
        return f"{self.prefix}.start.duration"

    @property
    def step(self) -> str:
        """Return the name of how long a step of it takes."""
        return f"{self.prefix}.step.duration"

    @property
    def state(self) -> str:
        """Return the name of how long a stay in a state takes."""
        return f"{self.prefix}.state.duration"

    @property
    def duration(self) -> str:
        """Return the name of how long all of it takes."""
        return f"{self.prefix}.duration"

    @property
    def transitions(self) -> str:
        """Return the name of how many entries there are."""
        return f"{self.prefix}.transitions"

    @property
    def writes(self) -> str:
        """Return the name of how many writes they come in."""
        return f"{self.prefix}.writes"

    @property
    def size(self) -> str:
        """Return the name of how much they take."""
        return f"{self.prefix}.size"

    @property
    def current(self) -> str:
        """Return the name of how many objects there are."""
        return f"{self.prefix}.current"


SANDBOX = Family("isola.life")
SNAPSHOT = Family("isola.snapshot.life")
BYTES = "isola.snapshot.size"
WORK = "isola.snapshot.work.duration"


@dataclass(frozen=True, slots=True)
class Value:
    """What an entry says of itself in numbers.

    Attributes:
        metric: The name of what it is a value of.
        value: In that one's unit.
        labels: Values of its labels, in their order.
    """

    metric: str
    value: float
    labels: tuple[str, ...] = ()


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


def _of_lives(
    family: Family, *, start: str, duration: str, steps: tuple[float, ...]
) -> tuple[Metric, ...]:
    return (
        Metric(name=family.start, buckets=steps, description=start),
        Metric(
            name=family.step,
            labels=("step",),
            buckets=steps,
            description="Each step of a start that was taken.",
        ),
        Metric(
            name=family.state,
            labels=("state",),
            buckets=_LONG,
            description="Each stay in a state, once over.",
        ),
        Metric(name=family.duration, buckets=_LONG, description=duration),
        Metric(
            name=family.transitions,
            kind="counter",
            unit="1",
            labels=("type", "status", "reason"),
            description="Entries of logs.",
        ),
        Metric(
            name=family.writes,
            unit="1",
            buckets=(2, 3, 4, 5, 6, 8, 12, 20, 50),
            description="Status writes of a life, once over.",
        ),
        Metric(
            name=family.size,
            unit="By",
            buckets=(1024, 2048, 3072, 4096, 6144, 8192, 16384, 65536),
            description="Bytes of a life's log, once over.",
        ),
    )


METRICS = (
    *_of_lives(
        SANDBOX,
        start="From acceptance to the first Ready.",
        duration="From acceptance to the last entry.",
        steps=_SECONDS,
    ),
    *_of_lives(
        SNAPSHOT,
        start="From acceptance to the object in the bucket.",
        duration="From acceptance until nothing is to follow.",
        steps=_WORK,
    ),
    Metric(
        name=WORK,
        labels=("step",),
        buckets=_WORK,
        description="What capture and upload took by themselves, without waiting.",
    ),
    Metric(
        name=BYTES,
        unit="By",
        labels=("form",),
        buckets=_SIZES,
        description="Of the plain archive, and of the object in the bucket.",
    ),
)
