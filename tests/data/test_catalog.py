"""data.storage.catalog: rows in a real PostgreSQL, transactions of several connections included."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from data.entities import Game, StoredFrame
from data.errors import CatalogUnavailable
from data.storage.catalog import Catalog, Changes, GameSummary

SEVEN, BIG = Game(7, "Seven"), Game(2**40, "原神")


def _frames(game_id: int, login: str, *numbers: int) -> list[StoredFrame]:
    return [StoredFrame(game_id, login, number) for number in numbers]


def _dates(engine: Engine) -> list[object]:
    with engine.begin() as connection:
        return list(connection.scalars(text("SELECT date FROM frames ORDER BY path")))


def test_add_games_returns_the_new_ones_and_renames_the_others(catalog: Catalog):
    """Ids beyond 32 bits and any script fit; a game that Twitch renamed keeps its frames."""
    assert catalog.add_games([BIG, SEVEN]) == [BIG, SEVEN]
    catalog.add_frames(_frames(7, "ann", 1))
    assert catalog.add_games(iter([Game(7, "Se7en"), Game(8, "Eight")])) == [Game(8, "Eight")]
    assert catalog.games() == [
        GameSummary(Game(7, "Se7en"), 1, 1),
        GameSummary(Game(8, "Eight"), 0, 0),
        GameSummary(BIG, 0, 0),
    ]
    assert catalog.game_count() == 3
    assert catalog.game_ids() == {7, 8, 2**40}


def test_hostile_names_become_one_line(catalog: Catalog):
    """A NUL and a lone surrogate, which PostgreSQL refuses, and a name of nothing but spaces."""
    catalog.add_games([Game(1, "a\0b\nc\ud800"), Game(2, " \t ")])
    assert [summary.game.name for summary in catalog.games()] == ["a b c", "game 2"]
    assert catalog.add_games([]) == []


def test_smallest_game_is_by_frames_then_id(catalog: Catalog):
    """The download's choice: fewest frames first, without those that it wants to pass over."""
    assert catalog.smallest_game() is None
    catalog.add_games([SEVEN, Game(9, "Nine"), Game(8, "Eight")])
    catalog.add_frames(_frames(7, "ann", 1))
    assert catalog.smallest_game() == Game(8, "Eight")
    assert catalog.smallest_game(excluding=iter([8, 9])) == SEVEN
    assert catalog.smallest_game(excluding={7, 8, 9}) is None


def test_add_frames_counts_each_path_once(catalog: Catalog):
    """Twice the same frame, in two calls or in one, is one row and one in the count."""
    catalog.add_games([SEVEN])
    assert catalog.add_frames(_frames(7, "ann", 1, 2)) == 2
    assert catalog.add_frames(_frames(7, "ann", 2, 3, 3) + _frames(7, "bob", 1)) == 2
    assert catalog.add_frames([]) == 0
    assert catalog.games() == [GameSummary(SEVEN, 4, 2)]
    assert not catalog.rows().miscounted


def test_streamer_frames_counts_those_of_one_game(catalog: Catalog):
    """By login, of that game alone; a game without frames, or an unknown one, has none."""
    catalog.add_games([SEVEN, Game(8, "Eight")])
    catalog.add_frames(_frames(7, "ann", 1, 2, 5) + _frames(7, "bob", 1) + _frames(8, "ann", 1))
    assert catalog.streamer_frames(7) == {"ann": 3, "bob": 1}
    assert catalog.streamer_frames(8) == {"ann": 1}
    catalog.add_games([BIG])
    assert catalog.streamer_frames(BIG.id) == catalog.streamer_frames(99) == {}


def test_frames_of_a_game_that_went_bring_it_back(catalog: Catalog):
    """dbSync may remove a game while a download holds its frames: they are not lost for that."""
    catalog.add_frames(_frames(7, "ann", 1))
    assert catalog.games() == [GameSummary(Game(7, "game 7"), 1, 1)]


def test_rows_and_counts_change_together_or_not_at_all(catalog: Catalog, engine: Engine):
    """A statement that fails in the middle (a name that the table refuses) takes the others back."""
    catalog.add_games([SEVEN])
    catalog.add_frames(_frames(7, "ann", 1))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE frames ADD CONSTRAINT no_bob CHECK (user_login <> 'bob')"))
    try:
        with pytest.raises(CatalogUnavailable, match="no_bob") as caught:
            catalog.apply(Changes([Game(8, "Eight")], [], _frames(8, "bob", 1), ["7/ann-1.jpg"]))
        with pytest.raises(CatalogUnavailable):
            catalog.add_frames(_frames(8, "bob", 1))
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE frames DROP CONSTRAINT no_bob"))
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert catalog.games() == [GameSummary(SEVEN, 1, 1)]


def test_two_downloads_add_to_the_same_games_at_once(engine: Engine):
    """Eight threads on the same rows, in opposite orders: no deadlock, no frame uncounted."""
    catalog, failures = Catalog(engine), []

    def add(login: str) -> None:
        try:
            for number in range(1, 21):
                ids = (7, 8) if number % 2 else (8, 7)
                catalog.add_frames([StoredFrame(game_id, login, number) for game_id in ids])
        except CatalogUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(f"login{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [(summary.frames, summary.streamers) for summary in catalog.games()] == [(160, 8), (160, 8)]


def test_apply_waits_for_a_download_in_the_middle_of_adding(catalog: Catalog, engine: Engine):
    """Counts set right beside a transaction that is not over yet do not miss its rows."""
    catalog.add_games([SEVEN])
    with engine.begin() as download:
        download.execute(text("UPDATE games SET frames = frames + 1"))
        mending = threading.Thread(target=catalog.apply, args=(Changes(),))
        mending.start()
        mending.join(0.3)
        assert mending.is_alive()
        download.execute(text("INSERT INTO frames (path, game_id, user_login) VALUES ('7/ann-1.jpg', 7, 'ann')"))
    mending.join(10)
    assert catalog.games() == [GameSummary(SEVEN, 1, 1)]


def test_apply_makes_the_changes_and_keeps_the_rest(catalog: Catalog, engine: Engine):
    """Rows go and come, a game takes its frames along, wrong counts are mended, kept rows keep their date."""
    catalog.add_games([SEVEN, Game(8, "Eight"), Game(9, "Nine")])
    catalog.add_frames(_frames(7, "ann", 1, 2) + _frames(8, "bob", 1))
    with engine.begin() as connection:
        connection.execute(text("UPDATE games SET frames = 99 WHERE id IN (7, 9)"))
    assert catalog.rows().miscounted == {7, 9}
    before = _dates(engine)
    catalog.apply(Changes([Game(10, "Ten"), Game(7, "Se7en")], [8], _frames(10, "eve", 5), ["7/ann-2.jpg"]))
    assert catalog.games() == [
        GameSummary(Game(7, "Se7en"), 1, 1),
        GameSummary(Game(9, "Nine"), 0, 0),
        GameSummary(Game(10, "Ten"), 1, 1),
    ]
    rows = catalog.rows()
    assert rows.paths == {"7/ann-1.jpg", "10/eve-5.jpg"}
    assert rows.games == {7: Game(7, "Se7en"), 9: Game(9, "Nine"), 10: Game(10, "Ten")}
    assert not rows.miscounted
    assert _dates(engine)[1] == before[0]


def test_more_rows_than_one_statement_holds(catalog: Catalog):
    """Batches add up."""
    frames = _frames(7, "ann", *range(1, 45_001))
    catalog.apply(Changes(frames=frames))
    assert catalog.games()[0].frames == 45_000
    catalog.apply(Changes(removed_paths=[frame.path for frame in frames[:41_000]]))
    assert catalog.games()[0].frames == 4_000


def test_paths_that_somebody_else_wrote_can_be_removed(catalog: Catalog, engine: Engine):
    """Rows may hold anything; quotes, backslashes and braces are taken as they are."""
    paths = ['a"b', "a\\b", "{a,b}", "it's", "NULL", "", "%s :x"]
    catalog.add_games([SEVEN])
    with engine.begin() as connection:
        for path in [*paths, "stays"]:
            row = {"path": path}
            connection.execute(text("INSERT INTO frames (path, game_id, user_login) VALUES (:path, 7, 'x')"), row)
    catalog.apply(Changes(removed_paths=paths))
    assert catalog.rows().paths == {"stays"}
