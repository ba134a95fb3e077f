"""Prometheus exporter: counters, gauges and histograms of watched streams over HTTP. Owns prometheus_client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from data.errors import SettingsError
from recognition.engine.batching import ImageClassifier, TimedClassifier
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed

# A frame is 4 s old if all goes well: 2 s until its segment is complete, 2 s until the next poll. Late is twice that.
LATE_S = 8.0
_LAG_BUCKETS_S = (2, 3, 4, 5, 6, LATE_S, 10, 15, 20, 30, 60)
_BATCH_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class PrometheusMetrics:
    """Count events and serve the metrics at http://`address`:`port`/metrics.

    Args:
        port: TCP port, 0 to 65535; 0 takes a free one, which the attribute `port` then names.
        address: address of this machine to listen on; 0.0.0.0 is all of them.

    Raises:
        SettingsError: the port is taken, or the address is not of this machine.
    """

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._frames = self._counter("frames", "Classified frames.")
        self._unknown = self._counter("unknown_frames", "Frames that show none of the games.")
        self._late = self._counter("late_frames", f"Frames classified {LATE_S:g} s or more after their segment began.")
        self._lost = self._counter("lost_segments", "Segments that left the playlist before they were read.")
        self._changes = self._counter("changes", "Changes of what a stream shows.")
        self._verdicts = self._counter("verdicts", "Ended streams with a verdict.")
        self._failures = self._counter("failures", "Failures, each outage counted once.", "reason")
        self._live = self._gauge("live", "1 while a stream delivers frames.")
        self._lag = self._gauge("lag_seconds", "Time from segment start to classification of the newest frame.")
        self._shown = self._gauge("showing", "Confidence of what a stream shows; game is empty if unknown.", "game")
        self._mismatch = self._gauge("mismatch", "1 if a stream showed another game than its category.")
        self._lags = self._histogram("frame_lag_seconds", "Time from segment start to classification.", _LAG_BUCKETS_S)
        self._batches = self._histogram("inference_seconds", "Time of the network for a batch.", _BATCH_BUCKETS_S)
        self._images = Counter("twitchcategory_inferred_frames", "Frames in batches.", registry=self._registry)
        self._games: dict[str, str] = {}  # by source: the label `game` of its time series in `_shown`
        try:
            self._server, self._thread = start_http_server(port, address, self._registry)
        except OSError as error:
            raise SettingsError(
                f"--metrics: cannot listen at {address}:{port}: {error}; choose another port, or METRICS_HOST"
            ) from error
        self.port: int = self._server.server_port

    def emit(self, event: Event) -> None:
        """Count the event."""
        source = event.source
        if isinstance(event, FrameClassified):
            self._on_frame(event)
        elif isinstance(event, GameChanged):
            self._on_change(event)
        elif isinstance(event, SourceFailed):
            self._failures.labels(source, event.error.reason).inc()
            self._on_end(source)
        else:
            self._verdicts.labels(source).inc()
            self._on_end(source)

    def close(self) -> None:
        """Stop the server and free the port. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def time_inference(self, classifier: ImageClassifier) -> ImageClassifier:
        """Return a classifier that gives the same predictions and measures the time of each batch."""
        return TimedClassifier(classifier, self._on_batch)

    def _on_batch(self, images: int, seconds: float) -> None:
        self._batches.observe(seconds)
        self._images.inc(images)

    def _on_frame(self, event: FrameClassified) -> None:
        self._frames.labels(event.source).inc()
        self._unknown.labels(event.source).inc(not event.prediction.known)
        self._lost.labels(event.source).inc(event.missed_segments)
        self._live.labels(event.source).set(1)
        if event.lag_s is not None:
            self._late.labels(event.source).inc(event.lag_s >= LATE_S)
            self._lag.labels(event.source).set(event.lag_s)
            self._lags.observe(event.lag_s)

    def _on_change(self, event: GameChanged) -> None:
        self._changes.labels(event.source).inc()
        self._clear_shown_game(event.source)
        self._games[event.source] = event.after.name if event.after else ""
        self._shown.labels(event.source, self._games[event.source]).set(event.confidence)
        self._mismatch.labels(event.source).set(bool(event.mismatch))

    def _on_end(self, source: str) -> None:
        self._live.labels(source).set(0)
        self._clear_shown_game(source)

    def _clear_shown_game(self, source: str) -> None:
        # Each label value is a time series of its own: the old game's would otherwise stay beside the new one's.
        if source in self._games:
            self._shown.remove(source, self._games.pop(source))

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"twitchcategory_{name}", description, ["source", *labels], registry=self._registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return Gauge(f"twitchcategory_{name}", description, ["source", *labels], registry=self._registry)

    def _histogram(self, name: str, description: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"twitchcategory_{name}", description, registry=self._registry, buckets=buckets)
