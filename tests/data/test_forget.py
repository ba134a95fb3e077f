"""data.forget: a streamer leaves the dataset, and does not come back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from data.entities import FrameDetails, Game
from data.errors import FolderError, LoginForgotten
from data.forget import forget
from data.storage.catalog import Catalog, CatalogChanges
from data.storage.changes import FrameChanges, Move
from data.storage.features import FeatureStore
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Forgotten, Pseudonyms
from recognition.outputs.outbox.rules import Reported
from recognition.outputs.outbox.store import OutboxStore
from tests.data.conftest import Run, wait_for_frames
from tests.data.kill_harness import run_and_kill_at_line
from tests.recognition.alerts import alert

ANN, BOB = "ann_zebrafish", "bob"


def _details(login: str) -> FrameDetails:
    return FrameDetails(1_700_000_000.0, "en", 5, f"{login} plays", f"https://www.twitch.tv/{login}")


def _fill(folder: FrameFolder, catalog: Catalog, count: int = 6) -> None:
    """Give both streamers frames in two games, in the trash and in journals, and findings of a check."""
    games = [Game(7, "Chess"), Game(8, "Go")]
    folder.add_games(games)
    catalog.add_games(games)
    changes = FrameChanges(folder, catalog)
    for login in (ANN, BOB):
        jpegs = [f"{login}{n}".encode() for n in range(count)]
        frames = folder.save(7, login, jpegs, [_details(login)] * count)
        catalog.add_frames(frames)
        changes.apply([Move(frames[0], None, "menu"), Move(frames[1], 8, f"as 7/{ANN}-1.jpg")], "check")
    paths = [frame.path for frame in folder.frames()]
    lines = ["path,login,reason", *(f"{path},{path[2:-6]},like 7/{BOB}-3.jpg" for path in paths)]
    lines += [f"7/{BOB}-4.jpg,{BOB},duplicate of 7/{ANN}-3.jpg"]
    folder.save_report("check.csv", "\n".join(lines).encode() + b"\n")


def _mentions(path: Path, login: str) -> list[Path]:
    """Return the files and names below `path` that hold the login."""
    needle = login.encode()
    named = [found for found in path.rglob("*") if login in found.name]
    return named + [found for found in path.rglob("*") if found.is_file() and needle in found.read_bytes()]


def _state(folder: FrameFolder, catalog: Catalog) -> tuple[set[str], set[str], int]:
    """Return the files, the rows, and the number of files in the trash."""
    files = {frame.path for frame in folder.frames()}
    return files, set(catalog.snapshot().paths), len(list(folder.root.glob(".trash/*/*/*.jpg")))


def test_forget_removes_the_streamer_everywhere_and_nobody_else(folder: FrameFolder, catalog: Catalog, run: Run):
    """No file below the folder holds a byte of the login, no row has it, and the other streamer has lost nothing."""
    _fill(folder, catalog)
    with closing(OutboxStore(folder.root.parent / "outbox.sqlite")) as store:
        store.add([(alert(source=login), ["target"]) for login in (ANN, BOB)], {ANN: Reported(Game(7, "Chess"))})
    assert (
        run("data.forget", "--dry-run", ANN).stdout == "Would remove 5 frames, 1 file in the trash, 5 rows, 2 alerts.\n"
    )
    done = run("data.forget", f"https://www.twitch.tv/{ANN.upper()}")
    pseudonym = Pseudonyms(folder.files).of(ANN)
    assert done.stdout.splitlines() == [
        "Removed 5 frames, 1 file in the trash, 5 rows, 6 findings of the last check, 2 moves in journals, 2 alerts.",
        f"{ANN} is not collected or imported any more. In exports of this dataset it is {pseudonym}: "
        "ask everyone who has one to delete these frames.",
    ]
    assert not _mentions(folder.root.parent, ANN)
    bobs = {f"7/{BOB}-{n}.jpg" for n in (3, 4, 5, 6)} | {f"8/{BOB}-1.jpg"}
    assert _state(folder, catalog) == (bobs, bobs, 1)
    assert not catalog.snapshot().wrong_counts
    assert [frame.details for frame in folder.described(folder.frames())] == [_details(BOB)] * 5
    assert len((folder.root / "check.csv").read_text().splitlines()) == 6
    FrameChanges(folder, catalog).undo()
    assert len(_state(folder, catalog)[0]) == 6


def test_lines_go_where_most_files_have_none(folder: FrameFolder, catalog: Catalog):
    """In a dataset of an earlier version a few lines of deleted files do not pass for those of the other files."""
    _fill(folder, catalog)
    for number in range(1, 50):
        (folder.root / f"7/old-{number}.jpg").write_bytes(b"x%d" % number)
    forget(folder, catalog, [ANN])
    assert not _mentions(folder.root, ANN)


def test_features_go_with_the_frames(folder: FrameFolder, catalog: Catalog):
    """Each network's vectors of the streamer's files go, those in the trash too; vectors of others stay."""
    _fill(folder, catalog)
    hashes = {str(path): hashlib.sha256(path.read_bytes()).digest() for path in folder.root.rglob("*.jpg")}
    for network in ("lite0", "large"):
        FeatureStore(folder.root / ".features" / network).add([*hashes.values()], np.ones((len(hashes), 3)))
    assert forget(folder, catalog, [ANN]).features == 12
    left = FeatureStore(folder.root / ".features" / "large").get([*hashes.values()])[1]
    assert {name for name, found in zip(hashes, left, strict=True) if found} == {n for n in hashes if ANN not in n}


def test_forget_again_finds_nothing_and_succeeds(folder: FrameFolder, catalog: Catalog, run: Run):
    """A second run removes nothing, and the login is there once."""
    _fill(folder, catalog)
    run("data.forget", ANN)
    content = (folder.root / "forgotten.txt").read_bytes()
    done = run("data.forget", f"@{ANN}", ANN)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Removed nothing.")
    assert (folder.root / "forgotten.txt").read_bytes() == content


def test_dry_run_changes_nothing(folder: FrameFolder, catalog: Catalog, run: Run):
    """It prints what a run would remove; not even the key is made."""
    _fill(folder, catalog)
    before = sorted(path for path in folder.root.rglob("*"))
    done = run("data.forget", "--dry-run", ANN)
    assert done.stdout == "Would remove 5 frames, 1 file in the trash, 5 rows.\n"
    assert sorted(path for path in folder.root.rglob("*")) == before
    assert not Forgotten(folder.files).holds(ANN)


def test_pseudonym_that_an_import_brought_is_removed(folder: FrameFolder, catalog: Catalog):
    """Frames of an export with pseudonyms that was imported again belong to the streamer, too."""
    folder.add_games([Game(7, "Chess")])
    frames = folder.save(7, Pseudonyms(folder.files).of(ANN), [b"1"])
    catalog.add_frames(frames)
    forget(folder, catalog, [ANN])
    assert _state(folder, catalog) == (set(), set(), 0)


def test_allow_undoes_the_block(folder: FrameFolder, run: Run):
    """The login may be collected again; a login that was not forgotten is named."""
    run("data.forget", ANN)
    done = run("data.forget", "--allow", ANN, BOB)
    assert done.stdout.splitlines() == [f"{ANN} may be collected again.", f"{BOB} was not forgotten."]
    assert not Forgotten(folder.files).holds(ANN)


@pytest.mark.parametrize(
    "word", ["../../etc", "", "a-b", "\x1b[31mann", "https://www.twitch.tv/videos/1", "анна", "x" * 26]
)
def test_words_that_are_no_login_are_refused(folder: FrameFolder, run: Run, word: str):
    """A path, a recording or an escape code ends the command before it changes anything, without being printed raw."""
    done = run("data.forget", BOB, word)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert not (folder.root / "forgotten.txt").exists()


def test_missing_folder_is_an_error_and_is_not_made(folder: FrameFolder, run: Run):
    """A typo in DOWNLOAD_PATH, or an unmounted disk, does not pass for a dataset without the streamer."""
    folder.root.rmdir()
    done = run("data.forget", ANN)
    assert done.returncode == 1
    assert "check DOWNLOAD_PATH" in done.stderr
    assert not folder.root.exists()


def test_unreadable_game_is_an_error_after_the_rest_went(folder: FrameFolder, catalog: Catalog):
    """A link to an unmounted disk may hide frames: the message names it, and all other frames are removed."""
    _fill(folder, catalog)
    (folder.root / "9").symlink_to("nowhere")
    with pytest.raises(FolderError, match=r"Cannot list .*9: make it readable"):
        forget(folder, catalog, [ANN])
    assert not _mentions(folder.root, ANN)
    assert not any(ANN in path for path in catalog.snapshot().paths)


def test_hostile_lines_and_files_do_not_stop_it(folder: FrameFolder, catalog: Catalog):
    """Torn lines, temporary files of killed processes and links that hold the login go; targets of links stay."""
    _fill(folder, catalog)
    outside = folder.root.parent / "outside"
    outside.write_bytes(b"mine")
    (folder.root / f"7/{ANN}-99.jpg").symlink_to(outside)
    with (folder.root / "7/manifest.jsonl").open("ab") as file:
        file.write(b'\n[[[[\n{"file": "' + ANN.encode() + b'-3.jpg", "title": "\xff\n{"file": "' + ANN.encode())
    (trash,) = folder.root.glob(f".trash/*/7/{BOB}-1.jpg")
    for place in (".changes", "7", trash.parent):
        (folder.root / place / ".999999999-0123456789abcdef.tmp").write_text(ANN)
    with (folder.root / "check.csv").open("ab") as file:
        file.write(b'\xff\x00,"' + f"7/{ANN}-3.jpg".encode())
    forget(folder, catalog, [ANN])
    assert not _mentions(folder.root, ANN)
    assert outside.read_bytes() == b"mine"


def test_forget_killed_at_any_line_is_finished_by_the_next_run(
    folder: FrameFolder, catalog: Catalog, engine: sa.Engine
):
    """A child process dies at each 900th line in turn; what it began is finished, and it blocks the login first."""
    blocked = []
    for line in range(0, 100_000, 900):
        _fill(folder, catalog)
        code = run_and_kill_at_line(line, engine, lambda: forget(folder, catalog, [ANN]))
        blocked.append(Forgotten(folder.files).holds(ANN))
        assert blocked[-1] or len(_state(folder, catalog)[0]) == 10
        forget(folder, catalog, [ANN])
        assert not _mentions(folder.root, ANN)
        files, rows, _trashed = _state(folder, catalog)
        assert files == rows
        forget(folder, catalog, [BOB])
        for login in (ANN, BOB):
            Forgotten(folder.files).remove(login)
        if code == 0:
            break
    assert len(blocked) > 3
    assert {*blocked} == {True, False}


def _repeat(work: Callable[[], object], stop: threading.Event, errors: list[Exception]) -> None:
    while not stop.is_set():
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
            errors.append(error)
            return


def _save(folder: FrameFolder, catalog: Catalog) -> None:
    """Save a frame as a download does."""
    if Forgotten(folder.files).holds(ANN):
        return
    try:
        saved = folder.save(7, ANN, [os.urandom(9)], [_details(ANN)])
    except LoginForgotten:
        return
    catalog.add_frames(saved)
    if Forgotten(folder.files).holds(ANN):
        folder.delete(saved)
        catalog.apply(CatalogChanges(removed_paths=[frame.path for frame in saved]))


def _change(folder: FrameFolder, catalog: Catalog) -> None:
    """Move frames to the trash and bring them back."""
    changes = FrameChanges(folder, catalog)
    with contextlib.suppress(FolderError):  # the other thread has removed the file or the journal
        frames = [frame for frame in folder.frames() if frame.login == ANN]
        if changes.apply([Move(frame, None) for frame in frames[:5]], "check").moves:
            changes.undo()


def test_forget_beside_saves_changes_and_undo_leaves_nothing(folder: FrameFolder, catalog: Catalog):
    """Other threads save frames of the streamer, move them and bring them back meanwhile; none survives."""
    _fill(folder, catalog)
    stop = threading.Event()
    errors: list[Exception] = []
    works = (lambda: _save(folder, catalog), lambda: _change(folder, catalog))
    threads = [threading.Thread(target=_repeat, args=[work, stop, errors]) for work in works]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    forget(folder, catalog, [ANN])
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert not list(folder.root.rglob(f"{ANN}*"))
    assert not any(ANN in path for path in catalog.snapshot().paths)


def test_forget_beside_a_download_ends_the_collection_of_the_streamer(
    folder: FrameFolder, catalog: Catalog, run, start
):
    """A real download goes on with the other streamers; afterwards nothing of this one is there."""
    login = "torcs_alpine_1"
    download = start()
    end = time.monotonic() + 90
    while not list(folder.root.glob(f"*/{login}-*.jpg")):
        assert time.monotonic() < end
        assert download.poll() is None
        time.sleep(0.02)
    assert run("data.forget", login).returncode == 0
    wait_for_frames(folder, len(list(folder.frames())) + 8)
    download.terminate()
    _, stderr = download.communicate(timeout=60)
    assert download.returncode == 0, stderr
    assert not _mentions(folder.root, login)
    files, rows, _trashed = _state(folder, catalog)
    assert files == rows
    assert len(files) >= 8


def test_rows_of_the_original_program_go_too(catalog: Catalog, folder: FrameFolder, engine: sa.Engine):
    """A take-over keeps the original tables, whose rows name streamers by login and by path."""
    folder.add_games([Game(7, "Chess")])
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE original_frames_2 (path text, user_login text)"))
        rows = "('C:\\x\\7\\ann-1.jpg', NULL), ('7/bob-1.jpg', 'bob'), (NULL, 'Ann')"
        connection.execute(sa.text(f"INSERT INTO original_frames_2 VALUES {rows}"))
    try:
        forget(folder, catalog, ["ann"])
        with engine.begin() as connection:
            assert list(connection.scalars(sa.text("SELECT user_login FROM original_frames_2"))) == ["bob"]
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE original_frames_2"))
