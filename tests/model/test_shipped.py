"""The model that comes with the project."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from data.capture.grabber import Grabber
from data.video.images import decode_jpeg
from model.inference.classifier import INT8_FILE, ONNX_FILE, Classifier
from model.reports import model_card
from recognition.decision.verdict import VerdictAccumulator
from tests.model.conftest import ROOT
from tests.model.lazily import model_files
from tests.standin import CLIPS, World

MODEL = ROOT / "model"
CLIPS_OF_GAMES = {
    channel.game_id: channel for channel in World.load(CLIPS).channels if channel.igdb_id and channel.has_frames
}


def test_files_have_the_hashes_of_the_card():
    """All files of the folder, with the initial weights and the 8-bit model, take at most 30 MB."""
    listed = dict(
        re.findall(
            r"\| `([\w.]+)` \| `([0-9a-f]{64})` \|", (MODEL / model_files.MODEL_CARD).read_text(encoding="utf-8")
        )
    )
    assert listed == {name: model_card.sha256(MODEL / name) for name in model_files.MODEL_FILES}
    files = [*(MODEL / name for name in (*listed, INT8_FILE, model_files.MODEL_CARD)), *MODEL.glob("weights/*")]
    assert sum(file.stat().st_size for file in files) <= 30e6


def test_classes_are_the_free_games_and_those_that_people_stream():
    """Ids of Twitch where they are known; games of one name have one id."""
    classes = {game.id: game.name for game in Classifier.load(MODEL).classes}
    assert len(set(classes.values())) == len(classes) == 37
    assert classes.keys() >= CLIPS_OF_GAMES.keys()
    assert {516575: "VALORANT", 27471: "Minecraft", 21779: "League of Legends"}.items() <= classes.items()


def test_card_names_each_repository_with_commit_and_licence():
    """Of the frames that are not the project's own recordings."""
    card = (MODEL / model_files.MODEL_CARD).read_text(encoding="utf-8")
    link = r"\[[\w.-]+/[\w.-]+\]\(https://github\.com/[^)]+/([0-9a-f]{40})\)"
    rows = re.findall(rf"^\| [^|]+ \| {link} \| [^|]+ \|", card, re.M)
    assert len(rows) == 76  # of 72 repositories
    assert len(set(rows)) == 72


load = cache(Classifier.load)


@cache
def images_of(game: int) -> np.ndarray:
    """Return five frames of the game's clip, two seconds apart."""
    with Grabber(img_size=240, jpeg_quality=95, frame_interval_s=2.0) as grabber:
        images = [decode_jpeg(frame.jpeg) for frame in grabber.frames(str(CLIPS_OF_GAMES[game].file), 5)]
    assert len(images) == 5
    return np.stack(images)


@pytest.mark.parametrize("file", [ONNX_FILE, INT8_FILE])
@pytest.mark.parametrize("game", sorted(CLIPS_OF_GAMES), ids=lambda game: CLIPS_OF_GAMES[game].game)
def test_games_of_the_clips_are_recognised(game, file):
    """From frames two seconds apart it names the game, and calls it known."""
    classifier = load(MODEL, file=file)
    threshold = classifier.calibration.stream_threshold
    accumulator = VerdictAccumulator(classifier.classes, stream_threshold=threshold)
    predictions = classifier.predict(images_of(game))
    for logits, known in zip(predictions.logits, predictions.known, strict=True):
        accumulator.add_frame(logits, bool(known))
    verdict = accumulator.verdict()
    assert (verdict.game.id, verdict.known) == (game, True)


def test_non_game_screens_are_unknown():
    """Black, white, noise."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (240, 240, 3), dtype=np.uint8)
    images = np.stack([np.zeros_like(noise), np.full_like(noise, 255), noise])
    assert not Classifier.load(MODEL).predict(images).known.any()
