"""data.storage.catalog: rows in a real PostgreSQL, with concurrent transactions."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from data.entities import FrameDetails, Game, StoredFrame
from data.errors import CatalogUnavailable
from data.storage.catalog import Catalog, CatalogChanges, GameSummary

SEVEN, BIG = Game(7, "Seven"), Game(2**40, "原神")


def _frames(game_id: int, login: str, *numbers: int) -> list[StoredFrame]:
    return [StoredFrame(game_id, login, number) for number in numbers]


def _dates(engine: Engine) -> list[object]:
    with engine.begin() as connection:
        return list(connection.scalars(text("SELECT date FROM frames ORDER BY path")))


def test_add_games_inserts_new_games_and_renames_the_others(catalog: Catalog):
    """Ids above 32 bits and names in any script are stored; a renamed game keeps its frames."""
    catalog.add_games([BIG, SEVEN])
    assert [summary.game for summary in catalog.games()] == [SEVEN, BIG]
    catalog.add_frames(_frames(7, "ann", 1))
    catalog.add_games(iter([Game(7, "Se7en"), Game(8, "Eight")]))
    assert catalog.games() == [
        GameSummary(Game(7, "Se7en"), 1, 1),
        GameSummary(Game(8, "Eight"), 0, 0),
        GameSummary(BIG, 0, 0),
    ]
    assert {game.id for game in catalog.game_frames()} == {7, 8, 2**40}


def test_hostile_names_become_one_line(catalog: Catalog):
    """NUL and lone surrogates, which PostgreSQL refuses, become spaces; a blank name becomes the id."""
    catalog.add_games([Game(1, "a\0b\nc\ud800"), Game(2, " \t ")])
    assert [summary.game.name for summary in catalog.games()] == ["a b c", "game 2"]
    catalog.add_games([])
    assert {game.id for game in catalog.game_frames()} == {1, 2}


def test_game_frames_has_every_game(catalog: Catalog):
    """Games without a frame are there, too."""
    catalog.add_games([SEVEN, Game(9, "Nine")])
    catalog.add_frames(_frames(7, "ann", 1, 2))
    assert catalog.game_frames() == {SEVEN: 2, Game(9, "Nine"): 0}
    catalog.remove_frames(_frames(7, "ann", 2, 3))
    assert catalog.game_frames() == {SEVEN: 1, Game(9, "Nine"): 0}


def test_games_have_languages_and_dates(catalog: Catalog):
    """Known languages, most frames first; the dates of the oldest and of the newest frame."""
    details = [FrameDetails(1e9, "de"), FrameDetails(2e9, "fr"), FrameDetails(1.5e9, "fr"), FrameDetails(1.6e9)]
    catalog.add_games([SEVEN])
    pairs = zip(_frames(7, "ann", 1, 2, 3, 4), details, strict=True)
    catalog.add_frames([replace(frame, details=one) for frame, one in pairs])
    (summary,) = catalog.games()
    assert list(summary.languages.items()) == [("fr", 2), ("de", 1)]
    assert (summary.first, summary.last) == (1e9, 2e9)


def test_add_frames_counts_each_path_once(catalog: Catalog):
    """The same frame twice, in one call or in two, is one row and counts once."""
    catalog.add_games([SEVEN])
    catalog.add_frames(_frames(7, "ann", 1, 2))
    assert catalog.games() == [GameSummary(SEVEN, 2, 1)]
    catalog.add_frames(_frames(7, "ann", 2, 3, 3) + _frames(7, "bob", 1))
    catalog.add_frames([])
    assert catalog.games() == [GameSummary(SEVEN, 4, 2)]
    assert not catalog.snapshot().wrong_counts


def test_streamer_frames_counts_one_game_by_login(catalog: Catalog):
    """Only frames of that game count; a game without frames, or an unknown one, has none."""
    catalog.add_games([SEVEN, Game(8, "Eight")])
    catalog.add_frames(_frames(7, "ann", 1, 2, 5) + _frames(7, "bob", 1) + _frames(8, "ann", 1))
    assert catalog.streamer_frames(7) == {"ann": 3, "bob": 1}
    assert catalog.streamer_frames(8) == {"ann": 1}
    catalog.add_games([BIG])
    assert catalog.streamer_frames(BIG.id) == catalog.streamer_frames(99) == {}


def test_adding_frames_of_a_removed_game_inserts_it_again(catalog: Catalog):
    """dbSync may remove a game while a download holds its frames; the frames are not lost."""
    catalog.add_frames(_frames(7, "ann", 1))
    assert catalog.games() == [GameSummary(Game(7, "game 7"), 1, 1)]


def test_a_failed_statement_rolls_back_the_whole_call(catalog: Catalog, engine: Engine):
    """One statement fails on a constraint; rows and counts stay as they were."""
    catalog.add_games([SEVEN])
    catalog.add_frames(_frames(7, "ann", 1))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE frames ADD CONSTRAINT no_bob CHECK (user_login <> 'bob')"))
    try:
        with pytest.raises(CatalogUnavailable, match="no_bob") as caught:
            catalog.apply(CatalogChanges([Game(8, "Eight")], [], _frames(8, "bob", 1), ["7/ann-1.jpg"]))
        with pytest.raises(CatalogUnavailable):
            catalog.add_frames(_frames(8, "bob", 1))
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE frames DROP CONSTRAINT no_bob"))
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert catalog.games() == [GameSummary(SEVEN, 1, 1)]


def test_concurrent_downloads_neither_deadlock_nor_miscount(engine: Engine):
    """Eight threads add frames of the same games in opposite orders."""
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


def test_apply_waits_for_an_open_transaction_of_a_download(catalog: Catalog, engine: Engine):
    """The recount includes the rows of a transaction that was open when it started."""
    catalog.add_games([SEVEN])
    with engine.begin() as download:
        download.execute(text("UPDATE games SET frames = frames + 1"))
        repair = threading.Thread(target=catalog.apply, args=(CatalogChanges(),))
        repair.start()
        repair.join(0.3)
        assert repair.is_alive()
        download.execute(text("INSERT INTO frames (path, game_id, user_login) VALUES ('7/ann-1.jpg', 7, 'ann')"))
    repair.join(10)
    assert catalog.games() == [GameSummary(SEVEN, 1, 1)]


def test_apply_makes_the_changes_and_keeps_other_rows(catalog: Catalog, engine: Engine):
    """Rows are removed and added, a removed game takes its frames, counts are corrected, other rows keep their date."""
    catalog.add_games([SEVEN, Game(8, "Eight"), Game(9, "Nine")])
    catalog.add_frames(_frames(7, "ann", 1, 2) + _frames(8, "bob", 1))
    with engine.begin() as connection:
        connection.execute(text("UPDATE games SET frames = 99 WHERE id IN (7, 9)"))
    assert catalog.snapshot().wrong_counts == {7, 9}
    before = _dates(engine)
    catalog.apply(CatalogChanges([Game(10, "Ten"), Game(7, "Se7en")], [8], _frames(10, "eve", 5), ["7/ann-2.jpg"]))
    assert catalog.games() == [
        GameSummary(Game(7, "Se7en"), 1, 1),
        GameSummary(Game(9, "Nine"), 0, 0),
        GameSummary(Game(10, "Ten"), 1, 1),
    ]
    snapshot = catalog.snapshot()
    assert snapshot.paths == {"7/ann-1.jpg", "10/eve-5.jpg"}
    assert snapshot.games == {7: Game(7, "Se7en"), 9: Game(9, "Nine"), 10: Game(10, "Ten")}
    assert not snapshot.wrong_counts
    assert _dates(engine)[1] == before[0]


def test_apply_with_more_rows_than_one_statement_holds(catalog: Catalog):
    """45,000 frames are added in three batches; 41,000 are removed in three."""
    frames = _frames(7, "ann", *range(1, 45_001))
    catalog.apply(CatalogChanges(frames=frames))
    assert catalog.games()[0].frames == 45_000
    catalog.apply(CatalogChanges(removed_paths=[frame.path for frame in frames[:41_000]]))
    assert catalog.games()[0].frames == 4_000


def test_rows_with_arbitrary_paths_can_be_removed(catalog: Catalog, engine: Engine):
    """Quotes, backslashes and braces in a path are escaped."""
    paths = ['a"b', "a\\b", "{a,b}", "it's", "NULL", "", "%s :x"]
    catalog.add_games([SEVEN])
    with engine.begin() as connection:
        for path in [*paths, "stays"]:
            row = {"path": path}
            connection.execute(text("INSERT INTO frames (path, game_id, user_login) VALUES (:path, 7, 'x')"), row)
    catalog.apply(CatalogChanges(removed_paths=paths))
    assert catalog.snapshot().paths == {"stays"}


@pytest.mark.parametrize("bad", [0, -5, 2**63, 10**18, 10**40])
def test_a_game_with_an_impossible_id_is_left_out(catalog: Catalog, bad: int):
    """It costs itself: the other games of the call are added."""
    catalog.add_games([Game(bad, "x"), SEVEN])
    assert {game.id for game in catalog.game_frames()} == {7}


def test_frame_rows_after_an_id_are_all_rows_in_a_few_calls(catalog: Catalog):
    """Sums and counters tell whether rows were added, removed or changed since."""
    details = FrameDetails(1.7e9, "ja", 5, "title", "origin")
    one, two = _frames(7, "ann", 1, 2)
    hashed = replace(one, sha256=b"x" * 32, details=details), replace(two, sha256=b"y" * 32, details=details)
    catalog.add_frames(hashed)
    catalog.add_frames(_frames(8, "bob", 1))
    first = catalog.frame_rows(limit=2)
    last = catalog.frame_rows(first[-1].id, limit=2)
    assert [row.path for row in (*first, *last)] == ["7/ann-1.jpg", "7/ann-2.jpg", "8/bob-1.jpg"]
    assert (first[0].date, first[0].language, bytes(first[0].sha256 or b"")) == (1.7e9, "ja", b"x" * 32)
    assert (last[0].language, last[0].sha256, catalog.frame_rows(last[-1].id)) == ("", None, [])
    frame = catalog.frame("7/ann-2.jpg")
    assert frame is not None
    assert (frame.path, frame.sha256, frame.details) == ("7/ann-2.jpg", b"y" * 32, details)
    assert catalog.frame("7/ann-3.jpg") is None
    sums, activity = catalog.frame_sums(last[-1].id), catalog.activity()
    assert sums[:2] == (3, sum(row.id for row in (*first, *last)))
    assert sums.versions == sum(row.version for row in (*first, *last))
    catalog.apply(CatalogChanges(updated=[StoredFrame(8, "bob", 1, b"z" * 32)]))
    assert catalog.frame_sums(last[-1].id) != sums
    catalog.add_frames(_frames(8, "bob", 2))
    assert catalog.activity() != activity


def test_apply_with_a_limit_does_not_wait_longer_for_locks(catalog: Catalog, engine: Engine):
    """Another program that locks the tables costs the change, not the caller."""
    catalog.lock_timeout_s = 0.05
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE frames"))
        with pytest.raises(CatalogUnavailable, match="lock timeout"):
            catalog.apply(CatalogChanges())
    catalog.apply(CatalogChanges())
