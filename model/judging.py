"""A trained network, judged on the side that it did not train on. Imports Keras.

First how sure it may be and what it does not know (model.calibration), then how good it is (model.evaluation).
"""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np

from data.entities import StoredFrame
from model import calibration, evaluation, files, likeness, network
from model.calibration import Calibration
from model.evaluation import Evaluation
from model.images import Images
from model.likeness import Likeness

_LIKENESS_FRAMES = 200  # of each game at most, from all its streamers: a pass of these is short beside an epoch


def judged(
    model: keras.Model, learning: Images, validation: Images, *, share: float, score: str
) -> tuple[Calibration, Evaluation]:
    """Both fitted and measured on `validation`; `share` and `score`: the settings unknown_share and unknown_score."""
    seen = _likeness(model, learning) if score == calibration.LIKENESS else None
    logits, features = _outputs(model, validation)
    fitted = calibration.fit(logits, features, validation.labels, share=share, score=score, likeness=seen)
    tempered = fitted.judge(logits, features).logits
    return fitted, evaluation.evaluate(tempered, validation.frames, validation.classes)


def anew(old: Calibration, model: keras.Model, learning: Images) -> Calibration:
    """`old` for a model that was trained anew on all frames: none is left to fit on, but its features have moved."""
    return replace(old, likeness=_likeness(model, learning)) if old.likeness else old


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
