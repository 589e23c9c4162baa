"""What our Python client costs beside the published one: bytes on disk, and the time of its import.

Each is installed as built into an environment of its own, with what it needs, in the same versions.
Imports are in turn, each in a process of its own; what counts is the processor's time from the
first line to the last, without the interpreter's own start.
"""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import row
from support.toolchain import ROOT

ROUNDS = 30
FOLDER = ROOT / "api" / "sdk" / "python"
PUBLISHED = f"isola-run=={importlib.metadata.version('isola-run')}"
SHARED = [f"{name}=={importlib.metadata.version(name)}" for name in ("httpx", "pydantic")]
IMPORT = "import time; t = time.process_time(); import isola; print(time.process_time() - t)"


def measure() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _uv("build", "--wheel", "--python", sys.executable, "--out-dir", folder, FOLDER)
        ours = _Installed(folder / "ours", str(next(folder.glob("*.whl"))), "isola_sdk-*")
        theirs = _Installed(folder / "theirs", PUBLISHED, "isola_run-*")
        _against("installed, alone", ours.own / 1000, theirs.own / 1000, "kB")
        _against("installed, with what it needs", ours.whole / 1e6, theirs.whole / 1e6, "MB")
        # The first ones write bytecode, and do not count.
        pairs = [(ours.imported(), theirs.imported()) for _ in range(ROUNDS + 1)][1:]
        medians = [statistics.median(each) * 1000 for each in zip(*pairs, strict=True)]
        _against("import", medians[0], medians[1], "ms")


class _Installed:
    """A client in an environment of its own."""

    def __init__(self, place: Path, what: str, record: str) -> None:
        _uv("venv", "--python", sys.executable, place)
        self._python = place / "bin" / "python"
        _uv("pip", "install", "--python", self._python, what, *SHARED)
        site = next(place.glob("lib/python*/site-packages"))
        listed = (next(site.glob(f"{record}.dist-info")) / "RECORD").read_text().splitlines()
        self.own = sum((site / line.split(",")[0]).stat().st_size for line in listed)
        self.whole = sum(each.stat().st_size for each in site.rglob("*") if each.is_file())

    def imported(self) -> float:
        """Return the seconds of an import."""
        command = [self._python, "-c", IMPORT]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _against(what: str, ours: float, theirs: float, unit: str) -> None:
    row(what, f"{ours:.1f} {unit}", f"against {theirs:.1f} {unit}   ratio {ours / theirs:.2f}")


def _uv(*arguments: str | Path) -> None:
    subprocess.run([ROOT / "hack" / "uv", "--quiet", *arguments], check=True)
