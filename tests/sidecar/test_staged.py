"""What waits for archives ends once all are there, and where it is not within gVisor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isola_lifecycle import naming
from isola_sidecar.staged import NOT_GVISOR


@pytest.fixture(params=["gvisor", "sentry-meminfo"])
def gvisor(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What stands for the /proc of gVisor, in a new release and in an old one."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / request.param).touch()
    return proc


def waiting(proc: Path, mark: Path) -> subprocess.Popen[str]:
    call = f"main({str(mark)!r}, {str(proc)!r})"
    program = f"import sys; from isola_sidecar.staged import main; sys.exit({call})"
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)


def test_it_waits_until_the_mark_is_there(gvisor: Path, tmp_path: Path) -> None:
    mark = tmp_path / "gate" / "staged"
    with waiting(gvisor, mark) as process:
        assert process.stderr
        assert "waiting for the archives" in process.stderr.readline()
        mark.parent.mkdir()  # the folder alone is no mark
        time.sleep(0.2)
        assert process.poll() is None
        mark.touch()
        assert process.wait(60) == 0


def test_archives_that_are_there_keep_nobody(gvisor: Path, tmp_path: Path) -> None:
    (tmp_path / "staged").touch()
    with waiting(gvisor, tmp_path / "staged") as process:
        assert process.wait(60) == 0


def test_another_kernel_would_leave_the_archives_out_and_is_told(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    process = waiting(proc, tmp_path / "staged")
    _, told = process.communicate(timeout=60)
    assert process.returncode == NOT_GVISOR == naming.STAGED_NOT_GVISOR
    assert told.strip() == f"{os.uname().sysname} {os.uname().release}"
