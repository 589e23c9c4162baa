"""Directories listed, and single entries looked at."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def entries(client: Client, path: str, **query: Any) -> Answer:
    return client.call("GET", "/v1/filesystem/entries", path=path, **query)


def look(client: Client, path: str, **query: Any) -> Answer:
    return client.call("GET", "/v1/filesystem/stat", path=path, **query)


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [entry["name"] for entry in answer.json["entries"]]


@pytest.mark.usefixtures("place")
def test_each_kind_of_entry_is_told_with_its_attributes(client: Client) -> None:
    client.sh(
        "cd /place; printf 12345 > file; chown 7:8 file; chmod 4751 file; mkdir dir; chmod 1777 dir"
        "; ln -s /no/where link; mkfifo fifo; touch -hd 2001-02-03T04:05:06.789012345Z file link"
    )
    answer = entries(client, "/place")

    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json) == {"entries"}
    directory, fifo, file, link = answer.json["entries"]
    assert file == {
        "name": "file",
        "path": "/place/file",
        "type": "file",
        "size": 5,
        "permissions": "4751",
        "uid": 7,
        "gid": 8,
        "modifiedTime": "2001-02-03T04:05:06.789012Z",
    }
    assert (link["type"], link["symlinkTarget"]) == ("symlink", "/no/where")
    assert (directory["type"], directory["permissions"]) == ("directory", "1777")
    assert fifo["type"] == "other"
    for entry in answer.json["entries"]:
        assert look(client, entry["path"]).json == entry


@pytest.mark.usefixtures("place")
def test_entries_are_sorted_by_name_and_hidden_ones_are_among_them(client: Client) -> None:
    client.sh("cd /place; touch b a .c Z é 𝄞 ﬁ")

    assert names(entries(client, "/place")) == [".c", "Z", "a", "b", "é", "ﬁ", "𝄞"]


@pytest.mark.usefixtures("place")
def test_links_to_a_directory_are_followed_and_links_in_it_are_not(client: Client) -> None:
    client.sh("cd /place; mkdir dir; ln -s /etc dir/inner; ln -s /place/dir link")
    answer = entries(client, "/place/link")

    assert [(e["path"], e["type"]) for e in answer.json["entries"]] == [
        ("/place/link/inner", "symlink")
    ]
    assert look(client, "/place/link").json["type"] == "symlink"
    assert look(client, "/place/link/").json["type"] == "directory"


@pytest.mark.usefixtures("place")
def test_a_relative_path_starts_at_the_main_process_directory(client: Client) -> None:
    client.sh("rm -rf /work/sub; mkdir /work/sub; touch /work/sub/x")

    assert entries(client, "sub/").json["entries"][0]["path"] == "/work/sub/x"
    assert look(client, "sub/x").json["path"] == "/work/sub/x"


def test_the_root_is_a_directory_like_others(client: Client) -> None:
    root = look(client, "/").json

    assert (root["name"], root["path"], root["type"]) == ("/", "/", "directory")
    listed = entries(client, "/").json["entries"]
    assert {"/etc", "/work"} <= {entry["path"] for entry in listed}


@pytest.mark.usefixtures("place")
def test_an_empty_directory_has_no_entries(client: Client) -> None:
    assert entries(client, "/place").json == {"entries": []}


def test_pages_show_each_name_once_in_order(client: Client, place: Path) -> None:
    for number in range(25):
        (place / f"{number:02}").touch()
    first = entries(client, "/place", limit=10)
    (place / "05").unlink()
    (place / "001").touch()
    (place / "095").touch()
    second = entries(client, "/place", limit=10, cursor=first.json["nextCursor"])
    third = entries(client, "/place", limit=10, cursor=second.json["nextCursor"])

    assert names(first) == [f"{number:02}" for number in range(10)]
    assert [*names(second), *names(third)] == ["095", *(f"{n:02}" for n in range(10, 25))]
    assert "nextCursor" not in third.json
    assert "nextCursor" not in entries(client, "/place", limit=26).json


def test_a_huge_directory_comes_whole_in_pages(client: Client, place: Path) -> None:
    for number in range(20_000):
        (place / f"{number:05}").touch()
    found: list[str] = []
    cursor = ""
    while True:
        answer = entries(client, "/place", cursor=cursor)
        found += names(answer)
        assert len(names(answer)) <= 1000
        cursor = answer.json.get("nextCursor", "")
        if not cursor:
            break

    assert found == [f"{number:05}" for number in range(20_000)]


@pytest.mark.usefixtures("place")
def test_a_name_that_is_no_text_can_still_be_asked_for(client: Client) -> None:
    client.call("POST", "/v1/filesystem?path=%2Fplace%2F%ff%fe", b"x")
    (entry,) = entries(client, "/place").json["entries"]

    assert entry["name"] == "\ufffd\ufffd"
    assert client.call("GET", f"/v1/filesystem?path={entry['encodedPath']}").body == b"x"
    again = client.call("GET", f"/v1/filesystem/stat?path={entry['encodedPath']}")
    assert again.json == entry
    page = entries(client, "/place", cursor="_v8=")  # 0xfe 0xff, just before it
    assert names(page) == [entry["name"]]


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("@99999999999999", "9999-12-31T23:59:59.000000Z"),
        ("@-99999999999", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_time_out_of_all_bounds_is_told_as_the_nearest(
    client: Client, when: str, told: str
) -> None:
    client.sh(f"touch -d {when} /small/file")  # in memory: a disk may have bounds of its own
    shown = look(client, "/small/file").json["modifiedTime"]
    client.sh("rm /small/file")

    assert shown == told


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/place/missing", 404, "No such file", id="missing"),
        pytest.param("/place/file", 400, "not a directory", id="file"),
        pytest.param("/place/fifo", 400, "not a directory", id="fifo"),
        pytest.param("/place/file/x", 409, "Not a directory", id="through a file"),
        pytest.param("/place/loop", 400, "symbolic links", id="links in a circle"),
        pytest.param("/place/dangling", 404, "No such file", id="link to nowhere"),
        pytest.param("/proc", 400, "/proc", id="the kernel's answers"),
        pytest.param("/proc/1/root", 400, "", id="another process' root"),
        pytest.param("/place/" + "x" * 300, 400, "too long", id="too long"),
    ],
)
@pytest.mark.usefixtures("place")
def test_what_cannot_be_listed_is_told(client: Client, path: str, status: int, says: str) -> None:
    client.sh("cd /place; touch file; mkfifo fifo; ln -s loop loop; ln -s /no/where dangling")
    answer = entries(client, path)

    assert answer.status == status
    assert says in answer.detail


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/place/missing", 404, id="missing"),
        pytest.param("/place/file/x", 409, id="through a file"),
        pytest.param("/proc/1/exe", 400, id="a link of the kernel"),
        pytest.param("/proc", 400, id="the kernel's answers"),
    ],
)
@pytest.mark.usefixtures("place")
def test_what_cannot_be_looked_at_is_told(client: Client, path: str, status: int) -> None:
    client.sh("touch /place/file")
    answer = look(client, path)

    assert answer.status == status
    assert answer.detail


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({}, "query.path"),
        ({"path": ""}, "query.path"),
        ({"path": "/", "limit": 0}, "query.limit"),
        ({"path": "/", "limit": 1001}, "query.limit"),
        ({"path": "/", "limit": "x"}, "query.limit"),
        ({"path": "/", "cursor": "?"}, "query.cursor"),
        ({"path": "/", "cursor": "abc"}, "query.cursor"),
        ({"path": "/", "cursor": "é"}, "query.cursor"),
        ({"path": "/", "container": "_"}, "query.container"),
    ],
)
def test_a_malformed_question_says_where(
    client: Client, query: dict[str, Any], location: str
) -> None:
    answer = client.call("GET", "/v1/filesystem/entries", **query)

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == location


@pytest.fixture
def outside(client: Client) -> Iterator[str]:
    """A directory of this machine that the container, whose root lies over it, has removed."""
    directory = Path("/isola-listed")
    directory.mkdir()
    (directory / "secret").touch()
    client.sh("rm -rf /isola-listed")
    yield str(directory)
    (directory / "secret").unlink()
    directory.rmdir()


def test_no_link_lists_what_is_outside_of_the_root(
    client: Client, place: Path, outside: str
) -> None:
    """The container flips `/place/d` between a directory and a link out, while we list it."""
    script = (
        "import os\n"
        "os.mkdir('/place/real')\n"
        f"os.symlink('../../../../../../../../{outside}', '/place/out')\n"
        "while True:\n"
        "    for each in ('real', 'out'):\n"
        "        os.rename('/place/' + each, '/place/d')\n"
        "        os.rename('/place/d', '/place/' + each)\n"
    )
    command = client.start("/usr/bin/python3", "-c", script)
    eventually(lambda: (place / "out").is_symlink() or (place / "d").is_symlink())
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        for path in ("/place/d", "/place/d/.", "/place/out"):
            assert b"secret" not in entries(client, path).body
    client.kill(command)
