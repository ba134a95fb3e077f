"""data.info: its text, its JSON, and the command itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.filesize import decimal

from data.dataset_report import report
from data.entities import FrameDetails, Game, StoredFrame
from data.info import report_lines
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Forgotten
from data.video.images import encode_jpeg
from tests.data.conftest import Run
from tests.sample_images import BLUE, GREEN, RED, flat

TABLE = """\
Size on disk:   {size} in {root}
Games:          3
Frames:         1,203
Smallest game:  Zelda (0 frames)
Largest game:   原神 (1,202 frames)
Languages:      ko 100%, en 0%
Dates:          2025-12-31 to 2026-11-26

Game              Id  Frames  Streamers  Lang.            Dates
apex              20       1          1     en          2026-11
Zelda             10       0          0
原神   1099511627776   1,202          2  ko +1  2025-12–2026-11
"""

OLD, NEW = 1767139200.0, 1795651200.25  # 2025-12-31 and 2026-11-26, UTC


def _table(folder: FrameFolder) -> str:
    return TABLE.format(root=folder.root, size=decimal(folder.size_bytes()))


def _fill(folder: FrameFolder, catalog: Catalog) -> None:
    games = [Game(10, "Zelda"), Game(20, "apex"), Game(2**40, "原神")]
    catalog.add_games(games)
    old, new = FrameDetails(OLD, "ko"), FrameDetails(NEW, "en")
    catalog.add_frames([StoredFrame(2**40, "ann", number, details=old) for number in range(1, 1202)])
    catalog.add_frames([StoredFrame(2**40, "bob", 1, details=new), StoredFrame(20, "bob", 1, details=new)])
    folder.save(20, "bob", [b"x" * 1234], [new])


def test_report_is_aligned_and_sorted_by_name(folder: FrameFolder, catalog: Catalog):
    """Sorting ignores case; Chinese characters take two columns; the numbers are aligned."""
    _fill(folder, catalog)
    lines = report_lines(report(folder, catalog))
    assert lines == _table(folder).splitlines()


def test_report_without_frames_says_how_to_collect_some(folder: FrameFolder, catalog: Catalog):
    """An empty folder and catalog are one line, which names the command that collects frames."""
    (line,) = report_lines(report(folder, catalog))
    assert line == f"There is no dataset in {folder.root} yet. Collect frames: python -m data.download"


def test_report_of_files_without_rows_says_how_to_add_them(folder: FrameFolder, catalog: Catalog):
    """Frames that the catalog lacks are not overlooked: the report has their size and names data.dbSync."""
    folder.save(20, "bob", [b"x" * 1234])
    text = "\n".join(report_lines(report(folder, catalog)))
    assert f"Size on disk:   {decimal(folder.size_bytes())}" in text
    assert "python -m data.dbSync" in text


@pytest.mark.parametrize("option", [(), ("--json",), ("--help",)])
def test_info_in_an_empty_folder_makes_no_database(run: Run, tmp_path: Path, option: tuple[str, ...]):
    """Looking at a folder that holds no dataset, or that does not exist, changes nothing and is no error."""
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        done = run("data.info", *option, DB_HOST="", DOWNLOAD_PATH=str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert "no dataset" in done.stdout or option
    assert not list((tmp_path / "empty").iterdir())
    assert not (tmp_path / "missing").exists()


def test_the_command_prints_only_the_report(folder: FrameFolder, catalog: Catalog, run: Run):
    """stdout has the report; stderr stays empty."""
    _fill(folder, catalog)
    done = run("data.info")
    assert (done.returncode, done.stdout, done.stderr) == (0, _table(folder), "")


def test_json_has_the_documented_keys(folder: FrameFolder, catalog: Catalog, run: Run):
    """All keys that --help lists are there; smallest and largest game of an empty dataset are null."""
    empty = json.loads(run("data.info", "--json").stdout)
    assert empty == {
        "path": str(folder.root),
        "size_bytes": 0,
        "game_count": 0,
        "frame_count": 0,
        "smallest_game": None,
        "largest_game": None,
        "games": [],
        "languages": {},
        "first": None,
        "last": None,
        "checked": None,
        "suspects": None,
        "removed_games": [],
        "trash_count": 0,
        "forgotten_count": 0,
    }
    _fill(folder, catalog)
    full = json.loads(run("data.info", "--json").stdout)
    assert full["size_bytes"] == folder.size_bytes() > 1234
    unknown: dict[str, object] = {"languages": {}, "first": None, "last": None, "checked": None, "suspects": None}
    assert full["smallest_game"] == {"id": 10, "name": "Zelda", "frames": 0, "streamers": 0} | unknown
    counts = {"id": 2**40, "name": "原神", "frames": 1202, "streamers": 2, "languages": {"ko": 1201, "en": 1}}
    dates = {"first": "2025-12-31T00:00:00.000Z", "last": "2026-11-26T00:00:00.250Z"}
    assert full["largest_game"] == full["games"][2] == unknown | counts | dates
    help_text = run("data.info", "--help").stdout
    assert all(key in help_text for key in [*full, *full["games"][0]])


def test_an_expected_error_is_one_line_and_an_exit_code(run: Run):
    """Without a server: one line on stderr, nothing on stdout, exit code 1. With an invalid setting: exit code 2."""
    done = run("data.info", DB_HOST="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "DB_HOST" in done.stderr
    done = run("data.info", DB_PORT="many")
    assert done.returncode == 2
    assert "DB_PORT" in done.stderr


def _check(folder: FrameFolder, *rows: str) -> None:
    folder.save_report("check.csv", "\n".join(["path,game_id,reason,suspect", *rows, ""]).encode())


def test_suspects_removed_games_trash_and_forgotten_are_counted(folder: FrameFolder, catalog: Catalog, run: Run):
    """Of the last check, suspects that are still there count; all of it is in the text and in the JSON."""
    _fill(folder, catalog)
    folder.save(20, "ann", [b"1", b"2"])
    removed = [Game(30 + n, name) for n, name in enumerate(["Chess", "Poker \u202e", "Go", "Risk", "Shogi", "Tetris"])]
    folder.add_games(removed)
    for game in removed:
        shutil.rmtree(folder.root / str(game.id))
    trash = folder.root / ".trash" / "1" / "20"
    trash.mkdir(parents=True)
    (trash / "ann-3.jpg").write_bytes(b"3")
    Forgotten(folder.files).add("someone")
    _check(
        folder,
        "20/ann-1.jpg,20,a menu,yes",
        "20/ann-9.jpg,20,gone,yes",
        '20/bob-1.jpg,20,"a, ""b""",no',
        *["10/x-1.jpg,10,,no"] * 7,
    )
    text = run("data.info").stdout
    assert "Suspects:       1 of 10 checked frames (10.0%)\n" in text
    assert "Removed games:  Chess, Go, Poker, Risk, Shogi, 1 more\n" in text
    assert "Trash:          1 frame\nForgotten:      1 streamer\n" in text
    assert [line.split()[-1] for line in text.splitlines()[-4:]] == ["Suspect", "33.3%", "0.0%", "2025-12–2026-11"]
    found = json.loads(run("data.info", "--json").stdout)
    assert (found["checked"], found["suspects"], found["trash_count"], found["forgotten_count"]) == (10, 1, 1, 1)
    assert len(found["removed_games"]) == 6
    assert found["removed_games"][2] == {"id": 31, "name": "Poker"}
    assert [(game["checked"], game["suspects"]) for game in found["games"]] == [(3, 1), (7, 0), (0, 0)]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"",
        b"path,kind\n1/a-1.jpg,x\n",
        b"path,suspect\n1/a-1.jpg\n",
        b"path,suspect\n../../x,yes\n",
        b'path,suspect\n"\0',
    ],
)
def test_damaged_check_is_a_warning_that_says_what_to_do(
    folder: FrameFolder, catalog: Catalog, caplog: pytest.LogCaptureFixture, content: bytes
):
    """The report has no suspects then, rather than none at all."""
    folder.save_report("check.csv", content)
    assert report(folder, catalog).suspects is None
    assert "check.csv is damaged: check again (python -m model.check)" in caplog.text


def test_table_fits_80_columns_and_a_wider_terminal(folder: FrameFolder, catalog: Catalog, run: Run):
    """Long names of any script are cut; all columns are there; a wider terminal shows the names in full."""
    names = ["Tom Clancy's Rainbow Six Siege X", "原神" * 12, "ก็" * 30, "Counter-Strike 2"]
    games = [Game(1_678_052_513 + number, name) for number, name in enumerate(names)]
    catalog.add_games(games)
    details = [FrameDetails(time, language) for time in (OLD, NEW) for language in ("en", "de", "x" * 99)]
    catalog.add_frames(
        [StoredFrame(game.id, "ann", n, details=each) for game in games for n, each in enumerate(details, 1)]
    )
    _check(folder, *(f"{game.id}/ann-1.jpg,{game.id},,no" for game in games))
    table = report_lines(report(folder, catalog))[-5:]
    assert {cell_len(line) for line in table} <= set(range(70, 81))
    assert "Tom Clancy's Ra" in table[2]
    assert "…" in table[2]
    wide = run("data.info", COLUMNS="200").stdout
    assert all(name in wide for name in names[:2])


def test_sheet_shows_frames_of_each_game(folder: FrameFolder, run: Run, tmp_path: Path):
    """Frames of different streamers, below the game's name, by name; without a database too."""
    for game_id, login, colour in [(1, "ann", RED), (1, "bob", GREEN), (2, "ann", BLUE)]:
        folder.save(game_id, login, [encode_jpeg(flat(colour, 240, 240), 95)] * (9 if login == "ann" else 1))
    folder.save(2, "broken", [b"no picture"])
    folder.add_games([Game(1, "Zelda"), Game(2, "原神")])
    sheet = tmp_path / "out.png"
    done = run("data.info", "--sheet", str(sheet), DB_HOST="")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (folder.root.parent / "postgres").exists()
    pixels = np.asarray(Image.open(sheet).convert("RGB"))
    assert pixels.shape == (2 * 150, 4 * 120 + 12, 3)
    middles = [[tuple(pixels[84 + 150 * row, 66 + 120 * column]) for column in range(4)] for row in range(2)]
    colours = np.array([RED, GREEN, BLUE])
    near = [[tuple(colours[np.abs(colours - pixel).sum(1).argmin()]) for pixel in row] for row in middles]
    assert near[0] == [RED, GREEN, RED, RED]
    assert near[1][0] == BLUE
    assert (255, 255, 255) in middles[1]  # the place of the broken file
    assert pixels[:24, 6:200].min() < 100  # a name


def test_sheet_without_frames_or_a_folder_is_an_error(folder: FrameFolder, run: Run, tmp_path: Path):
    """One line on stderr says what is missing; no file is left."""
    done = run("data.info", "--sheet", str(tmp_path / "out.png"), DB_HOST="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no frames" in done.stderr
    folder.save(1, "ann", [encode_jpeg(flat(RED, 240, 240), 95)])
    done = run("data.info", "--sheet", str(tmp_path / "missing" / "out.png"), DB_HOST="")
    assert done.returncode == 1
    assert "choose another path" in done.stderr
    assert not list(tmp_path.glob("**/*.png"))
