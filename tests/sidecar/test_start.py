from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.pods import DATAPLANE

# Measured under gVisor, each costs 3 to 30 ms of start, for nothing that is needed here.
HEAVY = (
    "http",
    "email",
    "uuid",
    "ssl",
    "_ssl",
    "argparse",
    "random",
    "hashlib",
    "tempfile",
    *("wsproto", "isola_sidecar.viewing", "isola_sidecar.watching"),
)


def _imported(statement: str) -> set[str]:
    script = f"import sys; sys.path.insert(0, {str(DATAPLANE)!r}); sys.modules['ssl'] = None\n"
    before = set(_run("import sys"))
    return set(_run(script + statement)) - before


def _run(script: str) -> list[str]:
    listing = "\nprint(*(name for name, module in sys.modules.items() if module))"
    command = [sys.executable, "-c", script + listing]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("module", HEAVY)
def test_nothing_heavy_is_imported(module: str) -> None:
    assert module not in _imported("import isola_sidecar.application")


def test_nothing_of_the_event_loop_is_imported_before_the_socket_listens() -> None:
    imported = _imported("import isola_sidecar.__main__")

    assert not imported & {"asyncio", "h11", "json", "ctypes", "logging"}
