"""What the launcher may do, and what it withholds from the programs it starts.

Python has no call for these, so they go through ctypes to the C library.
"""

from __future__ import annotations

import ctypes
from typing import Final

_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_NET_ADMIN: Final = 12
_CAP_SYS_PTRACE: Final = 19
_WITHHELD: Final = (_CAP_NET_ADMIN, _CAP_SYS_PTRACE)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """The lower 32 capabilities and the others, each as three sets (capget(2))."""

    _fields_ = tuple(
        (f"{name}_{half}", ctypes.c_uint32)
        for half in ("low", "high")
        for name in ("effective", "permitted", "inheritable")
    )


def become_subreaper() -> None:
    """Make orphaned descendants of this process its own children."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def withhold() -> None:
    """Keep NET_ADMIN and SYS_PTRACE to this process: no program it executes gets them, root or not.

    A program of uid 0 gets the bounding set and what is inheritable. Leaving the bounding set
    needs SETPCAP, which a container has by default. Without it this has no effect, and commands
    keep them, as they do in the reference system.
    """
    library = ctypes.CDLL(None)
    for each in _WITHHELD:
        library.prctl(_PR_CAPBSET_DROP, each, 0, 0, 0)
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), _Sets()
    if library.capget(ctypes.byref(header), ctypes.byref(sets)) == 0:
        for each in _WITHHELD:
            sets.inheritable_low &= ~(1 << each)
        library.capset(ctypes.byref(header), ctypes.byref(sets))
