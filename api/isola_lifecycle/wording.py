"""How values are worded for people."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def readable(span: timedelta) -> str:
    """Return `span` with the precision that matters at its size: `12ms`, `1.7s`, `3m20s`, `2d4h`.

    A negative span, between the clocks of two writers, keeps its sign.
    """
    seconds = span.total_seconds()
    if seconds < 0:
        return f"-{readable(-span)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:  # noqa: PLR2004 - from here on, a tenth of a second matters to nobody
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2])
