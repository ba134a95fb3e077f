"""Signing in and out in Chromium, as a visitor does."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from tests.dashboard.conftest import axe

pytestmark = pytest.mark.xdist_group("browser")
TOKEN = "a-token-of-enough-characters"


@pytest.fixture
def settings(settings):
    """Return settings with a token."""
    return settings.model_copy(update={"dashboard_token": SecretStr(TOKEN)})


def test_visitor_signs_in_and_out(page, server, small_dataset, browser_errors):
    """A page leads to the login and the login back to it; after signing out the page is closed again."""
    browser_errors.allowed.append(r"status of 401")
    page.goto("/jobs?a=1")
    page.wait_for_url("**/login?next=/jobs%3Fa%3D1")
    assert axe(page) == []
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("The token is wrong").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}/jobs?a=1")
    page.get_by_role("heading", level=1).wait_for()
    cookie = next(cookie for cookie in page.context.cookies() if cookie["name"].startswith("twitchcategory-"))
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login**")
    page.goto("/jobs")
    page.wait_for_url("**/login?next=/jobs")


def test_navigation_fits_a_telephone_when_signed_in(page, server):
    """From 320 pixels on all links and tools are in view, none over another, and the button keeps its name."""
    page.goto("/login?next=/surveys")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.url}/surveys")
    page.get_by_role("heading", level=1).wait_for()
    for width, links in ((390, 6), (360, 6), (320, 5)):
        page.set_viewport_size({"width": width, "height": 844})
        spots = page.eval_on_selector_all(
            "header a, header button", "all => all.map(one => one.getBoundingClientRect()).filter(box => box.width)"
        )
        assert len(spots) == links + 2  # the brand where there is room, five pages; sign out, the theme
        edges = [edge for spot in spots for edge in (spot["left"], spot["right"])]
        assert edges == sorted(edges), (width, edges)
        assert edges[0] >= 0, width
        assert edges[-1] <= width, edges
        assert axe(page) == []
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/login**")


def test_login_leads_to_no_other_site(page, server, browser_errors):
    """An address of another site in the link to the login is not followed."""
    browser_errors.allowed.append("status of 401")  # of the page that still loads when its cookie is removed
    for target in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example", "/login"):
        page.goto("about:blank")  # the page before would lead to the login itself when its cookie is removed
        page.context.clear_cookies()
        page.goto(f"/login?next={target}")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/dataset", wait_until="commit")


def test_script_that_a_name_would_bring_does_not_run(new_page, small_dataset, browser_errors):
    """The policy of content forbids inline scripts and styles, other sites, and text that becomes markup."""
    browser_errors.allowed.append("Content Security Policy|Trusted")
    page = new_page("/login")
    ran = page.evaluate(
        """async () => {
            const script = document.createElement("script");
            const found = [];
            try { document.body.innerHTML = "<img src=x onerror='window.ran = 1'>"; } catch { found.push("markup"); }
            try { script.text = "window.ran = 2"; document.body.append(script); } catch { found.push("script"); }
            try { await fetch("http://127.0.0.1:9/"); } catch { found.push("fetch"); }
            return [found, window.ran ?? 0];
        }"""
    )
    assert ran == [["markup", "script", "fetch"], 0]
