"""Helix and tokens of the stand-in, held against the API's public description."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from data.http.session import new_session
from tests.standin import Standin
from tests.standin.clients import HELIX, helix_session, request_token

SCHEMA = json.loads((Path(__file__).parent / "helix.schema.json").read_text())
STRANGE = [{"Authorization": ""}, {"Authorization": "Bearer stale"}, {"Client-Id": ""}, {"Client-Id": "another"}]


@pytest.mark.parametrize(
    ("path", "query", "schema"),
    [
        ("games/top", {"first": "100"}, "GetTopGamesResponse"),
        ("games", {"id": ["9000002", "509658", "1"]}, "GetGamesResponse"),
        ("search/categories", {"query": "bz"}, "SearchCategoriesResponse"),
        ("streams", {"first": "100"}, "GetStreamsResponse"),
        ("streams", {"user_login": ["bzflag_ctf", "nobody_here"]}, "GetStreamsResponse"),
        ("users", {"login": ["bzflag_ctf", "nobody_here"]}, "GetUsersResponse"),
    ],
)
def test_answers_have_the_shape_of_the_public_description(standin, path, query, schema):
    """Every answer validates against the API's own OpenAPI description, and lacks none of an item's fields."""
    with helix_session(standin) as session:
        answer = session.get(f"{HELIX}/{path}", params=query)
    assert answer.status_code == 200
    validator = jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/components/schemas/{schema}"})
    validator.validate(answer.json())
    assert answer.json()["data"]


def test_unknown_ids_are_silently_absent(standin):
    """Games by id and by name, channels by login: what is not there is left out without a word."""
    with helix_session(standin) as session:
        games = session.get(f"{HELIX}/games", params={"id": ["9000002", "1"], "name": ["TORCS", "No Such Game"]})
        users = session.get(f"{HELIX}/users", params={"login": ["bzflag_ctf", "nobody_here"]})
    assert {game["name"] for game in games.json()["data"]} == {"BZFlag", "TORCS"}
    assert [user["login"] for user in users.json()["data"]] == ["bzflag_ctf"]


def test_pages_overlap_and_end(standin, world):
    """Seven at a time: all streams by viewers, each page repeating the last one's last; then no cursor."""
    seen, cursor, pages = [], None, 0
    with helix_session(standin) as session:
        while cursor != "":
            answer = session.get(f"{HELIX}/streams", params={"first": 7, "after": cursor}).json()
            logins = [item["user_login"] for item in answer["data"]]
            assert not seen or logins[0] == seen[-1]
            seen += logins
            cursor, pages = answer["pagination"].get("cursor", ""), pages + 1
    assert answer["pagination"] == {}
    assert set(seen) == {channel.login for channel in world.channels}
    assert len(seen) == len(world.channels) + pages - 1


def test_top_games_come_by_viewers_and_tell_games_from_the_rest(standin, world):
    """The order is that of all viewers of a game; what is no game has an empty igdb_id."""
    with helix_session(standin) as session:
        items = session.get(f"{HELIX}/games/top", params={"first": 100}).json()["data"]
    viewers = [sum(c.viewers for c in world.channels if str(c.game_id) == item["id"]) for item in items]
    assert viewers == sorted(viewers, reverse=True)
    assert [item["name"] for item in items if not item["igdb_id"]] == ["Just Chatting"]


def test_streams_are_filtered(standin, world):
    """By game, by login and by language; an offline channel is still listed_segments."""
    with helix_session(standin) as session:

        def logins(**query):
            answer = session.get(f"{HELIX}/streams", params={"first": 100, **query}).json()
            return {item["user_login"] for item in answer["data"]}

        assert logins(game_id="9000002") == {c.login for c in world.channels if c.game_id == 9000002}
        assert logins(language="ko") == {c.login for c in world.channels if c.language == "ko"}
        offline = {c.login for c in world.channels if c.behaviour == "offline"}
        assert offline
        assert logins(user_login=sorted(offline)) == offline


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("games/top", {"first": "0"}),
        ("games/top", {"first": "101"}),
        ("streams", {"first": "many"}),
        ("streams", {"after": "no cursor of ours"}),
        ("streams", {"after": base64.b64encode(b"-3").decode()}),
        ("streams", {"user_login": "No Login!"}),
        ("streams", {"user_login": ""}),
        ("streams", {"user_login": "x" * 26}),
        ("streams", {"game_id": "bzflag"}),
        ("games", {}),
        ("games", {"id": [str(number) for number in range(101)]}),
        ("users", {}),
    ],
)
def test_bad_requests(standin, path, query):
    """Wrong sizes, cursors and names are a 400 with Helix's error body."""
    with helix_session(standin) as session:
        answer = session.get(f"{HELIX}/{path}", params=query)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error", "status", "message"}
    assert answer.json()["status"] == 400


@pytest.mark.parametrize("headers", STRANGE, ids=["no token", "bad token", "no client", "wrong client"])
def test_without_good_credentials_nothing(standin, headers):
    """A missing or wrong token, or client id, is a 401."""
    with helix_session(standin) as session:
        answer = session.get(f"{HELIX}/games/top", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("form", "status"),
    [({"client_id": "x"}, 400), ({"client_secret": "x"}, 403), ({"grant_type": "password"}, 400)],
)
def test_token_errors_have_no_error_key(standin, form, status):
    """id.twitch.tv words its refusals otherwise than Helix: status and message alone."""
    with new_session(5, standin.url) as session:
        answer = request_token(standin, session, **form)
    assert answer.status_code == status
    assert answer.json().keys() == {"status", "message"}


def test_a_token_is_good_until_it_is_revoked(standin):
    """A new token works at once; revoked, it is a 401, and another one can be had."""
    with helix_session(standin) as session:
        assert session.get(f"{HELIX}/games/top").status_code == 200
        standin.revoke_tokens()
        assert session.get(f"{HELIX}/games/top").status_code == 401
    with helix_session(standin) as session:
        assert session.get(f"{HELIX}/games/top").status_code == 200


def test_the_rate_limit_is_a_bucket_that_refills(zoo, cache):
    """800 points, told in each answer's headers; used up, it is 429 until some are back, evenly in a minute."""
    with Standin(zoo, cache=cache) as standin, helix_session(standin) as session:
        first = session.get(f"{HELIX}/games/top").headers
        assert (first["Ratelimit-Limit"], first["Ratelimit-Remaining"]) == ("800", "799")
        for _ in range(1600):
            answer = session.get(f"{HELIX}/games/top")
            if answer.status_code == 429:
                break
        assert answer.status_code == 429
        assert answer.json()["status"] == 429
        assert answer.headers["Ratelimit-Remaining"] == "0"
        assert 50 < int(answer.headers["Ratelimit-Reset"]) - standin.clock.now() < 62
        standin.clock.advance(0.2)  # 800 a minute: one in 75 ms
        assert session.get(f"{HELIX}/games/top").status_code == 200
