"""model.check as a user runs it, on frames of the stand-in's clips, one of which lies in another game's folder."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest

from data.storage.folder_files import FolderFiles
from data.storage.frame_folder import FrameFolder
from data.storage.layout import CHECK_FILE
from data.storage.pseudonyms import Pseudonyms
from data.video.recording import sample_recording
from model.cleaning.check_file import from_csv
from tests.in_process import run_command
from tests.model.conftest import RED, Painted, environment
from tests.standin import CLIPS

GAMES = {9000002: "BZFlag", 9000006: "Frozen Bubble", 9000013: "SuperTux", 9000015: "TORCS", 9000011: "OpenTTD"}
WRONG = "frozen_level_09"  # in the folder of TORCS
FRAMES = 8


def check(download_path: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a dataset, with the backbone that the project comes with."""
    env = environment(download_path, download_path / "model", **settings)
    return run_command("model.check", *words, env=env | {"ARCHITECTURE": "efficientnet_lite0", "IMG_SIZE": "96"})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset with frames of three clips of each game, and one file that is no picture."""
    path = tmp_path_factory.mktemp("clips")
    folder = FrameFolder(path / "frames")
    for game_id, name in GAMES.items():
        for file in sorted(CLIPS.glob(f"{game_id}-*.mp4")):
            login = f"{name[:6].strip()}_{file.stem[8:]}".lower().replace("-", "_")[:25]
            with file.open("rb") as video:
                jpegs = list(sample_recording(video, 1, FRAMES, 96, 90, spread_first=False))
            folder.save(9000015 if login == WRONG else game_id, login, jpegs)
    names = "".join(f"{game_id}\t{name}\n" for game_id, name in GAMES.items())
    (folder.root / "games.tsv").write_text(names)
    (folder.root / "9000002" / "bzflag_ctf-99.jpg").write_bytes(b"no picture")
    return path


@pytest.fixture(scope="module")
def checked(clips: Path) -> subprocess.CompletedProcess[str]:
    """Run one check with all reports."""
    return check(clips, "--csv", str(clips / "all.csv"), "--html", str(clips / "page.html"))


def test_check_finds_the_stream_in_the_wrong_folder(clips: Path, checked: subprocess.CompletedProcess[str]):
    """It leads the table, with the game that it shows; check.csv has its frames first; nothing moves."""
    assert checked.returncode == 0, checked.stderr
    assert re.search(rf"^{WRONG} +TORCS +{FRAMES} .*Frozen Bubble", checked.stdout, re.M)
    folder = FrameFolder(clips / "frames")
    found = from_csv(folder.read_report(CHECK_FILE) or b"", GAMES)
    assert found.streams[0].login == WRONG
    assert {finding.frame.login for finding in found.frames[:FRAMES]} == {WRONG}
    assert len(found.frames) == len(list(folder.frames())) - 1
    assert "bzflag_ctf-99.jpg" in checked.stderr


def test_check_says_what_cleaning_does_to_the_accuracy(checked: subprocess.CompletedProcess[str]):
    """The numbers come with an interval and a verdict."""
    assert re.search(r"Accuracy on \d+ unsuspected streamers.* points \(95 % interval .*\)\.\n.+\n", checked.stdout)


def test_reports_name_streamers_by_keyed_hashes(clips: Path, checked: subprocess.CompletedProcess[str]):
    """CSV and page have no login."""
    hidden = Pseudonyms(FolderFiles(clips / "frames")).of(WRONG)
    for text in ((clips / "all.csv").read_text(), (clips / "page.html").read_text()):
        assert hidden in text
        assert WRONG not in text
    with (clips / "all.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(list(FrameFolder(clips / "frames").frames())) - 1


def test_second_check_reads_the_features_and_finds_the_same(clips: Path, checked: subprocess.CompletedProcess[str]):
    """--logins names streamers in JSON; a page that cannot be written is an error, after check.csv was saved."""
    first = (clips / "frames" / CHECK_FILE).read_bytes()
    (clips / "frames" / CHECK_FILE).unlink()
    words = "--json", "--logins", "--no-effect"
    failed = check(clips, *words, "--html", str(clips / "nowhere" / "page.html"))
    assert failed.returncode == 1
    assert failed.stderr.endswith("No such file or directory. Choose another file.\n")
    assert (clips / "frames" / CHECK_FILE).read_bytes() == first
    found = json.loads(check(clips, *words).stdout)
    assert found["effect"] is None
    assert found["streams"][0]["login"] == WRONG
    assert found["streams"][0]["suggested"]["name"] == "Frozen Bubble"


@pytest.mark.parametrize(
    ("games", "message"), [(0, "There are no frames in"), (1, "Red is the only game in")], ids=["no frame", "one game"]
)
def test_check_of_too_little_says_what_is_missing(painted: Painted, games: int, message: str):
    """One line, exit code 1, and no check.csv."""
    for _ in range(games):
        painted.paint(RED, "ann")
        painted.name(RED)
    done = check(painted.download_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"error: {message}.*python -m data\.download\.\n", done.stderr)
    assert not (painted.root / CHECK_FILE).exists()
