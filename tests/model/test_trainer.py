"""Trainer: early stopping, feature cache, fine-tuning, resuming, time limit and class weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data.errors import ModelError
from model.augmentation.pipeline import Augmentation
from model.training.checkpoint import CheckpointStore, StageProgress, TrainingState
from model.training.plan import TrainerSettings
from tests.model.conftest import BLUE, RED, SIZE, Painted
from tests.model.lazily import ImageDataset, ResumableEarlyStopping, Trainer, keras, network
from tests.model.tiny_backbone import NAME as TINY
from tests.model.tiny_backbone import tiny_backbone, tiny_weights

__all__ = ["tiny_backbone", "tiny_weights"]  # fixtures

GAMES = (RED, BLUE)
pytestmark = pytest.mark.usefixtures("tiny_backbone")


def make_sets(painted: Painted, *, meaningless: bool = False) -> tuple[ImageDataset, ImageDataset]:
    """Return two streamers of each game to train on and one to validate; `meaningless`: games look alike."""
    frames = {login: [f for game in GAMES for f in painted.paint(game, f"{login}{game.id}")] for login in "abc"}
    if meaningless:
        for frame in [frame for streamer in frames.values() for frame in streamer]:
            path = painted.root / frame.path
            path.write_bytes((painted.root / f"{RED.id}/{frame.login[0]}{RED.id}-{frame.number}.jpg").read_bytes())
    datasets = [
        ImageDataset(painted.root, part, GAMES, SIZE, batch_size=8) for part in (frames["a"] + frames["b"], frames["c"])
    ]
    return datasets[0], datasets[1]


def no_log(_line: str) -> None:
    """Discard progress lines."""


def fresh(initial_weights: str = "none", dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(1)
    return network.build(TINY, SIZE, 2, dropout=dropout, initial_weights=initial_weights)


def trainer_settings(epochs: int, patience: int, learning_rate: float, seed: int, **changes: Any) -> TrainerSettings:
    """Return settings of a plain training run, without schedule, regularisation and balanced sampling."""
    plain: dict[str, Any] = {
        **dict.fromkeys(("warmup_fraction", "label_smoothing", "weight_decay", "time_limit_min"), 0.0),
        "fine_tune": "none",
        "fine_tune_epochs": 10,
        "fine_tune_learning_rate": 1e-4,
        "lr_schedule": "constant",
        "class_weights": False,
        "sampling_balance": "none",
        "xla": True,
    }
    return TrainerSettings(epochs, patience, learning_rate, seed, **(plain | changes))


def evaluated(model: keras.Model, side: ImageDataset) -> tuple[float, float]:
    """Return loss and accuracy of the whole model on the images."""
    network.compile_model(model, 1e-3)
    model.run_eagerly = True  # two batches do not pay for a graph
    loss, accuracy = model.evaluate(side.batches(), verbose=0)
    return loss, accuracy


def test_training_without_progress_stops_early_and_keeps_the_best_epoch(painted):
    """Training stops `patience` epochs after the best one, whose weights the model then has."""
    training_set, validation_set = make_sets(painted, meaningless=True)
    model, lines = fresh(), []
    training = Trainer(model, training_set, validation_set, trainer_settings(30, 3, 3e-3, 1), log=lines.append).train()
    losses = training.history["val_loss"]
    assert training.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == training.best_epoch + 3 < 30
    assert len(lines) == len(losses)
    assert model.evaluate(validation_set.batches(), verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] > min(losses)


def test_training_without_patience_keeps_the_last_epoch():
    """Although an earlier one, or an earlier stage, had a lower validation loss."""
    progress, saves = StageProgress(best_val_loss=0.5, best_weights=[np.zeros(1)]), []
    stopping = ResumableEarlyStopping(progress, 0, lambda: saves.append(progress.epoch))
    for epoch, loss in enumerate((1.0, 0.9, 2.0)):
        stopping.on_epoch_end(epoch, {"val_loss": loss})
    assert (progress.best_epoch, progress.best_val_loss, progress.best_weights) == (3, 2.0, [])
    assert saves == [1, 2, 3]


@pytest.mark.usefixtures("eager")
def test_cached_features_train_the_whole_model(painted, tiny_weights):
    """The metrics on cached features equal those of the whole model on the images."""
    model = fresh(tiny_weights)
    training_set, validation_set = make_sets(painted)
    lines: list[str] = []
    trainer = Trainer(model, training_set, validation_set, trainer_settings(4, 4, 1e-2, 1), log=lines.append)
    training = trainer.train()
    assert sum("backbone" in line for line in lines) == 2
    loss, accuracy = evaluated(model, validation_set)
    assert loss == pytest.approx(training.history["val_loss"][training.best_epoch - 1], rel=1e-3)
    assert accuracy == pytest.approx(training.history["val_accuracy"][training.best_epoch - 1])


@pytest.mark.usefixtures("eager")
def test_refit_trains_on_the_validation_frames_too(painted):
    """What only the validation frames show is known after refitting, not before."""
    training_set = ImageDataset(painted.root, painted.paint(RED, "a", 8) + painted.paint(BLUE, "b", 8), GAMES, SIZE)
    swapped = Painted(painted.download_path.parent / "swapped")
    validation_set = ImageDataset(swapped.root, swapped.paint(RED, "c", 2), GAMES, SIZE)
    model = fresh()
    trainer = Trainer(model, training_set, validation_set, trainer_settings(1, 1, 1e-3, 1), log=no_log)
    trainer.train()
    seen = {frame.login for frame in validation_set.frames}
    for frame in validation_set.frames:  # the refit reads both sides below one root
        target = painted.root / frame.path
        target.write_bytes((swapped.root / frame.path).read_bytes())
    before = model.get_weights()
    trainer.refit([6])
    assert seen == {"c"}
    assert not np.array_equal(before[0], model.get_weights()[0])
    assert model.evaluate(validation_set.batches(), verbose=0)[1] == 1.0


@pytest.mark.usefixtures("eager")
def test_diverged_training_names_the_setting(painted):
    """A loss that is not finite is never the best epoch."""
    with pytest.raises(ModelError, match="LEARNING_RATE"):
        Trainer(fresh(), *make_sets(painted), trainer_settings(2, 2, 1e38, 1), log=no_log).train()


@pytest.mark.usefixtures("eager")
def test_fine_tuning_after_the_head_keeps_only_improvements(painted, tiny_weights, tmp_path):
    """The head trains first, then upper layers too; a second stage that is worse leaves no trace."""
    alike = make_sets(Painted(tmp_path / "alike"), meaningless=True)  # there, large steps give large losses
    kept = {}
    for name, rate, (training_set, validation_set) in (("good", 1e-4, make_sets(painted)), ("bad", 1.0, alike)):
        model = fresh(tiny_weights)
        upper = model.get_layer("backbone").get_layer("block_2")
        before = keras.ops.convert_to_numpy(upper.kernel).copy()
        fine_tuning = {"fine_tune": "block_2", "fine_tune_epochs": 2, "fine_tune_learning_rate": rate}
        settings = trainer_settings(3, 3, 1e-2, 1, **fine_tuning)
        training = Trainer(model, training_set, validation_set, settings, log=no_log).train()
        assert len(training.history["loss"]) == len(training.history["val_loss"]) == 3 + training.stages[1].epoch
        best = training.history["val_loss"][training.best_epoch - 1]
        assert best == min(training.history["val_loss"])
        assert evaluated(model, validation_set)[0] == pytest.approx(best, rel=1e-3)
        kept[name] = (training.best_epochs[1], np.array_equal(before, keras.ops.convert_to_numpy(upper.kernel)))
    assert kept["bad"] == (0, True)


@pytest.mark.usefixtures("eager")
def test_resumed_training_equals_an_uninterrupted_one(painted, tmp_path):
    """Stopped after the second of four epochs: weights, optimizer, dropout seeds and order go on bit for bit."""
    training_set, validation_set = make_sets(painted)
    settings = trainer_settings(4, 4, 1e-3, 1, lr_schedule="cosine", warmup_fraction=0.1)

    def trainer(folder: str, resume: bool) -> Trainer:
        model = fresh(dropout=0.3)
        checkpoints = CheckpointStore(tmp_path / folder)
        checkpoints.open("this", resume)
        changes = Augmentation(color=0.5, chat=0.5, seed=1)
        return Trainer(
            model,
            training_set,
            validation_set,
            settings,
            log=logged.append,
            augmentation=changes,
            checkpoints=checkpoints,
        )

    def log_until(line: str) -> None:
        if line.startswith("epoch 3"):
            raise KeyboardInterrupt

    logged: list[str] = []
    whole = trainer("whole", False)
    uninterrupted = whole.train()
    halted = trainer("halted", False)
    halted.log = log_until
    with pytest.raises(KeyboardInterrupt):
        halted.train()
    again = trainer("halted", True)
    resumed = again.train()
    assert "resuming after epoch" in logged[-2] + logged[-3]
    assert resumed.history == uninterrupted.history
    assert all(np.array_equal(a, b) for a, b in zip(*(t.model.get_weights() for t in (whole, again)), strict=True))


@pytest.mark.usefixtures("eager")
def test_checkpoint_of_another_network_is_refused_before_training(painted, tmp_path):
    """Other shapes and another number of stages are named, not found after hours."""
    store = CheckpointStore(tmp_path / "unfinished")
    store.open("this", resume=False)
    sets, settings = make_sets(painted), trainer_settings(1, 1, 1e-3, 1)
    Trainer(fresh(), *sets, settings, log=no_log, checkpoints=store).train()
    store.open("this", resume=True)
    state = store.load("model")
    assert state is not None
    (progress,), wrong = state.stages, np.zeros(3, np.float32)
    for changed in (
        TrainingState([progress], [wrong, *state.variables[1:]], 1.0),
        TrainingState([replace(progress, best_weights=[wrong, *progress.best_weights[1:]])], state.variables, 1.0),
        TrainingState([progress, progress], state.variables, 1.0),
    ):
        store.save("model", changed)
        with pytest.raises(ModelError, match=r"model\.npz is damaged"):
            Trainer(fresh(), *sets, settings, log=no_log, checkpoints=store).train()


@pytest.mark.usefixtures("eager")
def test_time_limit_ends_the_training_after_the_first_epoch(painted, tiny_weights):
    """With a limit shorter than an epoch there is no second epoch, nor another stage."""
    settings = trainer_settings(50, 50, 1e-3, 1, time_limit_min=1e-6, fine_tune="upper")
    model = fresh(tiny_weights)
    training = Trainer(model, *make_sets(painted), settings, log=no_log).train()
    assert len(training.history["loss"]) == training.best_epoch == 1
    assert training.best_epochs == (1, 0)


def test_class_weights_compensate_for_uneven_games(painted):
    """Of two games with the same images, the one with fewer frames becomes as probable only with weights."""
    training_set, _ = make_sets(painted, meaningless=True)
    frames = [frame for frame in training_set.frames if frame.game_id == RED.id or frame.login == f"a{BLUE.id}"][:10]
    uneven = ImageDataset(painted.root, frames, GAMES, SIZE, batch_size=10)
    probabilities = {}
    for weighted in (False, True):
        model = fresh()
        Trainer(model, uneven, None, trainer_settings(15, 15, 1e-2, 1, class_weights=weighted), log=no_log).train()
        logits = model.predict(uneven.batches(), verbose=0)
        probabilities[weighted] = float(keras.ops.softmax(logits)[:, 1].numpy().mean())
    fraction = sum(frame.game_id == BLUE.id for frame in frames) / len(frames)
    assert probabilities[False] == pytest.approx(fraction, abs=0.045)
    assert probabilities[True] == pytest.approx(0.5, abs=0.045)


@pytest.mark.usefixtures("eager")
def test_tensorboard_logs_are_written(painted, tmp_path):
    """A folder per stage, with events of training and validation."""
    pytest.importorskip("tensorboard", reason="it is in requirements.txt")
    Trainer(
        fresh(), *make_sets(painted), trainer_settings(1, 1, 1e-3, 1), log=no_log, tensorboard_path=tmp_path / "logs"
    ).train()
    assert len(list((tmp_path / "logs" / "model" / "all").glob("*/events.*"))) == 2
