"""The sidecar over TLS, as pods have it: with what the operator makes for one pod."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isola_operator.credentials import fingerprint, fresh
from sidecar.pods import Client, Container, Pod, credulous, eventually, pid_inside
from sidecar.viewers import Viewer

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = fresh()
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    with Pod(tmp_path_factory.mktemp("tls")) as pod:
        yield pod


@pytest.fixture(scope="module")
def box(place: Pod) -> Container:
    return place.add("main", directory="/tmp")


@pytest.fixture(scope="module")
def client(place: Pod, box: Container) -> Client:
    assert box
    return place.start_sidecar(credentials=CREDENTIALS)


def descriptors(pod: Pod) -> int:
    return len(list(Path(f"/proc/{pod.sidecar}/fd").iterdir()))


def test_it_proves_itself_with_what_it_was_given(client: Client) -> None:
    with client.dial() as line:
        assert isinstance(line, ssl.SSLSocket)
        shown = line.getpeercert(binary_form=True)
        version = line.version()

    assert hashlib.sha256(shown or b"").hexdigest() == fingerprint(CREDENTIALS.certificate)
    assert version == "TLSv1.3"


def test_nothing_older_than_tls_1_3_is_spoken(client: Client) -> None:
    older = credulous()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((client.host, client.port), timeout=10) as line,
        pytest.raises(ssl.SSLError),
    ):
        older.wrap_socket(line)


def test_plain_http_is_not_answered_and_others_are(client: Client) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        received = line.recv(65536)

    assert b"HTTP" not in received
    assert client.call("GET", "/health").json == {"status": "ok"}


def test_the_pod_s_own_code_is_refused_before_any_handshake(tmp_path: Path) -> None:
    with Pod(tmp_path) as pod:
        pod.add("main")
        client = pod.start_sidecar("as-in-pods", credentials=fresh())
        with socket.create_connection((client.host, client.port), timeout=10) as line:
            assert line.recv(12) == b"HTTP/1.1 403"


def test_a_command_runs_and_all_of_its_output_comes(client: Client) -> None:
    ran = client.sh("echo problem >&2; exit 3")
    assert (ran.exit_code, ran.stderr) == (3, "problem\n")

    command = client.start("sh", "-c", "sleep 0.2; head -c 3000000 /dev/zero | tr '\\0' x")
    raw = client.stream(command, Accept="application/octet-stream")
    assert raw.body == b"x" * 3_000_000

    command = client.start("cat")
    assert client.stdin(command, b"typed").status == 204
    client.close_stdin(command)
    assert client.wait(command)["exitCode"] == 0


def test_a_connection_serves_one_request_after_the_other(client: Client) -> None:
    connection = client.connect()
    for _ in range(3):
        connection.request("POST", "/v1/commands", b'{"args": ["true"]}')
        command = json.loads(connection.getresponse().read())["id"]
        connection.request("GET", f"/v1/commands/{command}/status?waitSeconds=9")
        assert b": 0" in connection.getresponse().read()
    connection.close()


def test_a_large_file_comes_whole_both_ways(client: Client, box: Container) -> None:
    content = os.urandom(MEBIBYTE) * 64
    assert client.upload("/tmp/large", content).status == 201
    assert (box.root / "tmp/large").read_bytes() == content
    assert client.download("/tmp/large").body == content


def test_a_client_that_takes_nothing_holds_up_the_sidecar_s_reading(
    client: Client, place: Pod, box: Container
) -> None:
    with (box.root / "tmp/huge").open("wb") as file:
        file.truncate(512 * MEBIBYTE)

    def resident() -> int:
        return int(Path(f"/proc/{place.sidecar}/statm").read_text().split()[1]) * 4096

    before = resident()
    with client.dial() as line:
        line.sendall(b"GET /v1/filesystem?path=/tmp/huge HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(12) == b"HTTP/1.1 200"
        assert client.sh("sleep 1").exit_code == 0
        assert resident() - before < 32 * MEBIBYTE


def test_a_refusal_before_a_large_body_is_read_reaches_the_client(client: Client) -> None:
    answer = client.upload("/etc", bytes(30_000_000))

    assert answer.status == 400
    assert "directory" in answer.detail


def test_a_terminal_is_typed_into_and_told_how_it_ended(client: Client) -> None:
    command = client.start("sh", terminal={"rows": 24, "columns": 80})
    with Viewer(client, command) as viewer:
        viewer.type(b"echo $((6 * 7)); exit 5\n")
        viewer.sees(b"42\r\n")
        assert viewer.to_end()["exitCode"] == 5


@pytest.mark.parametrize("politely", [True, False])
def test_of_a_client_that_leaves_nothing_stays(
    client: Client,
    place: Pod,
    politely: bool,  # noqa: FBT001
) -> None:
    command = client.start("sleep", "60")
    client.stream(client.start("true"))
    before = descriptors(place)
    lines = [client.dial() for _ in range(3)]
    for line, path in zip(lines, ("stdout", "stderr", "status?waitSeconds=30"), strict=True):
        line.sendall(f"GET /v1/commands/{command}/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert [line.recv(12) for line in lines[:2]] == [b"HTTP/1.1 200"] * 2
    assert descriptors(place) > before

    for line in lines:
        if politely:
            line.close()
        else:
            os.close(line.detach())
    eventually(lambda: descriptors(place) <= before)
    assert client.wait(command, 0) == {"exitCode": None}
    client.kill(command)


def test_an_aborted_upload_leaves_everything_as_it_was(client: Client, box: Container) -> None:
    (box.root / "tmp/kept").write_text("before")
    with client.dial() as line:
        line.sendall(b"POST /v1/filesystem?path=/tmp/kept HTTP/1.1\r\nHost: x\r\n")
        line.sendall(b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    assert client.sh("cat /tmp/kept").stdout == "before"
    eventually(lambda: not list((box.root / "tmp").glob(".*")))


def test_who_says_nothing_in_the_handshake_holds_up_nobody(client: Client) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as line:
        line.sendall(b"\x16\x03\x01")
        assert client.run("true").exit_code == 0


def test_root_in_the_sandbox_does_not_come_by_the_key(tmp_path: Path) -> None:
    """With all that a container has by default, and so without SYS_PTRACE."""
    credentials = fresh()
    with Pod(tmp_path) as pod:
        pod.add("main")
        client = pod.start_sidecar(credentials=credentials)
        mine = pid_inside(pod.sidecar)
        look = f"readlink /proc/{mine}/cwd; cat /proc/{mine}/mem /proc/{mine}/cmdline"
        # As started, before anybody connected: its directory still has the key for a name.
        assert credentials.key in pod.within("sh", "-c", look)
        bare = ("setpriv", "--bounding-set=-sys_ptrace", "sh", "-c", look)
        told = pod.within(*bare)
        assert "isola_sidecar" in told
        assert credentials.key not in told

        launcher = f"$(cat /proc/{mine}/task/{mine}/children)"
        told = client.sh(
            f"id -u; for pid in {mine} {launcher}; do"
            " ls -l /proc/$pid/cwd /proc/$pid/fd; cat /proc/$pid/mem; done;"
            " cat /proc/*/environ /proc/*/cmdline /proc/gvisor/spec_environ; env"
        )
        assert told.stdout.startswith("0")
        assert "isola_sidecar" in told.stdout
        assert credentials.key not in told.stdout


def test_the_key_is_gone_from_where_it_was_given(client: Client, place: Pod) -> None:
    assert client.call("GET", "/health").status == 200
    assert Path(f"/proc/{place.sidecar}/cwd").readlink() == Path("/")
    assert not (place.directory / CREDENTIALS.key).exists()
    for shown in ("environ", "cmdline"):
        assert CREDENTIALS.key.encode() not in Path(f"/proc/{place.sidecar}/{shown}").read_bytes()


def test_one_that_is_started_anew_is_the_same_to_the_gateway(tmp_path: Path) -> None:
    credentials = fresh()
    with Pod(tmp_path) as pod:
        pod.add("main")
        for _ in range(2):
            client = pod.start_sidecar(credentials=credentials)
            with client.dial() as line:
                assert isinstance(line, ssl.SSLSocket)
                shown = line.getpeercert(binary_form=True)
            assert hashlib.sha256(shown or b"").hexdigest() == fingerprint(credentials.certificate)
            assert client.run("true").exit_code == 0
            os.kill(pod.sidecar, signal.SIGKILL)
            shutil.rmtree(pod.directory / credentials.key, ignore_errors=True)
