"""What a trained network says of frames that it did not train on, and what that is worth. Imports Keras.

First how sure it may be and what it does not know (model.inference.calibration), then how good it is (model.evaluation.metrics).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from data.entities import Game, StoredFrame
from model.artifacts import model_files
from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import Images
from model.evaluation import metrics
from model.evaluation.metrics import Evaluation
from model.inference import calibration, feature_similarity
from model.inference.calibration import Calibration
from model.inference.feature_similarity import Likeness
from model.networks import network

_LIKENESS_FRAMES = 200  # of each game at most, from all its streamers: a pass of these is short beside an epoch


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a network says of frames: its `logits` (n, classes), and their `likeness` (n,) to those it trained on.

    `changed`: the same of these frames changed, if anything: with webcams and the like laid over, as streams have them.
    Of several networks, each asked about other frames, it may be put together: neither is on a scale of its own.
    """

    logits: np.ndarray
    likeness: np.ndarray
    changed: Said | None = None

    @classmethod
    def joined(cls, parts: Sequence[Said], rows: np.ndarray) -> Said:
        """What was said of all parts' frames, one part after the other, in the order of `rows`, int64 (n,)."""
        logits = np.concatenate([part.logits for part in parts])[rows]
        likeness = np.concatenate([part.likeness for part in parts])[rows]
        changed = [part.changed for part in parts if part.changed]
        return cls(logits, likeness, cls.joined(changed, rows) if changed else None)


def said(model: keras.Model, asked: Images, changes: Augmentation, learning: Images | None = None) -> Said:
    """What `model` says of the frames of `asked`, in their order, and of them with `changes`, if there are any.

    `learning`: what it trained on; without that nothing is like anything.
    """
    kin = _likeness(model, learning) if learning else None
    plain = _said(model, asked.in_order(), kin)
    if not changes:
        return plain
    changed = asked.changed(np.arange(len(asked.frames)), changes)
    return replace(plain, changed=_said(model, changed, kin))


def _said(model: keras.Model, batches: Any, kin: Likeness | None) -> Said:
    logits, features = _outputs(model, batches)
    return Said(logits, kin.scores(features) if kin else np.zeros(len(logits)))


def judged(
    heard: Said, frames: Sequence[StoredFrame], classes: Sequence[Game], *, share: float, score: str
) -> tuple[Calibration, Evaluation]:
    """Both from the same `frames`; `share` and `score`: the settings unknown_share and unknown_score."""
    labels = metrics.labels_of(frames, classes)
    both = [heard, *([heard.changed] if heard.changed else [])]  # as streams show them: plain, and with overlays
    logits, likeness = np.concatenate([each.logits for each in both]), np.concatenate([each.likeness for each in both])
    fitted = calibration.fit(logits, likeness, np.tile(labels, len(both)), share=share, score=score)
    return fitted, metrics.evaluate(fitted.tempered(heard.logits), frames, classes)


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
    return feature_similarity.fit(_outputs(model, some.in_order())[1], some.labels, len(some.classes))


def _outputs(model: keras.Model, batches: Any) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of a dataset's pictures, in their order, float32."""
    logits, features = model_files.with_features(network.in_float32(model)).predict(batches, verbose=0)
    return np.asarray(logits), np.asarray(features)
