"""The evaluation, as a user runs it, on painted pictures of games that the model knows and of one that it does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.entities import Game
from data.errors import DatasetError
from model.evaluation import folder_evaluation, image_folder
from model.evaluation.folder_evaluation import Trial
from model.inference.classifier import Classifier
from tests.model.conftest import BLUE, GAMES, GREEN, RED, ROOT, SIZE, picture
from tests.model.test_validation import another_game


def evaluate(trained, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command with the settings of the painted model."""
    environment = {"MODEL_PATH": str(trained.path), "DOWNLOAD_PATH": str(trained.dataset.download_path)}
    command = [sys.executable, "-m", "model.evaluate", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])


@pytest.fixture
def sorted_by_hand(tmp_path) -> Path:
    """Folders by name or id: two streams of Red, one of Green, pictures of a game called Magenta, and odds and ends."""
    root = tmp_path / "mine"
    for number in range(1, 11):
        save(root / "red" / f"ann-{number}.jpg", picture(RED, 500 + number))
        save(root / "red" / f"ben_{number}.jpeg", picture(RED, 600 + number))
        save(root / "10" / f"cat-{number}.jpg", picture(GREEN, 700 + number, 4 * SIZE))
        save(root / "Magenta" / f"dan-{number}.jpg", another_game(number))
    (root / "red" / "ann-99.jpg").write_bytes(b"no picture")
    (root / "red" / "notes.txt").write_text("mine")
    (root / ".hidden").mkdir()
    return root


def judged(trained, root: Path) -> Trial:
    classifier = Classifier.load(trained.path)
    return folder_evaluation.run(classifier, image_folder.pictures(root, classifier.classes, {}))


def test_the_dataset_is_the_default(trained):
    """Without a folder it is DOWNLOAD_PATH's frames: all of them, but the one that is no image."""
    done = evaluate(trained)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^frames right +100\.0% of 48$", done.stdout, re.M)
    assert re.search(r"^Green +16 +4 +100\.0% +100\.0% +\d+\.\d%$", done.stdout, re.M)
    assert "red_ann-99.jpg cannot be decoded" in done.stderr
    assert (trained.path / "results" / "evaluation" / "report.html").is_file()
    shutil.rmtree(trained.path / "results" / "evaluation")


def test_a_folder_with_a_stranger(trained, sorted_by_hand, tmp_path):
    """Known games have their accuracies, the other one is told apart, and the report's files hold all of it."""
    done = evaluate(trained, sorted_by_hand, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Magenta \(not a class\) +10 +1 +— +— +\d+\.\d%$", done.stdout, re.M)
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert (figures["frames"], figures["streams"], figures["accuracy_by_frame"]) == (30, 3, 1.0)
    assert figures["unknown"]["frames"] == 10
    assert figures["unknown"]["auroc_by_frame"] > 0.9
    assert [game["name"] for game in figures["games"]] == ["Green", "Red", "Magenta"]
    assert len(figures["sha256"]) == 64
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(list((tmp_path / "out").glob("*.png")))
    assert "Magenta (not a class)" in page


def test_pictures_are_sorted_into_games_and_streams(sorted_by_hand):
    """By id or name in any case; `ann-1` and `ann-2` are one stream; what is no picture is not there."""
    found = image_folder.pictures(sorted_by_hand, GAMES, {})
    assert {(p.game, p.stream, p.known) for p in found} == {
        ("Red", "ann", RED), ("Red", "ben", RED), ("Green", "cat", GREEN), ("Magenta", "dan", None)
    }  # fmt: skip
    assert len(found) == 41


def test_a_wrong_answer_is_shown(trained, sorted_by_hand):
    """Pictures in the wrong folder are the worst of all, and the strangers that passed are others' alone."""
    save(sorted_by_hand / "red" / "eve-1.jpg", picture(BLUE, 1))
    done = judged(trained, sorted_by_hand)
    (worst,) = done.worst(5)
    assert done.pictures[worst].path.name == "eve-1.jpg"
    assert done.answer(worst) == BLUE
    assert all(done.pictures[number].game == "Magenta" for number in done.mistaken(99))


def test_ids_of_other_games_have_their_names(tmp_path):
    """games.tsv names what classes.txt does not; a folder without a name there keeps its own."""
    for name in ("9", "77", "78"):
        save(tmp_path / name / "ann-1.png", picture(RED, 1))
    found = image_folder.pictures(tmp_path, [Game(9, "Red")], {77: "Magenta"})
    assert [p.game for p in found] == ["Magenta", "78", "Red"]


@pytest.mark.parametrize("content", ["nothing", "strangers", "no folder"])
def test_what_cannot_be_evaluated(trained, tmp_path, content):
    """One line, exit code 1, and what to do."""
    if content == "strangers":
        save(tmp_path / "in" / "Magenta" / "dan-1.jpg", another_game(1))
    elif content == "nothing":
        (tmp_path / "in" / "Red").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"None of the pictures|no pictures in|Cannot read"):
        judged(trained, tmp_path / "in")
    done = evaluate(trained, tmp_path / "in")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


def test_names_that_are_markup_do_no_harm(trained, tmp_path):
    """A folder may be called anything; the page shows it as it is."""
    save(tmp_path / "in" / "<b>$x$ & co" / "dan-1.jpg", another_game(1))
    save(tmp_path / "in" / "Red" / "ann-1.jpg", picture(RED, 1))
    assert evaluate(trained, tmp_path / "in", "--out", tmp_path / "out").returncode == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;$x$ &amp; co" in page
    assert "<b>" not in page
