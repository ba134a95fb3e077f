"""Helix client, against the stand-in's API and scripted failures."""

from __future__ import annotations

import time

import pytest
import requests

from data.entities import Game
from data.errors import CategoryNotFound, DirectoryUnauthorized, DirectoryUnavailable, SettingsError
from data.http.session import new_session
from data.twitch.helix import Helix
from tests.scripted_server import Reply, ScriptedServer


class Clock:
    """Records pauses, and sleeps a hundredth of each."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(min(seconds, 5) / 100)


def client(url: str, clock: Clock | None = None, timeout_s: float = 2, **options) -> Helix:
    if "client_secret" not in options:
        options["access_token"] = "token"
    return Helix(new_session(timeout_s, url), "client", **options, sleep=(clock or Clock()).sleep)


def page(*ids: object, cursor: str = "") -> Reply:
    data = [{"id": str(i), "name": f"Game {i}", "box_art_url": "", "igdb_id": "7"} for i in ids]
    return Reply(body={"data": data, "pagination": {"cursor": cursor} if cursor else {}})


def ids(games) -> list[int]:
    return [game.id for game in games]


# --- the stand-in ---------------------------------------------------------------------------------


def helix_of(standin, **options) -> Helix:
    """Return a client with the stand-in's credentials."""
    env = standin.environment
    return Helix(
        new_session(5, standin.url),
        env["CLIENT_ID"],
        client_secret=env["CLIENT_SECRET"],
        sleep=time.sleep,
        **options,
    )


def test_top_games_excludes_non_games(standin, world):
    """Categories without an IGDB id, and the ids passed; the rest is complete."""
    expected = {Game(int(c.game_id), c.game) for c in world.channels if c.igdb_id}
    assert set(helix_of(standin).top_games()) == expected
    one = next(iter(expected))
    assert set(helix_of(standin).top_games({one.id})) == expected - {one}


def test_streams_by_game_returns_each_channel_once(standin, world):
    """By viewers, descending, up to `max_streams`."""
    channel = next(c for c in world.channels if c.igdb_id)
    expected = {c.login for c in world.channels if c.game_id == channel.game_id}
    streams = helix_of(standin).streams_by_game(int(channel.game_id))
    assert {stream.login for stream in streams} == expected
    assert [s.viewers for s in streams] == sorted((s.viewers for s in streams), reverse=True)
    assert len(helix_of(standin).streams_by_game(int(channel.game_id), max_streams=1)) == 1


def test_iter_streams_without_a_game_returns_all_channels(standin, world):
    """By viewers, descending."""
    listed = helix_of(standin).iter_streams()
    first = next(listed)
    assert first.viewers == max(channel.viewers for channel in world.channels)
    streams = [first, *listed]
    assert {stream.login for stream in streams} == {channel.login for channel in world.channels}
    assert [stream.viewers for stream in streams] == sorted((s.viewers for s in streams), reverse=True)
    assert {stream.category for stream in streams} == {Game(c.game_id, c.game) for c in world.channels}


def test_iter_streams_requests_pages_on_demand():
    """Taking the streams of the first page makes one request."""
    item = {"user_login": "one", "user_id": "1", "game_id": "", "game_name": "", "title": "", "language": "en"}
    reply = Reply(body={"data": [{**item, "viewer_count": 3}], "pagination": {"cursor": "more"}})
    with ScriptedServer([reply]) as server:
        assert next(client(server.url).iter_streams()).category is None
        assert len(server.requests) == 1


def test_game_by_name_finds_the_category(standin, world):
    """An unknown name raises an error that repeats it."""
    channel = world.channels[0]
    assert helix_of(standin).game_by_name(channel.game) == Game(channel.game_id, channel.game)
    with pytest.raises(CategoryNotFound, match="'No Such Game'") as raised:
        helix_of(standin).game_by_name("No Such Game")
    assert raised.value.exit_code == 2


def test_languages_limit_the_streams(standin, world):
    """Each request has the languages, and all channels in them are listed."""
    spoken = sorted({c.language for c in world.channels})
    assert len(spoken) > 2
    for game_id in {c.game_id for c in world.channels}:
        expected = {c.login for c in world.channels if c.game_id == game_id and c.language in spoken[:2]}
        assert {s.login for s in helix_of(standin, languages=spoken[:2]).streams_by_game(game_id)} == expected
    queries = [r.query for r in standin.requests if r.path == "/helix/streams"]
    assert {tuple(query["language"]) for query in queries} == {tuple(spoken[:2])}


def test_no_languages_sends_no_parameter(standin, world):
    """That means all languages."""
    helix_of(standin).streams_by_game(world.channels[0].game_id)
    assert "language" not in standin.requests[-1].query


def test_games_by_id_makes_one_request(standin, world):
    """An unknown id is absent."""
    games = {int(c.game_id): c.game for c in world.channels}
    helix = helix_of(standin)
    found = helix.games_by_id([*games, 424242])
    assert {game_id: game.name for game_id, game in found.items()} == games
    assert sum(r.path == "/helix/games" for r in standin.requests) == 1


def test_streams_by_login_makes_one_request(standin, world):
    """Logins that are offline or invalid are absent."""
    logins = [c.login for c in world.channels]
    live = helix_of(standin).streams_by_login([*logins, "nobody_here", "Not A Login"])
    assert {login: stream.category for login, stream in live.items()} == {
        c.login: Game(c.game_id, c.game) for c in world.channels
    }
    assert sum(r.path == "/helix/streams" for r in standin.requests) == 1


def test_revoked_token_is_renewed_once(standin):
    """After a 401 the same request is sent with a new token."""
    helix = helix_of(standin)
    assert list(helix.top_games())
    standin.revoke_tokens()
    assert list(helix.top_games())
    assert sum(r.path == "/oauth2/token" for r in standin.requests) == 2


def test_wrong_secret_raises_unauthorized(standin):
    """At once, and the error names the setting."""
    helix = Helix(new_session(5, standin.url), standin.environment["CLIENT_ID"], client_secret="wrong")
    with pytest.raises(DirectoryUnauthorized, match="CLIENT_SECRET"):
        list(helix.top_games())


# --- scripted responses ---------------------------------------------------------------------------


def test_pagination_continues_after_short_overlapping_and_empty_pages():
    """Items that come twice are returned once."""
    with ScriptedServer([page(1, 2, cursor="a"), page(2, 3, cursor="b"), page(cursor="c"), page(4)]) as server:
        assert ids(client(server.url).top_games()) == [1, 2, 3, 4]
        assert [query.get("after") for _, _, query, _ in server.requests] == [None, ["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([page(1, cursor="a"), page(2, cursor="a"), page(3)], [1, 2]),
        ([page(1, cursor="a"), page(cursor="b"), page(cursor="c"), page(9)], [1]),
        ([page(1, cursor="a"), page(1, cursor="b"), page(9)], [1]),
        ([page(1, cursor="a"), Reply(400, {"status": 400, "message": "invalid cursor"}), page(9)], [1]),
    ],
    ids=["cursor repeats", "two empty pages", "nothing new", "invalid cursor"],
)
def test_pagination_ends_when_it_makes_no_progress(replies, expected):
    """The items before are returned."""
    with ScriptedServer(replies) as server:
        assert ids(client(server.url).top_games()) == expected
        assert server.left == 1


@pytest.mark.parametrize("reset", ["future", "past", "absent", "nonsense", "nan", "inf", "1e400", "milliseconds"])
def test_status_429_waits_for_the_reset(reset):
    """After a 429 the same request is sent again at the reset, or a second later if the header is invalid.

    All points are restored in a minute, so a later reset, such as one in milliseconds, is limited to that.
    """
    times = {"future": str(time.time() + 30), "past": "1", "milliseconds": str(1000 * time.time()), "absent": None}
    value = times.get(reset, reset)
    limited = Reply(429, {"status": 429, "message": "slow down"}, {"Ratelimit-Reset": value} if value else {})
    clock = Clock()

    class Until(Clock):  # records the pause and ends it at once: the next one is computed from the wall clock
        def sleep(self, seconds):
            clock.slept.append(seconds)
            helix._requests._rate_limited_until = 0

    with ScriptedServer([limited, page(1)]) as server:
        helix = client(server.url, Until())
        assert ids(helix.top_games()) == [1]
    low, high = {"future": (28, 31), "milliseconds": (58, 61)}.get(reset, (0.5, 2))
    assert len(clock.slept) == 1
    assert low < clock.slept[0] < high


def test_zero_points_left_delays_the_next_request():
    """It waits for the reset instead of causing a 429."""
    clock = Clock()
    last_point = page(1, cursor="a")
    last_point.headers = {"Ratelimit-Remaining": "0", "Ratelimit-Reset": str(time.time() + 1.5)}
    with ScriptedServer([last_point, page(2)]) as server:
        assert ids(Helix(new_session(2, server.url), "c", access_token="t", sleep=clock.sleep).top_games()) == [
            1,
            2,
        ]
    assert clock.slept
    assert 0 < clock.slept[0] < 2.5


def test_rate_limit_beyond_the_budget_raises():
    """The caller decides what to do."""
    far = Reply(429, {}, {"Ratelimit-Reset": str(time.time() + 3600)})
    with ScriptedServer([far]) as server, pytest.raises(DirectoryUnavailable, match="rate limit"):
        list(client(server.url, retry_budget_s=60).top_games())


@pytest.mark.parametrize(
    "bad",
    [
        Reply(500, {"error": "Internal Server Error"}),
        Reply(503, b"<html>try later</html>"),
        Reply(200, b"<!doctype html><p>hello"),
        Reply(200, b'{"data": [{"id": "1", "na'),
        Reply(200, b'{"data": []}', promised=999),
        Reply(200, b"[]"),
    ],
    ids=["500", "503", "HTML", "cut-off JSON", "cut-off body", "no object"],
)
def test_temporary_failure_is_retried(bad):
    """Three failures, then the response; the pauses grow."""
    clock = Clock()
    with ScriptedServer([bad, bad, bad, page(1)]) as server:
        assert ids(client(server.url, clock).top_games()) == [1]
    assert len(clock.slept) == 3
    assert clock.slept == sorted(clock.slept)


def test_lasting_failure_raises_within_the_budget():
    """The pauses add up to less than the budget."""
    clock = Clock()

    class Real(Clock):
        def sleep(self, seconds):
            clock.slept.append(seconds)
            time.sleep(seconds)

    with ScriptedServer([Reply(500)] * 50) as server, pytest.raises(DirectoryUnavailable, match="500"):
        list(client(server.url, Real(), retry_budget_s=2).top_games())
    assert 1 <= len(clock.slept) <= 3
    assert sum(clock.slept) <= 2


def test_stop_ends_the_retries():
    """A true result of `sleep`, as of a stop event's `wait`, raises the failure at once."""
    limited = Reply(429, {}, {"Ratelimit-Reset": str(time.time() + 30)})
    for reply in (Reply(500), limited):
        with ScriptedServer([reply] * 9) as server:
            helix = Helix(new_session(2, server.url), "client", access_token="token", sleep=lambda _: True)
            with pytest.raises(DirectoryUnavailable):
                list(helix.top_games())
            assert len(server.requests) == 1


def test_unreachable_server_raises_unavailable():
    """It is an expected error."""
    with ScriptedServer([]) as server:
        url = server.url
    with pytest.raises(DirectoryUnavailable, match="cannot be reached"):
        list(client(url, retry_budget_s=1).top_games())


@pytest.mark.parametrize(
    "slow", [Reply(silence_s=30), Reply(body=b"x" * 500, byte_pause_s=0.1)], ids=["silence", "a byte at a time"]
)
def test_slow_server_raises_within_the_deadline(slow):
    """A silent one, and one that sends a byte at a time."""
    start = time.monotonic()
    with ScriptedServer([slow]) as server, pytest.raises(DirectoryUnavailable):
        list(client(server.url, timeout_s=0.5, deadline_s=1, retry_budget_s=0.1).top_games())
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_token_raises_at_once(status):
    """Without a client secret it cannot be renewed."""
    with ScriptedServer([Reply(status, {"status": status, "message": "Invalid OAuth token"})]) as server:
        with pytest.raises(DirectoryUnauthorized, match="Invalid OAuth token"):
            list(client(server.url).top_games())
        assert len(server.requests) == 1


def test_second_refusal_raises_unauthorized():
    """401, a new token, 401: there is only one renewal."""
    token = Reply(200, {"access_token": "fresh", "expires_in": 1, "token_type": "bearer"})
    refused = Reply(401, {"status": 401, "message": "no"})
    with ScriptedServer([token, refused, token, refused]) as server:
        with pytest.raises(DirectoryUnauthorized):
            list(client(server.url, client_secret="s").top_games())
        assert len(server.requests) == 4


@pytest.mark.parametrize("item", [{"name": "x"}, {"id": "x", "name": "y"}, {"id": None, "name": "y"}])
def test_invalid_item_raises_unavailable(item):
    """A changed API is an error where it enters."""
    with (
        ScriptedServer([Reply(200, {"data": [item], "pagination": {}})]) as server,
        pytest.raises(DirectoryUnavailable),
    ):
        list(client(server.url).top_games())


def test_invalid_logins_are_dropped():
    """Such as paths; capital letters become lower case."""
    good = {"game_id": "1", "title": "t", "language": "en", "viewer_count": 1}
    logins = ["../../etc/passwd", "a/b", "", "ok_1", "OK_2", "x" * 26, "a\nb", "한국"]
    data = [{**good, "user_login": login, "user_id": str(i)} for i, login in enumerate(logins)]
    with ScriptedServer([Reply(200, {"data": data, "pagination": {}})]) as server:
        assert [stream.login for stream in client(server.url).streams_by_game(1)] == ["ok_1", "ok_2"]


def test_malformed_login_is_isolated_by_bisection():
    """Twitch fails the whole request; the halves are requested until the others are found."""

    def stream(login: str, **changes: object) -> dict[str, object]:
        return {"user_login": login, "user_id": login, "game_id": "7", "game_name": "Seven", "title": ""} | {
            "language": "en",
            "viewer_count": 1,
            **changes,
        }

    def streams(*items: object) -> Reply:
        return Reply(200, {"data": list(items), "pagination": {}})

    bad = Reply(400, {"status": 400, "message": "Malformed query params."})
    replies = [bad, streams(stream("a"), stream("b", game_id="", game_name="")), bad, bad, streams(stream("d"))]
    with ScriptedServer(replies) as server:
        live = client(server.url).streams_by_login(["d", "c", "b", "a"])
        assert {login: stream.category for login, stream in live.items()} == {
            "a": Game(7, "Seven"),
            "b": None,
            "d": Game(7, "Seven"),
        }
        assert [query["user_login"] for _, _, query, _ in server.requests] == [
            ["a", "b", "c", "d"],
            ["a", "b"],
            ["c", "d"],
            ["c"],
            ["d"],
        ]


def test_games_by_id_sends_100_ids_a_request():
    """250 ids make three requests."""
    with ScriptedServer([page(1), page(101), page(201)]) as server:
        assert set(client(server.url).games_by_id([*range(1, 251), 1, 2])) == {1, 101, 201}
        assert [len(query["id"]) for _, _, query, _ in server.requests] == [100, 100, 50]


def test_request_headers():
    """The token, the client id and our user agent go to Twitch's own host."""
    with ScriptedServer([page(1)]) as server:
        list(client(server.url).top_games())
    host, path, query, headers = server.requests[0]
    assert (host, path, query["first"]) == ("api.twitch.tv", "/helix/games/top", ["100"])
    assert headers["Authorization"] == "Bearer token"
    assert headers["Client-Id"] == "client"
    assert headers["User-Agent"].startswith("TwitchCategory")


@pytest.mark.parametrize(("client_id", "options"), [("", {"access_token": "x"}), ("x", {})])
def test_missing_credentials_raise_settings_error(client_id, options):
    """The error names the setting, before any request."""
    with pytest.raises(SettingsError, match=r"CLIENT_ID|ACCESS_TOKEN"):
        Helix(requests.Session(), client_id, **options)
