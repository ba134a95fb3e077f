"""Prometheus exporter: the served metrics, read by the client library's own parser."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from data.entities import Game
from data.errors import SettingsError, StreamOffline, StreamUnavailable
from data.http.session import new_session
from data.text import valid_unicode
from recognition.decision.verdict import Prediction, VerdictAccumulator
from recognition.engine.batching import Batcher
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, now
from recognition.outputs.prometheus import LATE_S, PrometheusMetrics
from tests.recognition.fakes import ColourClassifier

PONG, CHESS = Game(1, "Pong"), Game(2, "Chess")


@pytest.fixture
def metrics() -> Iterator[PrometheusMetrics]:
    """Serve metrics at a free port."""
    output = PrometheusMetrics(0)
    yield output
    output.close()


def frame(number: int, lag_s: float | None, known: bool = True, lost: int = 0, source: str = "one") -> FrameClassified:
    return FrameClassified(source, now(), number, Prediction(PONG, 0.9, known), lag_s=lag_s, missed_segments=lost)


def changed(after: Game | None, confidence: float = 0.9) -> GameChanged:
    return GameChanged("one", now(), None, after, after is not None, 3, confidence)


def answered() -> VerdictReached:
    accumulator = VerdictAccumulator([PONG, CHESS])
    accumulator.add_frame(np.array([1.0, 0.0]))
    return VerdictReached("one", now(), accumulator.verdict())


def read(metrics: PrometheusMetrics, *events: Event) -> dict[tuple[str, ...], float]:
    """Emit the events; return the served values by name, without the prefix, and label values."""
    for event in events:
        metrics.emit(event)
    with new_session(10) as session:
        response = session.get(f"http://127.0.0.1:{metrics.port}/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    samples = [sample for family in text_string_to_metric_families(response.text) for sample in family.samples]
    return {(sample.name.removeprefix("twitchcategory_"), *sample.labels.values()): sample.value for sample in samples}


def test_frames_are_counted_with_their_lag(metrics):
    """Frames are counted, also unknown and late ones and missed segments; the lag is a gauge and a histogram."""
    values = read(metrics, frame(1, None), frame(2, 3.5), frame(3, LATE_S, known=False, lost=4))
    assert (values["frames_total", "one"], values["unknown_frames_total", "one"]) == (3, 1)
    assert (values["late_frames_total", "one"], values["lost_segments_total", "one"]) == (1, 4)
    assert (values["live", "one"], values["lag_seconds", "one"]) == (1, LATE_S)
    assert (values["frame_lag_seconds_bucket", "4.0"], values["frame_lag_seconds_count",]) == (1, 2)


def test_change_replaces_the_shown_game(metrics):
    """A stream shows one game at a time; an unknown one has an empty label, and an ended stream has none."""

    def displayed(*events: Event) -> dict[tuple[str, ...], float]:
        return {tuple(labels): value for (name, *labels), value in read(metrics, *events).items() if name == "showing"}

    assert displayed(changed(PONG, 0.8)) == {("Pong", "one"): 0.8}
    assert displayed(changed(CHESS)) == {("Chess", "one"): 0.9}
    assert displayed(changed(None)) == {("", "one"): 0.9}
    assert displayed(answered()) == {}
    values = read(metrics)
    assert (values["changes_total", "one"], values["verdicts_total", "one"], values["live", "one"]) == (3, 1, 0)


def test_failures_are_counted_by_reason(metrics):
    """Failures have the labels source and reason."""
    errors = [StreamOffline("x"), StreamUnavailable("y"), StreamOffline("z")]
    values = read(metrics, *(SourceFailed("one", now(), error) for error in errors))
    assert (values["failures_total", "offline", "one"], values["failures_total", "unavailable", "one"]) == (2, 1)


def test_inference_when_timed_gives_the_same_predictions(metrics):
    """A batcher predicts as its classifier does; seconds and images of its batches are counted."""
    classifier: Any = ColourClassifier()
    image = np.zeros((1, 16, 16, 3), np.uint8)
    with Batcher(classifier, on_batch=metrics.on_batch) as batcher:
        for _ in range(3):
            assert np.array_equal(batcher.predict(image).logits, classifier.predict(image).logits)
    values = read(metrics)
    assert (values["inference_seconds_count",], values["inferred_frames_total",]) == (3, 3)
    assert values["inference_seconds_sum",] > 0
    assert (batcher.classes, batcher.img_size) == (classifier.classes, classifier.img_size)
    metrics.on_batch(4, 0.1)
    assert read(metrics)["inferred_frames_total",] == 7


def test_process_metrics_are_served(metrics):
    """Memory and CPU time of the process have Prometheus' usual names."""
    values = read(metrics)
    assert values["process_resident_memory_bytes",] > 1e6
    assert ("process_cpu_seconds_total",) in values


def test_port_when_taken_raises_with_the_option(metrics):
    """The error is a SettingsError that names the option, the address and the port."""
    with pytest.raises(SettingsError, match=f"--metrics: cannot listen at .*{metrics.port}"):
        PrometheusMetrics(metrics.port)


def test_labels_of_any_characters_are_served(metrics):
    """Quotes, line ends and bytes that are not UTF-8 break neither their series nor the others."""
    for name in ('a"b\\c', "two\nlines", "{x=1}", "caf\udce9", "\ud800", "\x00\x1b[31m", "é原🎮"):
        change = GameChanged(name, now(), None, Game(1, name), True, 3, 0.9)
        values = read(metrics, frame(1, 1.0, source=name), frame(2, 1.0), change, change)
        shown = valid_unicode(name)
        assert values["frames_total", shown] >= 1
        assert values["showing", shown, shown] == 0.9
        assert ("showing", shown, shown) not in read(metrics, SourceFailed(name, now(), StreamOffline("x")))
    assert values["frames_total", "one"] == 7


@pytest.mark.parametrize("host", ["203.0.113.1", "a" * 70, "a b", "é" * 70, "\x00", "::zz"])
def test_host_when_invalid_raises_with_the_option(host):
    """An address of another machine, and what is none, is a SettingsError that names METRICS_HOST."""
    with pytest.raises(SettingsError, match=r"^--metrics: cannot listen at .*METRICS_HOST"):
        PrometheusMetrics(0, host)


def test_client_that_leaves_early_prints_nothing(metrics, capfd):
    """A reset connection or an invalid request is no traceback on stderr; the next scrape succeeds."""
    for request in (b"", b"GET /met", b"\xff\n\n", b"GET / HTTP/1.1\r\nAccept: \xff;version=x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", metrics.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            client.sendall(request)
    assert read(metrics, frame(1, None))["frames_total", "one"] == 1
    metrics.close()
    assert capfd.readouterr().err == ""


def test_close_frees_the_port(metrics):
    """After `close`, another server can listen at the same port at once."""
    metrics.close()
    PrometheusMetrics(metrics.port).close()
