"""The library: a dozen lines do what the command does, on fakes and against the stand-in."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import recognition
from config import Settings
from data.entities import Game
from data.errors import DirectoryUnavailable, ModelError, SettingsError, StreamOffline
from recognition import Recognizer
from recognition.categories import Categories
from recognition.decision.verdict import Verdict
from recognition.events import VerdictReached, FrameClassified
from tests.footage import BLUE, GREEN, RED
from tests.recognition.commands import BRIGHT, DARK, ROOT
from tests.recognition.fakes import ByColour, Grabbed, frames, recognizer
from tests.standin import Standin


@pytest.fixture(scope="module")
def twitch(world):
    """The stand-in with two channels, one of which is over."""
    with Standin(world.only({"dcss_minotaur_berserker", "etr_bumpy_ride", "already_over"})) as running:
        yield running
    assert not running.unknown


def settings(twitch: Standin, model_path, **changes) -> Settings:
    """The stand-in's, with its credentials."""
    own = {name.lower(): value for name, value in twitch.environment.items()}
    return Settings(model_path=model_path, **{**own, **changes})


# --- on fakes -------------------------------------------------------------------------------------


def test_a_verdict_frames_and_events():
    """recognize gives the verdict of what frames gives one by one; events gives both, in this order."""
    verdict = recognizer(frames(RED, RED, BLUE), ByColour()).recognize("x")
    assert (verdict.game, len(verdict.predictions)) == (ByColour.classes[0], 3)
    seen = list(recognizer(frames(RED, RED, BLUE), ByColour()).frames("X"))
    assert [event.prediction for event in seen] == list(verdict.predictions)
    assert {event.source for event in seen} == {"x"}
    kinds = [type(event) for event in recognizer(frames(RED, BLUE), ByColour()).events("x")]
    assert kinds == [FrameClassified, FrameClassified, VerdictReached]


def test_as_many_frames_as_asked_for():
    """`at_most` goes before FRAMES_PER_STREAM, which is 15."""
    assert len(recognizer(frames(*[RED] * 20), ByColour()).recognize("x").predictions) == 15
    assert len(recognizer(frames(*[RED] * 20), ByColour()).recognize("x", at_most=4).predictions) == 4


def test_it_stops_once_the_answer_is_certain():
    """Frames that agree need not all be looked at; those that do not are; the event says which it was."""
    for colours, most in (([RED] * 13, 5), ([RED, BLUE] * 6 + [RED], 13)):
        *seen, last = recognizer(frames(*colours), ByColour(sure=9)).events("x", 13, sure=0.99)
        assert isinstance(last, VerdictReached)
        assert len(seen) <= most
        assert last.early == (len(seen) < 13)
    assert len(recognizer(frames(*[RED] * 13), ByColour(sure=9)).recognize("x", 13).predictions) == 13


def test_the_ranking_and_the_confidence_that_is_asked_for():
    """`top` games in each answer, best first; what is less confident than asked for is unknown."""
    verdict = recognizer(frames(RED, RED, BLUE), ByColour(), top=2).recognize("x")
    assert [one.game for one in verdict.ranking] == [ByColour.classes[0], ByColour.classes[2]]
    assert verdict.ranking[0].confidence == pytest.approx(verdict.confidence)
    assert recognizer(frames(RED), ByColour(sure=2), min_confidence=0.7).recognize("x").known
    unsure = recognizer(frames(RED), ByColour(sure=2), min_confidence=0.8).recognize("x")
    assert (unsure.known, unsure.unknown, unsure.game) == (False, 1, ByColour.classes[0])


def test_sure_frames_that_disagree_are_no_sure_answer():
    """Each frame is above the confidence asked for, their mean is not: unknown, and the line says by how much."""
    verdict = recognizer(frames(RED, GREEN, BLUE, RED), ByColour(sure=99), min_confidence=0.6).recognize("x")
    assert (verdict.unknown, verdict.known) == (0, False)
    assert verdict.line() == "Unknown with a score of 2.0 (closest: Red Game)"


def test_the_model_is_loaded_once():
    """However many threads ask for it at the same time."""
    loaded = []

    def model() -> ByColour:
        loaded.append(threading.get_ident())
        return ByColour()

    many = Recognizer(Settings(), Grabbed([]), model, over=threading.Event())
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(many.classifier), range(50)))
    assert (len(found), len(loaded)) == (1, 1)


class Unanswered:
    """A Helix that is down."""

    def live(self, logins):
        raise DirectoryUnavailable("Twitch answers 503")


def test_helix_in_trouble_is_a_warning(caplog):
    """Categories are an extra: without them there is none, and one warning."""
    with caplog.at_level(logging.WARNING):
        categories = Categories(Unanswered(), ["x", "y"])
        assert [categories.of("x"), categories.of("y")] == [None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "Twitch answers 503; the answers stand without categories"
    ]


# --- against the stand-in -------------------------------------------------------------------------


def test_a_dozen_lines(twitch, model_path, world):
    """What the documentation shows: a verdict for a login, for a file, and an error for a stream that is over."""
    with Recognizer.load(settings(twitch, model_path), top=2) as ours:
        verdict = ours.recognize("Dcss_Minotaur_Berserker", at_most=3)
        assert isinstance(verdict, Verdict)
        assert (verdict.game, verdict.known, len(verdict.predictions)) == (DARK, True, 3)
        assert ours.recognize(str(world.channel("etr_bumpy_ride").file), at_most=2).game == BRIGHT
        with pytest.raises(StreamOffline):
            ours.recognize("already_over")


def test_what_streamers_say(twitch, model_path):
    """The category of each live channel, in one call to Helix; none of what is no channel or not live."""
    before = len(twitch.requests)
    with Recognizer.load(settings(twitch, model_path)) as ours:
        found = ours.categories(["https://www.twitch.tv/Etr_Bumpy_Ride", "nobody_here", "some.mp4"])
        assert found.of("https://www.twitch.tv/Etr_Bumpy_Ride") == Game(9000004, "Extreme Tux Racer")
        assert [found.of("nobody_here"), found.of("some.mp4")] == [None, None]
    assert sum(request.path == "/helix/streams" for request in twitch.requests[before:]) == 1


def test_what_streamers_say_needs_credentials(twitch, model_path):
    """Without them the error names the setting; everything else works."""
    bare = settings(twitch, model_path, client_id="")
    with Recognizer.load(bare) as ours, pytest.raises(SettingsError, match="CLIENT_ID"):
        ours.categories(["x"])


def test_without_a_model(twitch, tmp_path):
    """The error comes with the first use, and says how to make one."""
    with Recognizer.load(settings(twitch, tmp_path / "none")) as ours:
        with pytest.raises(ModelError, match=r"model\.create"):
            ours.recognize("etr_bumpy_ride")
        with pytest.raises(ModelError):
            ours.classifier  # noqa: B018 - a property that loads


def test_the_package_is_light():
    """`import recognition` loads nothing heavy; the name that it gives is there, and no other."""
    code = "import sys, recognition; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"numpy", "requests", "streamlink", "av", "cv2", "onnxruntime", "pydantic"}
    assert recognition.Recognizer is Recognizer
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        recognition.Recogniser  # noqa: B018 - the name is looked up
