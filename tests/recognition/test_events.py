"""recognition.events: every kind as JSON, as docs/events.schema.json describes it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from data import errors
from data.entities import Game
from data.errors import OnlyAds, StreamError, StreamOffline
from recognition.decision.verdict import Prediction, Ranked, Verdict
from recognition.events import SCHEMA, Answered, Changed, Event, Failed, FrameSeen, as_json, now
from tests.recognition.schema import DESCRIBED, valid

TETRIS, CHESS, BIG = Game(9, "Tetris"), Game(743, "Chess"), Game(2**40, "原神")
AT = datetime(2021, 6, 1, 14, 0, 0, 5000, timezone(timedelta(hours=2)))


def answer(game: Game = TETRIS, known: bool = True, frames: int = 2, sure: bool = True) -> Verdict:
    """A verdict of frames of this game."""
    ranking = (Ranked(game, 0.75), Ranked(BIG, 0.2))
    frame = Prediction(game, 0.75, known, ranking)
    return Verdict(game, 0.75 * frames, 0.75, (frame,) * frames, ranking, sure)


KINDS: dict[str, Event] = {
    "frame": FrameSeen("x", AT, 3, answer().predictions[0], b"jpeg"),
    "an unknown frame": FrameSeen("x", AT, 1, answer(known=False).predictions[0]),
    "verdict": Answered("x", AT, answer()),
    "an unknown stream": Answered("x", AT, answer(known=False)),
    "an unsure answer": Answered("x", AT, answer(sure=False)),
    "a verdict with its category": Answered("https://example.com/a.m3u8", AT, answer(), CHESS, early=True),
    "the beginning": Changed("x", AT, None, TETRIS, True, 3, 0.9),
    "change": Changed("x", AT, TETRIS, BIG, True, 80, 1.0),
    "a picture that is unknown": Changed("x", AT, TETRIS, None, False, 90, 0.3),
    "failure": Failed("x", AT, StreamOffline("x is not live")),
}


@pytest.mark.parametrize("event", KINDS.values(), ids=KINDS)
def test_each_kind_is_as_described(event):
    """The schema's description holds for it, as a line of JSON and back; and nothing is in it that is not described."""
    line = json.dumps(as_json(event), ensure_ascii=False)
    assert "\n" not in line
    assert valid(json.loads(line))["source"] == event.source


def test_the_description_is_strict():
    """The schema is one, and refuses what is not described, what is missing, and other versions."""
    jsonschema.Draft202012Validator.check_schema(DESCRIBED)
    said = as_json(KINDS["verdict"])
    for wrong in (
        {**said, "extra": 1},
        {k: v for k, v in said.items() if k != "score"},
        {**said, "schema": SCHEMA + 1},
    ):
        with pytest.raises(jsonschema.ValidationError):
            valid(wrong)


def test_every_reason_of_a_failure_is_described():
    """Each StreamError's reason is among those of the schema."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StreamError)]
    assert set(DESCRIBED["$defs"]["failure"]["properties"]["reason"]["enum"]) == {kind.reason for kind in kinds}
    assert as_json(Failed("x", AT, OnlyAds("x: ads")))["exit_code"] == 4


def test_times_are_utc():
    """Whatever time zone an event has: ISO 8601 in UTC, to the millisecond, as `now` gives it too."""
    assert as_json(KINDS["change"])["time"] == "2021-06-01T12:00:00.005Z"
    assert now().utcoffset() == timedelta(0)


def test_what_is_not_known_has_no_game():
    """Unknown answers have the closest game alone; the ranking is there in any case, with ids as numbers."""
    said = as_json(KINDS["an unknown stream"])
    assert (said["known"], said["game"], said["closest"]) == (False, None, {"id": 9, "name": "Tetris"})
    assert (said["score"], said["frames"], said["unknown_frames"]) == (2, 2, 2)
    assert said["top"][1] == {"id": 2**40, "name": "原神", "confidence": 0.2}
    unsure = as_json(KINDS["an unsure answer"])
    assert (unsure["known"], unsure["score"], unsure["unknown_frames"]) == (False, 0.5, 0)


@pytest.mark.parametrize(
    ("category", "known", "mismatch"),
    [
        (Game(9, "TETRIS"), True, False),  # spelled in another way
        (CHESS, True, True),
        (Game(8, "Tetris"), True, True),  # another game of this name
        (None, True, None),
        (CHESS, False, None),
    ],
)
def test_a_mismatch_is_one_of_ids(category, known, mismatch):
    """Names do not matter, and without two games there is nothing to compare."""
    assert Answered("x", AT, answer(known=known), category).mismatch is mismatch


def test_sums_of_shares_stay_shares():
    """A mean of ones may come out a little above 1: it is printed as 1."""
    frame = Prediction(TETRIS, 1.0000000000000002, True, (Ranked(TETRIS, 1.0000000000000002),))
    assert valid(as_json(FrameSeen("x", AT, 1, frame)))["confidence"] == 1
