"""Commands of jobs: words, environment and time to stop, from the options and the server's settings."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import config
from config import Settings
from dashboard.jobs.options import Kind, Options, TrainOptions
from data.commands import COMMANDS, command_line
from data.errors import FolderError
from data.settings.variables import as_text
from data.storage.folder_errors import folder_errors
from model.inference.classes import CLASSES_FILE
from model.training.checkpoint import CHECKPOINT_FOLDER

PROGRESS, TABLE = "progress.json", "results.csv"  # files in a job's folder that the command writes
_NAMES: dict[Kind, str] = {"download": "download", "train": "train", "check": "check", "survey": "recognize"}
# Seconds after Ctrl-C: a training step or the conversion to ONNX ends first; others end themselves in 3.5.
_GRACE_S: dict[Kind, float] = {"download": 15, "train": 120, "check": 120, "survey": 15}


def make_record(options: Options, changes: dict[str, str], folder: Path) -> dict[str, Any]:
    """Return what the runner of a job in `folder` has to know, and what is shown of it.

    changes: settings that differ from the server's.
    """
    kind = options.kind
    module, _ = COMMANDS[_NAMES[kind]]
    files = [f"--progress={folder / PROGRESS}"]
    if kind == "survey":
        files = ["--json", f"--csv={folder / TABLE}"]
    return {
        "kind": kind,
        "options": options.model_dump(mode="json"),
        "command": [sys.executable, "-m", module, *options.words(), *files, "-v"],
        "separate": kind == "survey",  # results on stdout, messages on stderr
        "shown": shlex.join([*map("=".join, changes.items()), *command_line(module).split(), *options.words()]),
        "grace_s": _GRACE_S[kind],
    }


def changed_settings(options: Options, settings: Settings) -> dict[str, str]:
    """Return the settings of a job that differ from the server's.

    Raises FolderError: a training would write into a folder that holds something else.
    """
    if isinstance(options, TrainOptions) and options.model:
        return options.variables() | {"MODEL_PATH": str(_model_folder(settings, options.model))}
    return options.variables()


def make_environment(settings: Settings, changes: dict[str, str]) -> dict[str, str]:
    """Return the environment of a job: the server's, with all of its settings but the token, and the changes."""
    given = {name: as_text(getattr(settings, name)) for name in settings.model_fields_set if name != "dashboard_token"}
    root = str(Path(config.__file__).resolve().parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    own = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return inherited | {name.upper(): value for name, value in given.items()} | own | changes


def _model_folder(settings: Settings, name: str) -> Path:
    """Return the folder of that name beside MODEL_PATH. Raises FolderError: other files are there."""
    folder = settings.model_path.parent / name
    with folder_errors(folder), suppress(FileNotFoundError):
        names = {path.name for path in folder.iterdir()}
        if names and not names & {CLASSES_FILE, CHECKPOINT_FOLDER}:
            raise FolderError(f"The folder {name} beside MODEL_PATH holds no model; choose another name.")
    return folder
