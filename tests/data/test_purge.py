"""data.purge: frames older than a given age leave the dataset."""

from __future__ import annotations

import os
import time

import pytest
import sqlalchemy as sa

from data.entities import NO_DETAILS, FrameDetails, Game, StoredFrame
from data.purge import find_older, purge
from data.storage.audits import AuditStore
from data.storage.catalog import Catalog
from data.storage.changes import FrameChanges, Move
from data.storage.frame_folder import FrameFolder
from data.storage.surveys import SurveyStore
from tests.data.conftest import Run
from tests.data.kill_harness import run_and_kill_at_line

DAY_S = 86400
GAMES = [Game(7, "Chess"), Game(8, "Go")]


def _save(folder: FrameFolder, catalog: Catalog, login: str, days: float | None, game_id: int = 7) -> StoredFrame:
    """Save a frame of this age; None: of unknown age."""
    folder.add_games(GAMES)
    catalog.add_games(GAMES)
    details = NO_DETAILS if days is None else FrameDetails(time.time() - days * DAY_S)
    frames = folder.save(game_id, login, [f"{login}{days}".encode()], [details])
    catalog.add_frames(frames)
    return frames[0]


def _paths(folder: FrameFolder, catalog: Catalog) -> set[str]:
    """Check that files, rows and counts agree; return the paths."""
    snapshot = catalog.snapshot()
    assert snapshot.paths == {frame.path for frame in folder.frames()}
    assert not snapshot.wrong_counts
    return set(snapshot.paths)


def test_purge_removes_old_frames_with_their_lines_and_keeps_the_games(folder: FrameFolder, catalog: Catalog, run: Run):
    """Only older frames go, whatever their files' times; a game without frames stays; the counts are by game."""
    _save(folder, catalog, "ann", 31)
    _save(folder, catalog, "ann", 32)
    _save(folder, catalog, "bob", 40, game_id=8)
    young = _save(folder, catalog, "ann", 29)
    future = _save(folder, catalog, "carol", -400)
    os.utime(folder.root / young.path, (0, 0))
    folder.save_report("check.csv", b"path,reason\n7/ann-1.jpg,menu\n7/ann-3.jpg,menu\n")
    done = run("data.purge", "--older-than", "30d")
    first, *games = done.stdout.splitlines()
    assert first.startswith("Removed 3 frames, 3 rows, 1 finding of the last check from before 20")
    assert games == ["  Chess: 2 frames", "  Go: 1 frame"]
    assert _paths(folder, catalog) == {young.path, future.path}
    assert len((folder.root / "7/manifest.jsonl").read_text().splitlines()) == 2
    assert (folder.root / "8").is_dir()
    assert folder.read_report("check.csv") == b"path,reason\n7/ann-3.jpg,menu\n"
    assert run("data.purge", "--older-than", "30d").stdout.startswith("Removed nothing")


def test_dry_run_changes_nothing(folder: FrameFolder, catalog: Catalog, run: Run):
    """It prints the counts that a run would have."""
    frame = _save(folder, catalog, "ann", 15)
    done = run("data.purge", "--older-than", "2w", "--dry-run")
    assert done.stdout.startswith("Would remove 1 frame, 1 row from before 20")
    assert _paths(folder, catalog) == {frame.path}


def test_frame_of_unknown_time_has_the_earlier_of_row_and_file(folder: FrameFolder, catalog: Catalog):
    """A row that dbSync has just made does not keep an old file, and a file that was copied not an old row."""
    old_file, new = _save(folder, catalog, "ann", None), _save(folder, catalog, "bob", None)
    os.utime(folder.root / old_file.path, (0, time.time() - 2 * DAY_S))
    no_row = folder.save(7, "carol", [b"x"])[0]
    os.utime(folder.root / no_row.path, (0, time.time() - 2 * DAY_S))
    before = time.time() - DAY_S
    assert {*find_older(folder, catalog, before).frames} == {old_file, no_row}
    assert {*find_older(folder, None, before).frames} == {old_file, no_row}
    # A second from now the row is old, and the file seems to come from the future.
    os.utime(folder.root / new.path, (0, time.time() + DAY_S))
    assert new in find_older(folder, catalog, time.time() + 1).frames


def test_trash_and_journals_are_purged_by_the_frames_time(folder: FrameFolder, catalog: Catalog):
    """What is old leaves the trash and cannot be undone; what is young comes back."""
    old, young = _save(folder, catalog, "ann", 31), _save(folder, catalog, "bob", 1)
    moved = _save(folder, catalog, "dora", 31)
    changes = FrameChanges(folder, catalog)
    changes.apply([Move(old, None), Move(young, None), Move(moved, 8)], "check")
    before = time.time() - 30 * DAY_S
    _, removed = purge(folder, catalog, before)
    assert (removed.frames, removed.trashed, removed.moves) == (1, 1, 2)
    assert len(changes.changes()[0].moves) == 1
    changes.undo()
    assert _paths(folder, catalog) == {young.path}


def test_change_of_old_frames_only_leaves_no_journal(folder: FrameFolder, catalog: Catalog):
    """An empty journal would be the one that undo takes; the earlier change is undone instead."""
    young, old = _save(folder, catalog, "ann", 1), _save(folder, catalog, "bob", 31)
    changes = FrameChanges(folder, catalog)
    changes.apply([Move(young, None)], "first")
    changes.apply([Move(old, None)], "second")
    before = time.time() - 30 * DAY_S
    purge(folder, catalog, before)
    assert changes.undo().summary == "undo: first"


def test_rows_that_a_killed_run_left_are_removed(folder: FrameFolder, catalog: Catalog):
    """The files are gone, and their rows are old: the next run removes them; a young row without a file stays."""
    old, young = _save(folder, catalog, "ann", 31), _save(folder, catalog, "bob", 1)
    folder.delete([old, young])
    before = time.time() - 30 * DAY_S
    assert purge(folder, catalog, before)[1].rows == 1
    assert catalog.snapshot().paths == {young.path}


def test_purge_killed_at_any_line_is_finished_by_the_next_run(folder: FrameFolder, catalog: Catalog, engine: sa.Engine):
    """A child process dies at each 350th line in turn; the next run removes the rest, rows and lines included."""
    for kills, line in enumerate(range(0, 100_000, 350)):
        for days in (1, 31, 32, 33):
            _save(folder, catalog, f"ann{kills}", days + kills / 1000)
        before = time.time() - 30 * DAY_S
        FrameChanges(folder, catalog).apply([Move(frame, None) for frame in list(folder.frames())[::3]], "check")

        def work(before: float = before) -> None:
            purge(folder, catalog, before)

        code = run_and_kill_at_line(line, engine, work)
        work()
        paths = _paths(folder, catalog)
        found = folder.described(folder.frames())
        assert all((frame.details.grabbed_at or 0) >= before for frame in found)
        assert len((folder.root / "7/manifest.jsonl").read_text().splitlines()) == len(paths)
        if code == 0:
            break
    assert kills > 2


def test_unreadable_game_is_an_error_after_the_rest_went(folder: FrameFolder, catalog: Catalog, run: Run):
    """A link to an unmounted disk may hide old frames: the message names it, and its rows stay."""
    hidden, old = _save(folder, catalog, "bob", 40, game_id=8), _save(folder, catalog, "ann", 31)
    (folder.root / "8").rename(folder.root.parent / "8")
    (folder.root / "8").symlink_to("nowhere")
    done = run("data.purge", "--older-than", "30d")
    assert done.returncode == 1
    assert "8: make it readable, and repeat the command" in done.stderr
    assert catalog.snapshot().paths == {hidden.path}
    assert not (folder.root / old.path).exists()


@pytest.mark.parametrize("age", ["30", "0d", "-1d", "1.5d", "30m", "1e3d", "9999999d", "٣d", "", "d", "\x1b[31m1d"])
def test_invalid_age_is_refused(run: Run, age: str):
    """An age that could mean something else ends the command; the message says how to write one."""
    done = run("data.purge", f"--older-than={age}")
    assert done.returncode == 2
    assert "write a whole number and h, d or w, such as 30d" in done.stderr
    assert "\x1b" not in done.stderr


def test_largest_age_removes_nothing(folder: FrameFolder, catalog: Catalog, run: Run):
    """A cut-off before the calendar's first year is no error, for the answers of audits and surveys neither."""
    AuditStore(catalog.transactions).prepare()
    SurveyStore(catalog.transactions).prepare()
    frame = _save(folder, catalog, "ann", 31)
    assert run("data.purge", "--older-than", "999999w").stdout.startswith("Removed nothing")
    assert _paths(folder, catalog) == {frame.path}


def test_purge_without_database_makes_none(folder: FrameFolder, run: Run):
    """Files go, and no server is made for rows that are not there."""
    frame = folder.save(7, "ann", [b"x"], [FrameDetails(0.0)])[0]
    done = run("data.purge", "--older-than", "1h", DB_HOST="")
    assert done.stdout.startswith("Removed 1 frame from before")
    assert not (folder.root / frame.path).exists()
    assert not (folder.root.parent / "postgres").exists()
