"""Directories made on request."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.pods import DATAPLANE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.pods import Answer, Client, Container

USER, GROUP = 1234, 4321


@pytest.fixture
def place(client: Client, container: Container) -> Path:
    """A fresh directory of the container, as this machine sees it: `/place` inside."""
    client.sh("rm -rf /place; mkdir /place")
    return container.root / "place"


def make(client: Client, path: str) -> Answer:
    return client.call("POST", "/v1/filesystem/directories", path=path)


@pytest.mark.parametrize("path", ["/place/a/b/c", "/place/a/b/c/", "/place//a//b//c"])
def test_a_directory_is_made_with_its_parents(client: Client, place: Path, path: str) -> None:
    answer = make(client, path)

    assert (answer.status, answer.json) == (201, {"absolutePath": path})
    for each in ("a", "a/b", "a/b/c"):
        status = (place / each).stat()
        assert (status.st_mode, status.st_uid, status.st_gid) == (0o40755, USER, GROUP)


def test_what_is_there_already_is_left_as_it_is(client: Client, place: Path) -> None:
    client.sh("mkdir -m 700 /place/dir; touch /place/dir/file; ln -s dir /place/link")

    assert make(client, "/place/dir").status == 204
    assert make(client, "/place/link").status == 204
    assert make(client, "/").status == 204
    assert (place / "dir").stat().st_mode == 0o40700
    assert (place / "dir/file").exists()


def test_a_relative_path_starts_at_the_main_process_directory(
    client: Client, container: Container
) -> None:
    client.sh("rm -rf /work/made")

    assert make(client, "made").json == {"absolutePath": "/work/made"}
    assert (container.root / "work/made").is_dir()


def test_links_on_the_way_are_followed_as_the_container_sees_them(
    client: Client, place: Path
) -> None:
    client.sh("mkdir /place/dir; ln -s /place/dir /place/absolute")

    assert make(client, "/place/absolute/x").status == 201
    assert (place / "dir/x").is_dir()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/place/file", 409, "Not a directory", id="a file in the way"),
        pytest.param("/place/file/x", 409, "Not a directory", id="a file on the way"),
        pytest.param("/place/dangling", 409, "link", id="a link to nowhere"),
        pytest.param("/place/dangling/x", 409, "link", id="through a link to nowhere"),
        pytest.param("/place/no/../x", 404, "dots", id="up from what is missing"),
        pytest.param("/place/" + "x" * 300, 400, "too long", id="too long"),
        pytest.param("/proc/1/root/x", 400, "", id="another process' root"),
        pytest.param("/proc/x", 404, "", id="the kernel's answers"),
    ],
)
def test_what_cannot_be_made_is_told(client: Client, path: str, status: int, says: str) -> None:
    client.sh("touch /place/file; ln -s /no/where /place/dangling")
    answer = make(client, path)

    assert answer.status == status
    assert says in answer.detail


def test_a_path_is_required(client: Client) -> None:
    answer = client.call("POST", "/v1/filesystem/directories")

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == "query.path"


def test_two_who_make_the_same_directory_both_have_it(client: Client, place: Path) -> None:
    """One of them is the container, which makes and removes it all the time."""
    script = "while :; do mkdir -p /place/a/b 2>/dev/null; rm -rf /place/a; done"
    racing = client.start("/bin/sh", "-c", script)
    deadline = time.monotonic() + 1
    answers: set[int] = set()
    with ThreadPoolExecutor(2) as threads:
        while time.monotonic() < deadline:
            made = threads.map(partial(make, client), ["/place/a/b", "/place/a/c"])
            answers |= {each.status for each in made}
    client.kill(racing)

    # 404: the parent went between its making and its use.
    assert answers <= {201, 204, 404}
    assert place.exists()


@pytest.fixture
def outside() -> Iterator[Path]:
    """An empty directory of this machine, outside of the container's root."""
    directory = Path("/isola-made")
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


def test_a_directory_swapped_for_a_link_all_the_time_never_leads_out(
    client: Client, place: Path, outside: Path
) -> None:
    script = (
        "import os\n"
        "os.mkdir('/place/real')\n"
        "os.symlink('../../../../../../../../isola-made', '/place/out')\n"
        "while True:\n"
        "    for each in ('real', 'out'):\n"
        "        os.rename('/place/' + each, '/place/d')\n"
        "        os.rename('/place/d', '/place/' + each)\n"
    )
    command = client.start("/usr/bin/python3", "-c", script)
    eventually(lambda: (place / "out").is_symlink() or (place / "d").is_symlink())
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        make(client, "/place/d/deep/inner")
        make(client, "/place/out/deep/inner")
    client.kill(command)

    assert not list(outside.iterdir())


def test_no_directory_is_opened_by_flags_with_which_gvisor_follows_a_link() -> None:
    """Seen with runsc: open(2) with O_DIRECTORY | O_NOFOLLOW opened the target of a link.

    It did so in the sidecar's own root, for an absolute one. openat2(2) with RESOLVE_NO_SYMLINKS
    refused it. Linux refuses both, so only the text can tell here.
    """
    for module in (DATAPLANE / "isola_sidecar").glob("*.py"):
        for line in module.read_text().splitlines():
            assert not ("os.O_DIRECTORY" in line and "os.O_NOFOLLOW" in line), module
