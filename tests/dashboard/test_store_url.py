"""The dashboard on a dataset in an object store: lists, pictures, similar frames, changes and their undoing.

The store is in memory; what S3 does differently is the subject of the tests of data.storage.object_files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from config import Settings
from dashboard.services import Services
from data.factories import connect_database, make_frame_store
from data.storage.catalog import Catalog
from data.storage.layout import FEATURES_FOLDER
from tests.dashboard import datasets
from tests.dashboard.datasets import SmallDataset

API = "/api/v1/dataset"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Return the settings of a dataset in memory."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(_env_file=None, **given | {"store_url": f"memory:/{tmp_path}/frames"})


@pytest.fixture
def small_dataset(settings: Settings, dataset_files: Path) -> SmallDataset:
    """Return the small dataset, its files in the object store and its features in this machine's mirror."""
    root, store = dataset_files / "frames", make_frame_store(settings)
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    names = [path for path in paths if not path.startswith(FEATURES_FOLDER)]
    store.files.each(lambda path: store.files.create(path, (root / path).read_bytes()), names)
    datasets.copy_files(root / FEATURES_FOLDER, store.features)
    with connect_database(settings) as engine:
        return datasets.fill_catalog(settings, Catalog(engine))


def get(client: TestClient, path: str, **params: Any) -> dict[str, Any]:
    """Return what the API answers."""
    response = client.get(f"{API}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def test_dataset_in_a_store_is_shown_and_changed(small_dataset: SmallDataset, client: TestClient, services: Services):
    """Suspects come from check.csv there, a picture is the object, similar frames come from this machine's mirror.

    Changes move objects, and their undoing brings them back.
    """
    assert get(client, "")["frames"] == len(small_dataset.frames)
    listed = get(client, "/frames", suspect=True)["frames"]
    assert {frame["login"] for frame in listed} == {"ann", "ben"}
    frame = next(frame for frame in small_dataset.frames if frame.path == listed[0]["path"])
    assert client.get(listed[0]["picture"]).content == small_dataset.folder.read(frame)
    assert len(get(client, f"/frames/{frame.game_id}/{frame.login}/{frame.number}")["neighbours"]) == 12
    assert services.jobs.obstacle("check") == ""
    change_and_undo(small_dataset, client)


def change_and_undo(small_dataset: SmallDataset, client: TestClient) -> None:
    """Move frames to another game and to the trash, and back; store, rows and pages agree at each step."""
    store, before = small_dataset.folder, small_dataset.paths()
    chosen = [f"8/ben-{number}.jpg" for number in range(1, 4)]
    for body in ({"action": "move", "game_id": "7"}, {"action": "delete"}):
        change = client.post(f"{API}/changes", json={**body, "frames": chosen}).json()
        assert change["moved"] + change["trashed"] == 3
        assert {frame.path for frame in store.frames()} == set(get(client, "/paths")["paths"])
        assert not before <= small_dataset.paths()
        assert get(client, "/trash")["total"] == change["trashed"]
        assert client.post(f"{API}/changes/last/undo").status_code == 200
        assert {frame.path for frame in store.frames()} == set(get(client, "/paths")["paths"]) == before
    assert get(client, "/trash")["total"] == 0
    assert len(get(client, "/changes")["changes"]) == 4


def test_store_without_objects_is_an_empty_dataset(client: TestClient, settings: Settings):
    """A store that nobody has written to yet is no error."""
    assert get(client, "")["frames"] == 0
    assert get(client, "/trash")["total"] == 0
    assert settings.store_url
