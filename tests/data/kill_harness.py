"""Kill test: kill commands at random moments, then check the dataset that they leave."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import psutil
from sqlalchemy import Engine

from data.atomic import is_temporary
from data.factories import connect_database
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.video.images import decode_jpeg
from tests.data.conftest import GREEDY, REPOSITORY, environment, settings
from tests.data.restartable_postgres import is_running
from tests.in_process import run_command

_STORAGE, _ATOMIC = str(REPOSITORY / "data" / "storage"), str(REPOSITORY / "data" / "atomic.py")
_MAX_DELAY_S = 2.5  # after the process's start: interpreter, imports, PostgreSQL's start, the first requests
_MAX_SAVING_DELAY_S = 0.5  # after the first new file
# Killed before Python installed its handler, or interrupted. CPython lets SIGINT kill it in the middle of an exec(),
# and imports are full of those (https://github.com/python/cpython/blob/3.11/Python/pythonrun.c).
_EARLY_EXIT_CODES = (-signal.SIGTERM, 130, -signal.SIGINT)


@dataclass(frozen=True)
class KillMoment:
    """When and how to kill a run.

    Args:
        sent: the signal.
        saving: whether to wait for the first new file before the delay; otherwise the delay starts with the process.
        delay_s: seconds until the signal.
        embedded: whether the dataset has an embedded server.
    """

    sent: signal.Signals
    saving: bool
    delay_s: float
    embedded: bool


@dataclass(frozen=True)
class KilledCommand:
    """A command to kill.

    Args:
        words: module and arguments.
        output: text on stdout of each run that ends with success.
        progress: counts what the command writes; its first increase is the beginning of saving.
        ends: whether a run ends by itself soon, perhaps before the signal.
    """

    words: tuple[str, ...]
    output: str
    progress: Callable[[DatasetUnderTest], int]
    ends: bool = False


@dataclass(frozen=True)
class DatasetUnderTest:
    """A dataset's folder, and the environment variables of its commands. Empty DB_HOST: an embedded server."""

    path: Path
    variables: Mapping[str, str]

    @property
    def folder(self) -> FrameFolder:
        """The folder of its frames."""
        return FrameFolder(self.path / "frames")

    def command(self, module: str, *args: str, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start `python -m module` on this dataset."""
        env = environment(**GREEDY, **self.variables, DOWNLOAD_PATH=str(self.path))
        command = [sys.executable, "-m", module, *args]
        nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
        return subprocess.Popen(command, cwd=REPOSITORY, env=env, stdin=nothing, stdout=pipe, stderr=stderr, text=True)

    def processes(self) -> list[psutil.Process]:
        """Return the running processes of this dataset: commands, and servers that work in its folder."""
        return [process for process in psutil.process_iter() if is_running(process) and self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.environ().get("DOWNLOAD_PATH") == str(self.path):
                return True
            return Path(process.cwd()).is_relative_to(self.path)
        except psutil.Error:
            return False


def kill_moments(count: int, seed: int) -> list[KillMoment]:
    """Return `count` moments: SIGTERM and SIGKILL in turn, half of them while saving, half with an embedded server.

    Four moments have each of these once or twice, eight have each combination.
    """
    rng = random.Random(seed)
    moments = []
    for index in range(count):
        sent = signal.SIGKILL if index % 2 else signal.SIGTERM
        saving = bool((index + index // 2 + index // 4) % 2)
        delay_s = rng.uniform(0, _MAX_SAVING_DELAY_S if saving else _MAX_DELAY_S)
        moments.append(KillMoment(sent, saving, delay_s, bool(index // 2 % 2)))
    return moments


def count_files(dataset: DatasetUnderTest) -> int:
    """Return the number of frames."""
    return sum(1 for _ in dataset.folder.root.glob("*/*.jpg"))


DOWNLOAD = KilledCommand(("data.download",), "Downloaded ", count_files)


def run_and_kill(dataset: DatasetUnderTest, moment: KillMoment, command: KilledCommand = DOWNLOAD) -> list[str]:
    """Run a command and kill it at that moment; return what was wrong with its end, one line each."""
    before, had_processes = command.progress(dataset), bool(dataset.processes())
    process = dataset.command(*command.words)
    end = time.monotonic() + 60
    while moment.saving and command.progress(dataset) <= before and time.monotonic() < end and process.poll() is None:
        time.sleep(0.005)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment.delay_s)
    process.send_signal(moment.sent)
    stdout, stderr = process.communicate(timeout=60)
    wrong = list(_exit_errors(command, moment, process.returncode, stdout, stderr))
    # A run that ends early does not stop a server that an earlier, SIGKILLed run has left.
    stopped_early = had_processes and process.returncode
    if moment.sent == signal.SIGTERM and not stopped_early and (left := dataset.processes()):
        wrong.append(f"it left {left}")
    return [f"{' '.join(command.words)}, {moment}: {error}" for error in wrong]


def _exit_errors(command: KilledCommand, moment: KillMoment, code: int, stdout: str, stderr: str) -> Iterator[str]:
    if "Traceback" in stderr:
        yield f"a traceback: {stderr}"
    if moment.sent == signal.SIGKILL and not (command.ends and code == 0):
        if code != -signal.SIGKILL:
            yield f"it had ended before: {code} {stderr}"
        return
    if code not in (0, *_EARLY_EXIT_CODES):
        yield f"exit code {code}: {stderr}"
    has_output = command.output in stdout
    too_late = has_output and code != 0 and not command.ends  # a signal may come to a process that is about to end
    if too_late or (code == 0 and not has_output):
        yield f"exit code {code} with the output {stdout!r}"


class _KilledAt:
    """A trace function that ends the process at the n-th line that runs in the storage room or in data.atomic."""

    def __init__(self, line: int) -> None:
        self._left = line

    def __call__(self, frame: FrameType, event: str, _arg: object) -> _KilledAt | None:
        if not frame.f_code.co_filename.startswith((_STORAGE, _ATOMIC)):
            return None
        self._left -= event == "line"
        if self._left < 0:
            os._exit(9)
        return self


def run_and_kill_at_line(line: int, engine: Engine, work: Callable[[], object]) -> int:
    """Do the work in a child process, which ends at that line as by SIGKILL; return its exit code, 0 if it was done.

    The line counts those that run in the storage room. engine: the child leaves its connections alone.
    """
    child = os.fork()
    if child == 0:
        engine.dispose(close=False)
        sys.settrace(_KilledAt(line))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def find_errors(dataset: DatasetUnderTest) -> list[str]:
    """Run data.dbSync; return what is wrong with the dataset afterwards, one line each."""
    return list(_find_errors(dataset))


def _find_errors(dataset: DatasetUnderTest) -> Iterator[str]:
    dataset.folder.root.mkdir(parents=True, exist_ok=True)  # a run killed at its start has not created it
    sync = run_command("data.dbSync", env=environment(**GREEDY, **dataset.variables, DOWNLOAD_PATH=str(dataset.path)))
    if sync.returncode:
        yield f"data.dbSync ended with {sync.returncode}: {sync.stdout}{sync.stderr}"
        return
    if dataset.variables["DB_HOST"] == "" and (left := dataset.processes()):
        yield f"still running: {left}"
    files = list(dataset.folder.frames())
    with connect_database(settings(**dataset.variables, DOWNLOAD_PATH=str(dataset.path))) as engine:
        snapshot = Catalog(engine).snapshot()
    if snapshot.paths != {frame.path for frame in files}:
        yield f"{len(snapshot.paths)} rows and {len(files)} files"
    if snapshot.wrong_counts:
        yield f"games with wrong counts: {sorted(snapshot.wrong_counts)}"
    if temporary := [path for path in dataset.path.rglob("*") if is_temporary(path)]:
        yield f"temporary files: {temporary}"
    yield from (f"{frame.path} is incomplete" for frame in files if not _is_complete(dataset.folder.read(frame)))


def _is_complete(jpeg: bytes) -> bool:
    """Return whether this is a JPEG of 240 x 240 with its end marker: decoders accept a truncated one."""
    return jpeg.endswith(b"\xff\xd9") and decode_jpeg(jpeg).shape == (240, 240, 3)
