"""The run's PostgreSQL, empty for each test, and the commands as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from config import Settings
from data.entities import StoredFrame
from data.factories import connect_database
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from tests.in_process import run_command
from tests.standin import Standin, World

REPOSITORY = Path(__file__).parent.parent.parent

CHANNELS = ["bzflag_ctf", "torcs_alpine_1", "supertux_crystal_mine", "openarena_oa_dm1"]  # live, fMP4, mid-roll, broken
# The stand-in's clips loop after 15 segments: runs that ask for more take what they have seen.
GREEDY = {"FILTER_FRAMES": "false", "MAX_STREAMER_FRACTION": "1"}
SICK = ["already_over", "only_sponsors", "ads_first", "just_talking"]

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def server(postgres: dict[str, str]) -> dict[str, str]:
    """Return the settings of this worker's database."""
    return postgres


@pytest.fixture
def engine(server: dict[str, str]) -> Iterator[Engine]:
    """Yield an engine on that server, with empty tables."""
    with connect_database(settings(**server)) as engine:
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
        yield engine


@pytest.fixture
def catalog(engine: Engine) -> Catalog:
    """Return an empty catalog."""
    return Catalog(engine)


@pytest.fixture
def folder(tmp_path: Path) -> FrameFolder:
    """Return an empty folder of frames."""
    root = tmp_path / "frames"
    root.mkdir()
    return FrameFolder(root)


@pytest.fixture
def run(server: dict[str, str], folder: FrameFolder) -> Run:
    """Return a function that runs `python -m <args>` on `folder`; keyword arguments change its environment."""

    def run(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
        dataset = {"DOWNLOAD_PATH": str(folder.root.parent), "OUTBOX_PATH": str(folder.root.parent / "outbox.sqlite")}
        env = environment(**(dataset | server | changes))
        return run_command(*args, env=env)

    return run


@pytest.fixture
def twitch(world: World) -> Iterator[Standin]:
    """Yield a stand-in with a channel of each behaviour."""
    with Standin(world.only([*CHANNELS, *SICK]), preroll_s=600) as running:
        yield running
    assert not running.unknown


def _download_environment(server: dict[str, str], folder: FrameFolder, twitch: Standin) -> dict[str, str]:
    dataset = {"MIN_STREAMERS": "1", "DOWNLOAD_PATH": str(folder.root.parent), **GREEDY}
    return environment(**server, **twitch.environment, **dataset)


@pytest.fixture
def download(server: dict[str, str], folder: FrameFolder, twitch: Standin) -> Run:
    """Return a function that runs a download to its end in this process; keyword arguments change its environment."""

    def download(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return run_command("data.download", *args, env=_download_environment(server, folder, twitch) | changes)

    return download


@pytest.fixture
def start(server: dict[str, str], folder: FrameFolder, twitch: Standin) -> Iterator[Start]:
    """Yield a function that starts a download in the background; kill the downloads at the test's end."""
    running: list[subprocess.Popen[str]] = []

    def start(*args: str, **options: Any) -> subprocess.Popen[str]:
        changes = options.pop("env", {})
        env = _download_environment(server, folder, twitch)
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        command = [sys.executable, "-m", "data.download", *args]
        running.append(subprocess.Popen(command, cwd=REPOSITORY, env=env | changes, text=True, **options))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for_frames(folder: FrameFolder, count: int, timeout_s: float = 90) -> None:
    """Return as soon as the folder has `count` files; fail after `timeout_s` seconds."""
    end = time.monotonic() + timeout_s
    while len(list(folder.root.glob("*/*.jpg"))) < count:
        assert time.monotonic() < end, f"no {count} frames in {timeout_s} s"
        time.sleep(0.02)


def rows(catalog: Catalog) -> set[StoredFrame]:
    """Return the frames that have rows."""
    return {StoredFrame.parse(path) for path in catalog.snapshot().paths}


def settings(**values: Any) -> Settings:
    """Return settings with these values, by the names of their variables; ignore `.env` and the environment."""
    return Settings(_env_file=None, **{name.lower(): value for name, value in values.items()})


def environment(**values: str) -> dict[str, str]:
    """Return this process's environment with these variables and without the toolkit's other ones."""
    own = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name not in own} | values
