"""data.info: its text, its JSON, and the command itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.entities import Game, StoredFrame
from data.info import report, report_lines
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import Run

TABLE = """\
Size on disk:   1.2 kB in {root}
Games:          3
Frames:         1,203
Smallest game:  Zelda (0 frames)
Largest game:   原神 (1,202 frames)

Game           Id     Frames  Streamers
apex           20          1          1
Zelda          10          0          0
原神   1099511627776      1,202          2
"""


def _fill(folder: FrameFolder, catalog: Catalog) -> None:
    games = [Game(10, "Zelda"), Game(20, "apex"), Game(2**40, "原神")]
    catalog.add_games(games)
    catalog.add_frames([StoredFrame(2**40, "ann", number) for number in range(1, 1202)])
    catalog.add_frames([StoredFrame(2**40, "bob", 1), StoredFrame(20, "bob", 1)])
    folder.save(20, "bob", [b"x" * 1234])


def test_report_is_aligned_and_sorted_by_name(folder: FrameFolder, catalog: Catalog):
    """Sorting ignores case; Chinese characters take two columns; the numbers are aligned."""
    _fill(folder, catalog)
    lines = report_lines(report(folder, catalog))
    assert lines == TABLE.format(root=folder.root).splitlines()


def test_report_without_frames_says_how_to_collect_some(folder: FrameFolder, catalog: Catalog):
    """An empty folder and catalog are one line, which names the command that collects frames."""
    (line,) = report_lines(report(folder, catalog))
    assert line == f"There is no dataset in {folder.root} yet. Collect frames: python -m data.download"


def test_report_of_files_without_rows_says_how_to_add_them(folder: FrameFolder, catalog: Catalog):
    """Frames that the catalog lacks are not overlooked: the report has their size and names data.dbSync."""
    folder.save(20, "bob", [b"x" * 1234])
    text = "\n".join(report_lines(report(folder, catalog)))
    assert "Size on disk:   1.2 kB" in text
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
    assert (done.returncode, done.stdout, done.stderr) == (0, TABLE.format(root=folder.root), "")


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
    }
    _fill(folder, catalog)
    full = json.loads(run("data.info", "--json").stdout)
    assert full["size_bytes"] == 1234
    assert full["smallest_game"] == {"id": 10, "name": "Zelda", "frames": 0, "streamers": 0}
    assert full["largest_game"] == full["games"][2] == {"id": 2**40, "name": "原神", "frames": 1202, "streamers": 2}
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
