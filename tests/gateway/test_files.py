"""Files through the real server and the real sidecar."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from hashlib import sha256
from io import BytesIO

import aiohttp
import pytest

from gateway.real import MEBIBYTE, RealSandbox, resident
from sidecar.pods import eventually

FILES = "/v1/sandboxes/box/filesystem"
LARGE = 384 * MEBIBYTE
# What sockets, queues and allocators may hold on the way: far less than a file.
IN_FLIGHT = 64 * MEBIBYTE

Http = aiohttp.ClientSession


async def settled(holds: Callable[[], object]) -> None:
    await asyncio.to_thread(eventually, holds)


# --- contents ----------------------------------------------------------------------------------


async def test_a_file_comes_back_as_it_was_sent(http: Http, sandbox: RealSandbox) -> None:
    place = {"path": "/tmp/in/a dir/é+%25&=", "container": "sandbox0"}
    content = os.urandom(3 * MEBIBYTE)
    async with http.post(FILES, params=place, data=BytesIO(content)) as response:
        assert (response.status, await response.read()) == (204, b"")
    async with http.get(FILES, params=place) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert await response.read() == content
    assert sandbox.file(place["path"]).read_bytes() == content


async def test_a_download_that_broke_off_is_taken_up_again(http: Http) -> None:
    place = {"path": "/tmp/resumed"}
    await http.post(FILES, params=place, data=b"0123456789")
    async with http.get(FILES, params=place) as response:
        tag = response.headers["ETag"]
        assert response.headers["Accept-Ranges"] == "bytes"
        assert "Content-Length" not in response.headers  # it may grow while it is read
    async with http.get(FILES, params=place, headers={"Range": "bytes=7-"}) as response:
        assert response.status == 206
        assert response.headers["Content-Range"] == "bytes 7-9/10"
        assert response.headers["Content-Length"] == "3"
        assert await response.read() == b"789"
    again = {"Range": "bytes=-2", "If-Range": tag}
    async with http.get(FILES, params=place, headers=again) as response:
        assert (response.status, await response.read()) == (206, b"89")
    await http.post(FILES, params=place, data=b"another")
    async with http.get(FILES, params=place, headers=again) as response:
        assert (response.status, await response.read()) == (200, b"another")
        assert response.headers["ETag"] != tag
    async with http.get(FILES, params=place, headers={"Range": "bytes=7-"}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */7"
        assert "7 bytes" in (await response.json(content_type=None))["detail"]


# --- streaming ---------------------------------------------------------------------------------


class Peak:
    """The most memory that gateway and sidecar took over what they had before."""

    def __init__(self, sandbox: RealSandbox) -> None:
        self._sandbox = sandbox
        self._before = self._now()
        self.most = 0

    def _now(self) -> int:
        return resident() + self._sandbox.memory()

    def look(self) -> None:
        self.most = max(self.most, self._now() - self._before)


async def test_a_large_upload_takes_no_more_memory_than_a_small_one(
    http: Http, sandbox: RealSandbox
) -> None:
    peak, digest = Peak(sandbox), sha256()
    piece = os.urandom(MEBIBYTE)

    async def content() -> AsyncIterator[bytes]:
        for _ in range(LARGE // MEBIBYTE):
            digest.update(piece)
            yield piece
            peak.look()

    async with http.post(FILES, params={"path": "/tmp/large"}, data=content()) as response:
        assert response.status == 204
    assert peak.most < IN_FLIGHT
    stored = sha256()
    with sandbox.file("/tmp/large").open("rb") as file:
        while part := file.read(MEBIBYTE):
            stored.update(part)
    assert stored.digest() == digest.digest()
    async with http.delete(FILES, params={"path": "/tmp/large"}) as response:
        assert response.status == 204


async def test_a_large_download_takes_no_more_memory_than_a_small_one_even_if_it_pauses(
    http: Http, sandbox: RealSandbox
) -> None:
    with sandbox.file("/tmp/sparse").open("wb") as file:
        file.truncate(LARGE)
    peak, size = Peak(sandbox), 0
    async with http.get(FILES, params={"path": "/tmp/sparse"}) as response:
        for _ in range(10):
            await asyncio.sleep(0.1)
            peak.look()
        async for part in response.content.iter_any():
            size += len(part)
            peak.look()
    assert size == LARGE
    assert peak.most < IN_FLIGHT


async def test_a_client_that_leaves_a_download_leaves_nothing_open(
    http: Http, sandbox: RealSandbox
) -> None:
    with sandbox.file("/tmp/left").open("wb") as file:
        file.truncate(LARGE)
    before = sandbox.open_files()
    responses = [await http.get(FILES, params={"path": "/tmp/left"}) for _ in range(4)]
    assert sandbox.open_files() >= before + 4
    for response in responses:
        response.close()
    await settled(lambda: sandbox.open_files() <= before)


async def test_a_client_that_leaves_an_upload_leaves_nothing_behind(
    http: Http, sandbox: RealSandbox
) -> None:
    directory = sandbox.file("/tmp/begun")
    directory.mkdir()

    async def content() -> AsyncIterator[bytes]:
        yield b"x" * MEBIBYTE
        await asyncio.Event().wait()

    before = sandbox.open_files()
    place = {"path": "/tmp/begun/file"}
    upload = asyncio.create_task(http.post(FILES, params=place, data=content()))
    await settled(lambda: any(each.stat().st_size for each in directory.iterdir()))
    upload.cancel()
    with suppress(asyncio.CancelledError):
        await upload
    await settled(lambda: not list(directory.iterdir()))
    await settled(lambda: sandbox.open_files() <= before)


# --- entries -----------------------------------------------------------------------------------


async def test_a_directory_is_made_once_listed_in_pages_and_removed(http: Http) -> None:
    place = "/tmp/made/in/here"
    async with http.post(f"{FILES}/directories", params={"path": place}) as response:
        assert (response.status, await response.json()) == (201, {"absolutePath": place})
    async with http.post(f"{FILES}/directories", params={"path": place}) as response:
        assert (response.status, await response.read()) == (204, b"")
    for name in "cab":
        await http.post(FILES, params={"path": f"{place}/{name}"}, data=name.encode())
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        asked = {"path": place, "limit": "2", **cursor}
        async with http.get(f"{FILES}/entries", params=asked) as response:
            page = await response.json()
        names += [each["name"] for each in page["entries"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert names == ["a", "b", "c"]
    async with http.delete(FILES, params={"path": place}) as response:
        assert response.status == 409
    async with http.delete(FILES, params={"path": place, "recursive": "true"}) as response:
        assert response.status == 204
    async with http.get(f"{FILES}/stat", params={"path": place}) as response:
        assert response.status == 404


async def test_a_link_is_shown_as_itself(http: Http, sandbox: RealSandbox) -> None:
    sandbox.file("/tmp/link").symlink_to("/nowhere")
    async with http.get(f"{FILES}/stat", params={"path": "/tmp/link"}) as response:
        entry = await response.json()
    assert (entry["type"], entry["symlinkTarget"]) == ("symlink", "/nowhere")


async def test_what_is_moved_replaces_only_what_it_may(http: Http, sandbox: RealSandbox) -> None:
    await http.post(FILES, params={"path": "/tmp/old"}, data=b"old")
    await http.post(FILES, params={"path": "/tmp/new"}, data=b"new")
    move = {"from": "/tmp/old", "to": "/tmp/new"}
    async with http.post(f"{FILES}/move", params=move) as response:
        assert response.status == 409
        assert "overwrite" in (await response.json(content_type=None))["detail"]
    async with http.post(f"{FILES}/move", params=move | {"overwrite": "true"}) as response:
        assert response.status == 204
    assert sandbox.file("/tmp/new").read_bytes() == b"old"
    assert not sandbox.file("/tmp/old").exists()


async def test_a_name_that_is_no_text_can_be_listed_and_read(
    http: Http, sandbox: RealSandbox
) -> None:
    directory = sandbox.file("/tmp/odd")
    directory.mkdir()
    (directory / os.fsdecode(b"\xff%20\n")).write_bytes(b"found")
    async with http.get(f"{FILES}/entries", params={"path": "/tmp/odd"}) as response:
        [entry] = (await response.json())["entries"]
    async with http.get(f"{FILES}?path={entry['encodedPath']}") as response:
        assert (response.status, await response.read()) == (200, b"found")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/tmp/none", 404), ("/tmp", 400), ("/dev/null", 400), ("/proc/1/environ", 400)],
)
async def test_what_is_no_file_is_told_in_so_many_words(http: Http, path: str, status: int) -> None:
    async with http.get(FILES, params={"path": path}) as response:
        assert response.status == status
        assert path in (await response.json(content_type=None))["detail"]


async def test_a_parent_that_is_a_file_is_409(http: Http) -> None:
    async with http.post(FILES, params={"path": "/etc/passwd/x"}, data=b"") as response:
        assert response.status == 409


async def test_a_container_that_is_not_there_is_400(http: Http) -> None:
    async with http.get(FILES, params={"path": "/", "container": "other"}) as response:
        assert response.status == 400
