"""The threshold for streams: which frames it is fitted on, and the errors that the evaluation states."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import Game, StoredFrame
from model.inference.calibration import Calibration
from tests.model.lazily import LeftOutStreams, ValidationPredictions, network, validation

GAMES = (Game(5, "Chess"), Game(7, "Go"))


def test_long_stream_is_judged_by_15_frames_from_all_of_it():
    """Of 30 frames every second one counts; a short stream counts whole. Streams are in the order of their frames."""
    frames = [StoredFrame(7, "ben", 1), *(StoredFrame(5, "ann", number) for number in range(30))]
    logits = np.array([[0, 0], *([[9, 0], [0, 9]] * 15)])
    assert validation.stream_confidences(logits, frames) == pytest.approx([0.5, 1], abs=0.001)


def test_threshold_and_errors_come_from_known_and_left_out_streams():
    """Known streams are sure of their game, those of left-out games are not, except one."""
    frames = [StoredFrame(game.id, login, number) for game in GAMES for login in "abcde" for number in range(4)]
    logits = 6 * np.eye(2)[[int(frame.game_id == 7) for frame in frames]]
    left_out = LeftOutStreams(known=np.array([0.9, 0.9]), unknown=np.array([0.5, 0.6, 0.6, 1.0]))
    predictions = ValidationPredictions(logits, np.zeros(40), left_out=left_out)
    calibration, evaluation = validation.calibrate_and_evaluate(
        predictions, frames, GAMES, unknown_fraction=0.1, score="max_logit"
    )
    assert 0.6 < calibration.stream_threshold < 1
    errors = evaluation.unknown
    assert (errors.streams, errors.false_unknown, errors.unknown_streams) == (10, 0, 4)
    assert (errors.missed_unknown, errors.auroc) == (1 / 4, 3 / 4)


def test_without_unknown_fraction_no_stream_is_unknown_by_a_threshold():
    """UNKNOWN_FRACTION=0 fits none."""
    predictions = ValidationPredictions(np.eye(2), np.zeros(2))
    frames = [StoredFrame(5, "ann", 1), StoredFrame(7, "ben", 1)]
    calibration, evaluation = validation.calibrate_and_evaluate(
        predictions, frames, GAMES, unknown_fraction=0, score="max_logit"
    )
    assert (calibration.stream_threshold, evaluation.unknown) == (None, None)


def test_blank_screens_are_unknown_whatever_the_frames_gave():
    """The threshold only rises, and an unlimited one stays unlimited."""
    model = network.build("cnn", 32, 2, dropout=0.0, initial_weights="none")
    fitted = Calibration(threshold=-100.0)
    raised = validation.reject_blank_screens(fitted, model)
    blank = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 255)])
    logits, features = network.add_feature_output(model).predict(blank, verbose=0)
    assert fitted.score(logits, features).known.all()
    assert not raised.score(logits, features).known.any()
    high = Calibration(threshold=100.0)
    assert validation.reject_blank_screens(high, model) == high
    assert validation.reject_blank_screens(Calibration(), model) == Calibration()
