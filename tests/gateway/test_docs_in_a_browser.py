"""The page about the API, in Chromium: wide and narrow, light and dark, and without JavaScript."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from gateway.fakes import World
from gateway.serving import served
from support.browser import DESK, PHONE, Complaints, chromium, overflows

# WCAG 2, 1.4.3: of the text of every element to whatever is behind it, the least one.
LEAST_CONTRAST = """() => {
  const parse = c => (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = c => parse(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => {
    while (e && parse(getComputedStyle(e).backgroundColor)[3] === 0) e = e.parentElement;
    return e ? getComputedStyle(e).backgroundColor : "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("body *")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  return Math.min(...texts.map(e => {
    const pair = [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  }));
}"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def url(gateway: World) -> AsyncIterator[str]:
    async with served(gateway, 1) as url:
        yield url


async def test_it_is_readable_everywhere_and_asks_nobody_else(browser: Browser, url: str) -> None:
    for width, height in (DESK, PHONE):
        for scheme in ("light", "dark"):
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,  # pyright: ignore[reportArgumentType] - a literal each
                java_script_enabled=False,
            )
            page = await context.new_page()
            complaints = Complaints(page, url)
            await page.goto(f"{url}/docs")
            assert not await overflows(page), (width, scheme)
            assert await page.evaluate(LEAST_CONTRAST) >= 4.5, (width, scheme)
            await page.get_by_text("Example", exact=True).first.click()
            assert await page.get_by_text("curl -X POST").first.is_visible()
            assert complaints.found == []
            await context.close()


async def test_the_contents_lead_to_the_operation(browser: Browser, url: str) -> None:
    for width, height in (DESK, PHONE):
        page = await browser.new_page(viewport={"width": width, "height": height})
        await page.goto(f"{url}/docs")
        contents = page.get_by_role("navigation", name="Contents")
        if width == PHONE[0]:
            await contents.get_by_text("Contents").click()
        await contents.get_by_role("link", name="killCommand").click()
        heading = page.locator("#killCommand h3")
        assert page.url.endswith("#killCommand")
        box = await heading.bounding_box()
        assert box
        assert 0 <= box["y"] < height / 2
        await page.close()
