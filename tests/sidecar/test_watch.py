from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, urlencode

import pytest

from isola_sidecar import limits
from sidecar.pods import Client, Container, Pod, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Change = tuple[str, dict[str, Any]]


class Watcher:
    """Reads a watch's stream; `changes` are what it told since it was ready."""

    def __init__(self, client: Client, path: str, **query: str) -> None:
        self._connection = client.connect()
        target = "/v1/filesystem/watch?" + urlencode({"path": path, **query})
        self._connection.request("GET", target)
        self.response = self._connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.changes: list[Change] = []
        self.ids: list[int] = []
        kind, self.ready = self._next() or ("", {})
        assert kind == "ready"

    def close(self) -> None:
        self._connection.close()

    def until(self, holds: Callable[[list[Change]], object]) -> list[Change]:
        while not holds(self.changes):
            event = self._next()
            assert event, f"the stream ended: {self.changes}"
            self.changes.append(event)
        return self.changes

    def to_end(self) -> list[Change]:
        while event := self._next():
            self.changes.append(event)
        return self.changes

    def _next(self) -> Change | None:
        fields: dict[str, str] = {}
        while (line := self.response.readline()) != b"\n" or not fields:
            if not line:
                return None
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
        self.ids.append(int(fields["id"]))
        return fields["event"], json.loads(fields["data"])


@contextmanager
def watch(client: Client, path: str, **query: str) -> Generator[Watcher]:
    watcher = Watcher(client, path, **query)
    try:
        yield watcher
    finally:
        watcher.close()


@pytest.fixture
def place(container: Container, request: pytest.FixtureRequest) -> Path:
    """A directory of the container for one test, as this machine names it."""
    path = container.root / "watched" / str(abs(hash(request.node.name)))
    path.mkdir(parents=True)
    return path


def inside(container: Container, path: Path) -> str:
    return "/" + str(path.relative_to(container.root))


def told(watcher: Watcher, base: str) -> list[tuple[str, ...]]:
    """Return the changes so far as (kind, path below `base`, from), up to the file `end`."""
    below = [
        tuple(
            [kind, data["path"].removeprefix(base + "/")]
            + ([data["from"].removeprefix(base + "/")] if "from" in data else [])
        )
        for kind, data in watcher.changes
    ]
    return [each for each in below if each[1] != "end"]


def after(watcher: Watcher, place: Path) -> None:
    """Make a file named `end` in `place` and read until the watcher has told of it."""
    (place / "end").touch()
    watcher.until(lambda seen: any(data["path"].endswith("/end") for _, data in seen))


def test_what_happens_in_a_directory_is_told_in_order(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    with watch(client, base) as watcher:
        client.sh(f"cd {base}; echo 1 > a; mkdir d; ln -s a l; mv a b; rm l; rmdir d; rm b")
        after(watcher, place)

    assert told(watcher, base) == [
        ("created", "a"),
        ("modified", "a"),
        ("created", "d"),
        ("created", "l"),
        ("renamed", "b", "a"),
        ("removed", "l"),
        ("removed", "d"),
        ("removed", "b"),
    ]
    assert watcher.ready == {"path": base}
    assert watcher.ids == list(range(len(watcher.ids)))
    assert watcher.response.getheader("Content-Type") == "text/event-stream"


def test_each_change_says_of_what_kind_the_entry_is(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    with watch(client, base) as watcher:
        (place / "file").touch()
        (place / "directory").mkdir()
        (place / "link").symlink_to("/")
        os.mkfifo(place / "fifo")
        (place / "directory").rename(place / "moved")
        after(watcher, place)

    kinds = {
        Path(data["path"]).name: data["type"] for kind, data in watcher.changes if kind != "removed"
    }
    assert kinds | {"directory": ""} == {
        "file": "file",
        "link": "symlink",
        "fifo": "other",
        "moved": "directory",
        "directory": "",
        "end": "file",
    }


def test_changes_of_mode_and_content_are_modifications(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    (place / "file").touch()
    with watch(client, base) as watcher:
        (place / "file").chmod(0o600)
        watcher.until(lambda seen: len(seen) == 1)
        (place / "file").write_text("x")
        watcher.until(lambda seen: len(seen) == 2)

    assert told(watcher, base) == [("modified", "file")] * 2


def test_without_recursive_what_is_deeper_is_not_told(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    (place / "d").mkdir()
    with watch(client, base) as watcher:
        (place / "d/file").touch()
        (place / "e").mkdir()
        (place / "e/file").touch()
        after(watcher, place)

    assert [each for each in told(watcher, base) if each[0] == "created"] == [("created", "e")]


def test_recursive_tells_of_every_depth_and_of_renames_between_directories(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    (place / "a/b").mkdir(parents=True)
    (place / "c").mkdir()
    with watch(client, base, recursive="true") as watcher:
        (place / "a/b/file").touch()
        (place / "a/b/file").rename(place / "c/file")
        (place / "a/b").rename(place / "c/b")
        (place / "c/b/new").touch()
        after(watcher, place)

    changes = [each for each in told(watcher, base) if each[0] != "modified"]
    assert changes == [
        ("created", "a/b/file"),
        ("renamed", "c/file", "a/b/file"),
        ("renamed", "c/b", "a/b"),
        ("created", "c/b/new"),
    ]


def test_nothing_that_is_made_in_new_directories_is_lost_or_told_twice(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    script = "for i in $(seq 0 299); do mkdir -p $i/x/y; : > $i/x/y/f; : > $i/g; done"
    with watch(client, base, recursive="true") as watcher:
        client.sh(f"cd {base}; {script}")
        after(watcher, place)

    created = [each[1] for each in told(watcher, base) if each[0] == "created"]
    expected = [f"{i}{rest}" for i in range(300) for rest in ("", "/x", "/x/y", "/x/y/f", "/g")]
    assert sorted(created) == sorted(expected)


def test_a_directory_from_elsewhere_comes_with_all_in_it_and_goes_as_one(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    (place / "in").mkdir()
    (place / "out/x").mkdir(parents=True)
    (place / "out/x/f").touch()
    with watch(client, f"{base}/in", recursive="true") as watcher:
        (place / "out").rename(place / "in/came")
        after(watcher, place / "in")
        (place / "in/came").rename(place / "gone")
        watcher.until(lambda seen: seen[-1][0] == "removed")
        (place / "gone/x/unseen").touch()
        (place / "in/end").unlink()
        watcher.until(lambda seen: seen[-1][1]["path"].endswith("/end"))

    changes = [each for each in told(watcher, f"{base}/in") if each[0] != "modified"]
    assert changes == [
        ("created", "came"),
        ("created", "came/x"),
        ("created", "came/x/f"),
        ("removed", "came"),
    ]


def test_an_upload_is_one_change_and_no_temporary_name_is_told(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    with watch(client, base) as watcher:
        client.upload(f"{base}/file", bytes(100_000))
        after(watcher, place)

    assert [each for each in told(watcher, base) if each[0] == "created"] == [("created", "file")]
    assert "isola" not in str(watcher.changes)


def test_a_file_is_watched_by_its_name_through_every_replacement(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    (place / "file").touch()
    (place / "other").touch()
    with watch(client, f"{base}/file") as watcher:
        (place / "other").write_text("no news")
        client.upload(f"{base}/file", b"new")
        watcher.until(lambda seen: seen)
        (place / "file").rename(place / "elsewhere")
        watcher.until(lambda seen: seen[-1][0] == "removed")
        (place / "other").rename(place / "file")
        watcher.until(lambda seen: seen[-1][0] == "created")

    assert {data["path"] for _, data in watcher.changes} == {f"{base}/file"}
    assert [kind for kind, _ in watcher.changes if kind != "modified"] == [
        *("created", "removed", "created")
    ]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("rmdir {0}", id="removed"),
        pytest.param("mv {0} {0}-moved", id="moved"),
        pytest.param("mkdir -p {0}; mv $(dirname {0}) /watched-$$; mkdir -p {0}", id="above it"),
    ],
)
def test_the_stream_ends_when_what_is_watched_goes(
    client: Client, container: Container, place: Path, script: str
) -> None:
    base = inside(container, place)
    with watch(client, base, recursive="true") as watcher:
        client.sh(script.format(base))
        assert watcher.to_end() == [("removed", {"path": base, "type": "directory"})]


def test_a_name_that_is_no_text_is_told_as_a_query_takes_it(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    with watch(client, base) as watcher:
        os.close(os.open(os.fsencode(place) + b"/\xff", os.O_CREAT))
        watcher.until(lambda seen: seen)

    assert watcher.changes[0][1]["encodedPath"] == quote_from_bytes(os.fsencode(base) + b"/\xff")


def test_a_relative_path_and_a_link_lead_to_a_directory(
    client: Client, container: Container, place: Path
) -> None:
    (place / "d").mkdir()
    link = container.root / "work" / f"link-{place.name}"
    link.symlink_to(inside(container, place / "d"))
    with watch(client, link.name) as watcher:
        after(watcher, place / "d")

    assert watcher.ready == {"path": f"/work/{link.name}"}


def test_no_link_leads_a_watch_out_of_the_root(
    client: Client, container: Container, place: Path, tmp_path: Path
) -> None:
    base = inside(container, place)
    (place / "out").symlink_to(f"/proc/1/root{tmp_path}")
    (place / "d").mkdir()
    assert client.call("GET", "/v1/filesystem/watch", path=f"{base}/out").status in (400, 404)
    with watch(client, base, recursive="true") as watcher:
        shutil.rmtree(place / "d")
        (place / "d").symlink_to(tmp_path)
        (tmp_path / "secret").touch()
        after(watcher, place)

    assert "secret" not in str(watcher.changes)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"path": "/no/such/path"}, 404),
        ({"path": "/proc"}, 400),
        ({"path": "/etc/passwd/x"}, 409),
        ({}, 422),
        ({"path": "/", "recursive": "yes"}, 422),
        ({"path": "/", "container": "nope"}, 400),
    ],
)
def test_what_cannot_be_watched_is_refused(
    client: Client, query: dict[str, Any], status: int
) -> None:
    answer = client.call("GET", "/v1/filesystem/watch", **query)

    assert answer.status == status
    assert answer.detail


def test_too_many_directories_are_refused_and_a_part_of_them_is_not(
    client: Client, container: Container, place: Path, pod: Pod
) -> None:
    base = inside(container, place)
    for number in range(limits.WATCHED_DIRECTORIES // 128 + 1):
        for each in range(128):
            (place / f"{number}/{each}").mkdir(parents=True)
    before = instances(pod)
    answer = client.call("GET", "/v1/filesystem/watch", path=base, recursive="true")

    assert answer.status == 422
    assert str(limits.WATCHED_DIRECTORIES) in answer.detail
    assert instances(pod) == before
    with watch(client, f"{base}/0", recursive="true") as watcher:
        after(watcher, place / "0/7")
    shutil.rmtree(place)


def test_a_reader_that_falls_behind_is_told_to_list_again(
    client: Client, container: Container, place: Path
) -> None:
    base = inside(container, place)
    names = [f"{number}-{'x' * 200}" for number in range(40_000)]
    with watch(client, base) as watcher:
        for name in names:
            (place / name).touch()
        watcher.until(lambda seen: seen[-1][0] == "overflow" if seen else False)

    assert watcher.changes[-1][1]["path"] == base
    shutil.rmtree(place)


def instances(pod: Pod) -> int:
    """Return how many inotify instances the sidecar has open."""
    found = 0
    for descriptor in Path(f"/proc/{pod.sidecar}/fd").iterdir():
        try:
            found += "inotify" in str(descriptor.readlink())
        except FileNotFoundError:
            continue
    return found


def test_a_client_that_leaves_takes_its_watch_along(
    client: Client, container: Container, place: Path, pod: Pod
) -> None:
    before = instances(pod)
    with watch(client, inside(container, place)):
        assert instances(pod) == before + 1

    eventually(lambda: instances(pod) == before)


def test_many_watchers_see_the_same(client: Client, container: Container, place: Path) -> None:
    base = inside(container, place)
    watchers = [Watcher(client, base, recursive="true") for _ in range(8)]
    threads = [threading.Thread(target=after, args=(each, place)) for each in watchers]
    (place / "d").mkdir()
    (place / "d/f").touch()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in watchers:
        each.close()

    for each in watchers:
        created = [change for change in told(each, base) if change[0] == "created"]
        assert created == [("created", "d"), ("created", "d/f")]
