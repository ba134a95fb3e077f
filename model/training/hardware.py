"""Hardware of a training run: one device, all GPUs of a machine, or several machines. Imports TensorFlow in its calls.

Several machines: start the same command on each with its own TF_CONFIG, the same dataset and MODEL_PATH. Only the first
worker writes. TF_CONFIG: https://www.tensorflow.org/guide/distributed_training#TF_CONFIG
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from data.errors import ModelError, SettingsError
from data.text import printable_line
from model.terminal.native_log import importing_tensorflow

_CPU_BATCH, _GPU_BATCH = 32, 128  # larger batches do not train faster
_MIN_STEPS = 32  # in an epoch: with fewer, larger steps a small dataset is learned poorly
_TIMES_ACTIVATIONS = 3  # memory: outputs, their gradients, and workspace of the libraries


@dataclass(frozen=True, slots=True)
class Hardware:
    """Devices that train one model together."""

    strategy: Any = None  # a tf.distribute strategy, None for a single device
    gpus: int = 0  # of this machine
    workers: int = 1  # processes
    worker: int = 0  # number of this process, from 0

    @property
    def devices(self) -> int:
        """Number of devices of this process with a copy of the model."""
        return self.strategy.num_replicas_in_sync // self.workers if self.strategy else 1

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that logs and writes files."""
        return self.worker == 0

    def scope(self) -> Any:
        """Return the context in which to build and compile models and set their weights."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def accelerate(self, model: Any) -> Any:
        """Return a model with the same layers and weights that runs faster: on a CPU, a folded one."""
        from model.networks.folding import fold

        return model if self.gpus or self.strategy else fold(model)

    def distribute(self, make_dataset: Callable[[], Any]) -> Any:
        """Return a dataset of which this process has its own part, in batches for each of its devices in turn."""
        if self.workers > 1:
            return self.strategy.distribute_datasets_from_function(lambda _context: make_dataset())
        return make_dataset()

    def replicate(self, dataset: Any) -> Any:
        """Return a dataset of which every process has all elements and takes its part of each batch."""
        import tensorflow as tf

        options = tf.data.Options()
        # The default policy, AUTO, first looks for files to divide, and warns that this dataset has none.
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        return dataset.with_options(options) if self.strategy else dataset

    def any_worker(self, flag: bool) -> bool:
        """Return whether `flag` is true in any process. A collective operation: every process must call it."""
        if self.workers == 1:
            return flag
        import tensorflow as tf

        votes = self.strategy.run(lambda: tf.constant(float(flag)))
        return float(self.strategy.reduce("SUM", votes, axis=None)) > 0


def set_up(seed: int, *, mixed_precision: bool, all_gpus: bool, show: bool) -> Hardware:
    """Import TensorFlow and set seeds, on-demand GPU memory and precision; `show` its start messages.

    Raises SettingsError: invalid TF_CONFIG.
    """
    workers, worker = _parse_cluster(os.environ.get("TF_CONFIG", ""))
    with importing_tensorflow(show):
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)  # otherwise TensorFlow takes all of it at once
        if workers > 1:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        else:
            strategy = tf.distribute.MirroredStrategy() if all_gpus and len(gpus) > 1 else None
    import keras

    if gpus and mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(seed)
    return Hardware(strategy, len(gpus), workers, worker)


@contextlib.contextmanager
def tensorflow_errors(advice: str) -> Iterator[None]:
    """Raise ModelError, with `advice`, for TensorFlow's errors in the block, such as a GPU without free memory."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        reason = printable_line(error.message.strip().split("\n")[0])
        raise ModelError(f"TensorFlow failed: {reason}. {advice}") from error


def _parse_cluster(config: str) -> tuple[int, int]:
    """Return (workers, number of this worker) from a TF_CONFIG; (1, 0) for an empty one."""
    if not config:
        return 1, 0
    try:
        parsed = json.loads(config)
        workers, task = len(parsed["cluster"]["worker"]), parsed["task"]
        if task["type"] != "worker" or not 0 <= int(task["index"]) < workers:
            raise ValueError(f"the task is {task}")
        return workers, int(task["index"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise SettingsError(f"TF_CONFIG: expected a cluster of workers and a task of it: {error}") from error


def batch_size(wanted: int, hardware: Hardware, activation_bytes_per_image: int, frames: int) -> int:
    """Return the batch size of all devices together: `wanted`, or for 0 the largest useful power of two that fits.

    `activation_bytes_per_image`: all layers' outputs for one image. `frames`: in an epoch.
    """
    replicas = hardware.devices * hardware.workers
    if wanted:
        return -(-wanted // replicas) * replicas  # rounded up: every device gets equally many
    most = min(_GPU_BATCH, max(_CPU_BATCH, frames // _MIN_STEPS // replicas)) if hardware.gpus else _CPU_BATCH
    fits = _memory_bytes(hardware) // (_TIMES_ACTIVATIONS * activation_bytes_per_image)
    return replicas * 2 ** (max(1, min(most, fits)).bit_length() - 1)


def _memory_bytes(hardware: Hardware) -> int:
    """Return the memory that a training run may use: that of the smallest GPU, or half of the machine's."""
    if hardware.gpus:
        from tensorflow.python.client import device_lib

        return min(device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
