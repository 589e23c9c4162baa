"""Files of a real sandbox: whatever its code does meanwhile, and however large they are."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import isola
import pytest

from isola_lifecycle.naming import SIDECAR_CONTAINER
from support.cluster import Cluster
from support.memory import OF_THE_SIDECAR, gateway

Apply = Callable[..., None]
MEBIBYTE = 1 << 20
RUNSC = "/run/containerd/runsc/k8s.io"  # its root directory on the nodes


@pytest.fixture(scope="module")
def sandbox(cluster: Cluster) -> Iterator[isola.Sandbox]:
    with (
        isola.Isola(url=cluster.url) as client,
        client.sandboxes.create(image=cluster.image, timeout_seconds=900) as sandbox,
    ):
        yield sandbox


@pytest.fixture
def files(sandbox: isola.Sandbox) -> str:
    return f"/sandboxes/{sandbox.id}/filesystem"


def shell(sandbox: isola.Sandbox, script: str) -> str:
    result = sandbox.commands.run("sh", "-euc", script)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_links_are_those_of_the_container_absolute_ones_included(sandbox: isola.Sandbox) -> None:
    shell(
        sandbox,
        "mkdir -p /links/data && ln -s /links/data /links/absolute && ln -s ../.. /links/data/up",
    )
    sandbox.filesystem.write("/links/absolute/file", "by an absolute link")
    assert shell(sandbox, "cat /links/data/file") == "by an absolute link"
    sandbox.filesystem.write("/links/data/up/links/data/other", "by a relative one")
    assert sandbox.filesystem.read("/links/absolute/other") == b"by a relative one"
    shell(sandbox, "ln -s /links/not-yet /links/dangling")
    sandbox.filesystem.write("/links/dangling", "where it leads")
    assert shell(sandbox, "cat /links/not-yet; readlink /links/dangling") == (
        "where it leads/links/not-yet\n"
    )


# What is in the sidecar's root and not in the container's.
OUTSIDE = "isola/source/isola_sidecar/__main__.py"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"/{OUTSIDE}", id="as it is"),
        pytest.param(f"/../../../{OUTSIDE}", id="dots above the root"),
        pytest.param(f"/way-out/{OUTSIDE}", id="a link of dots"),
        pytest.param(f"/proc/self/root/{OUTSIDE}", id="a magic link"),
        pytest.param(f"/magic/{OUTSIDE}", id="a link to a magic link"),
        pytest.param(f"/sidecar/{OUTSIDE}", id="a link to the sidecar's own root"),
    ],
)
def test_no_path_leads_out_of_the_container(
    sandbox: isola.Sandbox, http: httpx.Client, files: str, path: str
) -> None:
    shell(
        sandbox,
        "cd / && ln -sfn ../../../.. way-out && ln -sfn /proc/self/root magic;"
        " ln -sfn /proc/$(pgrep -of isola_sidecar)/root sidecar",
    )
    assert http.get(files, params={"path": path}).status_code in {400, 404}
    assert http.get(f"{files}/stat", params={"path": path}).status_code in {400, 404}
    written = http.post(files, params={"path": f"{path}.new"}, content=b"x")
    if written.status_code == 204:  # then within the container
        assert shell(sandbox, f"cat /{OUTSIDE}.new; rm -r /isola") == "x"


# Swaps a directory for links that lead elsewhere, as fast as it can.
RACE = """
import ctypes, os, sys
library = ctypes.CDLL(None)
os.makedirs("/race/real", exist_ok=True)
for number, target in enumerate(("/proc/self/root", "/proc/1/root", "../../../../..", "/")):
    os.symlink(target, f"/race/link{number}")
exchange = lambda a, b: library.renameat2(-100, a.encode(), -100, b.encode(), 2)
print("racing", flush=True)
while True:
    for number in range(4):
        exchange("/race/real", f"/race/link{number}")
        exchange("/race/real", f"/race/link{number}")
"""


def in_the_sidecar(cluster: Cluster, name: str, program: str) -> str:
    """Return what a Python program prints in the root that is the sidecar's own.

    Not by `kubectl exec`, which starts in the directory that the sidecar has removed.
    """
    pod = cluster.get("pod", f"{name}-pod")
    (uid,) = (
        each["containerID"].removeprefix("containerd://")
        for each in pod["status"]["initContainerStatuses"]
        if each["name"] == SIDECAR_CONTAINER
    )
    script = f"runsc --root={RUNSC} exec --cwd=/ {uid} python3 -c {shlex.quote(program)}"
    return cluster.on_node(pod["spec"]["nodeName"], script)


def test_a_race_from_within_leads_nowhere(
    sandbox: isola.Sandbox, http: httpx.Client, files: str, cluster: Cluster
) -> None:
    racer = sandbox.commands.spawn("python3", "-c", RACE, timeout_seconds=120)
    assert next(iter(racer.stdout)) == "racing\n"

    def attempt(number: int) -> tuple[int, ...]:
        name = f"/race/real/escaped-{number}"
        up = http.post(files, params={"path": name}, content=b"x")
        down = http.get(files, params={"path": f"/race/real/{OUTSIDE}"})
        made = http.post(f"{files}/directories", params={"path": f"{name}.d"})
        gone = http.delete(files, params={"path": name})
        return tuple(each.status_code for each in (up, down, made, gone))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, range(100)))
    racer.kill()
    assert racer.wait() == -1
    assert {down for _, down, _, _ in answers} <= {400, 404, 409}
    assert all(code < 500 for codes in answers for code in codes)
    assert any(up == 204 for up, _, _, _ in answers)
    # Whatever was made is in the container; in the sidecar's own root is nothing of it.
    look = """
import os
names = (name for place, _, names in os.walk("/") if place[:5] != "/proc" for name in names)
print([name for name in names if "escaped" in name])
"""
    assert in_the_sidecar(cluster, sandbox.id, look) == "[]\n"


# Reads a file again and again; it must be all of one letter and as long as it should be.
WATCH = """
import sys
seen = set()
print("watching", flush=True)
while "z" not in seen:
    content = open("/atomic/file").read()
    letters = set(content)
    assert len(letters) == 1 and len(content) == 300_000, (len(content), letters)
    seen |= letters
print(len(seen) > 1)
"""


def test_an_upload_replaces_at_once_and_keeps_mode_and_owner(sandbox: isola.Sandbox) -> None:
    sandbox.filesystem.write("/atomic/file", "a" * 300_000)
    shell(sandbox, "chmod 0751 /atomic/file && chown 1234:4321 /atomic/file")
    reader = sandbox.commands.spawn("python3", "-c", WATCH, timeout_seconds=60)
    text = iter(reader.stdout)
    assert next(text) == "watching\n"
    for letter in "bcdefghijklmnopqrstuvwxyz":
        sandbox.filesystem.write("/atomic/file", letter * 300_000)
    assert reader.wait() == 0, reader.stderr.read()
    assert next(text) == "True\n"
    assert shell(sandbox, "stat -c '%a %u:%g' /atomic/file; ls -A /atomic") == (
        "751 1234:4321\nfile\n"
    )


def test_a_program_that_is_overwritten_can_still_be_executed(sandbox: isola.Sandbox) -> None:
    sandbox.filesystem.write("/tool", "#!/bin/sh\necho one\n")
    shell(sandbox, "chmod +x /tool")
    sandbox.filesystem.write("/tool", "#!/bin/sh\necho two\n")
    assert sandbox.commands.run("/tool").stdout == "two\n"


def test_an_upload_that_breaks_off_leaves_what_was_there(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    sandbox.filesystem.write("/broken/file", "as it was")

    def breaks_off() -> Iterator[bytes]:
        yield b"x" * MEBIBYTE
        raise ConnectionAbortedError

    url = f"{cluster.url}/v1/sandboxes/{sandbox.id}/filesystem?path=/broken/file"
    with pytest.raises(ConnectionAbortedError):
        httpx.post(url, content=breaks_off())
    deadline = time.monotonic() + 20
    while shell(sandbox, "ls -A /broken") != "file\n":
        assert time.monotonic() < deadline
    assert sandbox.filesystem.read("/broken/file") == b"as it was"


@contextmanager
def sampled(sandbox: isola.Sandbox) -> Generator[list[int]]:
    """Lend the sidecar's memory in bytes, as it is measured all the time."""
    script = f"while :; do {OF_THE_SIDECAR[-1]}; sleep 0.2; done"
    watcher = sandbox.commands.spawn("sh", "-c", script)
    found: list[int] = []
    text = iter(watcher.stdout)
    found += measured(next(text))

    def read() -> None:
        for chunk in text:
            found.extend(measured(chunk))

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            yield found
        finally:
            watcher.kill()
            reading.result()


def measured(chunk: str) -> list[int]:
    return [int(kilobytes) * 1024 for kilobytes in chunk.split()]


class TestLargeFiles:
    SIZE = 256 * MEBIBYTE
    PIECE = bytes(range(256)) * 4096

    def test_memory_stays_constant_both_ways(self, cluster: Cluster, http: httpx.Client) -> None:
        with (
            isola.Isola(url=cluster.url) as client,
            client.sandboxes.create(image=cluster.image, timeout_seconds=900) as sandbox,
            sampled(sandbox) as sidecar,
        ):
            files = f"/sandboxes/{sandbox.id}/filesystem"
            self._upload(http, files, "/small", 16 * MEBIBYTE)
            self._download(http, files, "/small")
            before = gateway(cluster).peak, max(sidecar)
            digest = self._upload(http, files, "/large", self.SIZE)
            assert self._download(http, files, "/large") == digest
            after = gateway(cluster).peak, max(sidecar)
            assert shell(sandbox, "sha256sum < /large").split()[0] == digest
        assert after[0] - before[0] < 16 * MEBIBYTE, (before, after)
        assert after[1] - before[1] < 8 * MEBIBYTE, (before, after)

    def _upload(self, http: httpx.Client, files: str, path: str, size: int) -> str:
        digest = hashlib.sha256()

        def pieces() -> Iterator[bytes]:
            for _ in range(size // len(self.PIECE)):
                digest.update(self.PIECE)
                yield self.PIECE

        answer = http.post(files, params={"path": path}, content=pieces())
        assert answer.status_code == 204, answer.text
        return digest.hexdigest()

    def _download(self, http: httpx.Client, files: str, path: str) -> str:
        digest = hashlib.sha256()
        with http.stream("GET", files, params={"path": path}) as answer:
            for piece in answer.iter_raw():
                digest.update(piece)
        return digest.hexdigest()


def test_a_download_that_broke_off_is_taken_up_again(
    sandbox: isola.Sandbox, http: httpx.Client, files: str
) -> None:
    content = bytes(range(256)) * 4096
    sandbox.filesystem.write("/ranged", content)
    where = {"path": "/ranged"}
    whole = http.get(files, params=where)
    tag = whole.headers["ETag"]
    part = http.get(files, params=where, headers={"Range": "bytes=1000000-", "If-Range": tag})
    assert part.status_code == 206
    assert part.content == content[1_000_000:]
    assert part.headers["Content-Range"] == f"bytes 1000000-{len(content) - 1}/{len(content)}"
    sandbox.filesystem.write("/ranged", content[::-1])
    changed = http.get(files, params=where, headers={"Range": "bytes=1000000-", "If-Range": tag})
    assert (changed.status_code, changed.content) == (200, content[::-1])
    beyond = http.get(files, params=where, headers={"Range": "bytes=9999999-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")


@pytest.fixture(scope="module")
def _oddities(sandbox: isola.Sandbox) -> None:
    shell(sandbox, "mkdir -p /odd/directory; cd /odd; echo x >file; mkfifo pipe")


@pytest.mark.usefixtures("_oddities")
class TestWhatCannotBe:
    """Each is refused at once, with a status and words of its own."""

    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("/odd/nothing", 404, "No such file"),
            ("/odd/directory", 400, "directory"),
            ("/odd/pipe", 400, "not a regular file"),
            ("/dev/null", 400, "not a regular file"),
            ("/odd/file/below", 409, "Not a directory"),
            ("/proc/self/environ", 400, "/proc or /sys"),
        ],
    )
    def test_read(self, http: httpx.Client, files: str, path: str, status: int, words: str) -> None:
        answer = http.get(files, params={"path": path})
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            "application/problem+json",
        )
        assert words in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("/odd/directory", 400, "directory"),
            ("/odd/pipe", 400, "not a regular file"),
            ("/dev/null", 400, "not a regular file"),
            ("/odd/file/below", 409, "Not a directory"),
            ("/proc/self/comm", 400, "/proc or /sys"),
        ],
    )
    def test_written(
        self, http: httpx.Client, files: str, path: str, status: int, words: str
    ) -> None:
        answer = http.post(files, params={"path": path}, content=b"x")
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]


def test_a_file_for_which_there_is_no_space_is_507_and_leaves_nothing(
    http: httpx.Client, cluster: Cluster, apply: Apply
) -> None:
    volume = {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    mount = {"name": "small", "mountPath": "/small"}
    container = {"name": "main", "image": cluster.image, "volumeMounts": [mount]}
    apply("small-disk", {"containers": [container], "volumes": [volume]})
    http.get("/sandboxes/small-disk", params={"waitSeconds": 25})
    files = "/sandboxes/small-disk/filesystem"
    where = {"path": "/small/file"}
    assert http.post(files, params=where, content=b"x" * 1000).status_code == 204
    refused = http.post(files, params=where, content=b"x" * (8 * MEBIBYTE))
    assert refused.status_code == 507
    assert "No space left" in refused.json()["detail"]
    assert http.get(files, params=where).content == b"x" * 1000
    left = http.get(f"{files}/entries", params={"path": "/small"}).json()["entries"]
    assert [entry["name"] for entry in left] == ["file"]


def test_entries_are_listed_shown_made_moved_and_removed(
    sandbox: isola.Sandbox, http: httpx.Client, files: str
) -> None:
    def listed(path: str, **query: Any) -> list[str]:
        answer = http.get(f"{files}/entries", params={"path": path, **query})
        assert answer.status_code == 200, answer.text
        return [entry["name"] for entry in answer.json()["entries"]]

    made = http.post(f"{files}/directories", params={"path": "/tree/a/b"})
    assert (made.status_code, made.json()) == (201, {"absolutePath": "/tree/a/b"})
    assert http.post(f"{files}/directories", params={"path": "/tree/a/b"}).status_code == 204
    sandbox.filesystem.write("/tree/a/file", "twelve bytes")
    shell(sandbox, "ln -s a/file /tree/link && chmod 0640 /tree/a/file")
    assert listed("/tree") == ["a", "link"]
    assert listed("/tree/a", limit=1) == ["b"]
    shown = http.get(f"{files}/stat", params={"path": "/tree/a/file"}).json()
    assert (shown["type"], shown["size"], shown["permissions"]) == ("file", 12, "0640")
    link = http.get(f"{files}/stat", params={"path": "/tree/link"}).json()
    assert (link["type"], link["symlinkTarget"]) == ("symlink", "a/file")
    move = {"from": "/tree/a/file", "to": "/tree/moved"}
    assert http.post(f"{files}/move", params=move).status_code == 204
    assert shell(sandbox, "cat /tree/moved") == "twelve bytes"
    assert http.delete(files, params={"path": "/tree"}).status_code == 409
    assert http.delete(files, params={"path": "/tree", "recursive": "true"}).status_code == 204
    assert http.get(f"{files}/stat", params={"path": "/tree"}).status_code == 404
