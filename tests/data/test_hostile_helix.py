"""Helix client against responses that the API should never send: one malformed item costs that item."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from data.entities import Game
from data.errors import DirectoryUnauthorized, DirectoryUnavailable
from data.http.session import new_session
from data.twitch.helix import Helix
from tests.scripted_server import Reply, ScriptedServer

GOOD_GAME: dict[str, Any] = {"id": "7", "name": "Pong", "box_art_url": "", "igdb_id": "1"}
GOOD_STREAM: dict[str, Any] = {
    "user_id": "1",
    "user_login": "someone",
    "user_name": "",
    "game_id": "7",
    "game_name": "Pong",
} | {
    "title": "t",
    "language": "en",
    "viewer_count": 3,
}
REFUSED = Reply(400, {"error": "Bad Request", "status": 400, "message": "The language is invalid"})


def helix(url: str, **options) -> Helix:
    values = {"access_token": "token", "sleep": lambda _: None, "retry_budget_s": 0.1, **options}
    return Helix(new_session(2, url), "client", **values)


def page(*items: object, cursor: str = "") -> Reply:
    """Return a page; `items` are sent as JSON, lone surrogates and all."""
    return Reply(body={"data": list(items), "pagination": {"cursor": cursor} if cursor else {}})


NO_IDS: list[Any] = [
    None,
    "abc",
    "",
    "0",
    "-5",
    0,
    -5,
    1.5,
    True,
    "1e3",
    "٣",
    " 7",
    "9" * 19,
    10**19,
    10**400,
    [],
    {},
    "1" * 10**6,
]
NO_TEXTS: list[Any] = [None, 5, True, [], {}, [[["x"]]], "x" * 10**6]
NO_ITEMS: list[Any] = [None, 5, "x", [], {}, [[]]]
NO_GAMES: list[Any] = [
    *NO_ITEMS,
    *(GOOD_GAME | {"id": value} for value in NO_IDS),
    *(GOOD_GAME | {"id": "8", "name": value} for value in [*NO_TEXTS, "", "\0", "\ud800", " \t\n", "\x1b"]),
    {"id": "8"},
    {"name": "x"},
]
NO_STREAMS: list[Any] = [
    *NO_ITEMS,
    *(GOOD_STREAM | {"game_id": value} for value in NO_IDS if value not in ("", "0", 0)),
    *(GOOD_STREAM | {"viewer_count": value} for value in [*NO_IDS[:3], -5, 1.5, 10**19, [], {}]),
    *(
        GOOD_STREAM | {"user_login": value}
        for value in [*NO_TEXTS, "", "../x", "a b", "x" * 26, "\ud800", "a\0", "한국"]
    ),
    *(GOOD_STREAM | {key: value} for key in ("title", "language", "game_name") for value in NO_TEXTS),
    *(
        {name: value for name, value in GOOD_STREAM.items() if name != key}
        for key in ("title", "user_login", "language")
    ),
]


def test_malformed_games_among_good_ones_are_skipped(caplog):
    """Each kind, before and after good ones, in every method; all are counted, and one warning is given."""
    other = GOOD_GAME | {"id": "9", "name": "Chess"}
    items = [item for one in NO_GAMES for item in (one, GOOD_GAME)] + [other]
    good = [Game(7, "Pong"), Game(9, "Chess")]
    with ScriptedServer([page(*items)] * 3) as server, caplog.at_level(logging.WARNING):
        client = helix(server.url)
        assert list(client.top_games()) == good
        assert client.invalid_items == len(NO_GAMES)
        assert client.games_by_id([7, 9]) == {game.id: game for game in good}
        assert client.game_by_name("Pong") == good[0]
    assert len(caplog.records) == 1


def test_malformed_streams_among_good_ones_are_skipped(caplog):
    """Each kind, before and after good ones, in every method; all are counted, and one warning is given."""
    items = [item for one in NO_STREAMS for item in (one, GOOD_STREAM)] + [GOOD_STREAM | {"user_login": "other"}]
    with ScriptedServer([page(*items)] * 3) as server, caplog.at_level(logging.WARNING):
        client = helix(server.url)
        assert [stream.login for stream in client.streams_by_game(7)] == ["someone", "other"]
        assert client.invalid_items == len(NO_STREAMS)
        assert [stream.login for stream in client.iter_streams()] == ["someone", "other"]
        assert set(client.streams_by_login(["someone", "other"])) == {"someone", "other"}
    assert len(caplog.records) == 1


@pytest.mark.parametrize("bad", [*NO_STREAMS[:1], *NO_STREAMS[-3:], {"user_id": []}], ids=range(5))
def test_malformed_stream_alone_is_no_outage(bad):
    """A game whose only stream is malformed has no streams; the download goes on with others."""
    with ScriptedServer([page(bad)]) as server:
        assert helix(server.url).streams_by_game(7) == []


@pytest.mark.parametrize(
    "text", ["a\0b", "a\ud800b", "a\x1b[2Jb", "a\u202eb", "a\tb\r\nb", "a\x9bb", "😀", "한국 – ü"], ids=range(8)
)
def test_texts_are_safe_wherever_they_go(text):
    """PostgreSQL refuses NUL, UTF-8 has no lone surrogates, terminals obey escape codes; usual text is unchanged."""
    stream = GOOD_STREAM | {"title": text, "game_name": text}
    with ScriptedServer([page(GOOD_GAME | {"name": text}), page(stream)]) as server:
        client = helix(server.url)
        found = [next(client.top_games()).name, *((s.title, s.game_name) for s in client.iter_streams())]
    for each in (found[0], *found[1]):
        assert each.isprintable()
        assert each.encode()
        assert not text.isprintable() or each == text


@pytest.mark.parametrize(
    "stream",
    [{"game_id": "", "game_name": ""}, {"game_id": "0"}, {"viewer_count": "12"}, {"game_id": 7}, {"extra": [[]]}],
)
def test_unusual_stream_is_kept(stream):
    """No category, numbers as text and texts as numbers."""
    with ScriptedServer([page(GOOD_STREAM | stream)]) as server:
        assert [s.login for s in helix(server.url).iter_streams()] == ["someone"]


BAD_BODIES = [
    *(b"[" * 100_000, b'{"data":' * 50_000, b'{"data": 1e999}', b'{"data": {}}', b'{"data": null}', b"9" * 5000),
    *(b"\xff\xfe", b'"\\ud800"', b"null", b"", b"\0" * 9, b'{"data": [{"id": 1e999, "name": "x"}]}', b"{}", b"NaN"),
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_response_that_is_no_page_is_an_outage(body):
    """Deep nesting, absurd numbers and wrong types are retried as HTML is."""
    with ScriptedServer([Reply(body=body)] * 9) as server, pytest.raises(DirectoryUnavailable):
        list(helix(server.url).top_games())


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("location", ["\xff\xfe", "http://[", "http://a:99999/", "/loop", None])
def test_response_that_redirects_nowhere_is_an_outage(status, location):
    """Invalid addresses, endless redirects, and none at all."""
    reply = Reply(status, headers={"Location": location} if location else {})
    with ScriptedServer([reply] * 99) as server, pytest.raises(DirectoryUnavailable):
        list(helix(server.url).top_games())


def test_reason_of_a_rejection_is_one_printable_line():
    """Twitch's message goes to the terminal: without escape codes, and never as nested JSON."""
    for message in ("\x1b[2Jno\nway" * 99, [[["x"]]], None, 5):
        with ScriptedServer([Reply(401, {"message": message})]) as server:
            with pytest.raises(DirectoryUnauthorized) as raised:
                list(helix(server.url).top_games())
            assert str(raised.value).isprintable()
            assert len(str(raised.value)) < 400


# --- paging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["no games", "malformed"])
def test_endless_fresh_pages_without_games_end(kind):
    """Each has another cursor and other ids, but nothing that is wanted."""
    item = {"no games": {"igdb_id": ""}, "malformed": {"name": None}}[kind]
    pages = [page(GOOD_GAME | {"id": str(n)} | item, GOOD_GAME, cursor=f"c{n}") for n in range(10, 60)]
    with ScriptedServer(pages) as server:
        assert list(helix(server.url).top_games()) == [Game(7, "Pong")]
        assert len(server.requests) < 30


def test_endless_pages_of_streams_end():
    """A page of malformed streams is no end, but many are."""
    pages = [page(None, cursor=f"c{n}") for n in range(5)] + [page(GOOD_STREAM, cursor="x")]
    with ScriptedServer([*pages, *[page(None, cursor=f"d{n}") for n in range(50)]]) as server:
        assert [stream.login for stream in helix(server.url).iter_streams()] == ["someone"]
        assert len(server.requests) < 40


@pytest.mark.parametrize("cursor", ["\ud800", "ü", "a\nb", "x" * 10**6, [], {}, 5, True], ids=range(8))
def test_invalid_cursor_ends_the_paging(cursor):
    """It cannot be sent; the items before are returned."""
    reply = Reply(body={"data": [GOOD_GAME], "pagination": {"cursor": cursor}})
    with ScriptedServer([reply]) as server:
        assert list(helix(server.url).top_games()) == [Game(7, "Pong")]
        assert len(server.requests) == 1


# --- rejections -----------------------------------------------------------------------------------


def test_lasting_rejection_of_the_games_ends_with_a_line():
    """Four rejections count as an outage; with the fifth in a row it is clear that no later request will succeed."""
    with ScriptedServer([REFUSED] * 9) as server:
        client = helix(server.url)
        for _ in range(4):
            with pytest.raises(DirectoryUnavailable):
                list(client.top_games())
        with pytest.raises(DirectoryUnauthorized, match=r"HTTP 400: The language is invalid\), 5 times in a row"):
            list(client.top_games())


def test_passing_rejection_is_an_outage():
    """A success in between counts from the start again."""
    with ScriptedServer([*[REFUSED] * 4, page(GOOD_GAME)] * 3) as server:
        client = helix(server.url)
        for _ in range(3):
            for _ in range(4):
                with pytest.raises(DirectoryUnavailable):
                    list(client.top_games())
            assert list(client.top_games()) == [Game(7, "Pong")]


def test_rejection_of_one_game_leaves_the_others():
    """The game has no streams; if all games are rejected, that ends with a line, however often the games are listed."""
    good = page(GOOD_STREAM)
    with ScriptedServer([REFUSED, good, REFUSED, page(GOOD_GAME), *[REFUSED] * 4]) as server:
        client = helix(server.url)
        assert [client.streams_by_game(n) == [] for n in range(3)] == [True, False, True]
        assert list(client.top_games())
        assert [client.streams_by_game(n) for n in range(3)] == [[], [], []]
        with pytest.raises(DirectoryUnauthorized, match="5 times in a row"):
            client.streams_by_game(7)


# --- the clock, credentials -----------------------------------------------------------------------


def test_clock_set_back_after_a_429_does_not_lengthen_the_pause(monkeypatch):
    """The pause is measured by a clock that is never set."""
    pauses: list[float] = []
    now = time.time()
    limited = Reply(429, {}, {"Ratelimit-Reset": str(now + 30)})
    with ScriptedServer([limited, page(GOOD_GAME)]) as server:
        client = helix(server.url, retry_budget_s=1000)

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            client._requests._rate_limited_until = 0.0

        send = client._requests._send

        def send_and_set_back(*args: object, **kwargs: object) -> object:
            response = send(*args, **kwargs)
            monkeypatch.setattr(time, "time", lambda: now - 86_400)
            return response

        client._requests._sleep, client._requests._send = sleep, send_and_set_back
        assert list(client.top_games()) == [Game(7, "Pong")]
    assert len(pauses) == 1
    assert pauses[0] < 61


def test_redirect_to_another_host_does_not_get_the_token():
    """The bearer stays with Twitch; on the same host it is sent again."""
    same, other = Reply(302, headers={"Location": "/x"}), Reply(302, headers={"Location": "https://evil.example/x"})
    with ScriptedServer([same, other, page(GOOD_GAME)]) as server:
        assert list(helix(server.url).top_games()) == [Game(7, "Pong")]
        sent = [(host, headers.get("Authorization")) for host, _, _, headers in server.requests]
    assert sent == [("api.twitch.tv", "Bearer token")] * 2 + [("evil.example", None)]


@pytest.mark.parametrize("status", [302, 307, 308])
def test_redirect_of_the_token_request_does_not_get_the_secret(status):
    """It is an outage; nothing is sent to the other host."""
    with ScriptedServer([Reply(status, headers={"Location": "https://evil.example/x"})] * 3) as server:
        with pytest.raises(DirectoryUnavailable):
            list(helix(server.url, access_token="", client_secret="secret").top_games())
        assert {host for host, *_ in server.requests} == {"id.twitch.tv"}


@pytest.mark.parametrize("token", [None, "", 5, [], "a b", "a\nb", "ü", "\ud800", "x" * 10**5], ids=range(9))
def test_token_that_no_header_can_carry_is_an_outage(token):
    """Before it is sent."""
    body = json.dumps({"access_token": token, "expires_in": 1}).encode()
    with ScriptedServer([Reply(body=body)] * 3) as server:
        with pytest.raises(DirectoryUnavailable, match="no token"):
            list(helix(server.url, access_token="", client_secret="secret").top_games())
        assert {path for _, path, _, _ in server.requests} == {"/oauth2/token"}
