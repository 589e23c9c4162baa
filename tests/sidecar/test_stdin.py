from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from isola_sidecar.problems import ProblemError
from isola_sidecar.stdin import Stdin
from sidecar.pods import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_what_is_written_is_read_until_it_is_closed(client: Client) -> None:
    command = client.start("cat")
    assert [client.stdin(command, each).status for each in (b"one ", b"", b"two")] == [204] * 3
    assert client.close_stdin(command).status == 204

    assert client.wait(command)["exitCode"] == 0
    assert b"one " in client.stream(command).body
    assert b"two" in client.stream(command).body


def test_writes_at_once_never_interleave(client: Client) -> None:
    command = client.start("cat")
    blocks = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(client.stdin, command, block) for block in blocks]
    assert {each.result().status for each in writing} == {204}
    client.close_stdin(command)
    client.wait(command)
    raw = client.call(
        "GET", f"/v1/commands/{command}/stdout", headers={"Accept": "application/octet-stream"}
    )

    parts = [raw.body[start : start + 200_000] for start in range(0, len(raw.body), 200_000)]
    assert sorted(parts) == blocks


def test_a_large_chunked_write_arrives_whole(client: Client) -> None:
    content = os.urandom(5_000_000)
    command = client.start("sha256sum")
    pieces = (content[start : start + 70_000] for start in range(0, len(content), 70_000))
    answer = client.call("POST", f"/v1/commands/{command}/stdin", pieces)
    client.close_stdin(command)
    client.wait(command)

    assert answer.status == 204
    assert hashlib.sha256(content).hexdigest() in client.stream(command).body.decode()


def test_a_program_that_ignores_its_stdin_blocks_nothing_but_that_write(client: Client) -> None:
    command = client.start("sleep", "60")
    with ThreadPoolExecutor(2) as pool:
        blocked = pool.submit(client.stdin, command, bytes(3_000_000))
        time.sleep(0.3)  # until the pipe is full
        behind = pool.submit(client.stdin, command, b"next")
        time.sleep(0.1)
        begun = time.monotonic()
        assert client.run("true").exit_code == 0
        assert client.wait(command, 0) == {"exitCode": None}
        assert client.close_stdin(command).status == 204
        assert client.stdin(command, b"after the close").status == 409
        assert time.monotonic() - begun < 15, "held up for as long as the write may be"
        assert not blocked.done()
        client.kill(command)

        assert blocked.result().status == 409
        assert "stdin" in blocked.result().detail
        assert behind.result().status == 409


def test_writes_from_before_a_close_are_still_delivered(client: Client) -> None:
    command = client.start("sh", "-c", "sleep 0.5; wc -c")
    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(client.stdin, command, bytes(1_000_000)) for _ in range(3)]
        time.sleep(0.2)
        assert client.close_stdin(command).status == 204
        assert [each.result().status for each in writing] == [204] * 3

    assert client.wait(command)["exitCode"] == 0
    assert b"3000000" in client.stream(command).body


@pytest.mark.parametrize("size", [0, 1, 3_000_000], ids=["empty", "small", "large"])
def test_a_write_to_an_ended_command_is_refused(client: Client, size: int) -> None:
    command = client.run("true").id
    answer = client.stdin(command, bytes(size))

    assert answer.status == 409
    assert "closed" in answer.detail
    assert client.close_stdin(command).status == 409


def test_a_second_close_is_refused(client: Client) -> None:
    command = client.start("sleep", "60")

    assert [client.close_stdin(command).status for _ in range(2)] == [204, 409]
    client.kill(command)


def test_a_program_that_closed_its_stdin_refuses_writes(client: Client) -> None:
    command = client.start("sh", "-c", "exec <&-; echo closed; sleep 60")
    connection = client.connect()
    connection.request("GET", f"/v1/commands/{command}/stdout")
    connection.getresponse().readline()
    connection.close()

    assert client.stdin(command, b"x").status == 409
    assert client.stdin(command, b"x").status == 409
    client.kill(command)


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_write_is_given_up_when_the_program_takes_nothing_for_long() -> None:
    stdin = Stdin(stall_seconds=0.01)
    await stdin.write(_pieces(b"fits"))
    with pytest.raises(ProblemError, match="took nothing") as caught:
        await stdin.write(_pieces(bytes(1_000_000)))
    stdin.close()

    assert caught.value.status == 409
    assert os.read(stdin.program_end, 4) == b"fits"
    stdin.close_program_end()
