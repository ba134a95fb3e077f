"""Memory of a page in Chromium while it stays open: JavaScript heap, DOM nodes, listeners, the renderer's memory.

For benchmarks.dashboard_wall: `sample_page` opens a page, waits, and returns one sample for each interval.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from playwright.sync_api import sync_playwright

from tests.dashboard.conftest import BROWSERS

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

ALL_TILES = {"width": 1440, "height": 4000}  # pixels at which 50 tiles are visible, and load their frames
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
_METRICS = {"JSHeapUsedSize": "heap_mb", "Nodes": "nodes", "JSEventListeners": "listeners", "Documents": "documents"}


@dataclass(frozen=True)
class PageSample:
    """What a page holds after a garbage collection. Sizes in MB; `renderer_mb`: USS of all renderer processes."""

    minute: float
    heap_mb: float
    nodes: int
    listeners: int
    documents: int
    renderer_mb: float


def sample_page(
    url: str, minutes: float, interval_s: float = 30.0, viewport: dict[str, int] | None = None
) -> Iterator[PageSample]:
    """Open a page and yield a sample every `interval_s`, for `minutes`."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_SWITCHES)
        page = browser.new_page(viewport=viewport or ALL_TILES)  # type: ignore[arg-type]
        page.goto(url)
        client, whole = page.context.new_cdp_session(page), browser.new_browser_cdp_session()
        client.send("Performance.enable")
        start = time.monotonic()
        while (passed_s := time.monotonic() - start) < minutes * 60 + interval_s / 2:
            page.wait_for_timeout(interval_s * 1000)
            yield _sample(client, whole, passed_s + interval_s)
        browser.close()


def _sample(client: CDPSession, browser: CDPSession, passed_s: float) -> PageSample:
    client.send("HeapProfiler.collectGarbage")
    values = {item["name"]: item["value"] for item in client.send("Performance.getMetrics")["metrics"]}
    found = {field: int(values[name]) for name, field in _METRICS.items()}
    processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
    uss = sum(psutil.Process(one["id"]).memory_full_info().uss for one in processes if one["type"] == "renderer")
    heap_mb = found.pop("heap_mb") / 1e6
    return PageSample(minute=passed_s / 60, heap_mb=heap_mb, renderer_mb=uss / 1e6, **found)
