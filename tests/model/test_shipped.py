"""The model that comes with the project."""

from __future__ import annotations

import re

import numpy as np
import pytest

from data.capture.grabber import Grabber
from data.video.images import decode_jpeg
from model.artifacts import model_files
from model.inference.classifier import Classifier
from model.networks import network
from model.reports import model_card
from recognition.decision.verdict import VerdictAccumulator
from tests.model.conftest import ROOT
from tests.standin import CLIPS, World

MODEL = ROOT / "model"
CLIPS_OF_GAMES = {
    channel.game_id: channel for channel in World.load(CLIPS).channels if channel.igdb_id and channel.has_frames
}


def test_files_have_the_hashes_of_the_card():
    """Together they are smaller than 25 MB."""
    listed = dict(
        re.findall(
            r"\| `([\w.]+)` \| `([0-9a-f]{64})` \|", (MODEL / model_files.MODEL_CARD).read_text(encoding="utf-8")
        )
    )
    assert listed == {name: model_card.sha256(MODEL / name) for name in model_files.MODEL_FILES}
    assert sum((MODEL / name).stat().st_size for name in (*model_files.MODEL_FILES, model_files.MODEL_CARD)) < 25e6


def test_shipped_weights_equal_the_backbone_of_the_model():
    """INITIAL_WEIGHTS=shipped, bit for bit."""
    import keras

    shipped = keras.models.load_model(MODEL / model_files.H5_FILE).get_layer("backbone")
    start = network.build("mobilenet_v2", 240, 2, dropout=0.0, initial_weights="shipped").get_layer("backbone")
    assert all(np.array_equal(a, b) for a, b in zip(shipped.get_weights(), start.get_weights(), strict=True))


@pytest.mark.parametrize("game", sorted(CLIPS_OF_GAMES), ids=lambda game: CLIPS_OF_GAMES[game].game)
def test_games_of_the_clips_are_recognised(game):
    """From frames two seconds apart it names the game, and calls it known."""
    classifier = Classifier.load(MODEL)
    accumulator = VerdictAccumulator(classifier.classes)
    with Grabber(img_size=240, jpeg_quality=95, frame_interval_s=2.0) as grabber:
        images = [decode_jpeg(frame.jpeg) for frame in grabber.frames(str(CLIPS_OF_GAMES[game].file), 10)]
    assert len(images) == 10
    predictions = classifier.predict(np.stack(images))
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
