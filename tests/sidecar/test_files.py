from __future__ import annotations

import os
import socket
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sidecar.pods import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.pods import Client, Container

USER, GROUP = 1234, 4321


@pytest.fixture
def place(client: Client, container: Container) -> Path:
    """A fresh directory of the container, as this machine sees it: `/place` inside."""
    client.sh("rm -rf /place; mkdir /place")
    return container.root / "place"


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


def test_what_is_uploaded_is_downloaded(client: Client, place: Path) -> None:
    content = os.urandom(3_000_000)
    answer = client.upload("/place/file", content)

    assert (answer.status, answer.json) == (
        201,
        {"absolutePath": "/place/file", "bytesWritten": len(content)},
    )
    download = client.download("/place/file")
    assert download.body == content
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert download.headers["Transfer-Encoding"] == "chunked"
    assert (place / "file").read_bytes() == content


def test_a_chunked_and_an_empty_upload_are_files_too(client: Client, place: Path) -> None:
    client.upload("/place/chunked", iter([b"a", b"b" * 100_000, b"c"]))
    client.upload("/place/empty", b"")

    assert (place / "chunked").read_bytes() == b"a" + b"b" * 100_000 + b"c"
    assert client.download("/place/empty").body == b""


def test_new_files_and_directories_belong_to_the_main_process(client: Client, place: Path) -> None:
    assert client.upload("/place/new/deep/file", b"x").status == 201

    for path, mode in (("new", 0o40755), ("new/deep", 0o40755), ("new/deep/file", 0o100644)):
        status = (place / path).stat()
        assert (status.st_mode, status.st_uid, status.st_gid) == (mode, USER, GROUP)


def test_what_is_overwritten_keeps_mode_and_owner(client: Client, place: Path) -> None:
    client.sh("echo old > /place/tool; chown 7:8 /place/tool; chmod 4751 /place/tool")

    client.upload("/place/tool", b"new")
    status = (place / "tool").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4751, 7, 8)
    assert (place / "tool").read_bytes() == b"new"


def test_a_relative_path_starts_at_the_main_process_directory(
    client: Client, container: Container
) -> None:
    answer = client.upload("sub/relative file+%", b"x")

    assert answer.json["absolutePath"] == "/work/sub/relative file+%"
    assert (container.root / "work/sub/relative file+%").exists()
    assert client.download("sub/relative file+%").body == b"x"


def test_a_name_need_not_be_utf8(client: Client, place: Path) -> None:
    answer = client.call("POST", "/v1/filesystem?path=%2Fplace%2F%ff%fe", b"x")

    assert answer.status == 201
    assert {os.fsencode(name) for name in names(place)} == {b"\xff\xfe"}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/place/missing", 404, "No such file", id="missing"),
        pytest.param("/place", 400, "directory", id="directory"),
        pytest.param("/", 400, "directory", id="root"),
        pytest.param("/place/fifo", 400, "regular", id="fifo"),
        pytest.param("/dev/zero", 400, "regular", id="device"),
        pytest.param("/etc/passwd/x", 409, "Not a directory", id="through a file"),
        pytest.param("/place/loop", 400, "symbolic links", id="links in a circle"),
        pytest.param("/proc/self/environ", 400, "/proc", id="the kernel's answers"),
        pytest.param("/place/" + "x" * 300, 400, "too long", id="too long"),
    ],
)
def test_what_cannot_be_read_is_told_at_once(
    client: Client, place: Path, path: str, status: int, says: str
) -> None:
    assert place
    client.sh("mkfifo /place/fifo; ln -s loop /place/loop")
    answer = client.download(path)

    assert answer.status == status
    assert says in answer.detail
    assert path in answer.detail


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/place", 400, "directory", id="directory"),
        pytest.param("/place/", 400, "directory", id="trailing slash"),
        pytest.param("/place/..", 400, "directory", id="dots"),
        pytest.param("/place/fifo", 400, "regular", id="fifo"),
        pytest.param("/dev/null", 400, "regular", id="device"),
        pytest.param("/etc/passwd/x", 409, "Not a directory", id="parent is a file"),
        pytest.param("/etc/passwd/x/y", 409, "Not a directory", id="grandparent is a file"),
        pytest.param("/place/dangling/x", 409, "link", id="parent is a link to nowhere"),
        pytest.param("/place/no/../x", 404, "dots", id="up from what is missing"),
        pytest.param("/proc/self/comm", 400, "/proc", id="the kernel's switches"),
        pytest.param("/proc/1/root/x", 400, "", id="another process' root"),
        pytest.param("/place/" + "x" * 300, 400, "too long", id="too long"),
    ],
)
def test_what_cannot_be_written_is_told_at_once(
    client: Client, place: Path, path: str, status: int, says: str
) -> None:
    client.sh("mkfifo /place/fifo; ln -s /no/where /place/dangling")
    before = names(place)
    answer = client.upload(path, b"x")

    assert answer.status == status
    assert says in answer.detail
    assert names(place) == before


@pytest.mark.parametrize("path", ["", None])
def test_a_path_is_required(client: Client, path: str | None) -> None:
    answer = client.call("GET", "/v1/filesystem" if path is None else f"/v1/filesystem?path={path}")

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == "query.path"


def test_links_are_followed_as_the_container_sees_them(client: Client, place: Path) -> None:
    client.sh(
        "mkdir /place/dir; echo one > /place/dir/file; ln -s /place/dir /place/absolute;"
        "ln -s ../../../../place/dir/file /place/up; ln -s /place/dir/later /place/later"
    )

    assert client.download("/place/absolute/file").body == b"one\n"
    assert client.download("/place/up").body == b"one\n"
    assert client.upload("/place/up", b"two").status == 201
    assert client.upload("/place/later", b"three").status == 201
    assert (place / "up").is_symlink()
    assert (place / "dir/file").read_bytes() == b"two"
    assert (place / "dir/later").read_bytes() == b"three"


@pytest.mark.parametrize(
    "link",
    ["/etc/isola-outside", "../../../../../../etc/isola-outside", "/proc/1/root/etc/isola-outside"],
)
def test_no_link_leads_out_of_the_root(
    client: Client, container: Container, place: Path, link: str, tmp_path: Path
) -> None:
    assert place
    client.sh(f"ln -s {link} /place/link; rm -f /etc/isola-outside")
    client.upload("/place/link", b"x")

    assert not os.path.lexists("/etc/isola-outside")
    assert not list(tmp_path.iterdir())
    assert container


def test_a_directory_swapped_for_a_link_all_the_time_never_leads_out(
    client: Client, place: Path
) -> None:
    """The container flips `/place/d` between a directory and links out, while we write below it."""
    script = (
        "import os\n"
        "os.mkdir('/place/real')\n"
        "os.symlink('../../../../../../../../isola-race', '/place/out')\n"
        "while True:\n"
        "    for each in ('real', 'out'):\n"
        "        os.rename('/place/' + each, '/place/d')\n"
        "        os.rename('/place/d', '/place/' + each)\n"
    )
    command = client.start("/usr/bin/python3", "-c", script)
    eventually(lambda: (place / "out").is_symlink() or (place / "d").is_symlink())
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        client.upload("/place/d/deep/file", b"x")
    client.kill(command)

    assert not os.path.lexists("/isola-race")


def test_an_upload_is_seen_whole_or_not_at_all(client: Client, place: Path) -> None:
    client.upload("/place/file", b"old")
    go = threading.Event()

    def slow_body() -> object:
        yield b"new "
        go.wait(10)
        yield b"content"

    uploading = threading.Thread(target=client.upload, args=("/place/file", slow_body()))
    uploading.start()
    (temporary,) = eventually(lambda: names(place) - {"file"})
    assert temporary.startswith(".isola-upload-")
    assert client.download("/place/file").body == b"old"
    go.set()
    uploading.join()

    assert client.download("/place/file").body == b"new content"
    assert names(place) == {"file"}


def test_an_aborted_upload_leaves_everything_as_it_was(client: Client, place: Path) -> None:
    client.upload("/place/file", b"old")
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(
            b"POST /v1/filesystem?path=/place/file HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 1000\r\n\r\npart"
        )
        eventually(lambda: len(names(place)) == 2)

    eventually(lambda: names(place) == {"file"})
    assert client.download("/place/file").body == b"old"


def test_a_mounted_file_is_replaced_as_the_container_sees_it(client: Client) -> None:
    assert client.upload("/mounted", b"new").status == 201
    assert client.run("cat", "/mounted").stdout == "new"
    assert client.run("cat", "/source").stdout == "old\n"


def test_a_full_disk_is_told_and_nothing_stays(client: Client, container: Container) -> None:
    answer = client.upload("/small/file", bytes(1_000_000))

    assert answer.status == 507
    assert "No space left" in answer.detail
    assert not list((container.root / "small").iterdir())
