"""recognition.outputs.prometheus: what Prometheus reads, by its own parser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from data.entities import Game
from data.errors import SettingsError, StreamOffline, StreamUnavailable
from data.http import session as web
from recognition.decision.verdict import Prediction, VerdictAccumulator
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, now
from recognition.outputs.prometheus import LATE_S, PrometheusMetrics
from tests.recognition.fakes import ByColour

PONG, CHESS = Game(1, "Pong"), Game(2, "Chess")


@pytest.fixture
def metrics() -> Iterator[PrometheusMetrics]:
    """Metrics at a free port."""
    made = PrometheusMetrics(0)
    yield made
    made.close()


def frame(number: int, lag_s: float | None, known: bool = True, lost: int = 0) -> FrameClassified:
    return FrameClassified("one", now(), number, Prediction(PONG, 0.9, known), lag_s=lag_s, missed_segments=lost)


def changed(after: Game | None, confidence: float = 0.9) -> GameChanged:
    return GameChanged("one", now(), None, after, after is not None, 3, confidence)


def answered() -> VerdictReached:
    accumulator = VerdictAccumulator([PONG, CHESS])
    accumulator.add_frame(np.array([1.0, 0.0]))
    return VerdictReached("one", now(), accumulator.verdict())


def read(metrics: PrometheusMetrics, *events: Event) -> dict[tuple[str, ...], float]:
    """What is served after these events: by name, without its prefix, and labels."""
    for event in events:
        metrics.emit(event)
    with web.new_session(10) as session:
        answer = session.get(f"http://127.0.0.1:{metrics.port}/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name.removeprefix("twitchcategory_"), *sample.labels.values()): sample.value for sample in samples}


def test_frames(metrics):
    """How many, how many unknown, late or behind a gap, and how far behind the stream."""
    found = read(metrics, frame(1, None), frame(2, 3.5), frame(3, LATE_S, known=False, lost=4))
    assert {name: found[name, "one"] for name in ("frames_total", "unknown_frames_total")} == {
        "frames_total": 3,
        "unknown_frames_total": 1,
    }
    assert (found["late_frames_total", "one"], found["lost_segments_total", "one"]) == (1, 4)
    assert (found["live", "one"], found["lag_seconds", "one"]) == (1, LATE_S)
    assert (found["frame_lag_seconds_bucket", "4.0"], found["frame_lag_seconds_count",]) == (1, 2)


def test_what_is_shown(metrics):
    """One game at a time; unknown has no name; a stream that has ended shows nothing."""

    def shown(*events: Event) -> dict[tuple[str, ...], float]:
        return {tuple(labels): value for (name, *labels), value in read(metrics, *events).items() if name == "showing"}

    assert shown(changed(PONG, 0.8)) == {("Pong", "one"): 0.8}
    assert shown(changed(CHESS)) == {("Chess", "one"): 0.9}
    assert shown(changed(None)) == {("", "one"): 0.9}
    assert shown(answered()) == {}
    found = read(metrics)
    assert (found["changes_total", "one"], found["verdicts_total", "one"], found["live", "one"]) == (3, 1, 0)


def test_failures(metrics):
    """By source and reason."""
    told = [StreamOffline("x"), StreamUnavailable("y"), StreamOffline("z")]
    found = read(metrics, *(SourceFailed("one", now(), error) for error in told))
    assert (found["failures_total", "offline", "one"], found["failures_total", "unavailable", "one"]) == (2, 1)


def test_batches_are_timed(metrics):
    """The judge answers as before, and its seconds and pictures are counted."""
    judge: Any = ByColour()
    timed = metrics.time_inference(judge)
    pictures = np.zeros((3, 16, 16, 3), np.uint8)
    assert np.array_equal(timed.predict(pictures).logits, judge.predict(pictures).logits)
    found = read(metrics)
    assert (found["inference_seconds_count",], found["inferred_frames_total",]) == (1, 3)
    assert found["inference_seconds_sum",] > 0
    assert (timed.classes, timed.img_size) == (judge.classes, judge.img_size)


def test_the_process_is_told_of(metrics):
    """Memory and CPU of the command, by Prometheus' usual names."""
    found = read(metrics)
    assert found["process_resident_memory_bytes",] > 1e6
    assert ("process_cpu_seconds_total",) in found


def test_a_port_that_is_taken(metrics):
    """It is a setting's error, in words."""
    with pytest.raises(SettingsError, match=f"--metrics: .*{metrics.port}"):
        PrometheusMetrics(metrics.port)


def test_closing_frees_the_port(metrics):
    """The next run can have it at once."""
    metrics.close()
    PrometheusMetrics(metrics.port).close()
