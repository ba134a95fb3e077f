"""Figures for Prometheus, of streams that are watched for days. Owns prometheus_client."""

from __future__ import annotations

import time

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from data.entities import Game
from data.errors import SettingsError
from model.inference.calibration import ScoredLogits
from recognition.engine.batching import ImageClassifier
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed

LATE_S = 8.0  # two seconds until a segment is complete, two until it is looked for, and as long again
_LAGS_S = (2, 3, 4, 5, 6, LATE_S, 10, 15, 20, 30, 60)
_BATCHES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class PrometheusMetrics:
    """Counts events and serves the counts at http://`address`:`port`/metrics. An output."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """Start serving; port 0 takes a free one. Raises SettingsError: nothing can listen there."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._frames = self._counter("frames", "Frames judged.")
        self._unknown = self._counter("unknown_frames", "Frames like none of the games.")
        self._late = self._counter("late_frames", f"Frames judged {LATE_S:g} s or more after their segment began.")
        self._lost = self._counter("lost_segments", "Segments that came and went unseen.")
        self._changes = self._counter("changes", "Changes of what a stream shows.")
        self._verdicts = self._counter("verdicts", "Streams that have ended.")
        self._failures = self._counter("failures", "Failures, each told once.", "reason")
        self._live = self._gauge("live", "1 while there are frames of a stream.")
        self._lag = self._gauge("lag_seconds", "From a segment's beginning to its frame's answer, of the newest frame.")
        self._shown = self._gauge(
            "showing", "The confidence of what a stream shows; game is empty where unknown.", "game"
        )
        self._mismatch = self._gauge("mismatch", "1 where a stream showed another game than its streamer had set.")
        self._lags = self._histogram("frame_lag_seconds", "From a segment's beginning to its frame's answer.", _LAGS_S)
        self._batches = self._histogram("inference_seconds", "What the network took for a batch.", _BATCHES_S)
        self._images = Counter("twitchcategory_inferred_frames", "Frames in batches.", registry=self._registry)
        self._games: dict[str, str] = {}  # by source, what `_shown` has of it
        try:
            self._server, self._thread = start_http_server(port, address, self._registry)
        except OSError as error:
            raise SettingsError(f"--metrics: nothing can listen at {address}:{port}: {error}") from error
        self.port: int = self._server.server_port

    def emit(self, event: Event) -> None:
        """Count it."""
        source = event.source
        if isinstance(event, FrameClassified):
            self._count(event)
        elif isinstance(event, GameChanged):
            self._changes.labels(source).inc()
            self._show(source, event.after, event.confidence)
            self._mismatch.labels(source).set(bool(event.mismatch))
        elif isinstance(event, SourceFailed):
            self._failures.labels(source, event.error.reason).inc()
            self._end(source)
        else:
            self._verdicts.labels(source).inc()
            self._end(source)

    def close(self) -> None:
        """Stop serving; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def time_inference(self, judge: ImageClassifier) -> ImageClassifier:
        """The same judge, its batches timed."""
        return _Timed(judge, self._batches, self._images)

    def _count(self, event: FrameClassified) -> None:
        self._frames.labels(event.source).inc()
        self._unknown.labels(event.source).inc(not event.prediction.known)
        self._lost.labels(event.source).inc(event.missed_segments)
        self._live.labels(event.source).set(1)
        if event.lag_s is not None:
            self._late.labels(event.source).inc(event.lag_s >= LATE_S)
            self._lag.labels(event.source).set(event.lag_s)
            self._lags.observe(event.lag_s)

    def _show(self, source: str, game: Game | None, confidence: float) -> None:
        self._forget(source)
        self._games[source] = game.name if game else ""
        self._shown.labels(source, self._games[source]).set(confidence)

    def _end(self, source: str) -> None:
        self._live.labels(source).set(0)
        self._forget(source)

    def _forget(self, source: str) -> None:
        if source in self._games:
            self._shown.remove(source, self._games.pop(source))

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"twitchcategory_{name}", meaning, ["source", *labels], registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"twitchcategory_{name}", meaning, ["source", *labels], registry=self._registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"twitchcategory_{name}", meaning, registry=self._registry, buckets=buckets)


class _Timed:
    """A judge whose batches are timed."""

    def __init__(self, judge: ImageClassifier, batches: Histogram, images: Counter) -> None:
        self.classes, self.img_size = judge.classes, judge.img_size
        self._judge, self._batches, self._images = judge, batches, images

    def predict(self, images: np.ndarray) -> ScoredLogits:
        """As the judge does."""
        start = time.perf_counter()
        judged = self._judge.predict(images)
        self._batches.observe(time.perf_counter() - start)
        self._images.inc(len(images))
        return judged
