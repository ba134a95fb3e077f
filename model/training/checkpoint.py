"""The state of a training between two epochs, as one file that is whole or not there. No TensorFlow."""

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

from data.atomic import temporary_files
from data.errors import ModelError

log = logging.getLogger(__name__)

FOLDER = "unfinished"  # in MODEL_PATH


@dataclass
class Course:
    """Where a stage of a training stands. `epoch`: epochs done; `kept`: epochs until the best, 0 for the start.

    `best`: the best one's validation loss; `weights`: its weights. `history`: a value an epoch by figure.
    """

    epoch: int = 0
    best: float = float("inf")
    kept: int = 0
    weights: Sequence[np.ndarray] = ()
    history: dict[str, list[float]] = field(default_factory=dict)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A stage's `course`, and the courses of the stages `before` it without their weights; `seconds` spent so far.

    `variables`: what trains, with its seeds, and then the optimizer's, at the end of `course.epoch`.
    """

    course: Course
    before: tuple[Course, ...]
    variables: Sequence[np.ndarray]
    seconds: float


class Checkpoints:
    """The files of one run of model.create, in `folder`; without `write` another process writes them."""

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self._folder = folder
        self._write = write
        self._resumed = False

    def begin(self, made_of: Any, resume: bool) -> bool:
        """Whether there is something to go on with; what earlier runs left is removed unless `resume`.

        `made_of`: settings and frames, any JSON. Raises ModelError: what is there was made of others.
        """
        digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        marker = self._folder / "made_of"
        if resume and marker.is_file():
            if marker.read_text(encoding="utf-8") != digest:
                raise ModelError(
                    f"{self._folder} is of a training with other settings or frames: use those, or leave out --resume."
                )
            self._resumed = True
            return True
        if self._write:
            self.end()
            self._folder.mkdir(parents=True)
            marker.write_text(digest, encoding="utf-8")
        return False

    def end(self) -> None:
        """Remove them all."""
        if self._write:
            shutil.rmtree(self._folder, ignore_errors=True)

    def save(self, name: str, state: State) -> None:
        """Keep the state of the training `name`; on a full disk the older one stays, with a warning."""
        if not self._write:
            return
        memory = io.BytesIO()
        np.savez(memory, **_arrays(state))  # type: ignore[arg-type]  # its own option is no array
        try:
            with temporary_files(self._folder, [memory.getvalue()]) as (temporary,):
                temporary.replace(self._folder / f"{name}.npz")
        except OSError as error:
            log.warning("No checkpoint in %s: %s.", self._folder, error.strerror)

    def load(self, name: str) -> State | None:
        """The state that `name` goes on from, None at its beginning. Raises ModelError: the file is damaged."""
        path = self._folder / f"{name}.npz"
        if not self._resumed or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return _state(dict(arrays))
        except (ValueError, OSError, KeyError) as error:
            raise ModelError(f"{path} is damaged ({error}): leave out --resume.") from error


def _arrays(state: State) -> dict[str, np.ndarray]:
    courses = [
        {name: getattr(course, name) for name in ("epoch", "best", "kept", "history", "ended")}
        for course in (*state.before, state.course)
    ]
    about = json.dumps({"seconds": state.seconds, "courses": courses})
    named = {f"variable{place}": value for place, value in enumerate(state.variables)}
    best = {f"weight{place}": value for place, value in enumerate(state.course.weights)}
    return {"about": np.frombuffer(about.encode(), np.uint8)} | named | best


def _state(arrays: dict[str, np.ndarray]) -> State:
    about = json.loads(arrays.pop("about").tobytes())
    lists = [[arrays[key] for key in _numbered(arrays, name)] for name in ("variable", "weight")]
    *before, course = (Course(**values) for values in about["courses"])
    course.weights = lists[1]
    return State(course, tuple(before), lists[0], about["seconds"])


def _numbered(arrays: dict[str, np.ndarray], name: str) -> list[str]:
    count = sum(key.startswith(name) for key in arrays)
    return [f"{name}{place}" for place in range(count)]
