"""A real browser, for pages that are made for people: Chromium, from `hack/browser.sh`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache

from playwright.async_api import Browser, Page, async_playwright

from support.toolchain import ROOT

PHONE = (360, 740)
DESK = (1280, 900)


@cache
def _executable() -> str:
    run = subprocess.run(
        [ROOT / "hack" / "browser.sh"], stdout=subprocess.PIPE, text=True, check=True
    )
    return run.stdout.splitlines()[-1]


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """Start a browser, which takes a second, and end it."""
    # Its sandbox needs a user other than root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_executable(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """What the browser did not like about a page: errors, policies broken, requests elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.found: list[str] = []
        page.on("console", lambda said: self._say(said.text, worth=said.type == "error"))
        page.on("pageerror", lambda error: self._say(str(error)))
        page.on("request", lambda sent: self._say(sent.url, worth=not sent.url.startswith(origin)))
        page.on("response", lambda got: self._say(got.url, worth=got.status >= 400))

    def _say(self, text: str, *, worth: bool = True) -> None:
        if worth:
            self.found.append(text)


async def overflows(page: Page) -> bool:
    """Return whether the page has to be scrolled sideways."""
    return await page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
