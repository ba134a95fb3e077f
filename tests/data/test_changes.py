"""Changes of the dataset: moves to another game and to the trash, undo, and what a kill in the middle leaves."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from data.entities import FrameDetails, Game, StoredFrame
from data.errors import CatalogUnavailable, FolderError
from data.storage import journal
from data.storage.catalog import Catalog, CatalogChanges
from data.storage.changes import FrameChanges, Move
from data.storage.frame_folder import FrameFolder
from data.storage.journal import Change, FileMove
from data.storage.pseudonyms import Forgotten
from tests.data.kill_harness import run_and_kill_at_line

DETAILS = FrameDetails(1_700_000_000.0, "ja", 12, "a title", "https://www.twitch.tv/ann")


@pytest.fixture
def store(tmp_path: Path) -> FrameFolder:
    store = FrameFolder(tmp_path / "frames")
    store.add_games([Game(7, "Chess"), Game(8, "Go")])
    return store


@pytest.fixture
def catalog(engine: sa.Engine, store: FrameFolder) -> Catalog:
    catalog = Catalog(engine)
    catalog.add_games([Game(7, "Chess"), Game(8, "Go")])
    return catalog


def _save(store: FrameFolder, catalog: Catalog, count: int, login: str = "ann", game_id: int = 7) -> list[StoredFrame]:
    frames = store.save(game_id, login, [f"{login}{game_id}{n}".encode() for n in range(count)], [DETAILS] * count)
    catalog.add_frames(frames)
    return frames


def _check(store: FrameFolder, catalog: Catalog) -> set[str]:
    """Check that rows, files and counts agree; return the paths."""
    snapshot = catalog.snapshot()
    assert snapshot.paths == {frame.path for frame in store.frames()}
    assert not snapshot.wrong_counts
    return set(snapshot.paths)


def test_apply_moves_files_rows_and_details_together(store: FrameFolder, catalog: Catalog):
    """A frame in another game has the next number there, its details and its row; one in the trash has no row."""
    frames = _save(store, catalog, 3)
    _save(store, catalog, 1, game_id=8)
    change = FrameChanges(store, catalog).apply([Move(frames[0], 8, "shows Go"), Move(frames[1], None)], "check")
    assert _check(store, catalog) == {"7/ann-3.jpg", "8/ann-1.jpg", "8/ann-2.jpg"}
    (moved,) = store.described([StoredFrame(8, "ann", 2)])
    assert (moved.sha256, moved.details) == (frames[0].sha256, DETAILS)
    assert (change.is_done, change.trashed, len(change.moves)) == (True, 1, 2)
    assert (store.root / ".trash" / change.id / "7/ann-2.jpg").read_bytes() == b"ann71"
    assert store.scan().unrecognised == ()


def test_hashes_of_the_trash_are_those_of_each_moment(store: FrameFolder, catalog: Catalog):
    """A running download leaves out what goes to the trash meanwhile, and takes again what is brought back."""
    first, second, kept = _save(store, catalog, 3)
    changes, trashed = FrameChanges(store, catalog), store.trashed_hashes()
    for expected in ({first}, {first, second}):
        changes.apply([Move(frame, None) for frame in expected if store.modified_at(frame)], "test")
        assert {frame for frame in (first, second, kept) if frame.sha256 in trashed} == expected
    changes.undo()
    assert {frame for frame in (first, second, kept) if frame.sha256 in trashed} == {first}


def test_undo_brings_everything_back(store: FrameFolder, catalog: Catalog):
    """After an undo the dataset is as before, with its details; the trash is empty; and it cannot be undone twice."""
    frames = _save(store, catalog, 3)
    before = _check(store, catalog)
    changes = FrameChanges(store, catalog)
    change = changes.apply([Move(frames[0], 8), Move(frames[1], None)], "check")
    store.compact([7, 8])  # as dbSync does
    undo = changes.undo()
    assert _check(store, catalog) == before
    assert [(f.sha256, f.details) for f in store.described(frames)] == [(f.sha256, f.details) for f in frames]
    assert not (store.root / ".trash").exists()
    assert undo.undoes == change.id
    with pytest.raises(FolderError, match="no change to undo"):
        changes.undo()
    with pytest.raises(FolderError, match="undone already"):
        changes.undo(change.id)
    changes.undo(undo.id)  # which is: do it again
    assert _check(store, catalog) == {"7/ann-3.jpg", "8/ann-1.jpg"}


def test_undo_with_a_taken_name_takes_the_next_number(store: FrameFolder, catalog: Catalog):
    """A download may have given the number to another frame meanwhile."""
    frames = _save(store, catalog, 2)
    changes = FrameChanges(store, catalog)
    changes.apply([Move(frames[1], None)], "check")
    catalog.add_frames(store.save(7, "ann", [b"other"]))
    changes.undo()
    assert _check(store, catalog) == {"7/ann-1.jpg", "7/ann-2.jpg", "7/ann-3.jpg"}
    assert store.read(StoredFrame(7, "ann", 3)) == b"ann71"


def test_apply_without_files_does_nothing(store: FrameFolder, catalog: Catalog):
    """Frames that are gone, and frames that are in the game already, are left out; nothing is written."""
    frames = _save(store, catalog, 2)
    store.delete(frames[:1])
    change = FrameChanges(store, catalog).apply([Move(frames[0], None), Move(frames[1], 7)], "check")
    assert change.moves == ()
    assert FrameChanges(store, catalog).changes() == []


def test_apply_leaves_out_a_file_that_took_the_frames_name(store: FrameFolder, catalog: Catalog):
    """Another command moved the frame away, and a download gave its number to another picture."""
    (seen,) = _save(store, catalog, 1)
    changes = FrameChanges(store, catalog)
    changes.apply([Move(seen, None)], "by another command")
    (new,) = store.save(7, "ann", [b"new"])
    catalog.add_frames([new])
    assert (new, changes.apply([Move(seen, None)], "check").moves) == (seen, ())
    (store.root / new.path).write_bytes(b"edited")
    assert len(changes.apply([Move(new, 8)], "check").moves) == 1
    assert len(changes.apply([Move(StoredFrame(8, "ann", 1), 7)], "check").moves) == 1  # without a hash


def test_apply_to_an_unknown_game_is_refused(store: FrameFolder, catalog: Catalog):
    """A game without a name is no target, and no frame moves."""
    frames = _save(store, catalog, 1)
    with pytest.raises(FolderError, match="no game 99"):
        FrameChanges(store, catalog).apply([Move(frames[0], 99)], "check")
    assert _check(store, catalog) == {"7/ann-1.jpg"}


@pytest.mark.parametrize("action", ["apply", "undo"])
def test_a_change_killed_at_any_line_is_finished_or_did_not_begin(
    store: FrameFolder, catalog: Catalog, engine: sa.Engine, action: str
):
    """A child process dies at each 150th line in turn; the next command finishes the change, or nothing has moved."""
    frames = _save(store, catalog, 4)
    whole = _check(store, catalog)
    changed = {"7/ann-3.jpg", "7/ann-4.jpg", "8/ann-1.jpg"}
    changes = FrameChanges(store, catalog)
    outcomes = set()
    moves = [Move(frames[0], 8), Move(frames[1], None)]
    work = changes.undo if action == "undo" else partial(changes.apply, moves, "check")
    for line in range(0, 20_000, 150):
        if action == "undo":
            changes.apply(moves, "check")
        code = run_and_kill_at_line(line, engine, work)
        finished = changes.finish_pending()
        found = _check(store, catalog)
        assert found in (whole, changed)
        outcomes.add((found == whole, finished))
        if found == changed:
            changes.undo()
        assert _check(store, catalog) == whole
        shutil.rmtree(store.root / ".changes", ignore_errors=True)  # each run reads as few journals as the first one
        if code == 0:
            break
    assert code == 0
    assert {finished for _, finished in outcomes} == {0, 1}


def test_a_change_without_a_database_is_finished_later(store: FrameFolder, catalog: Catalog, engine: sa.Engine):
    """The files move; the rows follow when the database is back."""

    class Away(Catalog):
        def apply(self, changes: CatalogChanges) -> None:
            raise CatalogUnavailable("away")

    frames = _save(store, catalog, 2)
    with pytest.raises(CatalogUnavailable):
        FrameChanges(store, Away(engine)).apply([Move(frames[0], 8)], "check")
    assert FrameChanges(store, catalog).finish_pending() == 1
    assert _check(store, catalog) == {"7/ann-2.jpg", "8/ann-1.jpg"}


def test_a_target_that_is_taken_after_a_kill_gets_the_next_number(store: FrameFolder, catalog: Catalog):
    """Between the journal and the move, a download may take the number that the journal names."""

    frames = _save(store, catalog, 1)
    changes = FrameChanges(store, catalog)
    change = changes.apply([Move(frames[0], 8)], "check")
    changes.undo()
    catalog.add_frames(store.save(8, "ann", [b"taken"]))
    done = store.root / ".changes" / f"{change.id}.done"
    done.rename(done.with_suffix(".pending"))
    assert changes.finish_pending() == 1
    assert _check(store, catalog) == {"8/ann-1.jpg", "8/ann-2.jpg"}
    assert store.read(StoredFrame(8, "ann", 2)) == b"ann70"


@pytest.mark.parametrize("line", ['{"from": "../../etc/passwd", "to": "7/ann-1.jpg"}', '{"from": 1}', "[[", "{}"])
def test_a_damaged_journal_is_refused(store: FrameFolder, catalog: Catalog, line: str):
    """A journal that was edited moves no file."""
    (store.root / ".changes").mkdir()
    edited = store.root / ".changes/20260101-000000-000000.pending"
    edited.write_text('{"summary": "x", "undoes": ""}\n' + line)
    with pytest.raises(FolderError, match="damaged"):
        FrameChanges(store, catalog).finish_pending()


def test_undo_follows_later_changes_and_leaves_other_files(store: FrameFolder, catalog: Catalog):
    """A number that a moved frame has left may belong to another frame by now, which stays where it is."""
    (frame,) = _save(store, catalog, 1)
    changes = FrameChanges(store, catalog)
    first = changes.apply([Move(frame, 8)], "one")
    changes.apply([Move(StoredFrame(8, "ann", 1), None)], "two")
    catalog.add_frames(store.save(8, "ann", [b"another"]))
    changes.undo()
    undo = changes.undo(first.id)
    assert len(undo.moves) == 1
    assert _check(store, catalog) == {"7/ann-1.jpg", "8/ann-1.jpg"}
    assert store.read(frame) == b"ann70"


def test_a_game_on_another_disk_gets_copies(store: FrameFolder, catalog: Catalog):
    """A game's folder may be a link to another disk, to which no file can be linked."""
    frames = _save(store, catalog, 2)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        (store.root / "8").rmdir()
        (store.root / "8").symlink_to(disk)
        os.utime(store.root / frames[0].path, (1e9, 1e9))
        changes = FrameChanges(store, catalog)
        changes.apply([Move(frames[0], 8)], "check")
        assert _check(store, catalog) == {"7/ann-2.jpg", "8/ann-1.jpg"}
        assert (store.root / "8/ann-1.jpg").stat().st_mtime == 1e9
        changes.undo()
        assert _check(store, catalog) == {"7/ann-1.jpg", "7/ann-2.jpg"}


def test_undo_leaves_forgotten_streamers(store: FrameFolder, catalog: Catalog):
    """Their frames come back from nowhere."""
    frames = _save(store, catalog, 1)
    changes = FrameChanges(store, catalog)
    changes.apply([Move(frames[0], None)], "check")
    Forgotten(store.files).add("ann")
    assert changes.undo().moves == ()
    assert _check(store, catalog) == set()


def test_a_change_beside_another_one_waits_for_a_limited_time(store: FrameFolder, catalog: Catalog):
    """What another command locks for long is an error, and later no obstacle."""
    frames = _save(store, catalog, 1)
    changes = FrameChanges(store, catalog, lock_timeout_s=0.05)
    with FrameChanges(store, catalog).locked(), pytest.raises(FolderError, match="try again"):
        changes.apply([Move(frames[0], None)], "check")
    assert len(changes.apply([Move(frames[0], None)], "check").moves) == 1


def test_undo_of_a_change_reads_no_earlier_journal(store: FrameFolder, catalog: Catalog):
    """A damaged journal costs its own change and earlier ones, not the later ones."""
    frames = _save(store, catalog, 3)
    changes = FrameChanges(store, catalog)
    damaged, kept, last = (changes.apply([Move(frame, 8)], "check") for frame in frames)
    (store.root / ".changes" / f"{damaged.id}.done").write_text("[[")
    changes.undo()
    changes.undo(kept.id)
    assert _check(store, catalog) == {"7/ann-2.jpg", "7/ann-3.jpg", "8/ann-1.jpg"}
    with pytest.raises(FolderError, match="undone already"):
        changes.undo(last.id)
    with pytest.raises(FolderError, match="damaged"):
        changes.undo(damaged.id)
    with pytest.raises(FolderError, match="no change 20260101-000000-000000"):
        changes.undo("20260101-000000-000000")


def test_a_change_that_two_processes_finish_happens_once(store: FrameFolder, catalog: Catalog):
    """One of them gives a frame another number first, and the other one keeps it; afterwards neither does anything."""
    frames = _save(store, catalog, 4)
    _save(store, catalog, 1, game_id=8)
    moves = tuple(FileMove(frame, frame.path, f"8/ann-{frame.number}.jpg") for frame in frames)
    change = Change(journal.new_id(), "check", "", moves)
    journal.write(store.files, change)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            list(pool.map(lambda _: FrameChanges(store, catalog)._finish(change), range(3)))
            assert _check(store, catalog) == {f"8/ann-{number}.jpg" for number in range(1, 6)}
    assert {store.read(frame) for frame in store.frames()} == {*(b"ann7%d" % number for number in range(4)), b"ann80"}
    assert not journal.change_ids(store.files, pending=True)


def test_a_new_target_is_the_one_that_another_process_has_chosen(store: FrameFolder, catalog: Catalog):
    """The second of two decisions changes nothing, also when the change is finished by then."""
    (frame,) = _save(store, catalog, 1)
    move = FileMove(frame, frame.path, "8/ann-1.jpg")
    change = Change(journal.new_id(), "check", "", (move,))
    journal.write(store.files, change)
    assert [each.target for each in journal.retarget(store.files, change.id, {move: "8/ann-2.jpg"})] == ["8/ann-2.jpg"]
    assert [each.target for each in journal.retarget(store.files, change.id, {move: "8/ann-3.jpg"})] == ["8/ann-2.jpg"]
    journal.finish(store.files, change.id)
    journal.finish(store.files, change.id)
    assert [each.target for each in journal.retarget(store.files, change.id, {move: "8/ann-4.jpg"})] == ["8/ann-2.jpg"]
    assert not journal.is_pending(store.files, change.id)


def test_a_change_with_both_states_is_pending(store: FrameFolder, catalog: Catalog):
    """A process may be killed between the two steps that finish a change on an object store."""
    frames = _save(store, catalog, 1)
    changes = FrameChanges(store, catalog)
    change = changes.apply([Move(frames[0], 8)], "check")
    done = store.root / ".changes" / f"{change.id}.done"
    shutil.copy(done, done.with_suffix(".pending"))
    assert [each.is_done for each in changes.changes()] == [False]
    assert changes.finish_pending() == 1
    assert [each.is_done for each in changes.changes()] == [True]
    assert _check(store, catalog) == {"8/ann-1.jpg"}
