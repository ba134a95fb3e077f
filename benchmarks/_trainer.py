"""Training, `ours` or `original`, measured in a process of its own because of its peak memory.

Both train the same network for the same number of epochs and print one JSON line. On a CUDA GPU both use mixed
precision, and the line says what fraction of the time the GPU was busy. The original's input pipeline is
image_dataset_from_directory with batches of 16, one of them prefetched, without a cache.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BATCH, SIZE = 16, 240


def main(argv: list[str]) -> int:
    """Train and print. `argv`: method, folder of the frames, architecture, epochs, first layer that trains or ""."""
    way, folder, architecture, epochs_text, unfreeze_from = argv
    epochs = int(epochs_text)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from data.storage.frame_folder import FrameFolder
    from model.networks import network
    from model.training import hardware as devices

    hardware = devices.set_up(1, mixed_precision=True, all_gpus=False, show=False)  # float16 on a CUDA GPU only
    frames = sorted(FrameFolder(Path(folder)).frames(), key=lambda frame: frame.path)
    games = {frame.game_id for frame in frames}
    model = network.build(architecture, SIZE, len(games), dropout=0.5, initial_weights="shipped")
    if unfreeze_from:
        network.unfreeze_from(model, unfreeze_from)
    images, start, cpu_start = epochs * len(frames), time.monotonic(), time.process_time()
    with _gpu_samples() as samples:
        _ours(model, Path(folder), frames, epochs, hardware) if way == "ours" else _original(model, folder, epochs)
    figures = {
        "images_s": images / (time.monotonic() - start),
        "images_cpu_s": images / (time.process_time() - cpu_start),  # hardly depends on other load
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts in KiB
        "gpu_busy": sum(samples) / len(samples) if samples else 0.0,
    }
    print(json.dumps(figures))
    return 0


@contextmanager
def _gpu_samples() -> Iterator[list[float]]:
    """Yield a list; afterwards it has the GPU's busy fraction, 0 to 1, each half second; empty without nvidia-smi."""
    samples: list[float] = []
    if shutil.which("nvidia-smi") is None:
        yield samples
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", "0", "-lms", "500"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
        try:
            yield samples
        finally:
            sampler.terminate()
        samples += [int(line) / 100 for line in sampler.communicate()[0].split() if line.isdecimal()]


def _ours(model: Any, root: Path, frames: list[Any], epochs: int, hardware: Any) -> None:
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
    Trainer(model, kept, None, settings, log=lambda _line: None, hardware=hardware).train()


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
