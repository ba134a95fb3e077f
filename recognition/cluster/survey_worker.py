"""Survey worker: recognises the sources of a survey or an audit on a node, each in a thread of the worker's pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from data.http.traffic import COUNTER, Traffic
from data.pool.pool import Finished
from data.pool.ray_pool import RayPool
from recognition.cluster.node_recognizer import open_nodes, open_recognizer
from recognition.engine.survey import Store, SurveyTask, results, threads_for
from recognition.events import Result
from recognition.stored_results import portable

if TYPE_CHECKING:
    from config import Settings
    from data.entities import Stream
    from data.pool.shipping import Model


@dataclass(frozen=True, slots=True)
class NodeResult:
    """A result, and what its process has spent since the one before: CPU seconds, HTTP requests and bytes."""

    result: Result
    cpu_seconds: float
    traffic: Traffic


class NodeSurvey:
    """What runs the tasks of a survey in one process of a node. `pictures`: whether answers have their frame."""

    def __init__(self, settings: Settings, model: Model, top: int, min_confidence: float, pictures: bool) -> None:
        self._pictures = pictures
        self._lock = threading.Lock()
        self._cpu, self._traffic = time.process_time(), COUNTER.total()
        with ExitStack() as stack:
            opened = open_recognizer(settings, model, top=top, min_confidence=min_confidence)
            self._worker = stack.enter_context(stack.enter_context(opened).open_survey())
            self._stack = stack.pop_all()

    def __call__(self, task: SurveyTask) -> NodeResult:
        """Return the result of a source."""
        result = portable(self._worker(task), with_picture=self._pictures)
        with self._lock:
            cpu, traffic = time.process_time(), COUNTER.total()
            spent = NodeResult(result, cpu - self._cpu, traffic - self._traffic)
            self._cpu, self._traffic = cpu, traffic
            return spent

    def cancel(self) -> None:
        """End the sources that are in work."""
        self._worker.stop()

    def close(self) -> None:
        """Close the recogniser."""
        self._worker.stop()
        self._stack.close()


class SurveyPool(RayPool[SurveyTask, Any]):
    """The workers of a cluster. Their requests count as those of this process; cpu_seconds: what they have spent."""

    cpu_seconds = 0.0

    def survey(
        self, sources: Iterable[str | Stream], *, store: Store | None = None, **options: Any
    ) -> Generator[Result, None, None]:
        """Yield one result for each source, as Recognizer.survey; options: of its tasks; store: as in engine.survey."""
        return results(self, (SurveyTask(source, **options) for source in sources), retry=True, store=store)

    def finished(self, timeout_s: float | None = None) -> list[Finished[SurveyTask, Result]]:
        """Return the tasks that have ended, as RayPool.finished; count what their workers have spent."""
        return [self._counted(ended) for ended in super().finished(timeout_s)]

    def _counted(self, ended: Finished[SurveyTask, Any]) -> Finished[SurveyTask, Result]:
        if ended.result is None:
            return ended
        COUNTER.add(ended.result.traffic.requests, ended.result.traffic.bytes)
        self.cpu_seconds += ended.result.cpu_seconds
        return replace(ended, result=ended.result.result)


@contextmanager
def open_survey_pool(
    settings: Settings, *, top: int = 1, min_confidence: float = 0.0, pictures: bool = False
) -> Iterator[SurveyPool]:
    """Yield the workers of the cluster RAY_ADDRESS, each of which looks at PARALLEL_STREAMS streams at a time.

    Raises ClusterError, SettingsError, ModelError, ExtraMissing.
    """
    with open_nodes(settings) as cluster:
        make_run = partial(NodeSurvey, cluster.settings, cluster.model, top, min_confidence, pictures)
        pool = SurveyPool(cluster, make_run, threads_for(settings.parallel_streams))
        with pool:
            yield pool
