"""Files and directories moved on request."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.pods import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.pods import Answer, Client, Container


@pytest.fixture
def place(client: Client, container: Container) -> Path:
    """A fresh directory of the container, as this machine sees it: `/place` inside."""
    client.sh("rm -rf /place; mkdir /place")
    return container.root / "place"


def move(client: Client, source: str, target: str, overwrite: str | None = None) -> Answer:
    query = {"from": source, "to": target}
    if overwrite:
        query["overwrite"] = overwrite
    return client.call("POST", "/v1/filesystem/move", None, None, **query)


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


@pytest.mark.parametrize("overwrite", [None, "false", "true"])
def test_each_kind_of_entry_is_moved_whole(
    client: Client, place: Path, overwrite: str | None
) -> None:
    client.sh(
        "cd /place; mkdir there; echo x > file; chown 7:8 file; chmod 4751 file;"
        "mkdir dir; touch dir/inner; ln -s /no/where link"
    )
    before = (place / "file").stat()
    for name in ("file", "dir", "link"):
        answer = move(client, f"/place/{name}", f"/place/there/{name}-2", overwrite)
        assert (answer.status, answer.body) == (204, b"")

    assert names(place) == {"there"}
    after = (place / "there/file-2").stat()
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, 7)
    assert names(place / "there/dir-2") == {"inner"}
    assert str((place / "there/link-2").readlink()) == "/no/where"


def test_relative_paths_start_at_the_main_process_directory(
    client: Client, container: Container
) -> None:
    client.sh("rm -rf /work/new; echo x > /work/old")

    assert move(client, "old", "new").status == 204
    assert (container.root / "work/new").read_text() == "x\n"


def test_what_is_there_is_replaced_only_when_asked_for(client: Client, place: Path) -> None:
    client.sh("cd /place; echo a > a; echo b > b; ln -s b link")
    for target in ("b", "link", "a"):
        answer = move(client, "/place/a", f"/place/{target}")
        assert answer.status == 409
        assert "overwrite" in answer.detail

    assert move(client, "/place/a", "/place/link", "true").status == 204
    assert (place / "link").read_text() == "a\n"
    assert not (place / "link").is_symlink()
    assert (place / "b").read_text() == "b\n"
    assert move(client, "/place/link", "/place/b", "true").status == 204
    assert names(place) == {"b"}
    assert (place / "b").read_text() == "a\n"


def test_two_names_of_one_file_become_one(client: Client, place: Path) -> None:
    client.sh("cd /place; echo x > a; ln a b")

    assert move(client, "/place/a", "/place/a", "true").status == 204
    assert names(place) == {"a", "b"}
    assert move(client, "/place/a", "/place/b").status == 409
    assert move(client, "/place/a", "/place/b", "true").status == 204
    assert names(place) == {"b"}


def test_an_empty_directory_is_replaced_and_a_full_one_is_not(client: Client, place: Path) -> None:
    client.sh("cd /place; mkdir a empty full; touch a/x full/y")

    answer = move(client, "/place/a", "/place/full", "true")
    assert answer.status == 409
    assert "not empty" in answer.detail
    assert move(client, "/place/a", "/place/empty", "true").status == 204
    assert names(place / "empty") == {"x"}


def test_links_on_the_way_are_followed_as_the_container_sees_them(
    client: Client, place: Path
) -> None:
    client.sh("cd /place; mkdir dir; touch dir/a; ln -s /place/dir link")

    assert move(client, "/place/link/a", "/place/link/b").status == 204
    assert names(place / "dir") == {"b"}


@pytest.mark.parametrize(
    ("source", "target", "status", "says"),
    [
        pytest.param("/place/no", "/place/x", 404, "/place/no", id="missing"),
        pytest.param("/place/file", "/place/no/x", 404, "/place/no/x", id="no parent"),
        pytest.param("/place/file", "/place/file/x", 409, "Not a directory", id="into a file"),
        pytest.param("/place/dir", "/place/dir/x", 400, "inside", id="into itself"),
        pytest.param("/place/file", "/small/x", 409, "another file system", id="elsewhere"),
        pytest.param("/place/dir", "/place/file", 409, "Not a directory", id="over a file"),
        pytest.param("/place/file", "/place/dir", 409, "directory", id="over a directory"),
        pytest.param("/", "/place/x", 400, "root", id="the root"),
        pytest.param("/place/file", "/", 400, "root", id="over the root"),
        pytest.param("/place/..", "/place/x", 400, "dots", id="dots"),
        pytest.param("/pinned", "/place/x", 409, "mount", id="a mounted file"),
        pytest.param("/place/file", "/pinned", 409, "mount", id="over a mounted file"),
        pytest.param("/small", "/place/x", 409, "mount", id="a mounted directory"),
        pytest.param("/proc/1/comm", "/place/x", 400, "use a command", id="the kernel's"),
        pytest.param("/place/file", "/proc/1/comm", 400, "use a command", id="to the kernel"),
        pytest.param("/place/file", "/proc/1/root/x", 400, "", id="another process' root"),
        pytest.param("/place/file", "/place/" + "x" * 300, 400, "too long", id="too long"),
    ],
)
def test_what_cannot_be_moved_is_told_and_stays(
    client: Client, place: Path, source: str, target: str, status: int, says: str
) -> None:
    client.sh("cd /place; touch file; mkdir dir")
    answer = move(client, source, target, "true")

    assert answer.status == status
    assert says in answer.detail
    assert names(place) == {"file", "dir"}
    assert client.run("cat", "/pinned").exit_code == 0


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({"to": "/x"}, "query.from"),
        ({"from": "/x"}, "query.to"),
        ({"from": "/x", "to": "/y", "overwrite": "1"}, "query.overwrite"),
    ],
)
def test_a_malformed_request_says_where(
    client: Client, query: dict[str, str], location: str
) -> None:
    answer = client.call("POST", "/v1/filesystem/move", None, None, **query)

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == location


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine, outside of the container's root."""
    directory = Path("/isola-moved")
    directory.mkdir()
    (directory / "secret").touch()
    yield directory
    shutil.rmtree(directory)


def test_a_directory_swapped_for_a_link_all_the_time_never_leads_out(
    client: Client, place: Path, outside: Path
) -> None:
    """The container flips `/place/d` between a directory and a link out, while we move by it."""
    client.sh("rm -rf /isola-moved; mkdir /isola-moved")
    script = (
        "import os\n"
        "os.mkdir('/place/real')\n"
        "os.symlink('../../../../../../../../isola-moved', '/place/out')\n"
        "while True:\n"
        "    for each in ('real', 'out'):\n"
        "        os.rename('/place/' + each, '/place/d')\n"
        "        os.rename('/place/d', '/place/' + each)\n"
    )
    racing = client.start("/usr/bin/python3", "-c", script)
    eventually(lambda: (place / "out").is_symlink() or (place / "d").is_symlink())
    (place / "file").touch()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        for inner in ("/place/d", "/place/out"):
            move(client, "/place/file", f"{inner}/file")
            move(client, f"{inner}/file", "/place/file")
            move(client, f"{inner}/secret", f"{inner}/taken")
    client.kill(racing)

    assert names(outside) == {"secret"}
