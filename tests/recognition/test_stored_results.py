"""recognition.stored_results: a stored answer prints what the answer itself would have printed."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

from data import errors
from data.entities import Game
from data.hls.rendition import HttpStatusError
from recognition.decision.verdict import VerdictAccumulator
from recognition.events import SourceFailed, VerdictReached, as_json
from recognition.outputs.console import event_line
from recognition.stored_results import from_text, portable, to_text

GAMES = (Game(7, "Chess"), Game(2**40, "囲碁 <b>\x1b"), Game(9, "Tetris"))
AT = datetime(2026, 5, 4, 12, 30, 15, 250_001, tzinfo=timezone.utc)


def _verdicts() -> list[VerdictReached]:
    """Return 200 verdicts of random frames: known, unknown, by a majority and by a threshold, with and without top."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(200):
        threshold = [None, 0.4, 0.7][number % 3]
        accumulator = VerdictAccumulator(GAMES, 1 + number % 3, [0.0, 0.6][number % 2], threshold)
        for _ in range(1 + number % 20):
            accumulator.add_frame(rng.normal(size=3) * 2, bool(rng.random() < 0.6), rng.normal(size=4))
        category = [None, *GAMES][number % 4]
        found.append(
            VerdictReached(f"s{number}\ud800", AT, accumulator.verdict(), category, number % 5 == 0, number % 7 == 0)
        )
    return found


def test_verdict_when_it_is_stored_prints_the_same():
    """JSON, text and every derived number of 200 random verdicts survive; so do they without single frames."""
    for result in _verdicts():
        text = to_text(replace(result, jpeg=b"picture"))
        assert text.isascii()
        for stored in (from_text(text), portable(result)):
            assert isinstance(stored, VerdictReached)
            assert as_json(stored) == as_json(result)
            assert event_line(stored) == event_line(result)
            assert (stored.at, stored.verdict.unknown_score) == (result.at, result.verdict.unknown_score)
            assert stored.mismatch == result.mismatch
    assert {result.verdict.known for result in _verdicts()} == {True, False}


@pytest.mark.parametrize(
    "error_type",
    [
        errors.StreamError,
        errors.StreamOffline,
        errors.OnlyAds,
        errors.SourceNotFound,
        errors.UndecodableVideo,
        errors.StreamUnavailable,
        errors.UnexpectedStreamError,
        HttpStatusError,
    ],
)
def test_failure_when_it_is_stored_or_pickled_keeps_its_class_and_message(error_type):
    """Reason, exit code and message are those of the error: as text, and on the way from a node of a cluster."""
    error = error_type(404) if error_type is HttpStatusError else error_type("x: what\nhappened")
    failure = SourceFailed("x", AT, error)
    for other in (from_text(to_text(failure)), pickle.loads(pickle.dumps(portable(failure)))):
        assert isinstance(other, SourceFailed)
        assert type(other.error) is (errors.StreamUnavailable if error_type is HttpStatusError else error_type)
        assert as_json(other) == as_json(failure)


def test_damaged_text_raises_value_error():
    """What somebody edited in the database is no result."""
    for text in ("", "7", "[]", "{}", '{"source": "x", "at": 3}', '{"source": 1, "at": "x"}', "[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            from_text(text)
    edited = to_text(_verdicts()[0]).replace('"s0\\ud800"', "[]")
    assert from_text(edited).source == "[]"
