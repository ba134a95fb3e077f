"""Standard streams: full, closed and broken ones end a command with one line, never with a traceback."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data import cli
from data.errors import StreamOffline
from tests.data.conftest import environment
from tests.test_architecture import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
_FULL = "error: cannot write to stdout: No space left on device\n"
_CLOSED = "error: cannot write to stdout: Bad file descriptor\n"
# By words and redirections: the exit code, and what stderr shows.
_CASES = {
    "data.info > /dev/full": (1, _FULL),
    "data.info --help > /dev/full": (1, _FULL),
    "twitchcategory --version > /dev/full": (1, _FULL),
    "twitchcategory completion bash > /dev/full": (1, _FULL),
    "twitchcategory completion bash >&-": (1, _CLOSED),
    "twitchcategory --help | true": (0, ""),
    "data.info >&-": (1, _CLOSED),
    "data.info <&- 2>&-": (0, ""),
    "data.info 2> /dev/full": (0, ""),
    "data.info <&- >&- 2>&-": (1, ""),
    "data.info > /dev/full 2>&1": (1, ""),
    "data.info 2>&1 | true": (0, ""),
}


@contextmanager
def _restored_logging() -> Iterator[None]:
    root = logging.root
    handlers, level, root.handlers = root.handlers, root.level, []
    try:
        with warnings.catch_warnings():
            yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


def _start(words: str, env: dict[str, str]) -> subprocess.Popen[str]:
    line = f"set -o pipefail; {sys.executable} -m {words}"
    return subprocess.Popen(
        ["bash", "-c", line], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_command_with_full_closed_or_broken_streams_prints_one_line(tmp_path: Path):
    """The exit code is 1 if the result is lost, otherwise 0; without buffers, too. Nothing is printed by Python."""
    env = environment(DOWNLOAD_PATH=str(tmp_path), DB_HOST="")
    env.pop("PYTHONUNBUFFERED", None)
    running = {words: _start(words, env) for words in _CASES}
    for words in ("data.info > /dev/full", "data.info --help > /dev/full", "twitchcategory --version > /dev/full"):
        running[f"{words} "] = _start(words, env | {"PYTHONUNBUFFERED": "1"})
    for words, process in running.items():
        _, stderr = process.communicate(timeout=120)
        assert (words, process.returncode, stderr) == (words, *_CASES[words.strip()])


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_ends_its_process_through_the_one_place(name: str):
    """A command that left with sys.exit would wait for threads that hang, and Python would report a full stdout."""
    source = (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert source.endswith('if __name__ == "__main__":\n    cli.end_process(main())\n')
    assert "return cli.run_command(" in source


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_log_of_libraries_is_printed_at_vv_only(capfd: pytest.CaptureFixture[str], verbose: int):
    """Streamlink sets its level at its import, SQLAlchemy logs a pool's tracebacks: our own messages say it all."""
    import streamlink

    def work(*_: object) -> int:
        for name in (streamlink.__name__, "sqlalchemy.pool.impl.QueuePool", "root"):
            logging.getLogger(name).error("noise")
        if verbose < 2:  # pytest would report it
            warnings.warn("noise", stacklevel=1)
        logging.getLogger("recognition.modes").warning("ours")
        return 0

    with _restored_logging():
        assert cli.run_command(Namespace(quiet=False, verbose=verbose), work) == 0
    printed = capfd.readouterr().err
    assert "warning: ours\n" in printed
    assert ("noise" in printed) == (verbose == 2)


def test_log_when_it_contains_escape_codes_and_secrets_prints_neither(capfd: pytest.CaptureFixture[str]):
    """Titles, names of files and texts of servers are one line without control characters, in tracebacks, too."""
    foreign = "\x1b]0;owned\x07 \udcff"

    def work(*_: object) -> int:
        logging.getLogger("data").warning("%s\nerror: forged", foreign)
        raise StreamOffline(f"{foreign} https://usher.ttvnw.net/x.m3u8?sig=abcdef&token=secret")

    with _restored_logging():
        assert cli.run_command(Namespace(quiet=False, verbose=2), work) == StreamOffline.exit_code
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "warning: \ufffd]0;owned\ufffd \ufffd error: forged"
    assert lines[1].startswith("error: \ufffd]0;owned\ufffd")
    assert not [line for line in lines if "\x1b" in line or "secret" in line or line.startswith("error: forged")]
