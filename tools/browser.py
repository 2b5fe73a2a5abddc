"""Chromium, driven by Playwright: the system's own, else one that Playwright fetches."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL_S = 300


class NoBrowserError(Exception):
    """No Chromium is on this machine, and none could be fetched; says why."""


@lru_cache(maxsize=1)
def system_browser() -> str | None:
    """The Chromium to start; None stands for Playwright's own, which is fetched if it is not there.

    Raises:
        NoBrowserError: it is not there and cannot be fetched.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        command = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            raise NoBrowserError(f"Playwright could not fetch a Chromium within {INSTALL_S} s") from None
        except subprocess.CalledProcessError as error:
            why = next((line for line in error.stderr.splitlines() if line.startswith("Error: ")), "no reason given")
            raise NoBrowserError(f"no Chromium is installed, and Playwright could not fetch one ({why})") from None
    return found


class Browser:
    """One page; `problems` are console errors, warnings and exceptions, `requests` every address asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda x: self.problems.append(x.text) if x.type in ("error", "warning") else None)

    def open(self, target: Path | str, width: int = 1100, height: int = 900, scheme: Any = "light") -> None:
        """Load a file or an address and wait until it is complete."""
        self.problems.clear()
        self.requests.clear()
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)
        self.page.goto(target.as_uri() if isinstance(target, Path) else target)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.page.evaluate(script)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with one page, closed at the end.

    Raises:
        NoBrowserError: there is none.
    """
    path = system_browser()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        try:
            yield Browser(chromium.new_page())
        finally:
            chromium.close()
