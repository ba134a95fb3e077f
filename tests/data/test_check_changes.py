"""model.check as a user runs it after a check: --apply, --dry-run, --undo, --changes; on a real PostgreSQL server."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from data.entities import Game, StoredFrame
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.storage.layout import CHECK_FILE
from data.storage.pseudonyms import Pseudonyms
from data.video.images import encode_jpeg
from model.cleaning.check_file import to_csv
from tests.data.conftest import Run
from tests.model.conftest import RED, picture
from tests.model.findings import invented

ALL = {f"7/{login}-{n}.jpg" for login in ("ann", "ben", "cat") for n in range(1, 5)}
ANN = {f"7/ann-{n}.jpg" for n in range(1, 5)}
MENU, DUPLICATE = "7/ben-2.jpg", "7/cat-3.jpg"


@pytest.fixture
def checked(folder: FrameFolder, catalog: Catalog) -> FrameFolder:
    """A dataset with 12 frames of 3 streams, their rows, and the findings of a check."""
    games = [Game(7, "Chess"), Game(8, "Go")]
    folder.add_games(games)
    catalog.add_games(games)
    frames = []
    for number, login in enumerate(("ann", "ben", "cat")):
        frames += folder.save(7, login, [encode_jpeg(picture(RED, 10 * number + n), 90) for n in range(4)])
    catalog.add_frames(frames)
    folder.save_report(CHECK_FILE, to_csv(invented(frames)).encode())
    return folder


def paths(folder: FrameFolder, catalog: Catalog) -> set[str]:
    """Return the paths of all frames, after a look whether the rows are the same and the counts right."""
    snapshot = catalog.snapshot()
    assert snapshot.paths == {frame.path for frame in folder.frames()}
    assert not snapshot.wrong_counts
    return set(snapshot.paths)


def contents(root: Path) -> set[str]:
    """Return the hashes of all pictures below `root`, the trash included."""
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.jpg")}


def test_apply_and_undo_move_all_suspects_and_bring_them_back(run: Run, checked: FrameFolder, catalog: Catalog):
    """Files and rows go together; the trash has the files; the output names the change, which --undo takes back."""
    before = contents(checked.root)
    done = run("model.check", "--apply")
    assert done.returncode == 0, done.stderr
    assert paths(checked, catalog) == ALL - ANN - {MENU, DUPLICATE}
    assert "Moved 6 frames to the trash." in done.stdout
    assert contents(checked.root) == before
    change_id = done.stdout.split("--undo ")[1].strip()
    assert (checked.root / ".trash" / change_id / MENU).is_file()
    undo = run("model.check", "--undo", change_id)
    assert undo.stdout == "6 frames moved back (undo: check: 6 suspects).\n"
    assert paths(checked, catalog) == ALL
    assert contents(checked.root) == before


def test_apply_with_relabel_moves_to_the_game_that_is_shown(run: Run, checked: FrameFolder, catalog: Catalog):
    """Suspects without a suggested game go to the trash."""
    done = run("model.check", "--apply", "--relabel")
    assert "Moved 2 frames to the trash and 4 frames to another game." in done.stdout
    assert paths(checked, catalog) == ALL - ANN - {MENU, DUPLICATE} | {path.replace("7/", "8/") for path in ANN}
    assert run("model.check", "--undo").returncode == 0
    assert paths(checked, catalog) == ALL


@pytest.mark.parametrize(
    ("choice", "moved"),
    [
        (["--streams"], ANN),
        (["--frames"], {MENU, DUPLICATE}),
        (["--kind", "menu"], {MENU}),
        (["--min-suspicion", "0.65"], ANN | {MENU}),
        (["--only", "cat", "--only", MENU], {MENU, DUPLICATE}),
        (["--except", "ann", "--except", DUPLICATE], {MENU}),
    ],
    ids=range(6),
)
def test_dry_run_prints_what_apply_would_move_and_moves_nothing(
    run: Run, checked: FrameFolder, catalog: Catalog, choice: list[str], moved: set[str]
):
    """The choice is that of --apply, and no database is needed."""
    shown = run("model.check", "--dry-run", *choice, DB_HOST="127.0.0.1", DB_PORT="1")
    assert f"Would move {len(moved)} frame" in shown.stdout, shown.stderr
    assert paths(checked, catalog) == ALL
    assert run("model.check", "--apply", *choice).returncode == 0
    assert paths(checked, catalog) == ALL - moved


def test_only_takes_the_keyed_hash_of_a_report(run: Run, checked: FrameFolder, catalog: Catalog):
    """Reports name streamers by hashes, which choose as logins do."""
    hidden = Pseudonyms(checked.files).of("cat")
    assert run("model.check", "--apply", "--only", f"7/{hidden}-3.jpg").returncode == 0
    assert paths(checked, catalog) == ALL - {DUPLICATE}


def test_apply_leaves_files_that_changed_since_the_check(run: Run, checked: FrameFolder, catalog: Catalog):
    """A number may belong to another frame by now."""
    (checked.root / MENU).write_bytes(encode_jpeg(picture(RED, 99), 90))
    done = run("model.check", "--apply", "--frames")
    assert "1 suspect changed or went since the check: not touched" in done.stderr
    assert paths(checked, catalog) == ALL - {DUPLICATE}
    again = run("model.check", "--apply", "--frames")
    assert again.stdout == "Nothing to move: no suspect of the last check fits.\n"


def test_changes_lists_what_was_done_and_undone(run: Run, checked: FrameFolder):
    """Also without a database; an empty dataset has none."""
    assert run("model.check", "--changes").stdout == "There are no changes.\n"
    run("model.check", "--apply", "--frames")
    run("model.check", "--undo")
    listed = run("model.check", "--changes", DB_HOST="127.0.0.1", DB_PORT="1").stdout.splitlines()
    assert [line.split()[1:4] for line in listed[1:]] == [["2", "2", "undone"], ["2", "0", "done"]]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--undo"], 1, "There is no change to undo"),
        (["--undo", "../../x"], 1, "There is no change ../../x"),
        (["--streams"], 2, "--streams needs --apply or --dry-run"),
        (["--apply", "--min-suspicion", "2"], 2, "must be a number from 0 to 1"),
        (["--apply", "--kind", "rubbish"], 2, "invalid choice"),
        (["--apply", "--undo"], 2, "not allowed with"),
    ],
    ids=str,
)
def test_wrong_words_end_with_one_line(run: Run, checked: FrameFolder, words: list[str], code: int, message: str):
    """Nothing moves, and the message says what is wrong."""
    done = run("model.check", *words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(checked.frames())) == 12


def test_apply_without_a_check_or_database_moves_nothing(run: Run, checked: FrameFolder, catalog: Catalog):
    """One line says what to do first."""
    away = run("model.check", "--apply", DB_HOST="127.0.0.1", DB_PORT="1")
    assert away.returncode == 1
    assert len(away.stderr.splitlines()) == 1
    (checked.root / CHECK_FILE).unlink()
    done = run("model.check", "--apply")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: There is no check of this dataset yet. Make one: python -m model.check\n"
    assert paths(checked, catalog) == ALL


def test_apply_of_a_damaged_check_moves_nothing(run: Run, checked: FrameFolder, catalog: Catalog):
    """A line that names a file outside of the dataset spoils the file as a whole."""
    with (checked.root / CHECK_FILE).open("a") as file:
        file.write("../../etc/passwd,7,ann,1.0,menu,,,yes,,1.0,yes\n")
    assert "check.csv is damaged" in run("model.check", "--apply").stderr
    assert paths(checked, catalog) == ALL


def test_relabel_to_a_game_without_a_name_moves_nothing(run: Run, checked: FrameFolder, catalog: Catalog):
    """A game that games.tsv does not know is no target."""
    (checked.root / "games.tsv").write_text("7\tChess\n")
    done = run("model.check", "--apply", "--relabel")
    assert done.returncode == 1
    assert "game 8" in done.stderr
    assert paths(checked, catalog) == ALL
    assert StoredFrame(7, "ann", 1) in set(checked.frames())
