from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sidecar.pods import Client


def exchange(client: Client, *sent: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the sidecar closes."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        for piece in sent:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while block := connection.recv(65536):
            received += block
        return received


def request(method: str, path: str, body: bytes = b"", *headers: bytes) -> bytes:
    head = [f"{method} {path} HTTP/1.1".encode(), b"Host: x", *headers]
    if body:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def test_health_and_version(client: Client) -> None:
    assert client.call("GET", "/health").json == {"status": "ok"}
    assert {"gitVersion", "goVersion", "platform"} <= set(client.call("GET", "/version").json)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nope", "/v1/commands/x/y", "/health/", "//"])
def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    answer = client.call("GET", path)

    assert answer.status == 404
    assert path in answer.detail


def test_a_parameter_that_the_route_does_not_have_is_refused_by_name(client: Client) -> None:
    answer = client.call("GET", "/v1/filesystem?path=/etc/hostname&contaner=main")

    assert answer.status == 422
    assert "query.contaner: unknown; known: container, path" in answer.detail


def test_a_known_path_with_another_method_names_those_it_takes(client: Client) -> None:
    answer = client.call("PUT", "/v1/filesystem")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, DELETE")
    assert answer.detail


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1,", b"\xff\xfe\xff", b"nope", b"[" * 100_000],
    ids=["cut", "cut list", "not UTF-8", "word", "deep"],
)
def test_a_body_that_is_not_json_is_a_bad_request(client: Client, body: bytes) -> None:
    answer = client.call("POST", "/v1/commands", body)

    assert answer.status == 400
    assert "JSON" in answer.detail


def test_a_missing_body_is_a_bad_request(client: Client) -> None:
    assert client.call("POST", "/v1/commands").status == 400


@pytest.mark.parametrize("size", [1 << 20, 30 << 20], ids=["1 MiB", "30 MiB"])
def test_a_json_body_of_a_mebibyte_or_more_is_too_large(client: Client, size: int) -> None:
    answer = client.call("POST", "/v1/commands", b" " * size)

    assert answer.status == 413
    assert "1048576" in answer.detail


def test_a_json_body_just_below_is_taken(client: Client) -> None:
    body = json.dumps({"args": ["true"]}).encode()

    assert client.call("POST", "/v1/commands", body.ljust((1 << 20) - 1)).status == 202


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
        pytest.param(b"hello\r\n\r\n", id="not HTTP"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(request("POST", "/", b"", b"Content-Length: -1"), id="negative length"),
        pytest.param(
            request("POST", "/", b"", b"Content-Length: 1", b"Content-Length: 2"), id="two lengths"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA\0B: c\r\n\r\n", id="a bad header"),
    ],
)
def test_what_is_not_http_gets_a_problem_and_the_connection_ends(
    client: Client, raw: bytes
) -> None:
    answer = exchange(client, raw)

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505", b"HTTP/1.1 501"))
    assert b"application/problem+json" in answer


def test_headers_without_end_are_too_large(client: Client) -> None:
    answer = exchange(client, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"x" * 100_000)

    assert answer.startswith(b"HTTP/1.1 431")


def test_a_broken_chunked_body_is_a_bad_request(client: Client) -> None:
    head = request("POST", "/v1/commands", b"", b"Transfer-Encoding: chunked")
    answer = exchange(client, head, b"zz\r\n")

    assert answer.startswith(b"HTTP/1.1 400")


def test_a_body_that_ends_early_gets_no_answer_and_starts_nothing(client: Client) -> None:
    before = len(client.call("GET", "/v1/commands").json["commands"])
    head = request("POST", "/v1/commands", b"", b"Content-Length: 1000")

    assert exchange(client, head, b'{"args": ["true"]') == b""
    assert len(client.call("GET", "/v1/commands").json["commands"]) == before


def test_requests_may_be_sent_ahead_on_one_connection(client: Client) -> None:
    body = json.dumps({"args": ["sleep", "0.2"]}).encode()
    command = client.call("POST", "/v1/commands", body).json["id"]
    path = f"/v1/commands/{command}"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(
            request("GET", f"{path}/status?waitSeconds=10")
            + request("GET", f"{path}/stdout")
            + request("POST", f"{path}/stdin", b"x" * 100)
            + request("GET", "/health", b"", b"Connection: close")
        )
        received = b""
        while block := connection.recv(65536):
            received += block

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200", b"409", b"200"]
    assert received.endswith(b'{"status": "ok"}')


def test_a_lot_sent_ahead_does_not_end_what_is_under_way(client: Client) -> None:
    command = client.start("sleep", "0.5")
    stdin = f"/v1/commands/{command}/stdin"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(request("GET", f"/v1/commands/{command}/status?waitSeconds=10"))
        connection.sendall(request("POST", stdin, bytes(1_000_000), b"Connection: close"))
        received = b""
        while block := connection.recv(65536):
            received += block

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"409"]


def test_a_connection_is_kept_from_request_to_request(client: Client) -> None:
    connection = client.connect()

    def call(method: str, path: str, body: bytes | None = None) -> bytes:
        connection.request(method, path, body)
        return connection.getresponse().read()

    for _ in range(3):
        start = call("POST", "/v1/commands", b'{"args": ["sh", "-c", "sleep 0.05; echo x"]}')
        path = f"/v1/commands/{json.loads(start)['id']}"
        assert b": 0" in call("GET", f"{path}/status?waitSeconds=9")
        assert b"data: x" in call("GET", f"{path}/stdout")
        assert call("GET", f"{path}/stderr") == b""
        assert b"closed" in call("POST", f"{path}/stdin", b"x")
        assert call("DELETE", path) == b""
    connection.close()


def test_a_client_that_waits_to_continue_is_told_to(client: Client) -> None:
    body = json.dumps({"args": ["true"]}).encode()
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        head = request("POST", "/v1/commands", body, b"Expect: 100-continue").removesuffix(body)
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 202")


def test_a_refusal_before_a_large_body_is_read_reaches_the_client(client: Client) -> None:
    answer = client.call("POST", "/v1/filesystem", bytes(30_000_000), path="/etc")

    assert answer.status == 400
    assert "directory" in answer.detail


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a" * 64, "../x"])
def test_a_container_name_that_is_no_label_is_refused(client: Client, name: str) -> None:
    answer = client.call("POST", "/v1/commands", b"{}", container=name)

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == "query.container"
