"""What a training runs on: one device, all GPUs of a machine, or several machines. Imports TensorFlow in its calls.

Several machines: each runs the same command with its own TF_CONFIG, as TensorFlow describes it for
MultiWorkerMirroredStrategy, and the same dataset and MODEL_PATH, which the first of them alone writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from data.errors import SettingsError

_CPU_BATCH, _GPU_BATCH = 16, 128  # more teaches no sooner, on either
_LEAST_STEPS = 32  # in an epoch: large batches of few frames learn nothing
_TIMES_ACTIVATIONS = 3  # outputs forward, their gradients, and what the libraries work in


@dataclass(frozen=True, slots=True)
class Hardware:
    """`strategy`: TensorFlow's, or None for a single device. `worker` of `workers` processes, `devices` in each."""

    strategy: Any = None
    gpus: int = 0
    workers: int = 1
    worker: int = 0

    @property
    def devices(self) -> int:
        """Devices of this process that hold a copy of the model."""
        return self.strategy.num_replicas_in_sync // self.workers if self.strategy else 1

    @property
    def chief(self) -> bool:
        """Whether this process writes; the others train along."""
        return self.worker == 0

    def scope(self) -> Any:
        """Models made, compiled and filled within are on every device."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def parts(self, make: Callable[[], Any]) -> Any:
        """The dataset of `make`, which gives this process's part already, a batch for each of its devices in turn."""
        if self.workers > 1:
            return self.strategy.distribute_datasets_from_function(lambda _context: make())
        return make()

    def whole(self, dataset: Any) -> Any:
        """A dataset that every process has whole, for each to take its part of the batches."""
        import tensorflow as tf

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        return dataset.with_options(options) if self.strategy else dataset

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process. All of them have to ask: the answer takes all."""
        if self.workers == 1:
            return flag
        import tensorflow as tf

        asked = self.strategy.run(lambda: tf.constant(float(flag)))
        return float(self.strategy.reduce("SUM", asked, axis=None)) > 0


def load(seed: int, *, mixed_precision: bool, all_gpus: bool, show: bool) -> Hardware:
    """Import TensorFlow, silently unless `show`; set seeds, GPU memory that grows as needed, and precision.

    Raises SettingsError: TF_CONFIG is no such thing.
    """
    workers, worker = _cluster(os.environ.get("TF_CONFIG", ""))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if show else "3")
    with contextlib.nullcontext() if show else no_stderr():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        strategy = _strategy(tf, workers, len(gpus) if all_gpus else 1)
    import keras

    if gpus and mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(seed)
    return Hardware(strategy, len(gpus), workers, worker)


def _strategy(tf: Any, workers: int, gpus: int) -> Any:
    if workers > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy() if gpus > 1 else None


def _cluster(config: str) -> tuple[int, int]:
    """(workers, this one's number) of a TF_CONFIG; (1, 0) where it is empty."""
    if not config:
        return 1, 0
    try:
        read = json.loads(config)
        workers, task = len(read["cluster"]["worker"]), read["task"]
        if task["type"] != "worker" or not 0 <= int(task["index"]) < workers:
            raise ValueError(f"the task is {task}")
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"TF_CONFIG: a cluster of workers and a task among them are expected: {error}") from error
    return workers, int(task["index"])


def batch_size(wanted: int, hardware: Hardware, bytes_per_image: int, frames: int) -> int:
    """`wanted`, or for 0 the largest power of two that fits the memory and is of use; for all devices together.

    `bytes_per_image`: of a network's outputs, layer by layer. `frames`: in an epoch.
    """
    together = hardware.devices * hardware.workers
    if wanted:
        return -(-wanted // together) * together
    most = min(_GPU_BATCH, max(_CPU_BATCH, frames // _LEAST_STEPS // together)) if hardware.gpus else _CPU_BATCH
    fits = _memory(hardware) // (_TIMES_ACTIVATIONS * bytes_per_image)
    return together * 2 ** (max(1, min(most, fits)).bit_length() - 1)


def _memory(hardware: Hardware) -> int:
    """Bytes that a training may take: of the GPU, or half of the machine's."""
    if hardware.gpus:
        from tensorflow.python.client import device_lib

        return min(device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Nothing reaches file descriptor 2: TensorFlow's C++ greets there before its log level is read."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
