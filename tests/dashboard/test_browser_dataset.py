"""Tests of the dataset's page in Chromium, driven as a person would: pointer, keys, touch, two people at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.conftest import BrowserErrors, axe
from tests.dashboard.datasets import CHESS, GO, HOSTILE, SmallDataset

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.xdist_group("browser")
expect = pytest.importorskip("playwright.sync_api").expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}


GONE_PICTURE = r"status of 404.*/pictures/"
"""Printed by the browser for a picture that was on its way while its frame moved."""


@pytest.fixture(autouse=True)
def _pictures_may_go(browser_errors: BrowserErrors) -> None:
    browser_errors.allowed.append(GONE_PICTURE)


def open_dataset(page: Page, query: str = "") -> Page:
    """Open the page, and wait for the first frame."""
    page.goto(f"/dataset{query}")
    expect(page.locator(".tile[aria-label]").first).to_be_visible()
    return page


def tile(page: Page, place: int) -> Locator:
    """Return the tile of the frame at a place, from 1."""
    return page.locator(f'.tile[aria-posinset="{place}"][aria-label]')


def poll(page: Page) -> None:
    """Do as the browser does when the user comes back to the page: it looks for changes at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def of_game(paths: set[str], game_id: int) -> int:
    """Return the number of a game's frames."""
    return sum(path.startswith(f"{game_id}/") for path in paths)


def test_range_of_100_frames_when_moved_and_undone_goes_and_returns(page: Page, small_dataset: SmallDataset) -> None:
    """The grid holds a window of tiles; Shift selects over frames that are not in it; keys move and undo."""
    before = small_dataset.paths()
    open_dataset(page)
    expect(page.locator("#count")).to_have_text("120 frames")
    expect(page.get_by_role("heading", name="ann").first).to_be_visible()
    tile(page, 1).click()
    page.keyboard.press("End")
    expect(tile(page, 120)).to_be_focused()
    assert page.locator(".tile").count() < 120
    page.keyboard.press("g")
    page.get_by_label("Its place").fill("100")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(tile(page, 100)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+End")
    expect(page.locator("#selected")).to_have_text("120 selected")
    tile(page, 100).click(modifiers=["Shift"])
    expect(page.locator("#selected")).to_have_text("100 selected")
    page.keyboard.press("m")
    page.keyboard.type("Go")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("70 frames moved to Go. 30 were gone, or there already.")
    assert of_game(small_dataset.paths(), GO.id) == 100
    page.reload()
    expect(tile(page, 1)).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("#notices")).to_contain_text("Undone “moved: 100 frames to Go”: 70 frames.")
    assert small_dataset.paths() == before


def test_suspects_when_all_that_match_are_marked_go_to_the_trash_and_return(
    page: Page, small_dataset: SmallDataset
) -> None:
    """Filters stand in the address; "all that match" is decided by the server; the trash and its change undo it."""
    before = small_dataset.paths()
    open_dataset(page)
    page.get_by_label("Suspects only").check()
    expect(page.locator("#count")).to_have_text("12 of 120 frames")
    page.get_by_role("combobox", name="The check says it looks like").select_option(label=CHESS.name)
    expect(page.locator("#count")).to_have_text("10 of 120 frames")
    page.reload()
    expect(page.locator("#count")).to_have_text("10 of 120 frames")
    tile(page, 2).click()
    page.keyboard.press("a")
    tile(page, 1).click(modifiers=["Control"])
    expect(page.locator("#selected")).to_have_text("9 selected")
    page.keyboard.press("n")
    expect(page.locator("#count")).to_have_text("1 of 111 frames")
    assert len(small_dataset.paths()) == 111
    page.keyboard.press("x")
    page.keyboard.press("Space")
    page.keyboard.press("Delete")
    expect(page.get_by_role("heading", name="No frame matches")).to_be_visible()
    page.keyboard.press("c")
    expect(page.locator("#trash li")).to_have_count(10)
    expect(page.locator("#trash li").last).to_contain_text("no game")
    assert axe(page) == []
    page.get_by_role("button", name=re.compile("^Undo: no game: 9")).click()
    expect(page.locator("#trash li")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Undo: deleted: 1")).click()
    expect(page.locator("#trash-count")).to_have_text("The trash is empty.")
    expect(page.locator("#changes li").last).to_have_text(re.compile("undone$"))
    expect(page.locator("#changes button")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#count")).to_have_text("10 of 120 frames")
    page.get_by_role("button", name="Remove the filters").click()
    expect(page.locator("#count")).to_have_text("120 frames")
    assert small_dataset.paths() == before


def test_frame_when_opened_shows_what_is_known_and_takes_the_keys(
    page: Page, small_dataset: SmallDataset, browser_errors: BrowserErrors
) -> None:
    """A frame large: provenance, neighbours, the model's answer; hostile texts are texts; a new game by its name."""
    browser_errors.allowed.append("status of (409|424|503)")  # there is no model
    open_dataset(page, "?login=cat&game=1000000000001&sort=likeness")
    expect(page.locator("#sort")).to_have_value("stream")
    page.keyboard.press("/")
    expect(page.locator("[name=q]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[name=q]")).not_to_be_focused()
    tile(page, 1).focus()
    page.keyboard.press("Enter")
    frame = page.get_by_role("dialog", name="cat")
    expect(frame).to_contain_text(HOSTILE.name)
    expect(frame.get_by_text("<script>alert(1)</script>")).to_be_visible()
    expect(frame.locator(".neighbour").first).to_be_visible()
    link = frame.get_by_role("link", name="https://www.twitch.tv/cat")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#frame-place")).to_have_text("2 of 10")
    expect(page).to_have_url(re.compile("frame=1000000000001%2Fcat-2.jpg"))
    page.keyboard.press("r")
    expect(page.locator("#frame-answer")).to_contain_text("model")
    assert axe(page) == []
    page.keyboard.press("m")
    page.keyboard.type("A game of my own")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("1 frame moved to A game of my own")
    expect(page.locator("#frame-place")).to_have_text("2 of 9")
    assert f"{HOSTILE.id}/cat-2.jpg" not in small_dataset.paths()
    page.keyboard.press("u")
    expect(page.locator("#frame-place")).to_have_text("3 of 10")
    page.keyboard.press("Escape")
    expect(tile(page, 3)).to_be_focused()
    page.get_by_label("Sort by").select_option("likeness")
    expect(page).to_have_url(re.compile("sort=likeness&like=1000000000001%2Fcat-3.jpg"))
    expect(tile(page, 1)).to_have_attribute("aria-label", re.compile("cat, frame 3"))
    page.go_back()
    expect(page.locator("#sort")).to_have_value("stream")
    assert f"{HOSTILE.id}/cat-2.jpg" in small_dataset.paths()


def test_two_people_when_they_change_the_same_frames_get_one_result(
    new_page: Callable[..., Page], small_dataset: SmallDataset
) -> None:
    """A notice tells the second one that the frames were gone; the pages keep their place, selection and focus."""
    one, other = open_dataset(new_page()), open_dataset(new_page())
    for page in (one, other):
        tile(page, 11).click()
        page.keyboard.press("s")
        expect(page.locator("#selected")).to_have_text("10 selected")
    one.keyboard.press("x")
    expect(one.locator("#count")).to_have_text("110 frames")
    other.keyboard.press("ArrowDown")
    other.keyboard.press("ArrowDown")
    shown = other.locator(".tile:focus").get_attribute("aria-label")
    poll(other)
    expect(other.locator("#count")).to_have_text("110 frames")
    assert other.locator(".tile:focus").get_attribute("aria-label") == shown
    assert other.evaluate("document.querySelector('.tile:focus').ariaSetSize") == "110"
    expect(other.locator("#selected")).to_have_text("10 selected")
    other.keyboard.press("n")
    expect(other.locator("#notices")).to_contain_text("0 frames marked as no game. 10 were gone, or there already.")
    one.keyboard.press("u")
    expect(one.locator("#count")).to_have_text("120 frames")
    expect(one.locator("#notices")).not_to_contain_text("frames deleted.")
    poll(other)
    expect(other.locator("#count")).to_have_text("120 frames")
    assert len(small_dataset.paths()) == 120


def test_phone_when_pressed_long_selects_and_a_tap_opens(
    new_page: Callable[..., Page], small_dataset: SmallDataset
) -> None:
    """At 390 pixels the panel is a drawer and nothing is wider than the screen; axe-core finds nothing."""
    page = open_dataset(new_page(**PHONE))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert axe(page) == []
    box = tile(page, 2).bounding_box()
    assert box
    touch = page.context.new_cdp_session(page)
    point = {"x": box["x"] + 20, "y": box["y"] + 40}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    expect(page.locator("#selected")).to_have_text("1 selected")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tile(page, 3).tap()
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.get_by_role("button", name="Select nothing").tap()
    tile(page, 3).tap()
    expect(page.locator("#frame-place")).to_have_text("3 of 120")
    page.get_by_role("button", name="Close").tap()
    page.get_by_role("button", name="Filters").tap()
    page.get_by_role("checkbox", name=re.compile("^Chess")).tap()
    expect(page.locator("#count")).to_have_text("30 of 120 frames")
    assert axe(page) == []
    page.get_by_role("button", name="Close the filters").tap()
    expect(page.locator("#side")).to_be_hidden()


def test_page_when_dataset_is_empty_says_where_frames_come_from(page: Page) -> None:
    """An empty dataset leads to the downloads; axe-core finds nothing in light colours."""
    page.goto("/dataset")
    expect(page.get_by_role("link", name="Start a download")).to_be_visible()
    assert axe(page) == []
