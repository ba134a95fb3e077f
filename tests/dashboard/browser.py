"""The system's Chromium, as tests, benchmarks and pictures of the pages start it."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",  # pages of the address bar, a third of its CPU time
)


def find_browser() -> str | None:
    """Return the path of the first browser on the PATH; None without one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def wait_until(page: Page, expression: str, timeout_s: float = 30.0) -> None:
    """Wait until a JavaScript expression is true. Playwright's own wait is blocked by the page's security policy."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)
