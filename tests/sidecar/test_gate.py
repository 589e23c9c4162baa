"""The gate: opens once no canary answers and all archives are there, and says what is amiss."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isola_lifecycle import naming
from isola_sidecar.gate import NOT_ENFORCED, NOT_GVISOR, attempt
from support.kubernetes_server import free_port

NO_ROUTE = "[2001:db8::1]:443"


@pytest.fixture
def alive() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"127.0.0.1:{listener.getsockname()[1]}"


def dead() -> str:
    return f"127.0.0.1:{free_port()}"


def gate(*canaries: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "isola_sidecar.gate", *canaries],
        env={**os.environ, "ISOLA_GATE_SECONDS": str(seconds)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_opens_where_everything_is_refused() -> None:
    with gate(dead(), dead(), seconds=60) as process:
        assert process.wait(60) == 0


def test_one_canary_that_answers_keeps_it_closed_and_is_named(
    alive: tuple[socket.socket, str],
) -> None:
    _, address = alive
    process = gate(dead(), address, seconds=0.5)
    _, told = process.communicate(timeout=60)
    assert process.returncode == NOT_ENFORCED
    assert told.strip() == f"still reached {address}"


def test_it_opens_when_the_last_canary_stops_answering(alive: tuple[socket.socket, str]) -> None:
    listener, address = alive
    with gate(address, seconds=60) as process:
        listener.accept()[0].close()
        assert process.poll() is None
        listener.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize("canaries", [(), (NO_ROUTE,)], ids=["none", "no route"])
def test_what_cannot_be_tried_proves_nothing(canaries: tuple[str, ...]) -> None:
    if canaries and attempt(list(canaries))[1]:
        pytest.skip("this machine has a route for IPv6")
    process = gate(*canaries, seconds=0.2)
    _, told = process.communicate(timeout=60)
    assert process.returncode == NOT_ENFORCED
    assert "no canary could be tried" in told


def test_an_answer_that_never_comes_counts_as_refused() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:
            each.settimeout(0)
            each.connect_ex(address)
        time.sleep(0.1)
        reached, refused = attempt([f"127.0.0.1:{address[1]}"])
        for each in crowd:
            each.close()
    assert (reached, len(refused)) == ([], 1)


# --- archives ----------------------------------------------------------------------------------


def test_operator_and_gate_know_its_endings_by_the_same_numbers() -> None:
    assert (NOT_ENFORCED, NOT_GVISOR) == (naming.GATE_NOT_ENFORCED, naming.GATE_NOT_GVISOR)


@pytest.fixture(params=["gvisor", "sentry-meminfo"])
def gvisor(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What stands for the /proc of gVisor, in a new release and in an old one."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / request.param).touch()
    return proc


def waiting_gate(proc: Path, mark: Path, *canaries: str, seconds: float) -> subprocess.Popen[str]:
    program = f"import sys; from isola_sidecar.gate import main; sys.exit(main({str(proc)!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", program, *canaries],
        env={**os.environ, "ISOLA_GATE_SECONDS": str(seconds), "ISOLA_GATE_STAGED": str(mark)},
        stderr=subprocess.PIPE,
        text=True,
    )


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    return process.stderr.readline()


def test_it_stays_closed_until_the_mark_is_there(gvisor: Path, tmp_path: Path) -> None:
    mark = tmp_path / "gate" / "staged"
    with waiting_gate(gvisor, mark, dead(), seconds=60) as process:
        assert "waiting for the archives" in heard(process)
        mark.parent.mkdir()  # the folder alone is no mark
        time.sleep(0.2)
        assert process.poll() is None
        mark.touch()
        assert process.wait(60) == 0


def test_archives_that_are_there_keep_nobody(gvisor: Path, tmp_path: Path) -> None:
    (tmp_path / "staged").touch()
    with waiting_gate(gvisor, tmp_path / "staged", dead(), seconds=60) as process:
        assert process.wait(60) == 0


def test_archives_open_nothing_where_the_network_is_open(
    gvisor: Path, tmp_path: Path, alive: tuple[socket.socket, str]
) -> None:
    (tmp_path / "staged").touch()
    process = waiting_gate(gvisor, tmp_path / "staged", alive[1], seconds=0.5)
    process.communicate(timeout=60)
    assert process.returncode == NOT_ENFORCED


def test_where_networks_are_not_looked_at_archives_are(gvisor: Path, tmp_path: Path) -> None:
    mark = tmp_path / "staged"
    with waiting_gate(gvisor, mark, seconds=0) as process:
        assert "waiting for the archives" in heard(process)
        mark.touch()
        assert process.wait(60) == 0


def test_another_kernel_would_leave_the_archives_out_and_is_told(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    process = waiting_gate(proc, tmp_path / "staged", dead(), seconds=60)
    _, told = process.communicate(timeout=60)
    assert process.returncode == NOT_GVISOR
    assert told.strip() == f"{os.uname().sysname} {os.uname().release}"
