"""Left-out games: streams of games that a head has never seen, as examples of unknown streams. Imports Keras.

A second head trains without a third of the games, on the cached features of the backbone with its initial weights,
which takes seconds. Removing a game's logit from a head that has learnt the game would be cheaper, but that head has
also learnt to give the game's frames no other answer: the AUROC would be 0.98 instead of 0.93 on recordings of free
games.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from config import Settings
from data.entities import StoredFrame
from model.datasets.split import Split
from model.inference.calibration import fit_temperature
from model.networks import backbones, network
from model.training import validation
from model.training.factories import TrainingContext
from model.training.validation import NO_STREAMS, LeftOutStreams

_GROUPS = 3  # of games; a head leaves out one of them


def predict_left_out(context: TrainingContext, split: Split, fold: int) -> LeftOutStreams:
    """Return the confidences of streams by a head without every third game, beginning with game `fold` modulo 3.

    Both arrays are empty if UNKNOWN_FRACTION is 0, if the head does not train on cached features (no backbone, several
    devices), or if fewer than two games of the validation frames would be left.
    """
    games = context.dataset.classes[fold % _GROUPS :: _GROUPS]
    ids = {game.id for game in context.dataset.classes if game not in games}
    training, known = ([f for f in side if f.game_id in ids] for side in (split.training, split.validation))
    wanted = context.settings.unknown_fraction > 0 and context.hardware.strategy is None
    if not wanted or not _has_initial_weights(context.settings) or len(ids) < 2 or not known:
        return NO_STREAMS
    # Its log is silent: its epochs would read as those of the model.
    smaller = context.without(games, log=lambda _line: None, fine_tune=network.HEAD_ONLY)
    model = smaller.make_network()
    context.log(f"a second head, without {len(games)} of the games, shows how confident unknown streams are")
    smaller.make_trainer(model, training, known, f"left-out{fold}").train()
    unknown = [frame for frame in context.dataset.frames if frame.game_id not in ids]
    logits = _logits(smaller, model, known), _logits(smaller, model, unknown)
    temperature = fit_temperature(logits[0], smaller.subset(known).labels)
    sides = zip(logits, (known, unknown), strict=True)
    return LeftOutStreams(*(validation.stream_confidences(one / temperature, frames) for one, frames in sides))


def _has_initial_weights(settings: Settings) -> bool:
    """Return whether there is a backbone that stays frozen while the head trains."""
    weights = backbones.resolve_weights(settings.architecture, settings.initial_weights)
    return weights != backbones.RANDOM


def _logits(context: TrainingContext, model: keras.Model, frames: Sequence[StoredFrame]) -> np.ndarray:
    """Return the logits of the model, whose backbone is frozen, from cached features: (n, classes)."""
    backbone, head = network.split_head(model) or (model, model)
    rows = context.feature_cache.original_rows(frames, backbone)
    return np.asarray(head.predict(context.feature_cache.values(rows), verbose=0))
