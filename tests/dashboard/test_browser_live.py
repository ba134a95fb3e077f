"""The wall and the surveys in a real browser: channels of the stand-in, added, watched, removed and surveyed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config import Settings
from dashboard.live.tile import Tile
from tests.dashboard.browser import wait_until
from tests.dashboard.conftest import BrowserErrors, RunningServer, axe, make_settings
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.standin import Clock, Standin, World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("browser")

HOSTILE = '<img src=x onerror="alert(1)"> اللعبة'
SWITCH_S = 600.0  # after the start of the stand-in's clock
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# Milliseconds from each change's time to its entry in the log.
WATCH_LOG = """() => {
  window.delays = [];
  new MutationObserver((records) => records.forEach((record) => record.addedNodes.forEach((entry) =>
    window.delays.push(Date.now() - Date.parse(entry.querySelector("time").dateTime))
  ))).observe(document.getElementById("log"), { childList: true });
}"""


@pytest.fixture(scope="module")
def clock() -> Clock:
    """Return the stand-in's clock, three times as fast as the machine's."""
    return Clock(speed=3)


@pytest.fixture(scope="module")
def twitch(world: World, clock: Clock) -> Iterator[Standin]:
    """Run the stand-in with a bright channel that turns dark, one with a hostile category, and an offline one."""
    bright, dark = world.channel("etr_bumpy_ride"), world.channel("dcss_minotaur_berserker")
    assert bright
    assert dark
    channels = (
        dataclasses.replace(bright, login="bright"),
        dataclasses.replace(dark, login="dark"),
        dataclasses.replace(dark, login="liar", game_id=4321, game=HOSTILE, viewers=1),
        dataclasses.replace(bright, login="sleeper", behaviour="offline"),
    )
    switching = World(channels).with_switches([("bright", clock.now() + SWITCH_S, "dark")])
    with Standin(switching, clock=clock) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, twitch: Standin, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings for the stand-in, with a model that separates dark from bright; there is no database."""
    model = save_model(tmp_path_factory.mktemp("model"), (DARK, BRIGHT))
    return make_settings(tmp_path, model_path=model, **twitch.environment)


def tile(page: Page, source: str) -> str:
    """Return the selector of a channel's tile."""
    return f'#tiles > li:has(a:text-is("{source}"))'


def add(page: Page, *sources: str) -> None:
    """Paste the sources and add them."""
    page.fill("#sources", "\n".join(sources))
    page.press("#sources", "Enter")


def test_wall_with_a_live_a_lying_and_an_offline_channel_follows_them(page: Page, twitch: Standin, clock: Clock):
    """Games, a mismatch, a change within a second of its event, an offline channel; filters, large view, removal."""
    page.goto("/live")
    add(page, "bright", "https://www.twitch.tv/liar", "sleeper", "<script>")
    page.wait_for_selector(f'{tile(page, "bright")}:has-text("{BRIGHT.name}"):has-text("As declared")')
    page.wait_for_selector(f'{tile(page, "liar")}[data-mismatch=true]:has-text("{DARK.name}")')
    assert page.text_content(f"{tile(page, 'liar')} [data-text=category]") == HOSTILE
    offline = f'{tile(page, "sleeper")}[data-state=offline]:has-text("offline")'
    page.wait_for_selector(offline, timeout=45_000)  # beside other workers' imports this took more than 15 s
    assert (page.text_content("#refusals") or "").startswith("<script>: Only a Twitch login")
    assert page.get_attribute(f"{tile(page, 'liar')} a", "href") == "https://www.twitch.tv/liar"
    wait_until(page, "document.querySelector('#tiles [data-state=live] canvas').address")
    assert "100% at its lowest" in (page.get_attribute(f"{tile(page, 'bright')} svg", "aria-label") or "")

    page.evaluate(WATCH_LOG)
    clock.advance(SWITCH_S)
    page.wait_for_selector(f'#log > li:has-text("bright"):has-text("{DARK.name}")')
    assert all(-100 < delay < 2000 for delay in page.evaluate("window.delays"))  # a second, twice for a busy machine
    page.wait_for_selector(f'{tile(page, "bright")}:has-text("{DARK.name}"):has-text("Declares {BRIGHT.name}")')

    page.check("text=Mismatches only")
    page.wait_for_selector(tile(page, "sleeper"), state="hidden")
    assert page.locator("#tiles > li:visible").count() == 2
    page.uncheck("text=Mismatches only")
    assert axe(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert axe(page) == []

    page.click(f"{tile(page, 'bright')} canvas")
    page.wait_for_selector(f'dialog[open]:has-text("{DARK.name}") #top meter')
    wait_until(page, "document.querySelector('dialog canvas').address")
    assert page.locator("#changes > li").count() >= 2
    page.press("dialog", "ArrowRight")
    page.wait_for_selector('#large-title[href$="/liar"]:text-is("liar")')
    page.press("dialog", "Escape")
    page.click(f"{tile(page, 'sleeper')} [data-do=remove]")
    page.wait_for_selector(tile(page, "sleeper"), state="detached")
    page.reload()
    page.wait_for_selector(tile(page, "bright"))
    assert page.locator("#tiles > li").count() == 2


def test_wall_after_a_cut_or_hidden_resumes(page: Page, server: RunningServer, browser_errors: BrowserErrors):
    """What happened meanwhile comes once, as text; what is too old to be sent again makes the page read the wall."""
    browser_errors.allowed.append("ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|status of 503")
    log = server.services.watch.log
    page.goto("/live")
    page.wait_for_selector("#connection:text-is('Connected')")
    log.closed = True
    page.wait_for_selector("#connection:text-is('Connection lost')")
    planted = Tile(HOSTILE)
    log.append("tile", planted.whole())
    log.closed = False
    page.wait_for_selector("#connection:text-is('Connected')")
    page.wait_for_selector("#tiles > li")
    assert page.text_content("#tiles strong") == HOSTILE
    assert page.get_attribute("#tiles a", "href") is None
    assert page.locator("#tiles img").count() == 0

    page.evaluate(HIDE, True)
    page.wait_for_selector("#connection:text-is('Paused')")
    log.append("removed", {"id": planted.id})
    log.append("tile", planted.whole() | {"id": "other", "source": "other"})
    page.evaluate(HIDE, False)
    page.wait_for_selector(tile(page, "other"))
    assert page.locator("#tiles > li").count() == 1

    log.closed = True
    page.wait_for_selector("#connection:text-is('Connection lost')")
    for _ in range(5000):  # more than the log holds
        log.append("tile", {"id": "other"})
    log.closed = False
    page.wait_for_selector("#tiles > li", state="detached")
    page.wait_for_selector("#empty")


def test_survey_of_the_top_streams_fills_a_table(page: Page):
    """Start, progress, table, sort, filter, download, reload and deletion; without violations of accessibility."""
    page.goto("/surveys")
    page.check("text=All games’ streams")
    page.fill("[name=top_streams]", "4")
    page.click("summary:text-is('Options')")
    page.fill("[name=frames]", "2")
    page.click("text=Start >> visible=true")
    page.wait_for_selector("#survey .state:text-is('finished')")
    wait_until(page, "document.querySelectorAll('#results tr').length === 4")
    assert page.text_content("#caption") == "Streams 1 to 4 of 4"
    page.click("th button:text-is('Stream')")
    page.wait_for_selector("th[aria-sort=ascending]:has-text('Stream')")
    assert page.locator("#results th").all_text_contents() == ["bright", "dark", "liar", "sleeper"]
    page.wait_for_selector("#results a[href='https://www.twitch.tv/bright']")
    with page.expect_download() as download:
        page.click("text=CSV")
    lines = download.value.path().read_text().splitlines()
    assert sorted(line.partition(",")[0] for line in lines) == ["bright", "dark", "liar", "sleeper", "source"]
    page.reload()
    page.select_option("#filters [name=outcome]", "failed")
    page.wait_for_selector("#results tr:only-child:has-text('sleeper'):has-text('Failed: offline')")
    page.select_option("#filters [name=outcome]", "")
    page.check("#filters >> text=Mismatches only")
    page.wait_for_selector("#results:has-text('liar'):not(:has-text('sleeper'))")
    page.fill("#filters [name=q]", "liar")
    page.wait_for_selector("#caption:text-is('Streams 1 to 1 of 1')")
    assert HOSTILE in page.locator("#results bdi").all_text_contents()
    assert axe(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert axe(page) == []
    page.click("#delete")
    page.click("dialog button[value=yes]")
    page.wait_for_selector("#survey", state="hidden")
    assert page.locator("#surveys > li").count() == 0
