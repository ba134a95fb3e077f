"""data.dbSync: the folder is the truth, whatever happened to the rows or to us."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from data.dbSync import carry_out, compare, lines
from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.storage.catalog import Catalog, GameSummary
from data.storage.frame_folder import Folder
from tests.data.conftest import Run

SEVEN = Game(7, "Seven")


def _sync(folder: Folder, catalog: Catalog) -> list[str]:
    plan = compare(catalog.rows(), folder.scan(), folder.names())
    carry_out(plan, folder, catalog)
    return lines(plan)


def _download(folder: Folder, catalog: Catalog, game: Game, login: str, count: int) -> list[StoredFrame]:
    folder.remember([game])
    catalog.add_games([game])
    frames = folder.save(game.id, login, [b"x"] * count)
    catalog.add_frames(frames)
    return frames


def _same(folder: Folder, catalog: Catalog) -> bool:
    return catalog.rows().paths == {frame.path for frame in folder.frames()} and not catalog.rows().miscounted


def test_what_matches_is_left_alone(folder: Folder, catalog: Catalog):
    """A dataset without trouble: nothing is done, and it says so."""
    _download(folder, catalog, SEVEN, "ann", 3)
    assert _sync(folder, catalog) == ["Nothing to mend.", "The catalogue holds 1 game and 3 frames."]


def test_rows_without_a_file_go(folder: Folder, catalog: Catalog):
    """A picture deleted by hand takes its row along, and the count follows."""
    frames = _download(folder, catalog, SEVEN, "ann", 3)
    folder.delete(frames[:2])
    said = ["2 rows without a file: removed", "The catalogue holds 1 game and 1 frame."]
    assert _sync(folder, catalog) == said
    assert catalog.games() == [GameSummary(SEVEN, 1, 1)]


def test_a_game_goes_with_its_folder_and_stays_with_an_empty_one(folder: Folder, catalog: Catalog):
    """Deleting a game's folder deletes the game; deleting its pictures only empties it."""
    eight = Game(8, "Eight")
    gone, emptied = _download(folder, catalog, SEVEN, "ann", 1), _download(folder, catalog, eight, "ann", 1)
    folder.delete(gone + emptied)
    (folder.root / "7").rmdir()
    said = _sync(folder, catalog)
    assert said[:2] == ["2 rows without a file: removed", "1 game without a folder: removed"]
    assert catalog.games() == [GameSummary(eight, 0, 0)]


def test_files_without_a_row_are_adopted_with_the_folders_names(folder: Folder, catalog: Catalog):
    """A whole catalogue comes back from the folder alone: ids, logins, and names where games.tsv has them."""
    folder.remember([SEVEN])
    folder.save(7, "ann", [b"x"] * 2)
    folder.save(7, "b_b", [b"x"])
    folder.save(2**40, "ann", [b"x"])
    said = _sync(folder, catalog)
    assert said[:2] == ["4 files without a row: adopted", "2 games without a row: added"]
    assert catalog.games() == [GameSummary(SEVEN, 3, 2), GameSummary(Game(2**40, f"game {2**40}"), 1, 1)]
    assert _same(folder, catalog)
    assert _sync(folder, catalog)[0] == "Nothing to mend."


def test_names_travel_both_ways(folder: Folder, catalog: Catalog):
    """games.tsv renames the catalogue's game; a name that only the catalogue has is written to games.tsv."""
    _download(folder, catalog, SEVEN, "ann", 1)
    _download(folder, catalog, Game(8, "Eight"), "ann", 1)
    (folder.root / "games.tsv").write_text("7\tSe7en\n")
    said = _sync(folder, catalog)
    assert said[:2] == ["1 game named otherwise in games.tsv: renamed", "1 name missing in games.tsv: written"]
    assert folder.names() == {7: "Se7en", 8: "Eight"}
    assert [summary.game for summary in catalog.games()] == [Game(7, "Se7en"), Game(8, "Eight")]


def test_leftovers_go_and_foreign_files_stay(folder: Folder, catalog: Catalog):
    """Half-written files of the dead are removed; what is not ours is named, printably, and untouched."""
    _download(folder, catalog, SEVEN, "ann", 1)
    (folder.root / "7" / ".999999999-0123456789abcdef.tmp").write_bytes(b"half")
    foreign = [folder.root / name for name in ("notes.txt", "7/\x1b[31m.jpg", "7/\udcff")]
    for path in foreign:
        path.touch()
    assert _sync(folder, catalog) == [
        "1 temporary file of a process that is gone: removed",
        "3 foreign paths: left alone",
        r"  '7/\x1b[31m.jpg'",
        r"  '7/\udcff'",
        "  notes.txt",
        "The catalogue holds 1 game and 1 frame.",
    ]
    assert all(path.exists() for path in foreign)
    assert not list(folder.root.rglob("*.tmp"))


def test_many_foreign_files_do_not_flood_the_screen(folder: Folder, catalog: Catalog):
    """Twenty are named, the others counted, all with -v."""
    for number in range(30):
        (folder.root / f"photo{number:02}.png").touch()
    plan = compare(catalog.rows(), folder.scan(), folder.names())
    assert "  and 10 more; -v names them all" in lines(plan)
    assert "  photo29.png" in lines(plan, all_foreign=True)


def test_rows_of_an_unreadable_folder_are_left_alone(folder: Folder, catalog: Catalog, tmp_path: Path):
    """What cannot be looked into is not taken for empty: a game's folder on a disk that is not mounted now."""
    _download(folder, catalog, SEVEN, "ann", 2)
    (folder.root / "7").rename(tmp_path / "disk")
    (folder.root / "7").symlink_to(tmp_path / "disk")
    assert _sync(folder, catalog)[0] == "Nothing to mend."
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert _sync(folder, catalog) == [
        "Nothing to mend.",
        "7 cannot be read: its rows are left alone",
        "The catalogue holds 1 game and 2 frames.",
    ]
    assert catalog.games() == [GameSummary(SEVEN, 2, 1)]


def test_a_missing_folder_does_not_empty_the_catalogue(folder: Folder, catalog: Catalog, run: Run):
    """A slip in DOWNLOAD_PATH, or a disk that is not mounted: code 1 and one line, and every row stays."""
    _download(folder, catalog, SEVEN, "ann", 1)
    done = run("data.dbSync", DOWNLOAD_PATH=str(folder.root / "slip"))
    assert done.returncode == 1
    assert "check DOWNLOAD_PATH" in done.stderr
    assert catalog.game_count() == 1
    with pytest.raises(FolderError):
        Folder(folder.root / "slip").scan()


def test_a_dry_run_says_what_the_run_then_does(folder: Folder, catalog: Catalog, run: Run):
    """--dry-run changes neither rows nor files; -v names the paths on stderr; then the real run, and a second one."""
    lost = _download(folder, catalog, SEVEN, "ann", 2)
    folder.delete(lost[:1])
    folder.save(8, "bob", [b"x"])
    (folder.root / "8" / ".999999999-0123456789abcdef.tmp").touch()
    before, files = catalog.rows(), sorted(folder.root.rglob("*"))

    dry = run("data.dbSync", "--dry-run", "-v")
    assert dry.returncode == 0
    assert dry.stdout.splitlines() == [
        "1 row without a file: would be removed",
        "1 file without a row: would be adopted",
        "1 game without a row: would be added",
        "1 temporary file of a process that is gone: would be removed",
        "The catalogue would then hold 2 games and 2 frames.",
    ]
    assert "row without a file: 7/ann-1.jpg" in dry.stderr
    assert (catalog.rows(), sorted(folder.root.rglob("*"))) == (before, files)

    real = run("data.dbSync")
    assert (real.returncode, real.stderr) == (0, "")
    assert real.stdout == dry.stdout.replace("would be ", "").replace("would then hold", "holds")
    assert _same(folder, catalog)
    assert run("data.dbSync").stdout.startswith("Nothing to mend.")


def test_wrong_counts_are_set_right(folder: Folder, catalog: Catalog, engine: Engine):
    """A count that is off, with rows and files in order, is found and mended."""
    _download(folder, catalog, SEVEN, "ann", 2)
    with engine.begin() as connection:
        connection.execute(text("UPDATE games SET frames = 5"))
    assert _sync(folder, catalog)[0] == "1 game with a wrong count: set right"
    assert catalog.games() == [GameSummary(SEVEN, 2, 1)]


def test_it_may_run_while_a_download_does(folder: Folder, catalog: Catalog):
    """A download saving and adding rows, dbSync over and over: no frame loses its row, no count is off."""
    done = threading.Event()

    def download() -> None:
        for _ in range(60):
            _download(folder, catalog, SEVEN, "ann", 2)
        done.set()

    thread = threading.Thread(target=download)
    thread.start()
    while not done.is_set():
        _sync(folder, catalog)
    thread.join()
    assert _same(folder, catalog)
    assert catalog.games() == [GameSummary(SEVEN, 120, 1)]
