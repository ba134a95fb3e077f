"""Form of messages: what people read, and that names from the network stay text."""

from __future__ import annotations

import re

import pytest

from data.entities import Game
from recognition.outputs.targets.base import CHANGE, END, FAILURE, KINDS, MATCH, MISMATCH, START, UNKNOWN
from recognition.outputs.targets.message import compose, discord_text, inert
from tests.recognition.alerts import CHESS, alert

HOSTILE = "<@everyone> @here <!channel> https://evil.example <b>x</b> \x1b[31m\n\u202e /start #tag evil.com t.me/x"


@pytest.mark.parametrize(
    ("kind", "fields", "title"),
    [
        (START, {}, "someone shows VALORANT"),
        (START, {"game": None, "known": False}, "someone shows no known game"),
        (CHANGE, {}, "someone now shows VALORANT"),
        (UNKNOWN, {"game": None, "known": False}, "someone shows no known game any more"),
        (MISMATCH, {"category": CHESS, "mismatch": True}, "someone shows VALORANT, not Chess"),
        (MATCH, {}, "someone shows VALORANT, as its category says"),
        (END, {}, "someone: the stream has ended"),
        (FAILURE, {"message": "no such channel"}, "someone gives no answer"),
    ],
)
def test_title_of_each_kind_says_what_happened(kind, fields, title):
    """Each kind of alert has a title of its own."""
    assert compose(alert(kind=kind, **fields)).title == title


def test_titles_cover_all_kinds():
    """A kind without a title would raise when it is sent."""
    assert all(compose(alert(kind=kind)).title for kind in KINDS)


def test_text_of_a_change_has_the_facts_and_the_channel():
    """A change names the game before, the category, the confidence, the time and the channel's address."""
    lines = compose(alert()).as_text().splitlines()
    assert lines[:3] == ["Before: Chess", "Category: VALORANT", "Confidence: 93 %"]
    assert re.fullmatch(r"Time: 2026-11-2\d \d\d:\d\d:\d\d", lines[3])
    assert lines[4:] == ["https://www.twitch.tv/someone"]


@pytest.mark.parametrize(
    "source", ["https://user:pass@host.example/live/index.m3u8?token=SECRET", "/home/me/SECRET/a.mp4"]
)
def test_source_that_is_no_channel_shows_no_secret(source):
    """Of an address only host and last part are sent, of a path its name; neither has a link."""
    message = compose(alert(source=source))
    assert message.title.replace("\u200b", "") in (
        "host.example index.m3u8 now shows VALORANT",
        "a.mp4 now shows VALORANT",
    )
    assert message.link == ""


def test_hostile_names_are_inert():
    """A name cannot mention, link, tag, command, break a line, reverse it or send an escape sequence."""
    text = inert(HOSTILE)
    for active in ("@everyone", "@here", "<@", "<!", "://", "evil.com", "evil.example", "#tag", "/start", "t.me"):
        assert active not in text
    assert text.isprintable() or set(re.sub("[\u200b]", "", text)) <= set(map(chr, range(32, 127)))
    assert text.replace("\u200b", "").startswith("<@everyone> @here <!channel> https://evil.example")


@pytest.mark.parametrize(
    "name", ["S.T.A.L.K.E.R. 2", "Pokémon: Let's Go", "ドラゴンクエスト", "Fate/Grand Order", "C&C"]
)
def test_usual_names_are_unchanged(name):
    """Names of games that a chat would leave alone stay as they are."""
    assert inert(name) == name


def test_end_names_the_last_game_only():
    """Of a stream that has ended, category and confidence say nothing any more."""
    assert [label for label, _ in compose(alert(kind=END)).facts] == ["Last game", "Time"]


def test_html_escapes_names():
    """Only our own tags are in the HTML."""
    html = compose(alert(game=Game(1, HOSTILE), category=Game(2, "<i>&"), source="a<b")).as_html()
    assert set(re.findall(r"</?[^>]*>", html)) == {"<b>", "</b>", "<br>"}


def test_discord_text_escapes_markup_within_its_limit():
    """All of Discord's markup is escaped; a text of markup only stays within Discord's limit."""
    assert discord_text("*a* [b](c) @x") == r"\*a\* \[b\]\(c\) \@x"
    cut = discord_text("*" * 500, 256)
    assert len(cut) <= 256
    assert re.fullmatch(r"(\\\*)+…", cut)
