"""The model's page in Chromium: a picture is dropped on it, an address is asked for, its tables are sorted."""

from __future__ import annotations

import base64

import cv2
import pytest

from config import Settings
from tests.dashboard.conftest import axe, make_settings
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.sample_images import flat

pytestmark = pytest.mark.xdist_group("browser")

HOSTILE_CARD = """---
license: mit
---
# <img src=x onerror=alert(1)>, 2 games

Trained by `<script>alert(2)</script>` and [a](javascript:alert(3)) and [us](https://example.com/).

| game | frames |
| --- | --- |
| a \\| b | *12* |

- one
- two
"""


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Return settings with a small model that tells dark pictures from bright ones, and with a hostile card."""
    model_path = save_model(tmp_path / "models" / "mine", (DARK, BRIGHT))
    (model_path / "model_card.md").write_text(HOSTILE_CARD, encoding="utf-8")
    return make_settings(tmp_path, model_path=model_path)


DROP = """([node, text]) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "<b>dark</b>.png", {type: "image/png"}));
  for (const name of ["dragover", "drop"]) {
    node.dispatchEvent(new DragEvent(name, {dataTransfer: data, bubbles: true, cancelable: true}));
  }
}"""


def test_dropped_picture_is_recognised(page, browser_errors):
    """The answer names the game, with the frame and its ranking; a file that is none says so; keys reach all of it."""
    page.goto("/model")
    picture = cv2.imencode(".png", flat((20, 20, 20), 320, 180))[1].tobytes()
    page.locator("#drop").evaluate(f"(node, text) => ({DROP})([node, text])", base64.b64encode(picture).decode())
    page.locator(".verdict").wait_for()
    assert page.locator(".verdict").inner_text() == DARK.name
    assert page.locator("#answer").get_by_text("<b>dark</b>.png").is_visible()
    assert page.locator("#answer img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 240
    assert page.locator(".ranking li").all_inner_texts()[0].startswith(DARK.name)
    assert axe(page) == []
    browser_errors.allowed.append("status of 422")
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    page.get_by_role("alert").filter(has_text="not a video").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("./secret.mp4")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="only a Twitch login").wait_for()
    assert page.locator(".verdict").count() == 0


def test_page_shows_what_the_files_say_and_sorts_tables(new_page, settings):
    """At 390 pixels, too, the page has no violation of accessibility; a card's HTML is text; a table is sorted."""
    folder = settings.model_path.parent
    for name, games in (("other", (BRIGHT, DARK)), ("zz", (DARK, BRIGHT))):
        save_model(folder / name, games)
    page = new_page("/model", viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.get_by_text("There is no report of this model's training").is_visible()
    page.locator("summary", has_text="Model card").click()
    assert page.get_by_role("heading", name="<img src=x onerror=alert(1)>, 2 games").is_visible()
    assert page.locator(".card td").all_inner_texts() == ["a | b", "12"]
    assert [link.get_attribute("href") for link in page.locator(".card a").all()] == ["https://example.com/"]
    models = page.locator(".sortable tbody tr th")
    assert [text.split()[0] for text in models.all_inner_texts()] == ["mine", "other", "zz"]
    head = page.get_by_role("button", name="Model")
    head.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert [text.split()[0] for text in models.all_inner_texts()] == ["zz", "other", "mine"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert axe(page) == []
    page.get_by_role("link", name="zz").click()
    assert page.get_by_role("link", name="Show the model in use").is_visible()
    assert page.get_by_text(f"MODEL_PATH={folder.resolve() / 'zz'}", exact=True).is_visible()
