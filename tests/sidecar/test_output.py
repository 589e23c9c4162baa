from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isola_sidecar import rootfs
from isola_sidecar.output import Output
from isola_sidecar.problems import ProblemError
from sidecar.pods import Client, Container, Pod, decode_events, pid_inside, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RAW = {"Accept": "application/octet-stream"}


def test_a_stream_has_the_contracts_headers(client: Client) -> None:
    headers = client.stream(client.run("true").id).headers

    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-cache, private"
    assert headers["X-Accel-Buffering"] == "no"


def test_output_can_be_replayed_by_any_number_of_readers(client: Client) -> None:
    command = client.start("sh", "-c", "seq 100; read line; seq 101 200")
    with ThreadPoolExecutor(8) as pool:
        early = [pool.submit(client.stream, command) for _ in range(8)]
        client.stdin(command, b"\n")
        texts = {text_of(each.result().body) for each in early}
    texts.add(text_of(client.stream(command).body))

    assert texts == {"".join(f"{n}\n" for n in range(1, 201))}


def test_a_stream_resumes_at_a_byte(client: Client) -> None:
    command = client.run("printf", "0123456789").id
    stream = client.stream(command, **{"Last-Event-ID": "7"})

    assert decode_events(stream.body) == [("789", 10)]


@pytest.mark.parametrize("offset", ["-1", "x", "1.0", "", "9" * 30])
def test_a_bad_offset_is_refused(client: Client, offset: str) -> None:
    command = client.run("true").id
    answer = client.stream(command, **{"Last-Event-ID": offset})

    assert answer.status == 400
    assert answer.json["errors"][0]["location"] == "header.Last-Event-ID"


def test_an_offset_past_the_end_is_an_empty_stream(client: Client) -> None:
    command = client.run("echo", "x").id

    assert client.stream(command, **{"Last-Event-ID": "1000"})[0:3:2] == (200, b"")


def test_output_arrives_at_once_while_the_program_runs(client: Client) -> None:
    command = client.start("sh", "-c", "read line; echo now; read line")
    connection = client.connect()
    connection.request("GET", f"/v1/commands/{command}/stdout")
    response = connection.getresponse()
    client.stdin(command, b"\n")
    begun = time.monotonic()

    assert response.readline() == b"data: now\n"
    assert time.monotonic() - begun < 5
    connection.close()
    client.kill(command)


def test_binary_output_is_kept_byte_by_byte(client: Client) -> None:
    command = client.run("sh", "-c", "printf '\\000\\377\\r\\n\\303'").id

    raw = client.call("GET", f"/v1/commands/{command}/stdout", headers=RAW)
    assert raw.body == b"\x00\xff\r\n\xc3"
    assert raw.headers["Content-Type"] == "application/octet-stream"
    from_two = client.call(
        "GET", f"/v1/commands/{command}/stdout", headers=RAW | {"Last-Event-ID": "2"}
    )
    assert from_two.body == b"\r\n\xc3"
    assert text_of(client.stream(command).body) == "\0\ufffd\n\ufffd"


def test_large_output_is_whole(client: Client) -> None:
    command = client.run("head", "-c", "20000000", "/dev/zero").id
    raw = client.call("GET", f"/v1/commands/{command}/stdout", headers=RAW)

    assert raw.body == bytes(20_000_000)


def test_output_after_the_programs_end_is_not_delivered(client: Client) -> None:
    ran = client.sh("(sleep 0.3; echo late) & echo early")
    time.sleep(0.5)

    assert text_of(client.stream(ran.id).body) == "early\n"


def test_no_path_in_the_container_leads_to_output(client: Client, container: Container) -> None:
    command = client.start("sh", "-c", "echo secret; sleep 60")
    connection = client.connect()
    connection.request("GET", f"/v1/commands/{command}/stdout")
    assert connection.getresponse().readline() == b"data: secret\n"  # so there is a file
    listed = client.sh("ls -A / /run /tmp /work /var/run").stdout

    assert ".isola" not in listed
    assert not list(container.root.glob(".isola*"))
    connection.close()
    client.kill(command)


def test_output_lies_unnamed_on_the_containers_own_file_system(
    client: Client, container: Container, pod: Pod
) -> None:
    client.run("echo", "where")
    (device,) = {status.st_dev for status in _unnamed_files(pod)}

    assert device == container.root.stat().st_dev


def _unnamed_files(pod: Pod) -> Iterator[os.stat_result]:
    for link in Path(f"/proc/{pod.sidecar}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if ".isola-" in str(link.readlink()):
                yield link.stat()


@pytest.mark.parametrize("secret", ["fd/0", "root/etc/passwd", "mem"])
def test_a_command_may_not_look_into_the_sidecar(client: Client, pod: Pod, secret: str) -> None:
    ran = client.sh(f"head -c 1 /proc/{pid_inside(pod.sidecar)}/{secret}")

    assert ran.exit_code != 0
    assert "denied" in ran.stderr


async def test_a_silent_stream_yields_a_sign_of_life(tmp_path: Path) -> None:
    root = os.open(tmp_path, os.O_PATH)
    output = Output(root)
    pieces = output.pieces(0, silence_seconds=0.01)

    assert await anext(pieces) == b""
    os.write(output.program_end, b"x")
    assert await anext(pieces) == b"x"
    output.close_program_end()
    output.finish()
    assert [piece async for piece in pieces] == []


async def test_output_that_cannot_be_stored_cuts_the_stream_and_says_why() -> None:
    full = os.open("/dev", os.O_PATH)
    output = Output(full, create=lambda _: os.open("/dev/full", os.O_RDWR))
    os.write(output.program_end, b"x")
    await asyncio.sleep(0)
    output.close_program_end()
    output.finish()

    with pytest.raises(ProblemError, match="No space left") as caught:
        await anext(output.pieces(0))
    assert caught.value.status == 410


def test_output_of_a_container_that_cannot_be_written_to_lies_in_memory() -> None:
    read_only = os.open("/proc", os.O_PATH)
    unnamed = rootfs.create_unnamed(read_only)

    assert os.write(unnamed, b"x") == 1
    assert "memfd" in str(Path(f"/proc/self/fd/{unnamed}").readlink())
    os.close(unnamed)
    os.close(read_only)
