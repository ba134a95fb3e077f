"""A real PostgreSQL for the session, empty for each test, and the commands as a user starts them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from config import Settings
from data import db, embedded
from data.catalog import Catalog
from data.folder import Folder

REPOSITORY = Path(__file__).parent.parent.parent

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder for a dataset with an embedded server, outside pytest's own, whose modes other sessions reset."""
    folder = Path(tempfile.mkdtemp(prefix="dataset-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[dict[str, str]]:
    """A running server, as the settings that name it: its socket's folder stands for the host."""
    with embedded.server(home / "postgres") as socket:
        yield {
            "DB_HOST": str(socket),
            "DB_PORT": str(embedded.PORT),
            "DB_NAME": "postgres",
            "DB_USER": "postgres",
            "DB_PASSWORD": "",
        }


@pytest.fixture
def engine(server: dict[str, str]) -> Iterator[Engine]:
    """An engine on that server; the tables are there and empty."""
    with db.connect(settings(**server)) as engine:
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
        yield engine


@pytest.fixture
def catalog(engine: Engine) -> Catalog:
    """An empty catalogue."""
    return Catalog(engine)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder of frames."""
    root = tmp_path / "frames"
    root.mkdir()
    return Folder(root)


@pytest.fixture
def run(server: dict[str, str], folder: Folder) -> Run:
    """Run `python -m <args>` on `folder` and the server; keyword arguments change its environment."""

    def run(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
        env = environment(**({"DOWNLOAD_PATH": str(folder.root.parent)} | server | changes))
        return subprocess.run(
            [sys.executable, "-m", *args], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False
        )

    return run


def settings(**values: Any) -> Settings:
    """Settings with these values, by the names of their variables; `.env` and the environment's own do not count."""
    return Settings(_env_file=None, **{name.lower(): value for name, value in values.items()})


def environment(**values: str) -> dict[str, str]:
    """This process's environment with these variables, and none of the toolkit's other ones."""
    own = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name not in own} | values
