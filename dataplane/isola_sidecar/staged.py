"""Ends well once what this pod's containers start from is on its node.

    python3 -m isola_sidecar.staged MARK

It runs as an init container of its own, before any of the user's. Whoever puts the archives of
snapshots on the node (`isola_mounter`) leaves a mark in a folder that this sees, and that holds
nothing else. How long that may take is not decided here: the operator ends the pod.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from .runtime import is_gvisor

# Told to the operator, which knows it by this number.
NOT_GVISOR: Final = 87

LOOK_SECONDS: Final = 0.05


def main(mark: str, proc: str = "/proc") -> int:
    """Return 0 once the mark is there, or `NOT_GVISOR`."""
    if not is_gvisor(proc):
        # Other runtimes leave the archives out without a word.
        system = os.uname()
        sys.stderr.write(f"{system.sysname} {system.release}\n")
        return NOT_GVISOR
    if not _there(mark):
        sys.stderr.write("waiting for the archives of snapshots on this node\n")
        while not _there(mark):
            time.sleep(LOOK_SECONDS)
    return 0


def _there(path: str) -> bool:
    return os.access(path, os.F_OK)  # pathlib takes longer to import than this takes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
