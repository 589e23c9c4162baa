"""The gate: opens once no canary answers any more, and says what still does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from isola_sidecar.gate import NOT_ENFORCED, attempt
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
