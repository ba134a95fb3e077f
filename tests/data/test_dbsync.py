"""data.dbSync: repair of the catalog from the folder, which is the truth."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from data.dbSync import report_lines
from data.entities import FrameDetails, Game, StoredFrame
from data.errors import FolderError
from data.storage.catalog import Catalog, GameSummary
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Forgotten
from data.storage.synchronisation import plan_sync, synchronise
from tests.data.conftest import Run

SEVEN = Game(7, "Seven")


def _sync(folder: FrameFolder, catalog: Catalog) -> list[str]:
    return report_lines(synchronise(folder, catalog))


def _download(folder: FrameFolder, catalog: Catalog, game: Game, login: str, count: int) -> list[StoredFrame]:
    folder.add_games([game])
    catalog.add_games([game])
    content = [f"{game.id} {login} {random.random()}".encode() for _ in range(count)]  # no two are identical
    frames = folder.save(game.id, login, content)
    catalog.add_frames(frames)
    return frames


def _same(folder: FrameFolder, catalog: Catalog) -> bool:
    return catalog.snapshot().paths == {frame.path for frame in folder.frames()} and not catalog.snapshot().wrong_counts


def test_a_consistent_dataset_needs_no_repair(folder: FrameFolder, catalog: Catalog):
    """Nothing changes, and the report says so."""
    _download(folder, catalog, SEVEN, "ann", 3)
    assert _sync(folder, catalog) == ["Nothing to repair.", "The catalog holds 1 game and 3 frames."]


def test_rows_without_a_file_are_removed(folder: FrameFolder, catalog: Catalog):
    """The row of a file that was deleted by hand is removed, and the game's count is correct."""
    frames = _download(folder, catalog, SEVEN, "ann", 3)
    folder.delete(frames[:2])
    expected = ["2 rows without a file: removed", "The catalog holds 1 game and 1 frame."]
    assert _sync(folder, catalog) == expected
    assert catalog.games() == [GameSummary(SEVEN, 1, 1)]


def test_a_game_without_a_folder_is_removed_and_an_empty_one_stays(folder: FrameFolder, catalog: Catalog):
    """Deleting a game's folder removes the game; deleting its files only empties it."""
    eight = Game(8, "Eight")
    gone, emptied = _download(folder, catalog, SEVEN, "ann", 1), _download(folder, catalog, eight, "ann", 1)
    folder.delete(gone + emptied)
    shutil.rmtree(folder.root / "7")
    lines = _sync(folder, catalog)
    assert lines[:2] == ["2 rows without a file: removed", "1 game without a folder: removed"]
    assert catalog.games() == [GameSummary(eight, 0, 0)]
    assert folder.removed_games() == {7: SEVEN}


def test_the_name_of_a_removed_game_stays_in_games_tsv(folder: FrameFolder, catalog: Catalog):
    """It says that the game was removed, even if only the catalog had the name."""
    _download(folder, catalog, SEVEN, "ann", 1)
    shutil.rmtree(folder.root / "7")
    (folder.root / "games.tsv").unlink()
    assert _sync(folder, catalog)[:3] == [
        "1 row without a file: removed",
        "1 game without a folder: removed",
        "1 name missing in games.tsv: written",
    ]
    assert folder.removed_games() == {7: SEVEN}


def test_the_catalog_is_rebuilt_with_all_that_the_manifests_know(folder: FrameFolder, catalog: Catalog, engine: Engine):
    """Time, language, viewers, title, origin and hash come back although every row is lost."""
    folder.add_games([SEVEN])
    catalog.add_games([SEVEN])
    details = FrameDetails(1_700_000_000.5, "ja", 12, 'a "title" \\ {x}', "https://www.twitch.tv/ann")
    catalog.add_frames(folder.save(7, "ann", [b"one", b"two"], [details, FrameDetails(language="de")]))
    before = catalog.snapshot()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM games"))
    assert _sync(folder, catalog)[:2] == ["2 files without a row: adopted", "1 game without a row: added"]
    after = catalog.snapshot()
    assert after.frames["7/ann-1.jpg"].details == details
    for path, frame in before.frames.items():
        assert (after.frames[path].sha256, after.frames[path].details.language) == (
            frame.sha256,
            frame.details.language,
        )
    assert _sync(folder, catalog)[0] == "Nothing to repair."


def test_a_dataset_without_manifests_gets_them_from_rows_and_files(folder: FrameFolder, catalog: Catalog):
    """What the rows of an earlier version know goes into the manifests; an adopted file has the time of its file."""
    folder.add_games([SEVEN])
    old, new = folder.save(7, "ann", [b"one", b"two"])
    (folder.root / "7/manifest.jsonl").unlink()
    os.utime(folder.root / new.path, (1_600_000_000, 1_600_000_000))
    catalog.add_frames([replace(old, details=FrameDetails(1_500_000_000.0))])
    assert _sync(folder, catalog)[:2] == [
        "1 file without a row: adopted",
        "2 files without a line in its manifest: described",
    ]
    assert [frame.details.grabbed_at for frame in folder.described([old, new])] == [1_500_000_000.0, 1_600_000_000.0]
    assert [frame.sha256 for frame in folder.described([old, new])] == [old.sha256, new.sha256]
    assert _sync(folder, catalog)[0] == "Nothing to repair."


def test_a_row_unlike_its_manifest_is_corrected(folder: FrameFolder, catalog: Catalog):
    """The folder is the truth, also when somebody edits it."""
    (frame,) = _download(folder, catalog, SEVEN, "ann", 1)
    folder.add_details([replace(frame, details=FrameDetails(1_700_000_000.0, "fr", 3))])
    assert _sync(folder, catalog)[0] == "1 row unlike its manifest: corrected"
    assert catalog.snapshot().frames[frame.path].details == FrameDetails(1_700_000_000.0, "fr", 3)
    assert _sync(folder, catalog)[0] == "Nothing to repair."


def test_a_line_of_an_earlier_file_does_not_describe_the_new_one(folder: FrameFolder, catalog: Catalog):
    """A file that takes the name of a deleted one has its own hash and time."""
    frame = folder.save(7, "ann", [b"one"], [FrameDetails(1.0, "fr", 3, "old title")])[0]
    folder.delete([frame])
    (folder.root / frame.path).write_bytes(b"other")
    _sync(folder, catalog)
    (found,) = folder.described([frame])
    assert (found.sha256, found.details.title) == (hashlib.sha256(b"other").digest(), "")


def test_lines_of_deleted_files_leave_the_manifest(folder: FrameFolder, catalog: Catalog):
    """What a manifest says of a streamer goes with the last frame."""
    frames = _download(folder, catalog, SEVEN, "ann", 2) + _download(folder, catalog, SEVEN, "bob", 1)
    folder.delete(frames[:2])
    _sync(folder, catalog)
    assert "ann" not in (folder.root / "7/manifest.jsonl").read_text()


def test_frames_of_forgotten_streamers_are_deleted(folder: FrameFolder, catalog: Catalog, run: Run):
    """Files that somebody copies back do not return to the catalog."""
    _download(folder, catalog, SEVEN, "ann", 2)
    Forgotten(folder.files).add("ann")
    assert run("data.dbSync").stdout.splitlines()[:2] == [
        "2 frames of a forgotten streamer: deleted",
        "2 rows without a file: removed",
    ]
    assert _same(folder, catalog)
    assert list(folder.frames()) == []


def test_files_without_a_row_are_adopted_with_the_names_in_games_tsv(folder: FrameFolder, catalog: Catalog):
    """A whole catalog is rebuilt from the folder: ids, logins, and the names that games.tsv has."""
    folder.add_games([SEVEN])
    folder.save(7, "ann", [b"1", b"2"])
    folder.save(7, "b_b", [b"3"])
    folder.save(2**40, "ann", [b"4"])
    lines = _sync(folder, catalog)
    assert lines[:2] == ["4 files without a row: adopted", "2 games without a row: added"]
    assert catalog.games() == [GameSummary(SEVEN, 3, 2), GameSummary(Game(2**40, f"game {2**40}"), 1, 1)]
    assert _same(folder, catalog)
    assert _sync(folder, catalog)[0] == "Nothing to repair."


def test_names_are_synchronised_in_both_directions(folder: FrameFolder, catalog: Catalog):
    """games.tsv renames a game of the catalog; a name that only the catalog has is written to games.tsv."""
    _download(folder, catalog, SEVEN, "ann", 1)
    _download(folder, catalog, Game(8, "Eight"), "ann", 1)
    (folder.root / "games.tsv").write_text("7\tSe7en\n")
    lines = _sync(folder, catalog)
    assert lines[:2] == ["1 game with another name in games.tsv: renamed", "1 name missing in games.tsv: written"]
    assert folder.game_names() == {7: "Se7en", 8: "Eight"}
    assert [summary.game for summary in catalog.games()] == [Game(7, "Se7en"), Game(8, "Eight")]


def test_stale_files_are_removed_and_unrecognised_files_stay(folder: FrameFolder, catalog: Catalog):
    """Temporary files of dead processes are removed; unrecognised paths are printed in a safe form and stay."""
    _download(folder, catalog, SEVEN, "ann", 1)
    (folder.root / "7" / ".999999999-0123456789abcdef.tmp").write_bytes(b"half")
    unrecognised = [folder.root / name for name in ("notes.txt", "7/\x1b[31m.jpg", "7/\udcff")]
    for path in unrecognised:
        path.touch()
    assert _sync(folder, catalog) == [
        "1 temporary file of a process that is gone: removed",
        "3 unrecognised paths: not touched",
        r"  '7/\x1b[31m.jpg'",
        r"  '7/\udcff'",
        "  notes.txt",
        "The catalog holds 1 game and 1 frame.",
    ]
    assert all(path.exists() for path in unrecognised)
    assert not list(folder.root.rglob("*.tmp"))


def test_a_temporary_file_that_cannot_be_removed_hinders_nothing_else(folder: FrameFolder, catalog: Catalog):
    """The rows are repaired, then the error is raised, by each run."""
    frames = _download(folder, catalog, SEVEN, "ann", 3)
    folder.delete(frames[:2])
    stale = folder.root / "7" / f".{2**22 + 1}-{'0' * 16}.tmp"  # pid_max is 2**22
    stale.mkdir()
    for _ in range(2):
        with pytest.raises(FolderError, match=re.escape(stale.name)):
            synchronise(folder, catalog)
        assert _same(folder, catalog)


def test_many_unrecognised_files_are_summarised(folder: FrameFolder, catalog: Catalog):
    """20 paths are listed and the others counted; -v lists all."""
    for number in range(30):
        (folder.root / f"photo{number:02}.png").touch()
    plan = plan_sync(catalog.snapshot(), folder.scan(), folder.game_names(), folder)
    assert "  and 10 more; -v lists them all" in report_lines(plan)
    assert "  photo29.png" in report_lines(plan, all_unrecognised=True)


def test_rows_of_an_unreadable_folder_stay(folder: FrameFolder, catalog: Catalog, tmp_path: Path):
    """A game's folder on an unmounted disk does not pass for an empty one."""
    _download(folder, catalog, SEVEN, "ann", 2)
    (folder.root / "7").rename(tmp_path / "disk")
    (folder.root / "7").symlink_to(tmp_path / "disk")
    assert _sync(folder, catalog)[0] == "Nothing to repair."
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert _sync(folder, catalog) == [
        "Nothing to repair.",
        "7 cannot be read: its rows are not touched",
        "The catalog holds 1 game and 2 frames.",
    ]
    assert catalog.games() == [GameSummary(SEVEN, 2, 1)]


def test_a_missing_folder_does_not_empty_the_catalog(folder: FrameFolder, catalog: Catalog, run: Run):
    """A typo in DOWNLOAD_PATH or an unmounted disk: exit code 1, one line, and every row stays."""
    _download(folder, catalog, SEVEN, "ann", 1)
    done = run("data.dbSync", DOWNLOAD_PATH=str(folder.root / "typo"))
    assert done.returncode == 1
    assert "check DOWNLOAD_PATH" in done.stderr
    assert len(catalog.games()) == 1
    with pytest.raises(FolderError):
        FrameFolder(folder.root / "typo").scan()


def test_a_dry_run_reports_the_changes_of_the_real_run(folder: FrameFolder, catalog: Catalog, run: Run):
    """--dry-run changes neither rows nor files; -v lists the paths on stderr; a real run and a second one follow."""
    lost = _download(folder, catalog, SEVEN, "ann", 2)
    folder.delete(lost[:1])
    folder.save(8, "bob", [folder.read(lost[1])])
    (folder.root / "8" / ".999999999-0123456789abcdef.tmp").touch()
    before, files = catalog.snapshot(), sorted(folder.root.rglob("*"))

    dry = run("data.dbSync", "--dry-run", "-v")
    assert dry.returncode == 0
    assert dry.stdout.splitlines() == [
        "1 row without a file: would be removed",
        "1 file without a row: would be adopted",
        "1 game without a row: would be added",
        "1 temporary file of a process that is gone: would be removed",
        "1 identical frame: not touched",
        "  8/bob-1.jpg = 7/ann-2.jpg",
        "The catalog would then hold 2 games and 2 frames.",
    ]
    assert "row without a file: 7/ann-1.jpg" in dry.stderr
    assert (catalog.snapshot(), sorted(folder.root.rglob("*"))) == (before, files)

    real = run("data.dbSync")
    assert (real.returncode, real.stderr) == (0, "")
    assert real.stdout == dry.stdout.replace("would be ", "").replace("would then hold", "holds")
    assert _same(folder, catalog)
    assert run("data.dbSync").stdout.startswith("Nothing to repair.\n1 identical frame")


def test_wrong_counts_are_corrected(folder: FrameFolder, catalog: Catalog, engine: Engine):
    """A wrong count is found and corrected although rows and files agree."""
    _download(folder, catalog, SEVEN, "ann", 2)
    with engine.begin() as connection:
        connection.execute(text("UPDATE games SET frames = 5"))
    assert _sync(folder, catalog)[0] == "1 game with a wrong count: corrected"
    assert catalog.games() == [GameSummary(SEVEN, 2, 1)]


def test_a_concurrent_download_loses_no_row(folder: FrameFolder, catalog: Catalog):
    """While a download saves files and adds rows, dbSync runs repeatedly: no row is lost, no count is wrong."""
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


def test_copies_made_by_hand_are_reported_and_stay(folder: FrameFolder, catalog: Catalog, run: Run):
    """Each copy is named with the frame that it equals; rows without a hash get one. --dry-run says the same."""
    folder.add_games([SEVEN])
    catalog.add_games([SEVEN])
    first, second = folder.save(7, "ann", [b"one", b"two"])
    catalog.add_frames([replace(first, sha256=b""), second])
    for name in ("7/ann-10.jpg", "7/bob-1.jpg"):
        (folder.root / name).write_bytes(b"two")
    dry = run("data.dbSync", "--dry-run").stdout
    assert dry.splitlines()[:6] == [
        "2 files without a row: would be adopted",
        "1 row without a hash: would be completed",
        "2 files without a line in its manifest: would be described",
        "2 identical frames: not touched",
        "  7/ann-10.jpg = 7/ann-2.jpg",
        "  7/bob-1.jpg = 7/ann-2.jpg",
    ]
    done = run("data.dbSync")
    assert done.stdout == dry.replace("would be ", "").replace("would then hold", "holds")
    assert run("data.dbSync").stdout.startswith("Nothing to repair.\n2 identical frames: not touched\n")
    assert _same(folder, catalog)
    assert len(catalog.snapshot().hashes) == 4


def test_a_file_that_cannot_be_read_keeps_its_row_without_a_hash(folder: FrameFolder, catalog: Catalog):
    """It may be readable the next time; the others get their hashes."""
    folder.save(7, "ann", [b"one", b"two"])

    class Damaged(FrameFolder):
        def sha256(self, frame: StoredFrame) -> bytes:
            if frame.number == 1:
                raise FolderError("unreadable")
            return super().sha256(frame)

    (folder.root / "7/manifest.jsonl").unlink()
    damaged = Damaged(folder.root)
    synchronise(damaged, catalog)
    assert catalog.snapshot().hashes == {"7/ann-2.jpg": folder.sha256(StoredFrame(7, "ann", 2))}
    assert _same(folder, catalog)


def test_a_dry_run_makes_no_database(folder: FrameFolder, run: Run):
    """Without one the report is that of an empty catalog."""
    folder.save(7, "ann", [b"one"])
    done = run("data.dbSync", "--dry-run", DB_HOST="")
    assert done.stdout.startswith("1 file without a row: would be adopted\n1 game without a row: would be added\n")
    assert not (folder.root.parent / "postgres").exists()


def test_a_file_that_was_moved_by_hand_keeps_its_details(folder: FrameFolder, catalog: Catalog):
    """Language, title and time go with the picture to the folder of another game."""
    folder.add_games([SEVEN, Game(8, "Eight")])
    details = FrameDetails(1_700_000_000.0, "ja", 12, "a title")
    (frame,) = folder.save(7, "ann", [b"one"], [details])
    catalog.add_frames([frame])
    (folder.root / frame.path).rename(folder.root / "8/ann-1.jpg")
    _sync(folder, catalog)
    assert folder.described([StoredFrame(8, "ann", 1)])[0].details == details
    assert catalog.snapshot().frames["8/ann-1.jpg"].details == details
    assert _sync(folder, catalog)[0] == "Nothing to repair."
