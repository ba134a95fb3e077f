"""STORE_URL with the commands of model: they read an S3 server as they do a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data.entities import StoredFrame
from data.factories import make_frame_store
from data.storage.file_store import FileStore
from tests.data.conftest import settings
from tests.in_process import run_command
from tests.model.conftest import Trained, create, environment, figures
from tests.s3_server import BUCKET, s3_server

pytestmark = pytest.mark.xdist_group("trainings")  # which import TensorFlow


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """Yield the environment variables of an S3 server."""
    with s3_server() as variables:
        yield variables


@pytest.fixture
def variables(s3: dict[str, str], trained: Trained, tmp_path: Path) -> dict[str, str]:
    """Return the settings of a store with the frames of `trained`."""
    given = {**s3, "STORE_URL": f"s3://{BUCKET}/{tmp_path.name}/frames", "DOWNLOAD_PATH": str(tmp_path)}
    files = store_of(given).files
    for path in trained.dataset.root.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            files.create(path.relative_to(trained.dataset.root).as_posix(), path.read_bytes())
    return given


def store_of(variables: dict[str, str]) -> FileStore:
    """Return the store at STORE_URL."""
    return make_frame_store(settings(**{key: variables[key] for key in ("STORE_URL", "DOWNLOAD_PATH")}))


def run(module: str, *words: str, model: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command on that store with this MODEL_PATH."""
    return run_command(module, *words, env=environment(Path(variables["DOWNLOAD_PATH"]), model, **variables))


def test_training_from_a_store_gives_the_model_of_the_folder(
    trained: Trained, variables: dict[str, str], tmp_path: Path
):
    """Validation, history and confusion are equal; an evaluation reads the same frames."""
    model = tmp_path / "model"
    done = create(tmp_path, model, EPOCHS="8", **{key: variables[key] for key in variables if key != "DOWNLOAD_PATH"})
    assert done.returncode == 0, done.stderr
    assert results(model) == results(trained.path)
    done = run("model.evaluate", model=model, **variables)
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout
    assert not (tmp_path / "frames").exists()


def results(model: Path) -> dict[str, Any]:
    """Return what a training says of the frames."""
    return {key: figures(model)[key] for key in ("validation", "confusion", "history", "temperature", "games")}


def test_check_of_a_store_moves_objects_and_undoes_it(variables: dict[str, str], tmp_path: Path):
    """check.csv lies in the store and features in the mirror; --apply and --undo move objects."""
    store = store_of(variables)
    for number in range(1, 5):  # a stream in the wrong game
        store.files.rename(f"9/red_cat-{number}.jpg", f"100/red_cat-{number}.jpg")
    before = set(store.frames())
    check = partial(run, "model.check", model=tmp_path / "model", **variables)
    done = check("--no-effect", "--html", str(tmp_path / "page.html"))
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert store.read_report("check.csv")
    assert list(store.features.iterdir())
    done = check("--apply", "--relabel", "--streams")
    assert "4 frames" in done.stdout, done.stderr
    assert before - set(store.frames()) == {StoredFrame(100, "red_cat", number) for number in range(1, 5)}
    assert check("--undo").returncode == 0
    assert set(store.frames()) == before
