"""Training: when it stops, what it keeps, and that a shortcut changes nothing."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from data.errors import ModelError
from model import network
from model.images import Images
from model.training import Plan, Trainer
from tests.model.conftest import BLUE, RED, SIZE, Painted

GAMES = (RED, BLUE)


def sides(painted: Painted, *, meaningless: bool = False) -> tuple[Images, Images]:
    """Two streamers of each game to train on and one to validate; `meaningless`: all are of one colour."""
    frames = {login: [f for game in GAMES for f in painted.paint(game, f"{login}{game.id}")] for login in "abc"}
    if meaningless:
        for frame in [frame for streamer in frames.values() for frame in streamer]:
            path = painted.root / frame.path
            path.write_bytes((painted.root / f"{RED.id}/{frame.login[0]}{RED.id}-{frame.number}.jpg").read_bytes())
    made = [Images(painted.root, part, GAMES, SIZE, batch_size=4) for part in (frames["a"] + frames["b"], frames["c"])]
    return made[0], made[1]


def fresh(architecture: str = "cnn", **options) -> keras.Model:
    keras.utils.set_random_seed(1)
    return network.build(architecture, SIZE, 2, dropout=0.0, **options)


def test_the_best_epoch_is_kept(painted):
    """Where there is nothing to learn the validation loss rises: training stops after `patience` epochs without
    a better one, and the model's loss afterwards is the best epoch's, not the last one's."""
    learning, validation = sides(painted, meaningless=True)
    model, lines = fresh(), []
    training = Trainer(model, learning, validation, Plan(30, 3, 3e-3, 1), tell=lines.append).train()
    losses = training.history["val_loss"]
    assert training.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == training.best_epoch + 3 < 30
    assert len(lines) == len(losses)
    assert model.evaluate(validation.in_order(), verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] > min(losses)


def test_two_runs_with_one_seed_give_the_same_numbers(painted):
    """Weights, order of the frames and dropout all follow the seed."""
    both = sides(painted)
    runs = [Trainer(fresh(), *both, Plan(3, 3, 1e-3, 1), tell=print).train().history for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_frozen_backbone_sees_each_frame_once_and_the_model_is_trained_all_the_same(painted, tmp_path):
    """The figures from precomputed features are those that the whole model gives on the pictures."""
    fresh("mobilenet_v2").get_layer("backbone").save_weights(tmp_path / "b.weights.h5")
    model = fresh("mobilenet_v2", initial_weights=str(tmp_path / "b.weights.h5"))
    learning, validation = sides(painted)
    lines: list[str] = []
    trainer = Trainer(model, learning, validation, Plan(4, 4, 1e-2, 1), tell=lines.append)
    training = trainer.train()
    assert sum("backbone" in line for line in lines) == 2
    model.run_eagerly = True  # two batches do not pay for a graph
    loss, accuracy = model.evaluate(validation.in_order(), verbose=0)
    assert loss == pytest.approx(training.history["val_loss"][training.best_epoch - 1], rel=1e-3)
    assert accuracy == pytest.approx(training.history["val_accuracy"][training.best_epoch - 1])


def test_refit_learns_from_the_validation_side_too(painted):
    """A game's streamers differ: what only the validation side shows is known after refitting, not before."""
    learning = Images(painted.root, painted.paint(RED, "a", 8) + painted.paint(BLUE, "b", 8), GAMES, SIZE)
    swapped = Painted(painted.download_path.parent / "swapped")
    validation = Images(swapped.root, swapped.paint(RED, "c", 2), GAMES, SIZE)
    model = fresh()
    trainer = Trainer(model, learning, validation, Plan(1, 1, 1e-3, 1), tell=lambda _line: None)
    trainer.train()
    seen = {frame.login for frame in validation.frames}
    for frame in validation.frames:  # the refit reads both sides below one root
        target = painted.root / frame.path
        target.write_bytes((swapped.root / frame.path).read_bytes())
    before = model.get_weights()
    trainer.refit(6)
    assert seen == {"c"}
    assert not np.array_equal(before[0], model.get_weights()[0])
    assert model.evaluate(validation.in_order(), verbose=0)[1] == 1.0


def test_a_training_that_diverges_is_an_error(painted):
    """A loss that is no number names the setting to change; it is not the best epoch of anything."""
    with pytest.raises(ModelError, match="LEARNING_RATE"):
        Trainer(fresh(), *sides(painted), Plan(2, 2, 1e30, 1), tell=lambda _line: None).train()
