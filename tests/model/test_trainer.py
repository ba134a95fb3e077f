"""Training: when it stops, what it keeps, and that a shortcut changes nothing."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from data.errors import ModelError
from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import ImageDataset
from model.networks import network
from model.training.checkpoint import CheckpointStore
from model.training.plan import TrainerSettings
from model.training.trainer import Trainer
from tests.model.conftest import BLUE, RED, SIZE, Painted

GAMES = (RED, BLUE)


def sides(painted: Painted, *, meaningless: bool = False) -> tuple[ImageDataset, ImageDataset]:
    """Two streamers of each game to train on and one to validate; `meaningless`: all are of one colour."""
    frames = {login: [f for game in GAMES for f in painted.paint(game, f"{login}{game.id}")] for login in "abc"}
    if meaningless:
        for frame in [frame for streamer in frames.values() for frame in streamer]:
            path = painted.root / frame.path
            path.write_bytes((painted.root / f"{RED.id}/{frame.login[0]}{RED.id}-{frame.number}.jpg").read_bytes())
    made = [ImageDataset(painted.root, part, GAMES, SIZE, batch_size=4) for part in (frames["a"] + frames["b"], frames["c"])]
    return made[0], made[1]


def silent(_line: str) -> None:
    """What `tell` is where nobody listens."""


def fresh(architecture: str = "cnn", **options) -> keras.Model:
    keras.utils.set_random_seed(1)
    return network.build(architecture, SIZE, 2, dropout=0.0, **options)


def judged(model: keras.Model, side: ImageDataset) -> tuple[float, float]:
    """Loss and accuracy of the whole model on the pictures themselves."""
    network.compile_model(model, 1e-3)
    model.run_eagerly = True  # two batches do not pay for a graph
    loss, accuracy = model.evaluate(side.batches(), verbose=0)
    return loss, accuracy


def test_the_best_epoch_is_kept(painted):
    """Where there is nothing to learn the validation loss rises: training stops after `patience` epochs without
    a better one, and the model's loss afterwards is the best epoch's, not the last one's."""
    learning, validation = sides(painted, meaningless=True)
    model, lines = fresh(), []
    training = Trainer(model, learning, validation, TrainerSettings(30, 3, 3e-3, 1), log=lines.append).train()
    losses = training.history["val_loss"]
    assert training.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == training.best_epoch + 3 < 30
    assert len(lines) == len(losses)
    assert model.evaluate(validation.batches(), verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] > min(losses)


def test_two_runs_with_one_seed_give_the_same_numbers(painted):
    """Weights, order of the frames and dropout all follow the seed."""
    both = sides(painted)
    runs = [Trainer(fresh(), *both, TrainerSettings(3, 3, 1e-3, 1), log=print).train().history for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_frozen_backbone_sees_each_frame_once_and_the_model_is_trained_all_the_same(painted, tmp_path):
    """The figures from precomputed features are those that the whole model gives on the pictures."""
    fresh("mobilenet_v2").get_layer("backbone").save_weights(tmp_path / "b.weights.h5")
    model = fresh("mobilenet_v2", initial_weights=str(tmp_path / "b.weights.h5"))
    learning, validation = sides(painted)
    lines: list[str] = []
    trainer = Trainer(model, learning, validation, TrainerSettings(4, 4, 1e-2, 1), log=lines.append)
    training = trainer.train()
    assert sum("backbone" in line for line in lines) == 2
    loss, accuracy = judged(model, validation)
    assert loss == pytest.approx(training.history["val_loss"][training.best_epoch - 1], rel=1e-3)
    assert accuracy == pytest.approx(training.history["val_accuracy"][training.best_epoch - 1])


def test_refit_learns_from_the_validation_side_too(painted):
    """A game's streamers differ: what only the validation side shows is known after refitting, not before."""
    learning = ImageDataset(painted.root, painted.paint(RED, "a", 8) + painted.paint(BLUE, "b", 8), GAMES, SIZE)
    swapped = Painted(painted.download_path.parent / "swapped")
    validation = ImageDataset(swapped.root, swapped.paint(RED, "c", 2), GAMES, SIZE)
    model = fresh()
    trainer = Trainer(model, learning, validation, TrainerSettings(1, 1, 1e-3, 1), log=silent)
    trainer.train()
    seen = {frame.login for frame in validation.frames}
    for frame in validation.frames:  # the refit reads both sides below one root
        target = painted.root / frame.path
        target.write_bytes((swapped.root / frame.path).read_bytes())
    before = model.get_weights()
    trainer.refit([6])
    assert seen == {"c"}
    assert not np.array_equal(before[0], model.get_weights()[0])
    assert model.evaluate(validation.batches(), verbose=0)[1] == 1.0


def test_a_training_that_diverges_is_an_error(painted):
    """A loss that is no number names the setting to change; it is not the best epoch of anything."""
    with pytest.raises(ModelError, match="LEARNING_RATE"):
        Trainer(fresh(), *sides(painted), TrainerSettings(2, 2, 1e30, 1), log=silent).train()


@pytest.fixture
def weights(tmp_path) -> str:
    """A backbone's weights file, random."""
    path = tmp_path / "b.weights.h5"
    fresh("mobilenet_v2").get_layer("backbone").save_weights(path)
    return str(path)


def test_fine_tuning_follows_the_head_and_only_what_is_better_is_kept(painted, weights):
    """First the head by features, then upper blocks too; a second stage that makes things worse leaves no trace."""
    learning, validation = sides(painted)
    kept = {}
    for name, rate in (("good", 1e-4), ("bad", 1.0)):
        model = fresh("mobilenet_v2", initial_weights=weights)
        upper = model.get_layer("backbone").get_layer("block_16_expand")
        before = keras.ops.convert_to_numpy(upper.kernel).copy()
        plan = TrainerSettings(3, 3, 1e-2, 1, fine_tune="block_16", fine_tune_epochs=2, fine_tune_learning_rate=rate)
        training = Trainer(model, learning, validation, plan, log=silent).train()
        assert len(training.history["loss"]) == len(training.history["val_loss"]) == 3 + training.stages[1].epoch
        best = training.history["val_loss"][training.best_epoch - 1]
        assert best == min(training.history["val_loss"])
        assert judged(model, validation)[0] == pytest.approx(best, rel=1e-3)
        kept[name] = (training.best_epochs[1], np.array_equal(before, keras.ops.convert_to_numpy(upper.kernel)))
    assert kept["bad"] == (0, True)


def test_a_training_that_is_taken_up_again_ends_as_if_it_had_not_stopped(painted, tmp_path):
    """Stopped after the second epoch of four: weights, optimizer, dropout's seeds and the order go on, to the bit."""
    both = sides(painted)
    plan, rate = TrainerSettings(4, 4, 1e-3, 1, lr_schedule="cosine", warmup_fraction=0.1), 0.3

    def trainer(folder: str, resume: bool) -> Trainer:
        keras.utils.set_random_seed(1)
        model = network.build("cnn", SIZE, 2, dropout=rate)
        checkpoints = CheckpointStore(tmp_path / folder)
        checkpoints.open("this", resume)
        changes = Augmentation(color=0.5, chat=0.5, seed=1)
        return Trainer(model, both[0], both[1], plan, log=logged.append, augmentation=changes, checkpoints=checkpoints)

    def told_until(line: str) -> None:
        if line.startswith("epoch 3"):
            raise KeyboardInterrupt

    logged: list[str] = []
    whole = trainer("whole", False)
    uninterrupted = whole.train()
    halted = trainer("halted", False)
    halted._log = told_until
    with pytest.raises(KeyboardInterrupt):
        halted.train()
    again = trainer("halted", True)
    resumed = again.train()
    assert "going on after epoch" in logged[-2] + logged[-3]
    assert resumed.history == uninterrupted.history
    assert all(np.array_equal(a, b) for a, b in zip(*(t._model.get_weights() for t in (whole, again)), strict=True))


def test_a_training_ends_in_time(painted, weights):
    """With a limit that the first epoch exceeds there is no second, nor another stage."""
    plan = TrainerSettings(50, 50, 1e-3, 1, time_limit_min=1e-6, fine_tune="upper")
    model = fresh("mobilenet_v2", initial_weights=weights)
    training = Trainer(model, *sides(painted), plan, log=silent).train()
    assert len(training.history["loss"]) == training.best_epoch == 1
    assert training.best_epochs == (1, 0)


def test_class_weights_count_for_the_loss(painted):
    """Of two games with the same pictures the one with fewer frames is as probable as the other, and only then."""
    learning, _ = sides(painted, meaningless=True)
    frames = [frame for frame in learning.frames if frame.game_id == RED.id or frame.login == f"a{BLUE.id}"][:10]
    uneven = ImageDataset(painted.root, frames, GAMES, SIZE, batch_size=10)
    chances = {}
    for weighed in (False, True):
        model = fresh()
        Trainer(model, uneven, None, TrainerSettings(40, 40, 3e-3, 1, class_weights=weighed), log=silent).train()
        logits = model.predict(uneven.batches(), verbose=0)
        chances[weighed] = float(keras.ops.softmax(logits)[:, 1].numpy().mean())
    share = sum(frame.game_id == BLUE.id for frame in frames) / len(frames)
    assert chances[False] == pytest.approx(share, abs=0.08)
    assert chances[True] == pytest.approx(0.5, abs=0.08)


def test_tensorboard_gets_its_logs(painted, tmp_path):
    """A folder a stage, with events of both sides."""
    pytest.importorskip("tensorboard", reason="it is in requirements.txt")
    Trainer(fresh(), *sides(painted), TrainerSettings(1, 1, 1e-3, 1), log=silent, tensorboard_path=tmp_path / "logs").train()
    assert len(list((tmp_path / "logs" / "model" / "all").glob("*/events.*"))) == 2
