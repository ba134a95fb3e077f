"""data.twitch.categories: games by name or id on the stand-in, and "did you mean"."""

from __future__ import annotations

import pytest

from data.entities import Game
from data.errors import CategoryNotFound
from data.twitch.categories import closest_names, resolve_games
from tests.data.test_helix import client, helix_of
from tests.scripted_server import Reply, ScriptedServer

BZFLAG, TORCS = Game(9000002, "BZFlag"), Game(9000015, "TORCS")


def test_names_and_ids_become_games_each_once_in_order(standin):
    """An id, the exact name, and the name in another letter case give the game; a second mention adds nothing."""
    helix = helix_of(standin)
    assert resolve_games(helix, ["torcs", "9000002", "BZFlag"]) == [TORCS, BZFLAG]
    assert resolve_games(helix, []) == []


def test_exact_names_take_one_request_in_total(standin):
    """A list of 150 names and ids is asked for in pages of 100: no request for each."""
    resolve_games(helix_of(standin), ["BZFlag", "TORCS", "9000002", "OpenTTD"])
    assert [r.path for r in standin.requests if "games" in r.path or "search" in r.path] == ["/helix/games"] * 2


@pytest.mark.parametrize(
    ("entry", "known", "message"),
    [
        ("SuperTuxCart", {}, "Twitch has no category 'SuperTuxCart': did you mean 'SuperTuxKart'"),
        ("Elden Rings", {7: "ELDEN RING", 8: "Hades"}, "did you mean 'ELDEN RING'?"),
        ("My Chess", {10**12: "my chess"}, "'My Chess' is a game of this dataset, but no category of Twitch: add"),
        ("1000000000000", {10**12: "my chess"}, "'1000000000000' is a game of this dataset, but no category"),
        ("Gone From Twitch", {7: "Gone from Twitch"}, "no category 'Gone From Twitch': check its spelling"),
        ("My Ches", {10**12: "my chess"}, "Twitch has no category 'My Ches': check its spelling"),
        ("super", {}, "did you mean 'SuperTux' or 'SuperTuxKart'?"),
        ("424242", {}, "Twitch has no category id 424242: check its spelling"),
        ("原神 \x1b[2J", {}, r"Twitch has no category '原神 \x1b[2J': check its spelling"),
    ],
)
def test_unknown_entry_is_an_error_with_similar_names(standin, entry, known, message):
    """Similar names come from Twitch's search and from the dataset."""
    with pytest.raises(CategoryNotFound) as raised:
        resolve_games(helix_of(standin), ["BZFlag", entry], known)
    assert message in str(raised.value)


def test_several_unknown_entries_are_one_message(standin):
    """A list file with misspelt names is corrected in one go; a list of nonsense does not flood the terminal."""
    with pytest.raises(CategoryNotFound) as raised:
        resolve_games(helix_of(standin), ["TORC", "Hedgewar", *map(str, range(1, 100))])
    text = str(raised.value)
    assert "'TORCS'" in text
    assert "'Hedgewars'" in text
    assert text.count("Twitch has no category") == 5


def test_digits_are_a_name_when_no_game_has_that_id():
    """2048 is a game, too."""
    nothing = Reply(body={"data": []})
    with ScriptedServer([nothing, Reply(body={"data": [{"id": "7", "name": "2048"}]})]) as server:
        assert resolve_games(client(server.url), ["2048"]) == [Game(7, "2048")]


def test_rejected_search_leaves_an_error_without_suggestions():
    """A search that Twitch rejects is no reason to wait or to hide which name is unknown."""
    nothing, bad = Reply(body={"data": []}), Reply(400, {"status": 400, "message": "malformed"})
    with ScriptedServer([nothing, bad]) as server, pytest.raises(CategoryNotFound, match="'x': check its spelling"):
        resolve_games(client(server.url), ["x"])


def test_closest_names_ignore_letter_case():
    """The most similar name comes first."""
    assert closest_names("hades", ["Hades II", "HADES", "Zelda"]) == ["HADES", "Hades II"]
