"""Survey worker: recognises the sources of a survey or an audit on a node, each in a thread of the worker's pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from data import memory
from data.pool.cluster import open_cluster
from data.pool.pool import Pool
from data.pool.ray_pool import RayPool
from model.inference.location import find_model
from recognition.cluster.node_recognizer import load_recognizer, without_secrets
from recognition.engine.survey import Result, SurveyTask, threads_for
from recognition.events import SourceFailed
from recognition.stored_results import without_frames

if TYPE_CHECKING:
    from config import Settings
    from data.pool.shipping import Model


class NodeSurvey:
    """What runs the tasks of a survey in one process of a node. `pictures`: whether answers have their frame."""

    def __init__(self, settings: Settings, model: Model, top: int, min_confidence: float, pictures: bool) -> None:
        self._pictures = pictures
        with ExitStack() as stack:
            stack.enter_context(memory.trim_periodically())
            recognizer = load_recognizer(settings, model, top=top, min_confidence=min_confidence)
            stack.enter_context(recognizer)
            self._worker = stack.enter_context(recognizer.open_survey())
            self._stack = stack.pop_all()

    def __call__(self, task: SurveyTask) -> Result:
        """Return the result of a source, without what nobody reads on the way to the coordinator."""
        result = self._worker(task)
        if isinstance(result, SourceFailed):
            return result
        return replace(without_frames(result), jpeg=result.jpeg if self._pictures else b"")

    def cancel(self) -> None:
        """End the sources that are in work."""
        self._worker.stop()

    def close(self) -> None:
        """Close the recogniser."""
        self._worker.stop()
        self._stack.close()


@contextmanager
def open_survey_pool(
    settings: Settings, *, top: int = 1, min_confidence: float = 0.0, pictures: bool = False
) -> Iterator[Pool[SurveyTask, Result]]:
    """Yield the workers of the cluster RAY_ADDRESS, each of which looks at PARALLEL_STREAMS streams at a time.

    Raises ClusterError, SettingsError, ModelError, ExtraMissing.
    """
    with open_cluster(without_secrets(settings), find_model(settings.model_path)) as cluster:
        make_run = partial(NodeSurvey, cluster.settings, cluster.model, top, min_confidence, pictures)
        with RayPool(cluster, make_run, threads_for(settings.parallel_streams)) as pool:
            yield pool
