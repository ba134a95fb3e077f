"""The page of jobs in a real browser: start, progress, log, reload, stop, history."""

from __future__ import annotations

import re

import pytest

from tests.dashboard.conftest import axe, make_settings
from tests.standin import Standin

PATIENCE_MS = 60_000
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in with a channel."""
    with Standin(world.only(["bzflag_ctf"])) as running:
        yield running


@pytest.fixture
def settings(settings, twitch, tmp_path, postgres):
    """Return the settings of an empty dataset that collects from the stand-in."""
    return make_settings(tmp_path, **postgres, **twitch.environment, min_streamers=1, filter_frames=False)


def test_download_is_started_followed_reloaded_and_stopped_on_the_page(page, settings):
    """A person starts a download, sees its progress and log, reloads, stops it, and finds it among the past jobs."""
    from playwright.sync_api import expect

    page.goto("/jobs")
    expect(page.get_by_text("Two games with frames are needed")).to_have_count(2)
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    page.get_by_label("Games, one a line").fill("BZFlag\n\n")
    page.get_by_role("button", name="Start collecting").click()
    shown = page.locator("#shown")
    expect(shown.get_by_role("heading", name="Collecting running")).to_be_visible()
    expect(shown.get_by_text("python -m data.download --game=BZFlag")).to_be_visible()
    expect(shown.get_by_text(re.compile(r"\d+ frames in \d+ s"))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Start collecting")).to_be_disabled()
    page.reload()
    expect(shown.get_by_role("heading", name="Collecting running")).to_be_visible()
    follow = page.get_by_role("button", name="Follow")
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "false")
    follow.click()
    shown.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(shown.get_by_role("heading", name="Collecting stopped")).to_be_visible(timeout=PATIENCE_MS)
    expect(shown.get_by_text("exit code 0: success")).to_be_visible()
    expect(page.get_by_role("region", name="Log", exact=True)).to_contain_text("Downloaded ")
    row = page.get_by_role("row", name=re.compile("Collecting stopped"))
    expect(row).to_have_count(1)
    assert axe(page) == []
    row.get_by_role("button", name=re.compile("Delete")).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("None yet.")).to_be_visible()
    expect(shown).to_be_hidden()


def test_page_on_a_phone_in_the_dark_fits_and_is_accessible(new_page):
    """Nothing is wider than the screen; colours have enough contrast."""
    page = new_page("/jobs", viewport={"width": 360, "height": 740}, color_scheme="dark")
    page.get_by_role("button", name="Start the check").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert axe(page) == []
