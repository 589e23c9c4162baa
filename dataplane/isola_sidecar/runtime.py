"""Which container runtime this is."""

from __future__ import annotations

import os

# What gVisor's /proc has, in this release or an older one, and no other kernel's.
_GVISOR = ("gvisor", "sentry-meminfo")


def is_gvisor(proc: str = "/proc") -> bool:
    """Return whether the kernel that shows this `/proc` is gVisor's."""
    # pathlib takes longer to import than this takes.
    return any(os.access(f"{proc}/{each}", os.F_OK) for each in _GVISOR)
