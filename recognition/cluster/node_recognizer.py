"""Nodes that recognise: how the coordinator opens them, and the recogniser of a worker, which has one core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from data import memory
from data.pool.cluster import open_cluster
from model.inference.location import find_model

if TYPE_CHECKING:
    from config import Settings
    from data.pool.nodes import Cluster
    from data.pool.shipping import Model
    from recognition.recognizer import Recognizer


def without_secrets(settings: Settings) -> Settings:
    """Return the settings that a node needs to recognise streams: passwords and tokens stay with the coordinator."""
    secrets = {name: SecretStr("") for name, value in settings if isinstance(value, SecretStr)}
    return settings.model_copy(update={**secrets, "client_id": ""})


def open_nodes(settings: Settings) -> AbstractContextManager[Cluster]:
    """Connect to the cluster RAY_ADDRESS; its workers get the model. Raises ClusterError, SettingsError, ModelError."""
    return open_cluster(without_secrets(settings), find_model(settings.model_path), workers=True)


@contextmanager
def open_recognizer(settings: Settings, model: Model, *, top: int, min_confidence: float) -> Iterator[Recognizer]:
    """Yield a recogniser with the shipped model, on a node. Raises SettingsError, FolderError, ModelError."""
    from recognition.recognizer import Recognizer

    load = partial(Recognizer.load, top=top, min_confidence=min_confidence, threads=1, inferences=1)
    with memory.trim_periodically(), load(model.settings(settings)) as recognizer:
        yield recognizer
