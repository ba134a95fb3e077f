"""Downloads killed at random moments, and what must be true of the dataset that they leave."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from data.atomic import is_temporary
from data.storage import database
from data.storage.catalog import Catalog
from data.storage.frame_folder import Folder
from data.video.decoder import decode
from tests.data.conftest import GREEDY, REPOSITORY, environment, settings
from tests.data.mortal import runs

_LATE_S = 2.5  # after the process's start: interpreter, imports, PostgreSQL's start, the first requests
_SAVING_S = 0.5  # after the first new file
# Dead before Python listened; interrupted. CPython lets the interrupt kill it, which a shell calls 130 as well, where
# it came in the middle of an exec(): imports are full of those (https://github.com/python/cpython/blob/3.11/Python/pythonrun.c).
_AT_THE_START = (-signal.SIGTERM, 130, -signal.SIGINT)


@dataclass(frozen=True)
class Moment:
    """When a run is killed and how: `delay_s` after its start, or where `saving` after its first new file."""

    sent: signal.Signals
    saving: bool
    delay_s: float
    embedded: bool


@dataclass(frozen=True)
class Site:
    """A dataset, and the variables with which a download fills it. DB_HOST empty: it has a server of its own."""

    dataset: Path
    variables: Mapping[str, str]

    @property
    def folder(self) -> Folder:
        """Its frames."""
        return Folder(self.dataset / "frames")

    def command(self, module: str, *args: str, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start `python -m module` on it."""
        env = environment(**GREEDY, **self.variables, DOWNLOAD_PATH=str(self.dataset))
        command = [sys.executable, "-m", module, *args]
        nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
        return subprocess.Popen(command, cwd=REPOSITORY, env=env, stdin=nothing, stdout=pipe, stderr=stderr, text=True)

    def processes(self) -> list[psutil.Process]:
        """What still runs for it: servers, which work in its folder, and commands."""
        return [process for process in psutil.process_iter() if runs(process) and self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.environ().get("DOWNLOAD_PATH") == str(self.dataset):
                return True
            return Path(process.cwd()).is_relative_to(self.dataset)
        except psutil.Error:
            return False


def moments(count: int, seed: int) -> list[Moment]:
    """So many: SIGTERM and kill -9 in turn, half of them while frames are saved, half on an embedded server."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        sent = signal.SIGKILL if index % 2 else signal.SIGTERM
        saving = bool(index // 4 % 2)
        made.append(Moment(sent, saving, rng.uniform(0, _SAVING_S if saving else _LATE_S), bool(index // 2 % 2)))
    return made


def kill(site: Site, moment: Moment) -> list[str]:
    """Run a download and kill it at that moment; what was wrong with its end, in words."""
    before, served = _files(site), bool(site.processes())
    process = site.command("data.download")
    end = time.monotonic() + 60
    while moment.saving and _files(site) <= before and time.monotonic() < end and process.poll() is None:
        time.sleep(0.005)
    time.sleep(moment.delay_s)
    process.send_signal(moment.sent)
    stdout, stderr = process.communicate(timeout=60)
    wrong = list(_complaints(moment, process.returncode, stdout, stderr))
    # A server that an earlier run left, killed with -9, is not stopped by one that does not get as far as to it.
    if moment.sent == signal.SIGTERM and not (served and process.returncode) and (left := site.processes()):
        wrong.append(f"it left {left}")
    return [f"{moment}: {complaint}" for complaint in wrong]


def _complaints(moment: Moment, code: int, stdout: str, stderr: str) -> Iterator[str]:
    if "Traceback" in stderr:
        yield f"a traceback: {stderr}"
    if moment.sent == signal.SIGKILL:
        if code != -signal.SIGKILL:
            yield f"it had ended before: {code} {stderr}"
        return
    if code not in (0, *_AT_THE_START):
        yield f"exit code {code}: {stderr}"
    if (code == 0) != stdout.startswith("Downloaded "):
        yield f"exit code {code} with the totals {stdout!r}"


def _files(site: Site) -> int:
    return sum(1 for _ in site.folder.root.glob("*/*.jpg"))


def faults(site: Site) -> list[str]:
    """What is wrong with a dataset after data.dbSync, in words; nothing should be."""
    return list(_faults(site))


def _faults(site: Site) -> Iterator[str]:
    site.folder.root.mkdir(parents=True, exist_ok=True)  # a run killed at its start has not made it
    sync = site.command("data.dbSync")
    stdout, stderr = sync.communicate(timeout=120)
    if sync.returncode:
        yield f"data.dbSync ended with {sync.returncode}: {stdout}{stderr}"
        return
    if site.variables["DB_HOST"] == "" and (left := site.processes()):
        yield f"still running: {left}"
    files = list(site.folder.frames())
    with database.connect(settings(**site.variables, DOWNLOAD_PATH=str(site.dataset))) as engine:
        rows = Catalog(engine).rows()
    if rows.paths != {frame.path for frame in files}:
        yield f"{len(rows.paths)} rows and {len(files)} files"
    if rows.miscounted:
        yield f"games with wrong counts: {sorted(rows.miscounted)}"
    if left_over := [path for path in site.dataset.rglob("*") if is_temporary(path)]:
        yield f"temporary files: {left_over}"
    yield from (f"{frame.path} is no whole picture" for frame in files if not _whole(site.folder.root / frame.path))


def _whole(jpeg: Path) -> bool:
    """Whether it is a JPEG of 240 by 240 to its very end: decoders forgive a cut-off one."""
    content = jpeg.read_bytes()
    return content.endswith(b"\xff\xd9") and decode(content).shape == (240, 240, 3)
