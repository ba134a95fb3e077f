"""Grabs of a cluster's worker, without a cluster: it saves its frames; the loop counts what a lost one has saved."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from config import Settings
from data.collection.cluster_grabs import maker_of_grabs
from data.collection.collector import Collector
from data.collection.grab_pool import StopEvent
from data.collection.stream_grabs import GrabResult, GrabTask
from data.entities import Game, StoredFrame, Stream
from data.errors import FolderError, WorkerLost
from data.pool.pool import Finished
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import CHANNELS, rows, settings
from tests.data.test_collector import SETTINGS, A, FakeDataset, FakeTwitch, StoreSide, many
from tests.standin import Standin

GAME = Game(7, "BZFlag")


def _task(login: str = CHANNELS[0], frames: int = 4) -> GrabTask:
    return GrabTask(GAME, Stream(login, GAME.id, "title", "en", 5), frames)


def _settings(folder: FrameFolder, server: dict[str, str], twitch: Standin, **changes: object) -> Settings:
    variables = {**server, **twitch.environment, "DOWNLOAD_PATH": str(folder.root.parent), "FILTER_FRAMES": "false"}
    return settings(**variables).model_copy(update=changes)


def test_grabs_of_a_worker_save_files_and_rows_and_return_counts(
    folder: FrameFolder, server: dict[str, str], engine: Engine, twitch: Standin
):
    """The result has no frame; a stream that is offline, or whose streamer is excluded, adds nothing."""
    Catalog(engine).add_games([GAME])
    given = _settings(folder, server, twitch, exclude_streamers=(CHANNELS[1],))
    grabs = pickle.loads(pickle.dumps(maker_of_grabs(given)))()
    try:
        results = [grabs(task) for task in (_task(), _task("already_over"), _task(CHANNELS[1]))]
    finally:
        grabs.close()
    assert [(result.saved, result.frames) for result in results] == [(4, []), (0, []), (0, [])]
    assert results[1].failure
    assert results[2].rejected == {"excluded streamer": 4}
    assert rows(Catalog(engine)) == set(folder.frames()) == {StoredFrame(7, CHANNELS[0], n) for n in range(1, 5)}


def test_worker_gets_no_secret_but_the_password_of_the_database(tmp_path: Path):
    """What is sent to the nodes holds neither Twitch's secrets nor the path of a list."""
    entries = tmp_path / "excluded.txt"
    entries.write_text("ann\nbob\n")
    secrets = {"client_secret": SecretStr("secret1"), "access_token": SecretStr("secret2")}
    given = Settings(_env_file=None, exclude_streamers=[f"@{entries}"], db_password="word", **secrets)
    sent = pickle.dumps(maker_of_grabs(given))
    assert b"word" in sent
    assert b"ann" in sent
    assert not any(text in sent for text in (b"secret1", b"secret2", b"excluded.txt"))


class LosingPool:
    """A pool that saves the frames of each task by itself. Every second worker is lost before it can say so."""

    def __init__(self, dataset: FakeDataset, error: Exception) -> None:
        self.dataset = dataset
        self.error = error
        self.tasks: list[GrabTask] = []
        self.ended = 0

    free_slots = property(lambda self: 2 - len(self.tasks))

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __bool__(self) -> bool:
        return bool(self.tasks)

    def submit(self, task: GrabTask, avoid: str = "") -> None:
        self.tasks.append(task)

    def cancel(self) -> list[GrabTask]:
        dropped, self.tasks = self.tasks, []
        return dropped

    def finished(self, timeout_s=None):
        if not self.tasks:
            return []
        task = self.tasks.pop(0)
        self.ended += 1
        login = task.stream.login
        names = [f"{login} {self.ended} {number}".encode() for number in range(task.max_frames)]
        saved = self.dataset.save(task.game.id, login, names, [replace(SETTINGS)] * len(names))
        self.dataset.add_frames(saved)
        if self.ended % 2:
            return [Finished(task, None, self.error)]
        return [Finished(task, GrabResult(saved=len(saved)))]


def _loop(dataset: FakeDataset, error: Exception) -> Collector:
    twitch = FakeTwitch(many(A))
    return Collector(
        directory=twitch,
        pool=LosingPool(dataset, error),
        store=StoreSide(dataset),
        index=dataset,
        settings=replace(SETTINGS, frames=23),
        stop=StopEvent(),
        rng=random.Random(1),
    )


def test_frames_of_a_lost_worker_are_counted_by_their_rows():
    """--frames stays exact: the loop looks up what a worker had saved when it was lost, and counts the failure."""
    dataset = FakeDataset()
    stats = _loop(dataset, WorkerLost("a node died")).run()
    assert stats.total == len(dataset.rows) == 23
    assert stats.failures["worker lost"] >= 2


def test_an_error_of_the_store_on_a_worker_ends_the_run():
    """As in a local download: it is no failure of one stream."""
    with pytest.raises(FolderError):
        _loop(FakeDataset(), FolderError("full")).run()
