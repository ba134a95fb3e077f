"""Checkpoints: the state of a training after an epoch, in one file that is complete or absent. No TensorFlow."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic import atomic_file
from data.errors import ModelError

log = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "unfinished"  # in MODEL_PATH


@dataclass
class StageProgress:
    """How far a stage of a training is.

    Args:
        epoch: finished epochs.
        best_val_loss: lowest validation loss.
        best_epoch: epoch of the lowest validation loss, counted from 1; 0 for the weights that the stage began with.
        best_weights: weights after that epoch.
        history: a value per epoch, by metric.
        ended: no epoch follows.
    """

    epoch: int = 0
    best_val_loss: float = float("inf")
    best_epoch: int = 0
    best_weights: Sequence[np.ndarray] = ()
    history: dict[str, list[float]] = field(default_factory=dict)
    ended: bool = False


_JSON_FIELDS = ("epoch", "best_val_loss", "best_epoch", "history", "ended")  # the weights are arrays of their own


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A training after an epoch.

    Args:
        progress: of the current stage.
        earlier: progress of the stages before, without weights.
        variables: values of the model's training variables after `progress.epoch`.
        seconds: training time so far.
    """

    progress: StageProgress
    earlier: tuple[StageProgress, ...]
    variables: Sequence[np.ndarray]
    seconds: float


class CheckpointStore:
    """The checkpoint files of one run of model.create, in `folder`. With `write=False` another process writes them."""

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self._folder = folder
        self._write = write
        self._resumed = False

    def open(self, inputs: Any, resume: bool) -> bool:
        """Return whether there is a training to resume; unless `resume`, delete the files of earlier runs.

        `inputs`: settings and frames, as JSON. Raises ModelError: the files are from a training with other inputs.
        """
        fingerprint = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        marker = self._folder / "fingerprint"
        if resume and marker.is_file():
            if marker.read_text(encoding="utf-8") != fingerprint:
                raise ModelError(
                    f"{self._folder} holds a training with other settings or frames. Use those, or leave out --resume."
                )
            self._resumed = True
            return True
        if self._write:
            self.clear()  # files under the same names must not mix with those of another training
            self._folder.mkdir(parents=True)
            marker.write_text(fingerprint, encoding="utf-8")
        return False

    def clear(self) -> None:
        """Delete all files."""
        if self._write:
            shutil.rmtree(self._folder, ignore_errors=True)

    def save(self, name: str, state: TrainingState) -> None:
        """Save the state of the training `name`; on a full disk keep the older file and log a warning."""
        if not self._write:
            return
        # Through memory: savez seeks in its file, and a full disk would break it in the middle.
        memory = io.BytesIO()
        np.savez(memory, **_to_arrays(state))  # type: ignore[arg-type]  # its own option is not an array
        try:
            with atomic_file(self._folder / f"{name}.npz") as temporary:
                temporary.write_bytes(memory.getvalue())
        except OSError as error:
            log.warning("The checkpoint in %s was not saved: %s.", self._folder, error.strerror)

    def load(self, name: str) -> TrainingState | None:
        """Return the state to resume the training `name` from, None to begin it. Raises ModelError: damaged file."""
        path = self._folder / f"{name}.npz"
        if not self._resumed or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:  # a pickle could run code
                return _from_arrays(dict(arrays))
        except (ValueError, OSError, KeyError) as error:
            raise ModelError(f"{path} is damaged ({error}). Leave out --resume.") from error


def _to_arrays(state: TrainingState) -> dict[str, np.ndarray]:
    stages = [{name: getattr(progress, name) for name in _JSON_FIELDS} for progress in (*state.earlier, state.progress)]
    about = json.dumps({"seconds": state.seconds, "stages": stages})
    variables = {f"variable{index}": value for index, value in enumerate(state.variables)}
    weights = {f"weight{index}": value for index, value in enumerate(state.progress.best_weights)}
    # An npz file holds arrays only: the JSON text becomes one of bytes.
    return {"about": np.frombuffer(about.encode(), np.uint8)} | variables | weights


def _from_arrays(arrays: dict[str, np.ndarray]) -> TrainingState:
    about = json.loads(arrays.pop("about").tobytes())
    variables, weights = _numbered(arrays, "variable"), _numbered(arrays, "weight")
    *earlier, progress = (StageProgress(**values) for values in about["stages"])
    progress.best_weights = weights
    return TrainingState(progress, tuple(earlier), variables, about["seconds"])


def _numbered(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(name) for key in arrays)
    return [arrays[f"{name}{index}"] for index in range(count)]
