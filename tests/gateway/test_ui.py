"""The page for people, as a server of files; `test_ui_in_a_browser` looks at it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from gateway.fakes import Client, World

PAGE = files("isola_gateway").joinpath("ui")


async def test_the_page_is_found_with_and_without_the_slash(client: Client) -> None:
    moved = await client.get("/ui")
    assert (moved.status_code, moved.headers["Location"]) == (308, "ui/")
    page = await client.get("/ui/")
    assert page.content_type == "text/html; charset=utf-8"
    assert b"<title>Isola</title>" in await page.get_data()


async def test_all_that_the_page_names_is_there_and_unchanged_is_not_sent_again(
    client: Client,
) -> None:
    names = {entry.name for entry in PAGE.iterdir()} - {"index.html"}
    assert names
    for name in names:
        response = await client.get(f"/ui/{name}")
        assert response.status_code == 200, name
        assert await response.get_data() == PAGE.joinpath(name).read_bytes()
        again = await client.get(f"/ui/{name}", headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304, name


async def test_the_browser_is_told_to_run_and_fetch_nothing_from_elsewhere(client: Client) -> None:
    policy = (await client.get("/ui/")).headers["Content-Security-Policy"]
    allowed = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert set(allowed.values()) == {"'none'", "'self'"}
    assert allowed["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("name", sorted(entry.name for entry in PAGE.iterdir()))
def test_no_asset_is_anywhere_else(name: str) -> None:
    text = PAGE.joinpath(name).read_text()
    outside = set(re.findall(r"(?:https?:)?//[a-z][^\s\"'`)]+", text))
    assert outside <= {"http://www.w3.org/2000/svg"}


async def test_it_can_be_left_out(gateway: World) -> None:
    client = gateway.app(with_ui=False).test_client()
    assert (await client.get("/ui")).status_code == 404
    assert (await client.get("/ui/")).status_code == 404
