"""What the tests take from `hack/`: binaries, images, the cluster. Built when they are missing."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def binaries(*names: str) -> Path:
    """Return the folder in which the binaries of these names are, built if need be."""
    run = subprocess.run(
        [ROOT / "hack" / "binaries.sh", *names], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(run.stdout.splitlines()[-1])


@cache
def npm(name: str) -> Path:
    """Return the folder with the `node_modules` that `hack/npm` locks under this name."""
    run = subprocess.run(
        [ROOT / "hack" / "npm.sh", name], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(run.stdout.splitlines()[-1])
