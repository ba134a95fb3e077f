"""recognition.events: every event as JSON matches docs/events.schema.json."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from data import errors
from data.entities import Game
from data.errors import OnlyAds, StreamError, StreamOffline
from recognition.decision.verdict import Prediction, RankedGame, Verdict
from recognition.events import SCHEMA, Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, as_json, now
from tests.recognition.schema import SCHEMA_DOCUMENT, valid

TETRIS, CHESS, BIG = Game(9, "Tetris"), Game(743, "Chess"), Game(2**40, "原神")
AT = datetime(2021, 6, 1, 14, 0, 0, 5000, timezone(timedelta(hours=2)))


def verdict(game: Game = TETRIS, known: bool = True, frames: int = 2, is_confident: bool = True) -> Verdict:
    """Return a verdict of frames of this game."""
    ranking = (RankedGame(game, 0.75), RankedGame(BIG, 0.2))
    frame = Prediction(game, 0.75, known, ranking)
    return Verdict(game, 0.75 * frames, 0.75, (frame,) * frames, ranking, is_confident)


EVENTS: dict[str, Event] = {
    "frame": FrameClassified("x", AT, 3, verdict().predictions[0], b"jpeg"),
    "an unknown frame": FrameClassified("x", AT, 1, verdict(known=False).predictions[0]),
    "verdict": VerdictReached("x", AT, verdict()),
    "an unknown stream": VerdictReached("x", AT, verdict(known=False)),
    "a verdict of low confidence": VerdictReached("x", AT, verdict(is_confident=False)),
    "a verdict with its category": VerdictReached(
        "https://example.com/a.m3u8", AT, verdict(), CHESS, stopped_early=True
    ),
    "a screen without a game": VerdictReached("x", AT, replace(verdict(known=False), screen="talking"), jpeg=b"jpeg"),
    "the beginning": GameChanged("x", AT, None, TETRIS, True, 3, 0.9),
    "change": GameChanged("x", AT, TETRIS, BIG, True, 80, 1.0),
    "a change to unknown": GameChanged("x", AT, TETRIS, None, False, 90, 0.3),
    "failure": SourceFailed("x", AT, StreamOffline("x is not live")),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_each_event_matches_the_schema(event):
    """Each event is valid after a round trip through one line of JSON."""
    line = json.dumps(as_json(event), ensure_ascii=False)
    assert "\n" not in line
    assert valid(json.loads(line))["source"] == event.source


def test_schema_rejects_extra_and_missing_keys_and_other_versions():
    """The schema itself is valid, and strict."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA_DOCUMENT)
    event = as_json(EVENTS["verdict"])
    for wrong in (
        {**event, "extra": 1},
        {k: v for k, v in event.items() if k != "score"},
        {**event, "schema": SCHEMA + 1},
    ):
        with pytest.raises(jsonschema.ValidationError):
            valid(wrong)


def test_schema_lists_every_failure_reason():
    """The reasons of the schema are those of the StreamError classes."""
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, StreamError)]
    assert set(SCHEMA_DOCUMENT["$defs"]["failure"]["properties"]["reason"]["enum"]) == {
        error_type.reason for error_type in classes
    }
    assert as_json(SourceFailed("x", AT, OnlyAds("x: ads")))["exit_code"] == 4


def test_times_are_utc():
    """Times are ISO 8601 in UTC with milliseconds, whatever time zone an event has; `now` is UTC, too."""
    assert as_json(EVENTS["change"])["time"] == "2021-06-01T12:00:00.005Z"
    assert now().utcoffset() == timedelta(0)


def test_unknown_answer_has_no_game():
    """An unknown answer has only a closest game; its ranking stays, with ids as numbers."""
    event = as_json(EVENTS["an unknown stream"])
    assert (event["known"], event["game"], event["closest"]) == (False, None, {"id": 9, "name": "Tetris"})
    assert (event["score"], event["frames"], event["unknown_frames"]) == (2, 2, 2)
    assert event["top"][1] == {"id": 2**40, "name": "原神", "confidence": 0.2}
    low = as_json(EVENTS["a verdict of low confidence"])
    assert (low["known"], low["score"], low["unknown_frames"]) == (False, 0.5, 0)


@pytest.mark.parametrize(
    ("category", "known", "mismatch"),
    [
        (Game(9, "TETRIS"), True, False),  # another spelling
        (CHESS, True, True),
        (Game(8, "Tetris"), True, True),  # another game of the same name
        (None, True, None),
        (CHESS, False, None),
    ],
)
def test_mismatch_compares_ids(category, known, mismatch):
    """Names do not matter; without two games there is no mismatch."""
    assert VerdictReached("x", AT, verdict(known=known), category).mismatch is mismatch


def test_game_without_an_id_of_twitch_is_compared_by_name():
    """Ids from 10**12 on are not Twitch's; capitals do not matter."""
    fifa = Game(10**12 + 5, "FIFA")
    assert fifa.is_same(Game(9, "Fifa"))
    assert not fifa.is_same(Game(9, "Tetris"))
    assert not Game(10**12 - 1, "FIFA").is_same(Game(9, "FIFA"))


def test_confidence_is_at_most_one():
    """A mean of ones may exceed 1 in its last digit; the JSON has 1."""
    frame = Prediction(TETRIS, 1.0000000000000002, True, (RankedGame(TETRIS, 1.0000000000000002),))
    assert valid(as_json(FrameClassified("x", AT, 1, frame)))["confidence"] == 1


def test_confidence_that_is_no_number_is_zero():
    """A broken model's NaN is no JSON."""
    frame = Prediction(TETRIS, float("nan"), False, (RankedGame(TETRIS, float("nan")),))
    event = valid(as_json(FrameClassified("x", AT, 1, frame)))
    assert (event["confidence"], event["top"][0]["confidence"]) == (0, 0)
    broken = replace(verdict(), score=float("nan"), confidence=float("nan"))
    assert valid(as_json(VerdictReached("x", AT, broken)))["score"] == 0


def test_screen_is_null_for_gameplay_and_pictures_are_left_out():
    """The JSON names the kind of screen; the frame's picture is in the event only."""
    event = as_json(EVENTS["a screen without a game"])
    assert (event["screen"], as_json(EVENTS["verdict"])["screen"], "jpeg" in event) == ("talking", None, False)
