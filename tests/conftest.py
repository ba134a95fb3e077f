"""Fixtures that every test may use, and what all workers of a run share: a folder, a server, groups of tests.

`make test` runs the suite in several workers (pytest-xdist). The controlling process owns one shared folder, where
workers and commands also make their temporary files, and removes it at the end with all processes that use it. Tests of
one module run in one worker, so that module-wide fixtures are made once; the marker `xdist_group` groups tests across
modules.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from tests.standin import CLIPS, Standin, World

_SHARED = pytest.StashKey[Path]()
_OWNER = pytest.StashKey[IO[str]]()  # a locked file: the kernel frees it however the process dies
_PREFIX = "twitchcategory-tests-"
_YOUNG_S = 60  # a folder of this age may belong to a run that is about to lock it
# Modules that take longest, in this order: those that begin last would otherwise end the run alone.
_LONGEST_FIRST: tuple[str, ...] = ()
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def pytest_configure(config: pytest.Config) -> None:
    """Create the shared folder, or take the controlling process's; let tests send SIGINT to their child processes."""
    if hasattr(config, "workerinput"):
        config.stash[_SHARED] = Path(config.workerinput["shared"])
        # Workers share the cores: with more threads than cores they only wait for each other.
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    else:
        _remove_stale_folders()
        shared = config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix=_PREFIX))
        config.stash[_OWNER] = (shared / "owner").open("w")
        fcntl.flock(config.stash[_OWNER], fcntl.LOCK_EX)
        os.environ["TMPDIR"] = str(shared)  # for workers and commands: it also tells whose they are
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, with pytest_unconfigure
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell starts background jobs with SIGINT ignored, and child processes inherit that: Ctrl-C would do nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the shared folder. Runs after Ctrl-C and SIGTERM too."""
    if _OWNER in config.stash:
        _remove(config.stash[_SHARED])
        config.stash[_OWNER].close()


def _remove(shared: Path) -> None:
    """Kill what killed tests have left running, commands and servers, and remove the shared folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(shared):
                process.kill()
    shutil.rmtree(shared, ignore_errors=True)


def _remove_stale_folders() -> None:
    """Remove the shared folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / "owner").open() as owner:
            if time.time() - folder.stat().st_mtime > _YOUNG_S:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker the shared folder: a hook of pytest-xdist in the controlling process."""
    node.workerinput["shared"] = str(node.config.stash[_SHARED])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group each module's tests unless they are marked; put the modules that take longest first."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    ranks = {name: rank for rank, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """Return the folder that all workers of this run share."""
    return request.config.stash[_SHARED]


@pytest.fixture(scope="session")
def make_once(shared: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a function that makes a folder once in a run: the first worker calls `make`, the others wait for it."""

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder, complete = shared / name, shared / f"{name}.complete"
        with (shared / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # closing the file frees it, as does the process's death
            if not complete.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                complete.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def world() -> World:
    """Return the channels of the clips that come with the project."""
    return World.load(CLIPS)


@pytest.fixture
def standin(world: World) -> Iterator[Standin]:
    """A stand-in for Twitch on loopback. A request that it does not know fails the test."""
    with Standin(world, preroll_s=4.0) as running:
        yield running
    assert not running.unknown
