"""Command runner: call a command's `main` in this process as if it were `python -m module …`.

A process of its own costs a second or more of imports. It is only necessary where the process itself is under test:
signals, kills, terminals, pipes, exit. Everything that a command changes in its process is restored afterwards.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
_IGNORED_WARNINGS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # Python's defaults


def run_command(
    module: str, *words: str, env: Mapping[str, str], cwd: Path = ROOT, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `module`'s main and return what a process would: exit code, stdout and stderr, those of C libraries included.

    Args:
        module: for example data.info.
        words: the arguments.
        env: all environment variables.
        cwd: working directory.
        stdin: text to read from standard input.
    """
    with (
        _redirected(1, "stdout") as stdout,
        _redirected(2, "stderr") as stderr,
        _restored_signals(),
        _restored_logging(),
        _working_directory(cwd),
        _environment(env),
        _python_warnings(env.get("PYTHONWARNINGS", "")),
        _standard_input(stdin),
    ):
        code = _exit_code(module, list(words))
    return subprocess.CompletedProcess([module, *words], code, _text_of(stdout), _text_of(stderr))


def _exit_code(module: str, words: list[str]) -> int:
    """Call main and return the code with which Python would exit."""
    try:
        return int(importlib.import_module(module).main(words))
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except Exception:  # noqa: BLE001 - as Python does with an exception that nothing catches
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


@contextlib.contextmanager
def _redirected(descriptor: int, name: str) -> Iterator[IO[bytes]]:
    """Send a file descriptor and the Python stream above it to a file, which is yielded and closed by `_text_of`."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - read after the block
    kept_stream, kept_descriptor = getattr(sys, name), os.dup(descriptor)
    kept_stream.flush()
    os.dup2(file.fileno(), descriptor)
    raw = io.FileIO(descriptor, "w", closefd=False)
    setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", line_buffering=name == "stderr"))
    try:
        yield file
    finally:
        getattr(sys, name).flush()
        setattr(sys, name, kept_stream)
        os.dup2(kept_descriptor, descriptor)
        os.close(kept_descriptor)


def _text_of(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


@contextlib.contextmanager
def _restored_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _restored_logging() -> Iterator[None]:
    """Take pytest's handlers off the root logger meanwhile; restore them and the levels of all loggers."""
    root, loggers = logging.root, logging.root.manager.loggerDict
    levels = {name: logger.level for name, logger in loggers.items() if isinstance(logger, logging.Logger)}
    handlers, level, root.handlers = root.handlers, root.level, []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        for name, logger in loggers.items():
            if isinstance(logger, logging.Logger):
                logger.setLevel(levels.get(name, logging.NOTSET))


@contextlib.contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextlib.contextmanager
def _python_warnings(rules: str) -> Iterator[None]:
    """Print warnings on stderr as Python does, by `rules` such as error::UserWarning, instead of collecting them."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))

    with warnings.catch_warnings():
        warnings.resetwarnings()
        for ignored in _IGNORED_WARNINGS:
            warnings.simplefilter("ignore", ignored)
        for rule in filter(None, rules.split(",")):
            action, _, category = rule.partition("::")
            warnings.simplefilter(action, getattr(builtins, category or "Warning"))  # type: ignore[arg-type]  # a word
        warnings.showwarning = show  # type: ignore[assignment]  # the remaining arguments are optional
        yield


@contextlib.contextmanager
def _standard_input(text: str) -> Iterator[None]:
    kept, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8")
    try:
        yield
    finally:
        sys.stdin = kept


@contextlib.contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    kept = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(kept)
