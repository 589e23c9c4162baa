"""The page for people, in Chromium: live, by keyboard, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.fakes import TEMPLATE, World, fact, started, stored
from gateway.serving import served
from gateway.test_archived_history import is_recorded
from gateway.test_history import REQUESTED, TERMINATED, ends
from gateway.test_snapshots import RETAINED, goes
from isola_store.port import Draft
from support.browser import DESK, PHONE, Complaints, chromium, overflows

# What a sandbox says is text, whatever it looks like.
MARKUP = "<img src=x onerror=\"document.title='run'\"> exited"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def url(gateway: World) -> AsyncIterator[str]:
    async with served(gateway, 1) as url:
        yield f"{url}/ui/"


async def shown(page: Page, name: str) -> None:
    await expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


async def test_the_list_follows_what_happens(browser: Browser, gateway: World, url: str) -> None:
    await gateway.exists("first")
    page = await browser.new_page()
    complaints = Complaints(page, url.removesuffix("/ui/"))
    await page.goto(url)
    row = page.get_by_role("row").filter(has_text="first")
    await expect(row).to_contain_text("Pending")
    await expect(page.locator("#connection")).to_have_text("live")
    await gateway.records("first", *started())
    await expect(row).to_contain_text("Running")
    draft = Draft(name="second", spec=TEMPLATE, labels={"team": "search"})
    await gateway.store.create(draft)
    await shown(page, "second")
    await page.get_by_label("Name or label contains").fill("team=s")
    await expect(row).to_be_hidden()
    await expect(page.get_by_text("1 of 2 shown")).to_be_visible()
    await page.get_by_label("Name or label contains").fill("")
    await page.get_by_label("State").select_option("Running")
    await expect(row).to_be_visible()
    await expect(page.get_by_role("link", name="second", exact=True)).to_be_hidden()
    await page.get_by_label("State").select_option("")
    await gateway.records("first", REQUESTED, TERMINATED)
    await is_recorded(gateway, "first")
    await ends(gateway, "first")
    gone = page.get_by_role("table", name="Deleted sandboxes")
    await expect(gone.get_by_role("link", name="first", exact=True)).to_be_visible()
    assert complaints.found == []


async def test_a_life_is_followed_to_its_record(browser: Browser, gateway: World, url: str) -> None:
    sandbox = await gateway.exists("box", *started()[:3])
    page = await browser.new_page()
    complaints = Complaints(page, url.removesuffix("/ui/"))
    await page.goto(f"{url}#/sandboxes/box")
    log = page.locator(".log > li")
    await expect(log).to_have_count(3)
    await expect(page.get_by_role("img", name=re.compile("Pending"))).to_be_visible()
    await gateway.records("box", *started()[3:])
    await expect(log).to_have_count(5)
    await expect(log.last).to_contain_text("Ready=True")
    await expect(page.get_by_text("It is alive")).to_be_visible()
    await expect(page.get_by_role("img", name=re.compile("Running .* so far"))).to_be_visible()
    await log.last.get_by_text("details").click()
    digest = (await gateway.store.read("box")).log.head
    await expect(log.last).to_contain_text(digest)
    await gateway.records("box", REQUESTED, TERMINATED)
    await is_recorded(gateway)
    await ends(gateway)
    await expect(log).to_have_count(7)
    await expect(page.locator("#connection")).to_have_text("complete")
    await page.goto(f"{url}#/")
    await page.get_by_role("link", name="box", exact=True).click()
    await expect(page.get_by_text("gone; this is its record")).to_be_visible()
    assert page.url.endswith(f"#/sandboxes/box?uid={sandbox.uid}")
    await expect(log).to_have_count(7)
    assert complaints.found == []


async def test_snapshots_and_their_records_are_looked_at_likewise(
    browser: Browser, gateway: World, url: str
) -> None:
    await gateway.exists("box")
    await gateway.snapshots.exists("shot", *stored()[:3], snapshotName="monday")
    page = await browser.new_page()
    complaints = Complaints(page, url.removesuffix("/ui/"))
    await page.goto(url)
    await shown(page, "box")
    await page.get_by_role("link", name="Snapshots", exact=True).click()
    row = page.get_by_role("row").filter(has_text="monday, of sandbox box")
    await expect(row).to_contain_text("Running")
    await expect(page.get_by_role("link", name="box", exact=True)).to_be_hidden()
    await gateway.snapshots.records("shot", *stored()[3:])
    await expect(row).to_contain_text("Succeeded")
    await page.get_by_role("link", name="shot", exact=True).click()
    log = page.locator(".log > li")
    await expect(log).to_have_count(5)
    await expect(page.get_by_role("img", name=re.compile("Succeeded .* so far"))).to_be_visible()
    await gateway.snapshots.records("shot", RETAINED)
    await expect(log).to_have_count(6)
    await goes(gateway.snapshots, "shot")
    await page.get_by_role("link", name="All snapshots").click()
    gone = page.get_by_role("table", name="Deleted snapshots")
    await gone.get_by_role("link", name="shot", exact=True).click()
    await expect(page.get_by_text("gone; this is its record")).to_be_visible()
    await expect(log).to_have_count(6)
    assert complaints.found == []


async def test_what_a_sandbox_says_is_never_run(browser: Browser, gateway: World, url: str) -> None:
    ended = fact("ContainerExited", "Error", MARKUP, container=MARKUP, exitCode="1")
    await gateway.exists("box", *started(), ended, fact("Succeeded", "Error", MARKUP, holds=False))
    page = await browser.new_page()
    await page.goto(f"{url}#/sandboxes/box")
    await expect(page.locator(".log > li").last).to_contain_text(MARKUP)
    await expect(page.locator(".verdict")).to_contain_text(MARKUP)
    assert await page.locator("main img").count() == 0
    assert await page.title() == "box · Isola"


async def test_what_is_not_there_is_said(browser: Browser, url: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{url}#/sandboxes/none")
    await expect(page.get_by_text("There is no sandbox none")).to_be_visible()


async def test_everything_is_reached_by_keyboard(
    browser: Browser, gateway: World, url: str
) -> None:
    await gateway.runs("box")
    page = await browser.new_page()
    await page.goto(url)
    await shown(page, "box")
    reached: list[str] = []
    for _ in range(7):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.textContent.trim()"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    assert reached[:4] == ["Skip to content", "Isola", "Sandboxes", "Snapshots"]
    assert reached[6] == "box"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Its log")).to_be_visible()
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Sandboxes")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_it_fits_and_is_readable(
    browser: Browser, gateway: World, url: str, size: tuple[int, int], scheme: str
) -> None:
    labels = {"team": "search", "example.com/a-long-label": "x" * 63}
    await gateway.store.create(Draft(name="a" * 47, spec=TEMPLATE, labels=labels))
    await gateway.records("a" * 47, *started(), fact("ContainerExited", "Error", "y" * 300))
    page = await browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # pyright: ignore[reportArgumentType] - a literal each
    )
    await page.goto(url)
    await shown(page, "a" * 47)
    assert not await overflows(page)
    await page.goto(f"{url}#/sandboxes/{'a' * 47}")
    await expect(page.locator(".log > li")).to_have_count(6)
    assert not await overflows(page)
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(251, 251, 249)" if scheme == "light" else "rgb(20, 24, 23)")
    # A label in the picture is as large as it looks: the picture is drawn for its width.
    width, drawn = await page.evaluate(
        "(p => [p.getBoundingClientRect().width, p.viewBox.baseVal.width])"
        "(document.querySelector('svg.life'))"
    )
    assert abs(width - drawn) < 2
