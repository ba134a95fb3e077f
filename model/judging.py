"""What a trained network says of frames that it did not train on, and what that is worth. Imports Keras.

First how sure it may be and what it does not know (model.calibration), then how good it is (model.evaluation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from data.entities import Game, StoredFrame
from model import calibration, evaluation, files, likeness, network
from model.calibration import Calibration
from model.evaluation import Evaluation
from model.images import Images
from model.likeness import Likeness

_LIKENESS_FRAMES = 200  # of each game at most, from all its streamers: a pass of these is short beside an epoch


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a network says of frames: its `logits` (n, classes), and their `likeness` (n,) to those it trained on.

    Of several networks, each asked about other frames, it may be put together: neither is on a scale of its own.
    """

    logits: np.ndarray
    likeness: np.ndarray


def said(model: keras.Model, learning: Images, asked: Images) -> Said:
    """What `model`, trained on `learning`, says of the frames of `asked`, in their order."""
    logits, features = _outputs(model, asked)
    return Said(logits, _likeness(model, learning).scores(features))


def judged(
    heard: Said, frames: Sequence[StoredFrame], classes: Sequence[Game], *, share: float, score: str
) -> tuple[Calibration, Evaluation]:
    """Both from the same `frames`; `share` and `score`: the settings unknown_share and unknown_score."""
    labels = evaluation.labels_of(frames, classes)
    fitted = calibration.fit(heard.logits, heard.likeness, labels, share=share, score=score)
    return fitted, evaluation.evaluate(fitted.tempered(heard.logits), frames, classes)


def completed(fitted: Calibration, model: keras.Model, learning: Images) -> Calibration:
    """`fitted` with what the score needs of the `model` that is saved, which trained on `learning`."""
    return replace(fitted, likeness=_likeness(model, learning)) if fitted.score == calibration.LIKENESS else fitted


def _likeness(model: keras.Model, learning: Images) -> Likeness:
    """What the games look like to the model, by some training frames of each."""
    chosen: list[StoredFrame] = []
    for game in learning.classes:
        frames = sorted((f for f in learning.frames if f.game_id == game.id), key=lambda f: (f.login, f.number))
        chosen += frames[:: math.ceil(len(frames) / _LIKENESS_FRAMES)]
    some = replace(learning, frames=chosen)
    return likeness.fit(_outputs(model, some)[1], some.labels, len(some.classes))


def _outputs(model: keras.Model, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of the frames, in their order, float32."""
    logits, features = files.with_features(network.in_float32(model)).predict(images.in_order(), verbose=0)
    return np.asarray(logits), np.asarray(features)
