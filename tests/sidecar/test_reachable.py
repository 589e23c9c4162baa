"""The gateway asks what this pod's network reaches: no more than the code in it can find out."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from isola_sidecar import limits
from sidecar.pods import Client

PATH = "/v1/network/reachable"


def listener(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def free() -> int:
    with listener() as briefly:
        return briefly.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_listens_is_reached(client: Client, host: str) -> None:
    with closing(listener(host)) as there:
        port = there.getsockname()[1]
        answer = client.call("GET", PATH, address=host, port=port)
        connection, _ = there.accept()
        with connection:
            assert connection.recv(1) == b"", "nothing is sent, and the connection is closed"
    assert (answer.status, answer.json) == (200, {"reachable": True})


def test_what_does_not_listen_is_not_reached_and_without_a_wait_that_is_told_at_once(
    client: Client,
) -> None:
    answer = client.call("GET", PATH, address="127.0.0.1", port=free())
    assert (answer.status, answer.json) == (200, {"reachable": False})


def test_a_wait_lasts_until_it_is_reached(client: Client) -> None:
    port = free()
    opened: list[socket.socket] = []

    def opens() -> None:
        time.sleep(0.3)
        opened.append(listener(port=port))

    thread = threading.Thread(target=opens)
    thread.start()
    wait = limits.WAIT_SECONDS
    answer = client.call("GET", PATH, address="127.0.0.1", port=port, waitSeconds=wait)
    thread.join()
    opened[0].close()
    assert answer.json == {"reachable": True}


def test_a_wait_ends(client: Client) -> None:
    answer = client.call("GET", PATH, address="127.0.0.1", port=free(), waitSeconds=1)
    assert answer.json == {"reachable": False}


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("address", {}),
        ("address", {"address": "localhost"}),
        ("address", {"address": "127.0.0.1/32"}),
        ("address", {"address": "1\0"}),
        ("port", {"address": "127.0.0.1"}),
        ("port", {"address": "127.0.0.1", "port": "0"}),
        ("port", {"address": "127.0.0.1", "port": "65536"}),
        ("port", {"address": "127.0.0.1", "port": "٨٠"}),
        ("port", {"address": "127.0.0.1", "port": "9" * 5000}),
        ("waitSeconds", {"address": "127.0.0.1", "port": "80", "waitSeconds": "31"}),
    ],
)
def test_what_is_no_address_port_or_time_is_422(
    client: Client, field: str, query: dict[str, Any]
) -> None:
    answer = client.call("GET", PATH, **query)
    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == f"query.{field}"
