"""Command names: the sub-commands of `twitchcategory`, how a user starts them, and the extras that they need."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from data.errors import ExtraMissing

PROGRAM = "twitchcategory"
# By sub-command: the module that holds the command's `main`, and what the command does.
COMMANDS = {
    "download": ("data.download", "collect frames of live streams"),
    "info": ("data.info", "show what the dataset holds"),
    "sync": ("data.dbSync", "make the catalog match the folder of frames"),
    "add": ("data.add", "add pictures, recordings and exported datasets to the dataset"),
    "export": ("data.export", "write the dataset in a format of other programs"),
    "forget": ("data.forget", "remove a streamer and never collect them again"),
    "purge": ("data.purge", "remove frames older than a given age"),
    "check": ("model.check", "find streams and frames that do not show their game, and move them"),
    "train": ("model.create", "train the model on the dataset"),
    "evaluate": ("model.evaluate", "evaluate the model on images whose games are known"),
    "export-model": ("model.export", "convert the model to other formats"),
    "recognize": ("recognition.recognize", "recognise the games that streams, videos and pictures show"),
    "audit": ("recognition.audit", "find streams that show another game than their streamers declare"),
    "serve": ("dashboard.serve", "serve web pages and an API for the dataset, live streams, jobs and the model"),
}
# By extra of pyproject.toml: its libraries that a command imports.
_EXTRAS = {
    "train": ("tensorflow", "keras", "tf2onnx", "onnx", "h5py", "matplotlib"),
    "serve": ("fastapi", "uvicorn", "websockets"),
    "alerts": ("apprise", "paho"),
    "cluster": ("ray",),
}


def command_line(module: str) -> str:
    """Return the words that start the command `module`, in the way in which this process was started.

    That is `twitchcategory download` for the console command, otherwise `python -m data.download`.
    """
    name = next((name for name, (other, _) in COMMANDS.items() if other == module), "")
    started = Path(sys.argv[0]).name
    if name and started in (PROGRAM, f"{PROGRAM}.py"):
        return f"{'python -m ' if started.endswith('.py') else ''}{PROGRAM} {name}"
    return f"python -m {module}"


def with_command_lines(text: str) -> str:
    """Return the text with `command_line(module)` in the place of each `python -m module`."""
    return re.sub(r"python -m ([a-z]+\.\w+)", lambda found: command_line(found[1]), text)


def missing_libraries(extra: str) -> list[str]:
    """Return the libraries of an extra that are not installed."""
    return [library for library in _EXTRAS[extra] if not _is_installed(library)]


def _is_installed(library: str) -> bool:
    with suppress(ImportError):  # a finder may refuse a library
        return find_spec(library) is not None
    return False


def require_extra(extra: str, purpose: str) -> None:
    """Raise ExtraMissing if a library of the extra is not installed. `purpose`: what needs it, such as "Training"."""
    if missing := missing_libraries(extra):
        raise ExtraMissing(
            f"{purpose} needs {', '.join(missing)}, not installed here. Install: {install_command(extra)}"
        )


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the environment of the toolkit."""
    return f"pip install '{PROGRAM}[{extra}]'"
