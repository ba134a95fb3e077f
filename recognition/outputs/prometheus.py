"""Prometheus exporter: counters, gauges and histograms of watched streams over HTTP. Owns prometheus_client."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from data.errors import SettingsError
from data.text import valid_unicode
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed
from recognition.outputs.base import Output

# A frame is 4 s old if all goes well: 2 s until its segment is complete, 2 s until the next poll. Late is twice that.
LATE_S = 8.0
_LAG_BUCKETS_S = (2, 3, 4, 5, 6, LATE_S, 10, 15, 20, 30, 60)
_BATCH_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_CLIENT_S = 10.0  # a client that sends no request for so long is dropped

log = logging.getLogger(__name__)


class PrometheusMetrics(Output):
    """Count events and serve the metrics at http://`address`:`port`/metrics."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """Start the server. Raises SettingsError for a port that is taken or an address of another machine.

        port: 0 takes a free one, which the attribute `port` then names.
        """
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter = partial(Counter, namespace="twitchcategory", registry=registry, labelnames=["source"])
        gauge = partial(Gauge, namespace="twitchcategory", registry=registry, labelnames=["source"])
        histogram = partial(Histogram, namespace="twitchcategory", registry=registry)
        self._frames = counter("frames", "Classified frames.")
        self._unknown = counter("unknown_frames", "Frames that show none of the games.")
        self._late = counter("late_frames", f"Frames classified {LATE_S:g} s or more after their segment began.")
        self._lost = counter("lost_segments", "Segments that left the playlist before they were read.")
        self._changes = counter("changes", "Changes of what a stream shows.")
        self._verdicts = counter("verdicts", "Ended streams with a verdict.")
        self._failures = counter("failures", "Failures, each outage counted once.", labelnames=["source", "reason"])
        self._live = gauge("live", "1 while a stream delivers frames.")
        self._lag = gauge("lag_seconds", "Time from segment start to classification of the newest frame.")
        self._shown = gauge(
            "showing", "Confidence of what a stream shows; game is empty if unknown.", labelnames=["source", "game"]
        )
        self._mismatch = gauge("mismatch", "1 if a stream showed another game than its category.")
        self._lags = histogram(
            "frame_lag_seconds", "Time from segment start to classification.", buckets=_LAG_BUCKETS_S
        )
        self._batches = histogram("inference_seconds", "Inference time per batch.", buckets=_BATCH_BUCKETS_S)
        self._images = counter("inferred_frames", "Frames in batches.", labelnames=[])
        self._games: dict[str, str] = {}  # by source: the label `game` of its time series in `_shown`
        self._server, self._thread = _serve(port, address, registry)
        self.port: int = self._server.server_port

    def emit(self, event: Event) -> None:
        """Count the event."""
        event = replace(event, source=valid_unicode(event.source))  # or no scrape would succeed any more
        if isinstance(event, FrameClassified):
            self._on_frame(event)
        elif isinstance(event, GameChanged):
            self._on_change(event)
        else:
            if isinstance(event, SourceFailed):
                self._failures.labels(event.source, event.error.reason).inc()
            else:
                self._verdicts.labels(event.source).inc()
            self._live.labels(event.source).set(0)
            self._clear_shown_game(event.source)

    def close(self) -> None:
        """Stop the server and free the port. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on_batch(self, images: int, seconds: float) -> None:
        """Count the images of an inference and its time."""
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
        self._games[event.source] = valid_unicode(event.after.name) if event.after else ""
        self._shown.labels(event.source, self._games[event.source]).set(event.confidence)
        self._mismatch.labels(event.source).set(bool(event.mismatch))

    def _clear_shown_game(self, source: str) -> None:
        # Each label value is a time series of its own: the old game's would otherwise stay beside the new one's.
        if source in self._games:
            self._shown.remove(source, self._games.pop(source))


def _serve(port: int, address: str, registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    """Start the server in a thread. Raises SettingsError."""
    try:
        server, thread = start_http_server(port, address, registry)
    except (OSError, ValueError, OverflowError) as error:  # ValueError: a host name that cannot be looked up
        raise SettingsError(
            f"--metrics: cannot listen at {address}:{port}: {error}; choose another port, or METRICS_HOST"
        ) from error
    # A client that leaves early must not print a traceback, and one that says nothing must not hold a thread.
    server.handle_error = _ignore_error  # type: ignore[method-assign, assignment]
    handler: Any = server.RequestHandlerClass
    limits = {"timeout": _CLIENT_S, "get_stderr": lambda _: io.StringIO()}
    server.RequestHandlerClass = type("Handler", (handler,), limits)
    return server, thread


def _ignore_error(*_: object) -> None:
    log.debug("a client of the metrics failed", exc_info=True)
