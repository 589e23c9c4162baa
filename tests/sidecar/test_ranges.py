"""Parts of files. `/place/file` holds the ten digits."""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path

import pytest

from sidecar.pods import Client, Container, Pod, eventually


@pytest.fixture
def place(client: Client, container: Container) -> Path:
    """A fresh directory of the container, as this machine sees it: `/place` inside."""
    client.sh("rm -rf /place; mkdir /place; printf 0123456789 > /place/file; : > /place/empty")
    return container.root / "place"


def ask(client: Client, path: str, /, **headers: str) -> tuple[int, bytes, str | None]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.call("GET", "/v1/filesystem", headers=names, path=path)
    return answer.status, answer.body, answer.headers.get("Content-Range")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("asked", "body", "content_range"),
    [
        pytest.param("bytes=2-5", b"2345", "bytes 2-5/10", id="in the middle"),
        pytest.param("bytes=0-0", b"0", "bytes 0-0/10", id="one byte"),
        pytest.param("bytes=7-", b"789", "bytes 7-9/10", id="to the end"),
        pytest.param("bytes=0-", b"0123456789", "bytes 0-9/10", id="all, as a part"),
        pytest.param("bytes=-3", b"789", "bytes 7-9/10", id="the last"),
        pytest.param("bytes=-99", b"0123456789", "bytes 0-9/10", id="more than there are"),
        pytest.param("bytes=8-99999999999999999999", b"89", "bytes 8-9/10", id="past the end"),
        pytest.param("Bytes=2-2", b"2", "bytes 2-2/10", id="units know no case"),
    ],
)
def test_one_range_is_answered_with_that_part(
    client: Client, asked: str, body: bytes, content_range: str
) -> None:
    answer = client.call("GET", "/v1/filesystem", headers={"Range": asked}, path="/place/file")

    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("path", "asked", "size"),
    [
        pytest.param("/place/file", "bytes=10-", 10, id="from the end on"),
        pytest.param("/place/file", "bytes=99999999999999999999-", 10, id="far beyond"),
        pytest.param("/place/file", "bytes=-0", 10, id="the last none"),
        pytest.param("/place/empty", "bytes=0-", 0, id="of an empty file"),
    ],
)
def test_a_range_without_a_byte_is_refused_with_the_size(
    client: Client, path: str, asked: str, size: int
) -> None:
    answer = client.call("GET", "/v1/filesystem", headers={"Range": asked}, path=path)

    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    assert str(size) in answer.detail


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,4-5",
        "bytes=5-2",
        "bytes=-",
        "bytes=x-y",
        "bytes=1",
        "lines=1-2",
        "bytes=" + "9" * 5000 + "-",
        "",
    ],
)
def test_what_is_not_one_range_is_answered_with_the_whole(client: Client, asked: str) -> None:
    assert ask(client, "/place/file", Range=asked) == (200, b"0123456789", None)


@pytest.mark.usefixtures("place")
def test_the_last_bytes_of_an_empty_file_are_the_empty_file(client: Client) -> None:
    assert ask(client, "/place/empty", Range="bytes=-5") == (200, b"", None)


def test_a_whole_download_says_that_ranges_are_served(client: Client, place: Path) -> None:
    assert place
    answer = client.download("/place/file")

    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("printf 9876543210 > /place/file", id="written"),
        pytest.param("cp -p /place/file /place/x; mv /place/x /place/file", id="replaced"),
        pytest.param(
            "printf 9876543210 > /place/file; touch -d @0 /place/file", id="written and backdated"
        ),
    ],
)
def test_a_resumed_download_never_joins_two_files(client: Client, place: Path, change: str) -> None:
    assert place
    tag = client.download("/place/file").headers["ETag"]
    assert ask(client, "/place/file", Range="bytes=5-", If_Range=tag)[:2] == (206, b"56789")

    client.sh(change)
    whole = (place / "file").read_bytes()
    assert ask(client, "/place/file", Range="bytes=5-", If_Range=tag) == (200, whole, None)


def test_a_large_part_is_sent_in_constant_memory(client: Client, pod: Pod, place: Path) -> None:
    client.sh("truncate -s 3G /place/large; printf end >> /place/large")
    peak = int(_status(pod, "VmHWM"))
    connection = client.connect()
    connection.request(
        "GET", "/v1/filesystem?path=/place/large", headers={"Range": "bytes=3000000000-"}
    )
    response = connection.getresponse()
    length = 0
    last = b""
    while block := response.read(1 << 20):
        length += len(block)
        last = block
    connection.close()

    assert (response.status, length) == (206, 3 * 2**30 + 3 - 3_000_000_000)
    assert last.endswith(b"end")
    assert int(_status(pod, "VmHWM")) - peak < 16_000
    (place / "large").unlink()


def test_a_part_of_a_file_that_shrinks_is_cut_and_never_ends_cleanly(
    client: Client, place: Path
) -> None:
    client.sh("truncate -s 256M /place/large")
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.settimeout(10)
        connection.sendall(
            b"GET /v1/filesystem?path=/place/large HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n\r\n"
        )
        response = http.client.HTTPResponse(connection)
        response.begin()
        os.truncate(place / "large", 1000)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()

    assert eventually(lambda: ask(client, "/place/file")[0] == 200)


def _status(pod: Pod, name: str) -> str:
    lines = Path(f"/proc/{pod.sidecar}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name + ":"))
