"""Every page in Chromium: accessible in both colour schemes, from a telephone's width to 4K, by keyboard."""

from __future__ import annotations

import pytest

from dashboard.pages.routes import PAGES
from tests.dashboard.browser import wait_until
from tests.dashboard.conftest import axe

pytestmark = pytest.mark.xdist_group("browser")
SCREENS = ((360, 740, "dark"), (1440, 900, "light"), (3840, 2160, "dark"))


@pytest.mark.parametrize("name", [*PAGES, "login"])
def test_page_at_any_width_is_accessible_and_not_wider_than_the_screen(page, small_dataset, name):
    """axe-core finds nothing; the first Tab reaches the link that skips the navigation; nothing is cut off."""
    page.goto(f"/{name}")
    page.locator("main h1").first.wait_for(state="attached")
    for width, height, scheme in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        wait_until(page, f"document.documentElement.scrollWidth <= {width}")
        assert width == 3840 or axe(page) == [], (width, scheme)  # at 4K it would find what it finds at 1440
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
