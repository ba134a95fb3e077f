"""model.evaluate as a user runs it, on painted images of games that the model knows and of one that it does not."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.entities import Game
from data.errors import DatasetError
from model.evaluation import folder_evaluation, image_folder
from model.evaluation.folder_evaluation import FolderEvaluation
from model.inference.classifier import Classifier
from tests.in_process import run_command
from tests.model.conftest import BLUE, GAMES, GREEN, RED, SIZE, picture
from tests.model.test_validation import another_game


def evaluate(trained, *words: str | Path, plots: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command with the settings of the trained model; plots take most of its time."""
    env = {"MODEL_PATH": str(trained.path), "DOWNLOAD_PATH": str(trained.dataset.download_path)}
    return run_command("model.evaluate", *map(str, words), env=env | {"VISUALIZE_RESULTS": str(plots)})


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])


@pytest.fixture
def sorted_by_hand(tmp_path) -> Path:
    """Return a folder with two streams of Red, one of Green, one of an unknown game Magenta, and files to ignore."""
    root = tmp_path / "mine"
    for number in range(1, 11):
        save(root / "red" / f"ann-{number}.jpg", picture(RED, 500 + number))
        save(root / "red" / f"ben_{number}.jpeg", picture(RED, 600 + number))
        save(root / "10" / f"cat-{number}.jpg", picture(GREEN, 700 + number, 4 * SIZE))
        save(root / "Magenta" / f"dan-{number}.jpg", another_game(number))
    (root / "red" / "ann-99.jpg").write_bytes(b"no image")
    (root / "red" / "notes.txt").write_text("mine")
    (root / ".hidden").mkdir()
    return root


def evaluated(trained, root: Path) -> FolderEvaluation:
    classifier = Classifier.load(trained.path)
    return folder_evaluation.evaluate_folder(classifier, image_folder.list_images(root, classifier.classes, {}))


def test_default_folder_is_the_dataset(trained, tmp_path):
    """Without a folder, the command evaluates DOWNLOAD_PATH's frames, except the one that is no image."""
    copy = dataclasses.replace(trained, path=shutil.copytree(trained.path, tmp_path / "model"))
    done = evaluate(copy)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^frames right +100\.0% of 48$", done.stdout, re.M)
    assert re.search(r"^Green +16 +4 +100\.0% +100\.0% +\d+\.\d%$", done.stdout, re.M)
    assert "red_ann-99.jpg cannot be decoded" in done.stderr
    assert (copy.path / "results" / "evaluation" / "report.html").is_file()


def test_folder_with_an_unknown_game_reports_accuracies_and_auroc(trained, sorted_by_hand, tmp_path):
    """Known games have accuracies, the unknown game scores lower, and the report's files hold everything."""
    done = evaluate(trained, sorted_by_hand, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Magenta \(not a class\) +10 +1 +— +— +\d+\.\d%$", done.stdout, re.M)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["frames"], metrics["streams"], metrics["accuracy_by_frame"]) == (30, 3, 1.0)
    assert metrics["unknown"]["frames"] == 10
    assert metrics["unknown"]["auroc_by_frame"] > 0.9
    assert [game["name"] for game in metrics["games"]] == ["Green", "Red", "Magenta"]
    assert len(metrics["sha256"]) == 64
    assert len(metrics["worst"]) == len(list((tmp_path / "out").glob("worst-*.jpg"))) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(list((tmp_path / "out").glob("*.png")))
    assert "Magenta (not a class)" in page


def test_list_images_assigns_games_and_streams(sorted_by_hand):
    """Folders match by id or by name in any case; `ann-1` and `ann-2` are one stream; other files are ignored."""
    found = image_folder.list_images(sorted_by_hand, GAMES, {})
    assert {(image.game_name, image.stream, image.known_game) for image in found} == {
        ("Red", "ann", RED), ("Red", "ben", RED), ("Green", "cat", GREEN), ("Magenta", "dan", None)
    }  # fmt: skip
    assert len(found) == 41


def test_worst_errors_and_false_accepts_select_the_right_images(trained, sorted_by_hand):
    """An image in the wrong folder is the worst error; false accepts are images of unknown games only."""
    save(sorted_by_hand / "red" / "eve-1.jpg", picture(BLUE, 1))
    evaluation = evaluated(trained, sorted_by_hand)
    (worst,) = evaluation.worst_errors
    assert evaluation.images[worst].path.name == "eve-1.jpg"
    assert evaluation.top_class(worst) == BLUE
    (error,) = evaluation.metrics()["worst"]
    assert (error["path"], error["game"]["name"], error["predicted"]["name"]) == ("red/eve-1.jpg", "Red", "Blue")
    assert error["confidence"] > 0.5 > error["probability"]
    assert all(evaluation.images[index].game_name == "Magenta" for index in evaluation.false_accepts(99))


def test_list_images_names_ids_outside_the_classes(tmp_path):
    """games.tsv names ids that classes.txt lacks; an id in neither keeps its folder's name."""
    for name in ("9", "77", "78"):
        save(tmp_path / name / "ann-1.png", picture(RED, 1))
    found = image_folder.list_images(tmp_path, [Game(9, "Red")], {77: "Magenta"})
    assert [image.game_name for image in found] == ["Magenta", "78", "Red"]


@pytest.mark.parametrize("content", ["nothing", "unknown games", "no folder"])
def test_folder_without_usable_images_exits_with_one_line(trained, tmp_path, content):
    """The exit code is 1, and the line tells what to do."""
    if content == "unknown games":
        save(tmp_path / "in" / "Magenta" / "dan-1.jpg", another_game(1))
    elif content == "nothing":
        (tmp_path / "in" / "Red").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"No readable image|No images found in|does not exist"):
        evaluated(trained, tmp_path / "in")
    done = evaluate(trained, tmp_path / "in")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb() -> bytes:
    """Return a PNG whose header announces 40,000 x 40,000 pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def test_odd_files_cost_themselves_only(trained, sorted_by_hand, tmp_path):
    """A bomb, a FIFO, a device, a folder, a link in a circle, a file of 1 TB: a line each, and the rest counts."""
    red = sorted_by_hand / "red"
    (red / "bomb.png").write_bytes(bomb())
    os.mkfifo(red / "fifo.jpg")
    (red / "device.jpg").symlink_to("/dev/zero")
    (red / "folder.jpg").mkdir()
    (red / "circle.jpg").symlink_to("circle.jpg")
    (red / "gone.jpg").symlink_to("nowhere")
    with (red / "sparse.jpg").open("wb") as file:
        file.truncate(10**12)
    (sorted_by_hand / "loop").symlink_to(".")
    (sorted_by_hand / "around").symlink_to("around")
    (sorted_by_hand / "file").write_text("no folder")
    done = evaluate(trained, sorted_by_hand, "--out", tmp_path / "out", plots=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^frames right +100\.0% of 30$", done.stdout, re.M)
    skipped = [line.split(" cannot be decoded and is skipped: ") for line in done.stderr.splitlines()]
    names = {Path(path).name: reason for path, reason in skipped}
    odd = ("ann-99", "fifo", "device", "folder", "circle", "gone", "sparse")
    assert names.keys() == {"bomb.png", *(f"{name}.jpg" for name in odd)}
    assert names["fifo.jpg"] == names["device.jpg"] == names["folder.jpg"] == "not a regular file."
    assert "pixels" in names["bomb.png"]


def test_many_unusable_images_are_counted(trained, sorted_by_hand, tmp_path):
    """Ten names are enough to find the cause."""
    for number in range(30):
        (sorted_by_hand / "red" / f"eve-{number}.jpg").write_bytes(b"no image")
    done = evaluate(trained, sorted_by_hand, "--out", tmp_path / "out", plots=False)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 11
    assert "21 more images cannot be decoded and are skipped." in done.stderr


def test_names_that_are_not_utf_8_are_replaced(trained, sorted_by_hand, tmp_path):
    """A folder, an image and the root may have any bytes as their name; the reports have U+FFFD there."""
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    shutil.copytree(sorted_by_hand, root)
    folder = root / os.fsdecode(b"\xe9toile")
    folder.mkdir()
    shutil.copy(sorted_by_hand / "Magenta" / "dan-1.jpg", folder / os.fsdecode(b"d\xe9n-1.jpg"))  # OpenCV crashes
    done = evaluate(trained, root, "--out", root / "out")
    assert done.returncode == 0, done.stderr
    assert "\ufffdtoile (not a class)" in done.stdout
    assert "\ufffdtoile" in (root / "out" / "report.html").read_text(encoding="utf-8")
    assert json.loads((root / "out" / "metrics.json").read_text(encoding="utf-8"))["folder"].endswith("/\ufffd")


def test_unreadable_folder_is_named_and_skipped(caplog):
    """One folder without permission does not hide the others."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are open to root only
        root, user = Path(name), os.geteuid()
        root.chmod(0o755)
        for game in ("Red", "Green"):
            save(root / game / "ann-1.jpg", picture(RED, 1))
        (root / "Green").chmod(0)
        if user == 0:
            os.seteuid(65534)  # root may read everything
        try:
            found = image_folder.list_images(root, GAMES, {})
        finally:
            os.seteuid(user)
            (root / "Green").chmod(0o755)
    assert [image.game_name for image in found] == ["Red"]
    assert caplog.messages == [f"Cannot read {root / 'Green'}: Permission denied. The folder is skipped."]


def test_markup_in_names_is_escaped(trained, tmp_path):
    """A folder may have any name; the page shows it literally, and so does the printed table."""
    save(tmp_path / "in" / "<b>$x$ & co" / "dan-1.jpg", another_game(1))
    save(tmp_path / "in" / "Red" / "ann-1.jpg", picture(RED, 1))
    done = evaluate(trained, tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 0
    assert re.search(r"^<b>\$x\$ & co \(not a class\) +1 +1 +— +— ", done.stdout, re.M)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;$x$ &amp; co" in page
    assert "<b>" not in page
