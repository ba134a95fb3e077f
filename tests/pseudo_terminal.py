"""Pseudo-terminal: run a command on a terminal of a given size, and read what its user would see."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent


class PseudoTerminal:
    """A terminal with one command on it, a context manager: at the end the command is killed.

    Args:
        command: its words.
        env: all environment variables.
        columns, lines: size of the terminal.
    """

    def __init__(self, command: list[str], env: Mapping[str, str], columns: int, lines: int) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=1.0)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.written = b""  # by the command
        self._master, slave = pty.openpty()
        self._set_size(columns, lines)
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            # Workers of pytest-xdist may hold a size in these variables, which would go before the terminal's own.
            env={name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
            | {"TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - as a shell does: closing it then sends SIGHUP
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close the terminal, as its window does."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self._master, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the size; the command gets SIGWINCH."""
        with self._lock:
            self._screen.resize(lines, columns)
            self._set_size(columns, lines)

    def screen(self) -> list[str]:
        """Return the lines that are visible now, without spaces at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def scrolled(self) -> list[str]:
        """Return the lines that have left the screen at its top."""
        with self._lock:
            width = self._screen.columns
            return ["".join(line[x].data for x in range(width)).rstrip() for line in self._screen.history.top]

    def wait_for(self, condition: Callable[[list[str]], bool], timeout_s: float = 60) -> list[str]:
        """Return the screen as soon as it meets the condition; fail after `timeout_s` or when the command ends."""
        end = time.monotonic() + timeout_s
        while not condition(lines := self.screen()):
            ended = self.process.poll() is not None
            assert not ended or condition(self.screen()), "\n".join([*self.scrolled(), *lines])
            assert time.monotonic() < end, "\n".join([*self.scrolled(), *lines])
            time.sleep(0.1)  # rendering the screen takes 10 ms
        return lines

    def finish(self, timeout_s: float = 60) -> list[str]:
        """Wait for the command's end; return the whole text, what scrolled away included."""
        self.process.wait(timeout_s)
        self._reader.join(5)
        return [*self.scrolled(), *self.screen()]

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:  # Linux: the last process that had the terminal open is gone
                return
            if not data:
                return
            with self._lock:
                self.written += data
                self._stream.feed(data)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def command(module: str, *words: str) -> list[str]:
    """Return the command line of `python -m module`."""
    return [sys.executable, "-m", module, *words]
