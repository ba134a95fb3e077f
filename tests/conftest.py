"""Fixtures that every test may use, and what all workers of a run share: a folder, a server, groups of tests.

`make test` runs the suite in several workers (pytest-xdist). The controlling process owns one shared folder, where
workers and commands also make their temporary files, and removes it at the end with all processes that use it. Tests of
one module run in one worker, so that module-wide fixtures are made once; the marker `xdist_group` groups tests across
modules.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from sqlalchemy import URL, NullPool, create_engine, text

from data.startup import collection_paused
from data.storage import embedded_postgres
from tests.standin import CLIPS, Standin, World

_SHARED = pytest.StashKey[Path]()
_OWNER = pytest.StashKey[IO[str]]()  # a locked file: the kernel frees it however the process dies
_PREFIX = "twitchcategory-tests-"
_YOUNG_S = 60  # a folder of this age may belong to a run that is about to lock it
_GC_OBJECTS = 20_000  # new objects between two collections; with Python's 700 they take 4 % of the tests' time
# Modules that import TensorFlow, which takes two seconds of CPU, in two groups of the same length.
_TRAININGS = ("test_create", "test_export", "test_interrupted", "test_machines")
_NETWORKS = (
    *("test_trainer", "test_network", "test_model_files", "test_image_dataset", "test_feature_cache", "test_pipeline"),
    *("test_synthetic_negatives", "test_shipped", "test_validation", "test_check", "test_screens", "test_real_games"),
    *("test_metrics", "test_folding", "test_stream_threshold"),
)
_GROUPS = dict.fromkeys(_TRAININGS, "trainings") | dict.fromkeys(_NETWORKS, "networks")
# The groups that take longest come first, or they would end the run alone. Each worker also takes a second group at its
# start, which waits for the first one: some short ones.
_ORDER = (
    *("trainings", "networks", "cluster", "browser"),
    *("test_settings", "test_split", "test_sources", "test_playlist"),
    *("test_watch_mode", "test_faults", "test_outage", "test_survival", "test_download", "test_embedded_postgres"),
    *("test_fuzzing", "test_install", "test_terminal", "test_grabber", "test_watch", "test_dataset_outages"),
    *("s3", "test_readme", "test_add", "test_survey", "test_forget", "test_signals", "test_recording"),
    *("test_frame_filter", "test_source_resolver", "test_video", "test_chapters", "test_targets_apprise"),
    *("test_server", "test_watcher", "test_uploads", "test_api_schema"),
)
_MEMORY = Path("/dev/shm")  # the tests flush thousands of files: a disk would take a fifth of their time
_FILES_BYTES, _TESTS_BYTES = 1 << 30, 6 << 30  # what the tests need there, and for themselves
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def pytest_configure(config: pytest.Config) -> None:
    """Create the shared folder, or take the controlling process's; let child processes take every signal."""
    if hasattr(config, "workerinput"):
        config.stash[_SHARED] = Path(config.workerinput["shared"])
        # Workers share the cores: with more threads than cores they only wait for each other.
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        import_module("streamlink")  # its import searches all modules, of which there are few yet
    else:
        is_in_memory = "TMPDIR" not in os.environ and _has_room()
        if is_in_memory:
            tempfile.tempdir = str(_MEMORY)
        _remove_stale_folders()
        shared = config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if is_in_memory:
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(shared)  # pytest would keep the folders of three runs
        shared.chmod(0o711)  # tests that act as another user pass through it
        config.stash[_OWNER] = (shared / "owner").open("w")
        fcntl.flock(config.stash[_OWNER], fcntl.LOCK_EX)
        os.environ["TMPDIR"] = str(shared)  # of workers and commands: it marks the processes of this run
        os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"  # trio's one searches all objects, in each worker
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each command compiles the project anew at its start
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, with pytest_unconfigure
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell starts background jobs with SIGINT ignored, and child processes inherit that: Ctrl-C would do nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup: a handler, unlike SIG_IGN, is not inherited
        signal.signal(signal.SIGHUP, lambda *_: None)


def _has_room() -> bool:
    """Return whether there is a file system in memory that has room for the tests, and whose programs may run."""
    with contextlib.suppress(OSError):
        status = os.statvfs(_MEMORY)
        free = min(status.f_bavail * status.f_frsize, psutil.virtual_memory().available - _TESTS_BYTES)
        return free > _FILES_BYTES and not status.f_flag & os.ST_NOEXEC
    return False


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the shared folder. Runs after Ctrl-C and SIGTERM too."""
    if _OWNER in config.stash:
        _remove(config.stash[_SHARED])
        config.stash[_OWNER].close()


def _remove(shared: Path) -> None:
    """Kill leftover processes of the run, commands and servers, and remove the shared folder."""
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


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Import the tests without the garbage collector, which takes 40 % of that time; later it skips what is there."""
    with _one_worker_first(session.config.stash[_SHARED]), collection_paused():
        result = yield
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, 5, 5)
    return result


@contextlib.contextmanager
def _one_worker_first(shared: Path) -> Iterator[None]:
    """Let one worker run the block alone, then all others at once.

    In a new clone pytest compiles all tests, which takes four seconds: the other workers read the first one's bytecode.
    """
    with (shared / "collection.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests by module, or as marked or listed; put the groups that take longest first."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_GROUPS.get(item.path.stem, item.path.stem)))
    ranks = {group: rank for rank, group in enumerate(_ORDER)}
    items.sort(key=lambda item: ranks.get(_group(item), len(ranks)))


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""


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
def postgres(shared: Path, worker_id: str) -> Iterator[dict[str, str]]:
    """Yield the settings of a database of this worker's own, on the one PostgreSQL server of the run.

    The last worker to leave stops the server, as the last command does. The socket's folder stands for the host.
    """
    with embedded_postgres.running_server(shared / "postgres") as socket:
        values = {"DB_HOST": str(socket), "DB_PORT": str(embedded_postgres.PORT), "DB_USER": "postgres"}
        address = URL.create("postgresql+psycopg2", "postgres", host=str(socket), database="postgres")
        engine = create_engine(address, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            # These rows need not survive a power cut, and the disk is the slowest part of a small transaction.
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
            connection.execute(text(f'CREATE DATABASE "{worker_id}"'))
        yield values | {"DB_NAME": worker_id, "DB_PASSWORD": ""}


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
