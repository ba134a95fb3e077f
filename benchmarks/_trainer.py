"""Training, `ours` or `original`, measured in a process of its own because of its peak memory.

Both train the same network for the same number of epochs and print one JSON line. The original's input pipeline is
image_dataset_from_directory with batches of 16, one of them prefetched, without a cache.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

BATCH, SIZE = 16, 240


def main(argv: list[str]) -> int:
    """Train and print. `argv`: the method, the folder of the frames, the architecture, the number of epochs."""
    way, folder, architecture = argv[:3]
    epochs = int(argv[3])
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from data.storage.frame_folder import FrameFolder
    from model.networks import network

    frames = sorted(FrameFolder(Path(folder)).frames(), key=lambda frame: frame.path)
    games = {frame.game_id for frame in frames}
    model = network.build(architecture, SIZE, len(games), dropout=0.5, initial_weights="shipped")
    start = time.monotonic()
    _ours(model, Path(folder), frames, epochs) if way == "ours" else _original(model, folder, epochs)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    print(json.dumps({"images_s": epochs * len(frames) / seconds, "peak_mb": peak}))
    return 0


def _ours(model: Any, root: Path, frames: list[Any], epochs: int) -> None:
    from data.entities import Game
    from model.datasets.frame_cache import CacheLimits
    from model.datasets.image_dataset import ImageDataset
    from model.training.plan import TrainerSettings
    from model.training.trainer import Trainer

    games = sorted({frame.game_id for frame in frames})
    side = ImageDataset(root, frames, [Game(game, str(game)) for game in games], SIZE, BATCH)
    kept = side.with_cache(CacheLimits(2 << 30, 0, root))
    # As plain as the original's: neither a schedule nor regularisation nor balanced sampling.
    settings = TrainerSettings(
        epochs=epochs,
        patience=epochs,
        learning_rate=1e-3,
        seed=1,
        fine_tune="none",
        fine_tune_epochs=0,
        fine_tune_learning_rate=0.0,
        lr_schedule="constant",
        warmup_fraction=0.0,
        label_smoothing=0.0,
        weight_decay=0.0,
        class_weights=False,
        sampling_balance="none",
        time_limit_min=0.0,
        xla=True,
    )
    Trainer(model, kept, None, settings, log=lambda _line: None).train()


def _original(model: Any, folder: str, epochs: int) -> None:
    import keras

    from model.networks import network

    pictures = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIZE, SIZE), batch_size=BATCH, seed=1, verbose=False
    )
    network.compile_model(model, 1e-3)
    model.fit(pictures.prefetch(1), epochs=epochs, verbose=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
