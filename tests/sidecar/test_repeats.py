from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from isola_sidecar import limits
from isola_sidecar.problems import ProblemError
from isola_sidecar.repeats import Repeats
from sidecar.pods import Answer, Client, Container, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_numbers = count()


@pytest.fixture
def key() -> str:
    return f"key {next(_numbers)}"


def post(client: Client, key: str, path: str, body: Any = None, /, **query: Any) -> Answer:
    return client.call("POST", path, body, headers={"Idempotency-Key": key}, **query)


def order(*args: str) -> bytes:
    return json.dumps({"args": args}).encode()


def runs(container: Container, name: str) -> int:
    file = container.root / "tmp" / name
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_repeated_command_is_the_same_one_and_runs_once(
    client: Client, container: Container, key: str
) -> None:
    body = order("sh", "-c", "echo x >> /tmp/repeated")
    first, second = (post(client, key, "/v1/commands", body) for _ in range(2))
    client.wait(first.json["id"])

    assert (first.status, second.status) == (202, 202)
    assert first.json == second.json
    assert runs(container, "repeated") == 1


def test_commands_at_once_with_one_key_run_once(
    client: Client, container: Container, key: str
) -> None:
    body = order("sh", "-c", "echo x >> /tmp/at-once")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(post, client, key, "/v1/commands", body) for _ in range(8)]
        answers = [each.result() for each in asked]

    assert {each.status for each in answers} == {202}
    assert len({each.json["id"] for each in answers}) == 1
    client.wait(answers[0].json["id"])
    assert runs(container, "at-once") == 1


def test_without_a_key_each_is_a_command_of_its_own(client: Client) -> None:
    body = order("true")

    assert len({client.call("POST", "/v1/commands", body).json["id"] for _ in range(2)}) == 2


def test_a_repeated_write_is_written_once(client: Client, key: str) -> None:
    command = client.start("cat")
    stdin = f"/v1/commands/{command}/stdin"
    assert [post(client, key, stdin, b"once").status for _ in range(3)] == [204] * 3
    assert [post(client, key + "c", f"{stdin}/close").status for _ in range(2)] == [204] * 2
    client.wait(command)

    assert client.stream(command, Accept="application/octet-stream").body == b"once"


def test_a_repeated_upload_move_or_directory_is_answered_the_same_and_not_done_again(
    client: Client, container: Container, key: str
) -> None:
    files = "/v1/filesystem"
    content = bytes(range(256)) * 4000
    uploads = [post(client, key, files, content, path="/repeat/file") for _ in range(2)]
    (container.root / "repeat/file").unlink()
    uploads.append(post(client, key, files, content, path="/repeat/file"))
    assert [each.status for each in uploads] == [201] * 3
    assert len({each.body for each in uploads}) == 1
    assert not (container.root / "repeat/file").exists()

    made = [post(client, key + "d", f"{files}/directories", path="/repeat/d") for _ in range(2)]
    assert [each.status for each in made] == [201, 201]

    query: dict[str, Any] = {"from": "/repeat/d", "to": "/repeat/e"}
    moved = [post(client, key + "m", f"{files}/move", **query) for _ in range(2)]
    assert [each.status for each in moved] == [204, 204]


def test_a_refusal_is_repeated_too(client: Client, container: Container, key: str) -> None:
    answers = [post(client, key, "/v1/filesystem/directories", path="/refused/d")]
    (container.root / "refused").mkdir(exist_ok=True)
    (container.root / "refused/file").touch()
    for _ in range(2):
        answers.append(post(client, key + "f", "/v1/filesystem", b"x", path="/refused/file/x"))
        (container.root / "refused/file").unlink(missing_ok=True)

    assert [each.status for each in answers] == [201, 409, 409]
    assert answers[1].body == answers[2].body
    assert answers[2].detail


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/filesystem?path=/mismatch", b"other octets", id="another body"),
        pytest.param("/v1/filesystem?path=/mismatch", b"octets and more", id="a longer body"),
        pytest.param("/v1/filesystem?path=/mismatch", b"oct", id="a shorter body"),
        pytest.param("/v1/filesystem?path=/mismatch2", b"octets", id="another query"),
        pytest.param("/v1/filesystem/directories?path=/mismatch", b"octets", id="another path"),
    ],
)
def test_a_key_that_another_request_was_sent_with_is_refused(
    client: Client, container: Container, key: str, path: str, body: bytes
) -> None:
    assert post(client, key, "/v1/filesystem?path=/mismatch", b"octets").status == 201
    answer = post(client, key, path, body)

    assert answer.status == 422
    assert key in answer.detail
    assert (container.root / "mismatch").read_bytes() == b"octets"
    assert not (container.root / "mismatch2").exists()


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(client: Client, bad: str) -> None:
    assert post(client, bad, "/v1/commands", order("true")).status == 422


def test_a_key_on_anything_but_a_post_means_nothing(client: Client, key: str) -> None:
    for path in ("/health", "/version", "/v1/commands"):
        answer = client.call("GET", path, headers={"Idempotency-Key": key})
        assert answer.status == 200


def send_part(client: Client, path: str, key: str, length: int, part: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=20)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + part)
    return connection


def test_a_repeat_waits_for_the_first_one(client: Client, container: Container, key: str) -> None:
    path = "/v1/filesystem?path=/awaited"
    with ThreadPoolExecutor(1) as pool, send_part(client, path, key, 6, b"abc") as connection:
        directory = container.root
        eventually(lambda: list(directory.glob(".isola-upload-*")))
        repeat = pool.submit(post, client, key, path, b"abcdef")
        time.sleep(0.3)
        assert not repeat.done()
        connection.sendall(b"def")
        assert connection.recv(100).startswith(b"HTTP/1.1 201")

        assert repeat.result().status == 201
    assert (container.root / "awaited").read_bytes() == b"abcdef"


def test_a_repeat_of_an_upload_that_broke_off_is_a_first_one(
    client: Client, container: Container, key: str
) -> None:
    path = "/v1/filesystem?path=/broken-off"
    with ThreadPoolExecutor(1) as pool:
        with send_part(client, path, key, 6, b"abc"):
            eventually(lambda: list(container.root.glob(".isola-upload-*")))
            repeat = pool.submit(post, client, key, path, b"abcdef")
            time.sleep(0.1)

        assert repeat.result().status == 201
    assert (container.root / "broken-off").read_bytes() == b"abcdef"


def test_a_write_that_broke_off_is_not_delivered_twice(client: Client, key: str) -> None:
    command = client.start("cat")
    path = f"/v1/commands/{command}/stdin"
    with send_part(client, path, key, 6, b"abc"):
        eventually(lambda: b"abc" in raw(client, command))
    answer = post(client, key, path, b"abcdef")

    assert answer.status == 409
    assert "after 3 bytes" in answer.detail
    assert client.stdin(command, b"def").status == 204
    client.close_stdin(command)
    client.wait(command)
    assert client.stream(command, Accept="application/octet-stream").body == b"abcdef"


def raw(client: Client, command: str) -> bytes:
    connection = client.connect()
    headers = {"Accept": "application/octet-stream"}
    connection.request("GET", f"/v1/commands/{command}/stdout", headers=headers)
    try:
        return connection.getresponse().read1()
    finally:
        connection.close()


class FakeExchange:
    """A POST without a body, and what was answered to it."""

    method = "POST"
    path = ("x",)
    on_body: Callable[[bytes], None] | None = None
    on_answer: Callable[[int, bytes, Any], None] | None = None

    def __init__(self, key: str, query: str = "") -> None:
        self.headers = {"idempotency-key": key}
        self.query = {"q": query}
        self.answers: list[int] = []

    async def body(self) -> AsyncIterator[bytes]:
        for piece in ():
            yield piece

    async def answer(self, status: int, content: bytes = b"", headers: Any = ()) -> None:
        if self.on_answer:
            self.on_answer(status, content, headers)
        self.answers.append(status)


class Handler:
    """Answers with each of `outcomes` in turn."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self.outcomes = iter(outcomes)

    async def __call__(self, exchange: Any) -> None:
        outcome = next(self.outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        await exchange.answer(outcome)


async def ask(repeats: Repeats, key: str, handle: Callable[[Any], Awaitable[None]]) -> list[int]:
    exchange = FakeExchange(key)
    await repeats.once(exchange, handle)  # type: ignore[arg-type]
    return exchange.answers


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(ProblemError(429, "busy"), id="too many"),
        pytest.param(ProblemError(408, "slow"), id="body too slow"),
        pytest.param(ProblemError(503, "not now"), id="server error"),
        pytest.param(RuntimeError("a bug"), id="a bug"),
    ],
)
async def test_an_answer_that_another_attempt_may_better_is_not_kept(passing: Exception) -> None:
    repeats, handler = Repeats(), Handler(passing, 204)
    with pytest.raises(type(passing)):
        await ask(repeats, "k", handler)

    assert await ask(repeats, "k", handler) == [204]
    assert await ask(repeats, "k", handler) == [204]


async def test_the_latest_keys_are_kept_and_no_more() -> None:
    repeats = Repeats()
    handler = Handler(*[204] * (limits.REPEATS + 2), 201)
    for number in range(limits.REPEATS + 1):
        await ask(repeats, f"k{number}", handler)
    assert await ask(repeats, f"k{limits.REPEATS}", handler) == [204]
    assert await ask(repeats, "k1", handler) == [204]

    assert len(repeats) <= limits.REPEATS
    assert await ask(repeats, "new", handler) == [204]
    assert await ask(repeats, "k0", handler) == [201]


async def test_a_key_is_forgotten_after_its_time() -> None:
    now = 0.0
    repeats, handler = Repeats(lambda: now), Handler(201, 204)
    await ask(repeats, "k", handler)
    now = limits.REPEATS_SECONDS - 1
    assert await ask(repeats, "k", handler) == [201]
    now = limits.REPEATS_SECONDS

    assert await ask(repeats, "k", handler) == [204]
