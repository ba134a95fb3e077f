"""COMMAND: take pictures of the dashboard's pages, with a dataset and live channels of the stand-in for Twitch.

With --report, take only that of an audit's report.html, such as benchmarks.audit --out leaves.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import requests

from tests.dashboard.browser import SWITCHES, find_browser
from tests.standin import CLIPS, Standin, World

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
_FRAMES = 600
_OFFLINE = "already_over"
_LIAR, _SHOWN_INSTEAD = "dcss_deep_elf_fire", "bzflag_ctf"  # this channel shows what that one does
_WATCHED_S = 25  # until each tile has a game and a line of confidences
_PAGES = ("dataset", "live", "surveys", "model", "jobs")
_README_SIZE = (1280, 720)
_REPORT_SIZE = (1280, 2100)
_SIZES = {"1440": (1440, 900), "390": (390, 844)}


def main(argv: list[str] | None = None) -> int:
    """Run the command, print the files that it wrote and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description=__doc__)
    parser.add_argument("--images", type=Path, default=ROOT / "images", help="folder of the pictures")
    parser.add_argument("--all", action="store_true", help="every page in two sizes, dark and light")
    parser.add_argument("--report", type=Path, metavar="FILE", help="report.html of an audit")
    args = parser.parse_args(argv)
    args.images.mkdir(parents=True, exist_ok=True)
    if args.report:
        with running_browser() as browser:
            shoot(open_page(browser, args.report.resolve().as_uri(), _REPORT_SIZE, "light"), args.images / "audit.png")
        return 0
    world = World.load(CLIPS).with_switches([(_LIAR, 0, _SHOWN_INSTEAD)])
    declared = next(channel.game_id for channel in world.channels if channel.login == _LIAR)
    with TemporaryDirectory() as folder, Standin(world) as standin:
        environment = os.environ | standin.environment | {"DOWNLOAD_PATH": folder, "MIN_STREAMERS": "1"}
        run("data.download", "--frames", str(_FRAMES), environment=environment)
        run("model.check", "--no-effect", environment=environment)
        with running_dashboard(environment) as url, running_browser() as browser:
            dataset = open_page(browser, f"{url}/dataset?game={declared}", _README_SIZE, "light")
            shoot(dataset, args.images / "dashboard_dataset.png")  # before the machine is busy with the wall
            requests.post(f"{url}/api/v1/watch", json={"sources": watched(world)}, timeout=10).raise_for_status()
            time.sleep(_WATCHED_S)
            shoot(open_page(browser, f"{url}/live", _README_SIZE, "dark"), args.images / "dashboard_live.png")
            if args.all:
                shoot_all(browser, url, args.images)
    return 0


def watched(world: World) -> list[str]:
    """Return the login of a live channel of each game, that of the liar, and one that is offline."""
    playing = {channel.game: channel.login for channel in world.channels if channel.igdb_id and channel.has_frames}
    return [*{*list(playing.values())[:10], _LIAR, _OFFLINE}]


def run(module: str, *words: str, environment: dict[str, str]) -> None:
    """Run a command of the toolkit."""
    subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT, env=environment, check=True)


@contextmanager
def running_dashboard(environment: dict[str, str]) -> Iterator[str]:
    """Run the dashboard on a free port; yield its address."""
    command = [sys.executable, "-m", "dashboard.serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r"http://\S+?(?=/?$)", process.stdout.readline().strip())
        if not found:
            raise RuntimeError("the dashboard did not start")
        try:
            yield found[0]
        finally:
            process.terminate()


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=find_browser(), args=list(SWITCHES))


def shoot_all(browser: Browser, url: str, images: Path) -> None:
    """Write the pictures of all pages."""
    for theme in ("light", "dark"):
        for size_name, size in _SIZES.items():
            for name in _PAGES:
                page = open_page(browser, f"{url}/{name}", size, theme)
                shoot(page, images / f"{name}_{size_name}_{theme}.png")


def open_page(browser: Browser, url: str, size: tuple[int, int], theme: str) -> Page:
    """Return a page that has loaded. `size`: width and height in pixels."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(6000)
    return page


def shoot(page: Page, path: Path) -> None:
    """Write the picture of a page, and print its path."""
    page.screenshot(path=path)
    sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    sys.exit(main())
