"""What of a download's head is passed on, and what is taken for a lie."""

from __future__ import annotations

import pytest

from gateway.fakes import Client, World

FILE = "/v1/sandboxes/box/filesystem?path=a"
TAG = '"1-2-3"'


async def test_a_part_is_told_as_the_part_it_is(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    told = {"Content-Range": "bytes 2-4/9", "ETag": TAG, "Content-Length": "77"}
    gateway.sidecars.says(206, parts=(b"cd", b"e"), headers=told)
    response = await client.get(FILE, headers={"Range": "bytes=2-4", "If-Range": TAG})
    assert response.status_code == 206
    assert await response.get_data() == b"cde"
    assert response.headers["Content-Range"] == "bytes 2-4/9"
    assert response.headers["Content-Length"] == "3"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["ETag"] == TAG
    assert response.headers["Cache-Control"] == "no-cache, private"
    passed = gateway.sidecars.received[0].call.headers
    assert (passed["Range"], passed["If-Range"]) == ("bytes=2-4", TAG)


async def test_the_whole_has_a_tag_and_is_no_part(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, parts=(b"abc",), headers={"ETag": TAG, "Content-Length": "5"})
    response = await client.get(FILE, headers={"Range": "bytes=2-4"})
    assert response.status_code == 200
    assert response.headers["ETag"] == TAG
    assert await response.get_data() == b"abc"
    assert "Content-Range" not in response.headers


async def test_a_part_past_the_end_is_416_and_tells_the_size(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(416, {"detail": "short"}, headers={"Content-Range": "bytes */9"})
    response = await client.get(FILE, headers={"Range": "bytes=20-"})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */9"
    assert (await response.json)["detail"] == "short"


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("", id="not which"),
        pytest.param("bytes 4-2/9", id="backwards"),
        pytest.param("bytes 0-2/*", id="of how much is not said"),
        pytest.param("bytes 0-2/9\r\nX: y", id="more than a header"),
        pytest.param(f"bytes 0-{'9' * 5000}/9", id="endless"),
    ],
)
async def test_a_part_that_is_not_told_well_is_502(
    client: Client, gateway: World, part: str
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(206, parts=(b"abc",), headers={"Content-Range": part})
    assert (await client.get(FILE, headers={"Range": "bytes=0-2"})).status_code == 502
    assert gateway.sidecars.open_answers == 0


async def test_a_part_that_nobody_asked_for_is_502(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(206, parts=(b"abc",), headers={"Content-Range": "bytes 0-2/9"})
    assert (await client.get(FILE)).status_code == 502


@pytest.mark.parametrize("tag", ["none", 'W/"1"', '"a b"', '"é"', f'"{"x" * 129}"'])
async def test_a_tag_that_is_none_is_left_out(client: Client, gateway: World, tag: str) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, parts=(b"abc",), headers={"ETag": tag})
    response = await client.get(FILE)
    assert response.status_code == 200
    assert "ETag" not in response.headers


@pytest.mark.parametrize("parts", [(b"ab",), (b"ab", b"cd")], ids=["less", "more"])
async def test_a_part_of_another_length_breaks_off(
    client: Client, gateway: World, parts: tuple[bytes, ...]
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(206, parts=parts, headers={"Content-Range": "bytes 0-2/9"})
    async with client.request(FILE, headers={"Range": "bytes=0-2"}) as connection:
        await connection.send_complete()
        assert await connection.receive() == b"ab"
        await connection.disconnect()
    assert gateway.sidecars.open_answers == 0
