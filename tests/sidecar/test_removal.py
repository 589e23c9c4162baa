"""Files and directories removed on request."""

from __future__ import annotations

import shutil
import subprocess
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


def remove(client: Client, path: str, recursive: str | None = None) -> Answer:
    query = {"recursive": recursive} if recursive else {}
    return client.call("DELETE", "/v1/filesystem", None, None, path=path, **query)


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


@pytest.mark.parametrize("recursive", [None, "false", "true"])
def test_a_file_a_link_a_pipe_and_an_empty_directory_are_removed(
    client: Client, place: Path, recursive: str | None
) -> None:
    client.sh("cd /place; touch file kept; ln -s kept link; mkfifo fifo; mkdir dir; ln -s . self")

    for name in ("file", "link", "fifo", "dir", "self/"):
        answer = remove(client, f"/place/{name}", recursive)
        assert (answer.status, answer.body) == (204, b""), name
    assert names(place) == {"kept"}
    assert remove(client, "/place/file", recursive).status == 404


def test_a_directory_that_is_not_empty_needs_to_be_meant(client: Client, place: Path) -> None:
    client.sh("mkdir -p /place/dir/a/b; touch /place/dir/x /place/dir/a/y")
    client.sh("mkdir /place/kept; touch /place/kept/file; ln -s /place/kept /place/dir/l")

    for recursive in (None, "false"):
        answer = remove(client, "/place/dir", recursive)
        assert answer.status == 409
        assert "not empty" in answer.detail
    assert names(place / "dir") == {"a", "x", "l"}
    assert remove(client, "/place/dir", "true").status == 204
    assert names(place) == {"kept"}
    assert names(place / "kept") == {"file"}


def test_links_on_the_way_are_followed_and_the_last_one_is_not(client: Client, place: Path) -> None:
    client.sh("cd /place; mkdir dir; touch dir/file dir/kept; ln -s /place/dir link")

    assert remove(client, "/place/link/file").status == 204
    assert remove(client, "/place/link", "true").status == 204
    assert names(place) == {"dir"}
    assert names(place / "dir") == {"kept"}


def test_many_files_are_removed(client: Client, place: Path) -> None:
    client.sh("mkdir /place/dir; cd /place/dir; seq -f 'file-%.0f' 5000 | xargs touch")

    assert remove(client, "/place/dir", "true").status == 204
    assert names(place) == set()


def test_a_tree_that_is_too_deep_is_refused_and_can_be_removed_from_within(
    client: Client, place: Path
) -> None:
    (place / "/".join(["d"] * 250)).mkdir(parents=True)
    answer = remove(client, "/place/d", "true")

    assert answer.status == 409
    assert "deep" in answer.detail
    assert remove(client, "/place/" + "/".join(["d"] * 100), "true").status == 204
    assert remove(client, "/place/d", "true").status == 204
    assert names(place) == set()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/", 400, "root", id="the root"),
        pytest.param("//", 400, "root", id="the root, twice"),
        pytest.param("/place/..", 400, "dots", id="the root by dots"),
        pytest.param("/place/.", 400, "dots", id="a dot"),
        pytest.param("/place/missing", 404, "No such file", id="missing"),
        pytest.param("/place/missing/x", 404, "No such file", id="its parent is missing"),
        pytest.param("/place/file/x", 409, "Not a directory", id="through a file"),
        pytest.param("/pinned", 409, "mount", id="a file that is a mount"),
        pytest.param("/small", 409, "mount", id="a directory that is a mount"),
        pytest.param("/proc", 409, "mount", id="the kernel's answers"),
        pytest.param("/proc/1/comm", 400, "use a command", id="one of them"),
        pytest.param("/proc/1/root/isola-kept", 400, "", id="another process' root"),
        pytest.param("/place/" + "x" * 300, 400, "too long", id="too long"),
    ],
)
@pytest.mark.parametrize("recursive", ["false", "true"])
@pytest.mark.usefixtures("place")
def test_what_cannot_be_removed_is_told(
    client: Client, path: str, status: int, says: str, recursive: str
) -> None:
    client.sh("touch /place/file")
    answer = remove(client, path, recursive)

    assert answer.status == status
    assert says in answer.detail
    assert client.run("cat", "/pinned").exit_code == 0


def test_a_mount_inside_of_a_tree_stops_its_removal(client: Client, container: Container) -> None:
    target = "/tree/inner/mounted"
    enter = ("nsenter", f"--target={container.pid}", "--pid", "--mount", "--root", "--wd=/")
    subprocess.run((*enter, "mkdir", "-p", "/tree/inner"), check=True)
    subprocess.run((*enter, "touch", target), check=True)
    subprocess.run((*enter, "mount", "--bind", "/etc/passwd", target), check=True)

    answer = remove(client, "/tree", "true")
    assert answer.status == 409
    assert "mount" in answer.detail
    assert client.run("cat", target).stdout.startswith("root:")
    subprocess.run((*enter, "umount", target), check=True)
    assert remove(client, "/tree", "true").status == 204


def test_recursive_is_true_or_false(client: Client) -> None:
    answer = remove(client, "/place", "yes")

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == "query.recursive"


def test_a_directory_that_is_filled_all_the_time_ends_in_an_answer(
    client: Client, place: Path
) -> None:
    script = "while :; do mkdir -p /place/d/a/b 2>/dev/null; : > /place/d/$((i = i + 1)); done"
    filling = client.start("/bin/sh", "-c", script)
    eventually((place / "d/a").exists)
    answers = {remove(client, "/place/d", "true").status for _ in range(20)}
    client.kill(filling)

    # 404: the loop has not made it again yet.
    assert answers <= {204, 404, 409}


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine, outside of the container's root."""
    directory = Path("/isola-kept")
    (directory / "deep").mkdir(parents=True)
    (directory / "deep/file").touch()
    yield directory / "deep/file"
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("asked", "links"),
    [
        pytest.param("/place/t", ("/place/kept", "../../../../../../../isola-kept"), id="within"),
        pytest.param("/place/t/d/deep", ("../../../../../../../../isola-kept",), id="on the way"),
    ],
)
def test_a_directory_swapped_for_a_link_all_the_time_never_leads_elsewhere(
    client: Client, place: Path, outside: Path, asked: str, links: tuple[str, ...]
) -> None:
    """The container flips `/place/t/d` between a directory and links, while we remove it."""
    client.sh("mkdir -p /place/kept/deep; touch /place/kept/deep/file")
    script = (
        "import os\n"
        "while True:\n"
        "    try:\n"
        "        os.makedirs('/place/t/d/deep', exist_ok=True)\n"
        "        os.rename('/place/t/d', '/place/aside')\n"
        f"        for each in {links}:\n"
        "            os.symlink(each, '/place/t/d')\n"
        "            os.rename('/place/t/d', '/place/link')\n"
        "        os.rename('/place/aside', '/place/t/d')\n"
        "    except OSError:\n"
        "        os.system('rm -rf /place/aside')\n"
    )
    racing = client.start("/usr/bin/python3", "-c", script)
    eventually((place / "t").exists)
    deadline = time.monotonic() + 2
    answers: set[int] = set()
    while time.monotonic() < deadline:
        answers.add(remove(client, asked, "true").status)
    client.kill(racing)

    assert outside.exists()
    assert (place / "kept/deep/file").exists()
    assert answers <= {204, 404, 409}
