"""Training contexts for benchmarks, as model.create builds them, of all games of a folder or without some of them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config import Settings
    from data.entities import Game, StoredFrame
    from model.training.factories import TrainingContext


def dataset(root: Path, every: int = 1) -> tuple[list[StoredFrame], tuple[Game, ...]]:
    """Return every nth frame of a folder, sorted by path, and their games, sorted by id."""
    from data.entities import Game
    from data.storage.frame_folder import FrameFolder

    folder = FrameFolder(root)
    frames = sorted((frame for frame in folder.frames() if frame.number % every == 0), key=lambda frame: frame.path)
    names = folder.game_names()
    return frames, tuple(Game(game, names.get(game, str(game))) for game in sorted({f.game_id for f in frames}))


def make_context(
    settings: Settings, root: Path, frames: Sequence[StoredFrame], classes: tuple[Game, ...]
) -> TrainingContext:
    """Return the context as model.create builds it, without checkpoints; creates settings.model_path."""
    from model.training import hardware

    machine = hardware.set_up(settings.seed, mixed_precision=True, all_gpus=False, show=False)
    # After set_up, which imports TensorFlow in less time and without its messages.
    from model.datasets.image_dataset import ImageDataset
    from model.training import factories
    from model.training.checkpoint import CheckpointStore

    settings.model_path.mkdir()
    model = factories.make_network(settings, len(classes), machine)
    images = ImageDataset(root, frames, classes, settings.img_size)
    images = factories.prepare_dataset(settings, images, machine, model)
    checkpoints = CheckpointStore(settings.model_path / "unfinished", write=False)
    return factories.TrainingContext(settings, images, machine, checkpoints, log)


def without(context: TrainingContext, games: Collection[Game]) -> TrainingContext:
    """Return the context without these games, whose trainings train no second head for a threshold of their own."""
    return context.without(games, context.log, unknown_fraction=0.0)


def log(line: str) -> None:
    """Print a progress line on stderr."""
    print(line, file=sys.stderr, flush=True)
