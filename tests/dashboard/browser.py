"""The system's Chromium, as tests, benchmarks and pictures of the pages start it."""

from __future__ import annotations

import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def find_browser() -> str | None:
    """Return the path of the first browser on the PATH; None without one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)
