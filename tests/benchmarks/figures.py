"""What all benchmarks share: how something is timed, and how its figures are printed."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence

MEBIBYTE = 1 << 20


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(
    rounds: int, ours: Callable[[], object], theirs: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """Return the seconds of both, measured A B A B …, after one round that does not count."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds + 1)][1:]
    return [a for a, _ in pairs], [b for _, b in pairs]


def compare(
    ours: str, a: Sequence[float], theirs: str, b: Sequence[float], *, size: int = 0, target: str
) -> None:
    """Print two rows: ours, and what it is held against; with `size` in bytes, as throughput too.

    The ratio is ours to theirs in time, or in throughput where there is a size.
    """
    times = [x / y for x, y in zip(a, b, strict=True)]
    ratio = statistics.median(1 / t for t in times) if size else statistics.median(times)
    print(f"{ours:60}{_told(a, size)}")
    print(f"  against {theirs:50}{_told(b, size)}   ratio {ratio:.2f}   {target}")


def row(what: str, value: str, target: str = "") -> None:
    """Print a figure that is not held against another one."""
    print(f"{what:60}{value:>9}   {target}".rstrip())


def milliseconds(seconds: Sequence[float]) -> str:
    """Return the median of so many seconds, for a table."""
    return f"{statistics.median(seconds) * 1000:.0f} ms"


def mebibytes(size: float) -> str:
    """Return so many bytes, for a table."""
    return f"{size / MEBIBYTE:.1f} MiB"


def machine() -> str:
    """Return what everything was measured on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {os.uname().machine}"


def _told(seconds: Sequence[float], size: int) -> str:
    if not size:
        return f"{milliseconds(seconds):>9}"
    rate = size / MEBIBYTE / statistics.median(seconds)
    return f"{statistics.median(seconds):>7.2f} s{rate:>6.0f} MiB/s"
