"""Checkpoints: the state of a training run after an epoch, in one file that is complete or absent. No TensorFlow."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from data.atomic import atomic_file, is_temporary
from data.errors import ModelError
from data.readers import open_regular_file
from data.text import printable_line

log = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "unfinished"  # in MODEL_PATH


@dataclass
class StageProgress:
    """How far a stage of a training run is."""

    epoch: int = 0  # finished epochs
    best_val_loss: float = float("inf")
    best_epoch: int = 0  # of the lowest validation loss, from 1; 0: the weights that the stage began with
    best_weights: Sequence[np.ndarray] = ()  # after the best epoch
    history: dict[str, list[float]] = field(default_factory=dict)  # a value per epoch, by metric
    ended: bool = False  # no epoch follows


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A training run after an epoch."""

    stages: list[StageProgress]  # the last one is the current stage; a file has the best weights of this one only
    variables: Sequence[np.ndarray]  # values of all that training changes, as `callbacks.get_state` returns them
    seconds: float  # training time so far
    path: Path | None = None  # the file that it was read from


class CheckpointStore:
    """The checkpoint files of one run of model.create, in `folder`. With `write=False` another process writes them."""

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self._folder = folder
        self._marker = folder / "fingerprint"  # without it the folder is not the toolkit's
        self._write = write
        self._resumed = False

    def open(self, inputs: Any, resume: bool) -> bool:
        """Return whether there is a training run to resume; unless `resume`, delete the files of earlier runs.

        `inputs`: settings and frames, as JSON. Raises ModelError: the files are from a run with other inputs, or
        unusable.
        """
        fingerprint = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest().encode()
        try:
            self._resumed = resume and self._marker.exists()
            if self._resumed:
                with open_regular_file(self._marker) as file:
                    stored = file.read(len(fingerprint) + 1)
            elif self._write:
                self._begin(fingerprint)
        except OSError as error:
            raise ModelError(f"{self._folder} cannot be used: {error.strerror}. Move it away.") from error
        if self._resumed and stored != fingerprint:
            raise ModelError(
                f"{self._folder} holds a run with other settings or frames. Use those, or leave out --resume."
            )
        return self._resumed

    def _begin(self, fingerprint: bytes) -> None:
        if self._marker.exists() and any(self._folder.glob("*.npz")):
            log.warning("An interrupted training run is deleted: --resume would have continued it.")
        self._delete()  # files under the same names must not mix with those of another run
        self._folder.mkdir(parents=True)
        with atomic_file(self._marker) as temporary:
            temporary.write_bytes(fingerprint)

    def clear(self) -> None:
        """Delete all files of the run."""
        if self._write:
            with suppress(OSError):
                self._delete()

    def _delete(self) -> None:
        """Delete the checkpoints and their folder. Raises OSError: it is no folder, or holds files of the user's."""
        own = self._marker.exists()
        for path in self._folder.glob("*"):
            if is_temporary(path) or (own and path.suffix == ".npz"):
                path.unlink()
        if own:
            self._marker.unlink()
        with suppress(FileNotFoundError):
            self._folder.rmdir()

    def save(self, name: str, state: TrainingState) -> None:
        """Save the state of the training run `name`; on a full disk keep the older file and log a warning."""
        if not self._write:
            return
        stages = [vars(progress) | {"best_weights": ()} for progress in state.stages]
        arrays = [*state.variables, *state.stages[-1].best_weights]  # savez names them arr_0, arr_1, …
        counts = {"variables": len(state.variables), "arrays": len(arrays)}
        about = {"seconds": state.seconds, "stages": stages, **counts}
        # Through memory: savez seeks in its file, and a full disk would break it in the middle.
        memory = io.BytesIO()
        np.savez(memory, *arrays, about=np.array(json.dumps(about)))
        try:
            with atomic_file(self._folder / f"{name}.npz") as temporary:
                temporary.write_bytes(memory.getvalue())
        except OSError as error:
            log.warning("The checkpoint in %s was not saved: %s.", self._folder, error.strerror)

    def load(self, name: str) -> TrainingState | None:
        """Return the state to resume the run `name` from, None to begin it. Raises ModelError: damaged file."""
        path = self._folder / f"{name}.npz"
        if not self._resumed or not path.exists():
            return None
        try:
            return _read(path)
        except Exception as error:  # zipfile, numpy and json raise some ten classes for damaged bytes
            raise damaged(path, error) from error


def damaged(path: Path | None, error: Exception) -> ModelError:
    """Return the error to raise if the state in the file `path` cannot be restored because of `error`."""
    return ModelError(
        f"{path} is damaged ({printable_line(str(error))[:200]}). Delete this file to repeat its part of the training, "
        "or leave out --resume to begin again."
    )


def _read(path: Path) -> TrainingState:
    """Return the state in a file. Raises OSError, ValueError and others: damaged."""
    with open_regular_file(path) as opened, NpzFile(opened, allow_pickle=False) as file:  # a pickle could run code
        if sum(entry.file_size for entry in file.zip.infolist()) > 2 * path.stat().st_size:  # savez does not compress
            raise ValueError("its sizes do not fit")
        about = json.loads(str(file["about"]))
        arrays = [file[f"arr_{index}"] for index in range(about["arrays"])]  # a damaged directory may list fewer
    stages, variables = [StageProgress(**values) for values in about["stages"]], int(about["variables"])
    if not all(map(_is_valid, stages)):
        raise ValueError("invalid progress")
    stages[-1].best_weights = arrays[variables:]
    return TrainingState(stages, arrays[:variables], float(about["seconds"]), path)


def _is_valid(progress: StageProgress) -> bool:
    numbers = [progress.best_val_loss, *(value for values in progress.history.values() for value in values)]
    return (
        isinstance(progress.epoch, int)
        and isinstance(progress.best_epoch, int)
        and 0 <= progress.best_epoch <= progress.epoch
        and all(len(values) == progress.epoch for values in progress.history.values())
        and all(isinstance(number, (int, float)) for number in numbers)
    )
