"""Times of the dataset's page in Chromium on 100,000 frames, as a user sees them: until all visible pictures are there.

    python -m benchmarks.dashboard_page [--frames N] [--jumps N] [--folder DIR]

Claims: first screen in less than 0.5 s, a jump anywhere in less than 150 ms (95th percentile), a filter in less than
300 ms, 1,000 frames moved and undone in less than 1 s each. Playwright and a Chromium are needed (see tests/dashboard).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._browser_memory import DevTools, open_page
from benchmarks._dashboard_dataset import make_dataset
from config import Settings
from tests.dashboard.browser import SWITCHES, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SIZE = (1440, 900)
_PAUSE_S = 0.4
_SCREENS = 7  # loads of the page
_FILTERS = 10
_MOVED, _MOVES = 1000, 3
# Chooses a game, waits until the number of frames has changed, and gives the time of the choice.
_FILTER = """(async () => {
  const count = document.getElementById("count"), before = count.textContent, start = performance.now();
  document.querySelectorAll("input[name=game]")[%d].click();
  while (count.textContent === before) await new Promise(requestAnimationFrame);
  return start;
})()"""
# Resolves to the milliseconds since `start` when every visible tile has its picture.
_SETTLED = """async ({top, start}) => {
  const from = start ?? performance.now();
  if (top !== null) grid.scrollTop = top * (grid.scrollHeight - grid.clientHeight);
  for (;;) {
    await new Promise(requestAnimationFrame);
    const box = document.getElementById("grid")?.getBoundingClientRect() ?? {};
    const tiles = [...document.querySelectorAll(".tile")].filter((tile) => {
      const { top, bottom } = tile.getBoundingClientRect();
      return bottom > box.top && top < box.bottom;
    });
    const pictures = tiles.map((tile) => tile.querySelector("img"));
    if (tiles.length > 1 && pictures.every((picture) => picture.complete && picture.naturalWidth)) break;
  }
  return performance.now() - from;
}"""


def main(argv: list[str] | None = None) -> int:
    """Make the dataset, serve it, drive the page, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description="Time the dataset's page in Chromium.")
    parser.add_argument("--frames", type=int, default=100_000, help="frames to generate (default: %(default)s)")
    parser.add_argument("--jumps", type=int, default=100, help="random places to scroll to (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to make and keep the dataset (default: a temporary folder)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="dashboard-") as scratch:
        folder = args.folder or Path(scratch)
        make_dataset(Settings(_env_file=None, download_path=folder), args.frames)
        with _server(folder) as url:
            print(f"{args.frames:,} frames, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, 1440 x 900")
            for name, times in _measure(url, args.jumps):
                worst = sorted(times)[max(0, round(0.95 * len(times)) - 1)]
                print(
                    f"  {name:<28} median {statistics.median(times):7.0f} ms   p95 {worst:7.0f} ms   n {len(times)}",
                    flush=True,
                )
    return 0


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Run the dashboard in a process of its own; yield its address."""
    environment = {**os.environ, "DOWNLOAD_PATH": str(folder), "DB_HOST": ""}
    command = [sys.executable, "-m", "dashboard.serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[-1].rstrip("/")
        finally:
            process.terminate()


@contextmanager
def _chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=find_browser(), args=list(SWITCHES))


def _measure(url: str, jumps: int) -> Iterator[tuple[str, list[float]]]:
    """Yield the name of what a user does, and the milliseconds of each time.

    The first three are timed in the page. Playwright, which asks for the network's events, makes a picture cost twice.
    """
    with open_page("about:blank", _SIZE) as (page, _):
        screens = [_load(page, url) for _ in range(1 + _SCREENS)]
        yield "first screen", screens[1:]  # server and browser were cold at first
        rng = random.Random(0)
        yield "jump", [_settled(page, top=rng.random()) for _ in range(jumps)]
        yield "filter by a game", [_filter(page, at) for at in range(_FILTERS)]
    with _chromium() as browser:
        moving = browser.new_context(viewport={"width": _SIZE[0], "height": _SIZE[1]}).new_page()
        moving.goto(f"{url}/dataset")
        moved, undone = zip(*(_move(moving) for _ in range(_MOVES)), strict=True)
        yield f"{_MOVED:,} frames moved", list(moved)
        yield f"{_MOVED:,} frames undone", list(undone)


def _load(page: DevTools, url: str) -> float:
    """Load the page without what the browser has stored; return the milliseconds to its first screen."""
    page.call("Network.clearBrowserCache")
    page.call("Page.navigate", url=f"{url}/dataset")
    return _settled(page, start=0)


def _settled(page: DevTools, top: float | None = None, start: float | None = None) -> float:
    """Wait until all visible pictures are there; return the milliseconds since `start`, or since now.

    top: where to scroll first, 0 to 1. A pause follows, in which tiles beside the visible ones may be loaded.
    """
    elapsed = page.evaluate(f"({_SETTLED})({json.dumps({'top': top, 'start': start})})")
    time.sleep(_PAUSE_S)
    return float(elapsed)


def _filter(page: DevTools, at: int) -> float:
    """Choose another game only; return the milliseconds until its frames are shown."""
    page.evaluate('document.getElementById("clear").hidden || document.getElementById("clear").click()')
    _settled(page, top=0)
    start = page.evaluate(_FILTER % at)
    return _settled(page, start=start)


def _move(page: Page) -> tuple[float, float]:
    """Move frames to another game by keys, undo it; return the milliseconds of both, from the key to the notice."""
    page.evaluate(_SETTLED, {"top": 0, "start": None})
    page.locator('.tile[aria-posinset="1"]').click()
    page.keyboard.press("g")
    page.get_by_label("Its place").fill(str(_MOVED))
    page.keyboard.press("Enter")
    page.locator(f'.tile[aria-posinset="{_MOVED}"][aria-label]').click(modifiers=["Shift"])
    page.get_by_text(f"{_MOVED:,} selected").wait_for()
    page.keyboard.press("m")
    moved = _until(page, page.locator(".choices li").last.click, "moved to")
    return moved, _until(page, lambda: page.keyboard.press("u"), "Undone")


def _until(page: Page, act: Callable[[], None], text: str) -> float:
    start = time.perf_counter()
    act()
    page.locator("#notices").get_by_text(text).wait_for()
    elapsed = 1000 * (time.perf_counter() - start)
    page.locator("#notices").get_by_role("button", name="Dismiss").last.click()
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
