"""recognition.recognizer: the public library, on fakes and against the stand-in."""

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
from recognition.categories import CategoryLookup
from recognition.decision.verdict import Verdict
from recognition.events import FrameClassified, VerdictReached
from tests.recognition.commands import BRIGHT, DARK, ROOT
from tests.recognition.fakes import ColourClassifier, FakeGrabber, frames, recognizer
from tests.sample_images import BLUE, GREEN, RED
from tests.standin import Standin


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in with two live channels and an offline one."""
    with Standin(world.only({"dcss_minotaur_berserker", "etr_bumpy_ride", "already_over"})) as running:
        yield running
    assert not running.unknown


def settings(twitch: Standin, model_path, **changes) -> Settings:
    """Return settings for the stand-in, with its credentials."""
    own = {name.lower(): value for name, value in twitch.environment.items()}
    return Settings(model_path=model_path, **{**own, **changes})


# --- on fakes -------------------------------------------------------------------------------------


def test_recognize_frames_and_events_agree():
    """`recognize` gives the verdict of the frames that `frames` gives; `events` gives both, frames first."""
    verdict = recognizer(frames(RED, RED, BLUE), ColourClassifier()).recognize("x")
    assert (verdict.game, len(verdict.predictions)) == (ColourClassifier.classes[0], 3)
    seen = list(recognizer(frames(RED, RED, BLUE), ColourClassifier()).frames("X"))
    assert [event.prediction for event in seen] == list(verdict.predictions)
    assert {event.source for event in seen} == {"x"}
    kinds = [type(event) for event in recognizer(frames(RED, BLUE), ColourClassifier()).events("x")]
    assert kinds == [FrameClassified, FrameClassified, VerdictReached]


def test_verdict_has_a_frame_of_the_winner():
    """The picture of the verdict shows the game that it names, wherever that was in the stream."""
    red, blue = (frame.jpeg for frame in frames(RED, BLUE))
    *_, verdict = recognizer(frames(BLUE, RED, RED, BLUE, RED), ColourClassifier()).events("x")
    assert isinstance(verdict, VerdictReached)
    assert verdict.jpeg == red != blue


def test_max_frames_overrides_the_setting():
    """`max_frames` replaces FRAMES_PER_STREAM, which is 15."""
    assert len(recognizer(frames(*[RED] * 20), ColourClassifier()).recognize("x").predictions) == 15
    assert len(recognizer(frames(*[RED] * 20), ColourClassifier()).recognize("x", max_frames=4).predictions) == 4


def test_certainty_below_one_stops_early():
    """Frames that agree end after five at most, frames that disagree do not; the event says whether it stopped."""
    for colours, most in (([RED] * 13, 5), ([RED, BLUE] * 6 + [RED], 13)):
        *seen, last = recognizer(frames(*colours), ColourClassifier(logit=9)).events("x", 13, certainty=0.99)
        assert isinstance(last, VerdictReached)
        assert len(seen) <= most
        assert last.stopped_early == (len(seen) < 13)
    assert len(recognizer(frames(*[RED] * 13), ColourClassifier(logit=9)).recognize("x", 13).predictions) == 13


def test_top_and_min_confidence():
    """A ranking has `top` games, best first; a verdict below `min_confidence` is unknown."""
    verdict = recognizer(frames(RED, RED, BLUE), ColourClassifier(), top=2).recognize("x")
    assert [one.game for one in verdict.ranking] == [ColourClassifier.classes[0], ColourClassifier.classes[2]]
    assert verdict.ranking[0].confidence == pytest.approx(verdict.confidence)
    assert recognizer(frames(RED), ColourClassifier(logit=2), min_confidence=0.7).recognize("x").known
    low = recognizer(frames(RED), ColourClassifier(logit=2), min_confidence=0.8).recognize("x")
    assert (low.known, low.unknown_frames, low.game) == (False, 1, ColourClassifier.classes[0])


def test_confident_frames_that_disagree_give_an_unknown_verdict():
    """Each frame reaches `min_confidence`, their mean does not: the verdict is unknown."""
    verdict = recognizer(frames(RED, GREEN, BLUE, RED), ColourClassifier(logit=99), min_confidence=0.6).recognize("x")
    assert (verdict.unknown_frames, verdict.known) == (0, False)
    assert verdict.to_line() == "Unknown with a score of 2.0 (closest: Red Game)"


def test_model_is_loaded_once_by_many_threads():
    """Fifty accesses from eight threads give one classifier."""
    loaded = []

    def model() -> ColourClassifier:
        loaded.append(threading.get_ident())
        return ColourClassifier()

    many = Recognizer(Settings(), FakeGrabber([]), model, stop=threading.Event())
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(many.classifier), range(50)))
    assert (len(found), len(loaded)) == (1, 1)


class HelixDown:
    """A Helix client whose requests fail."""

    def streams_by_login(self, logins):
        raise DirectoryUnavailable("Twitch returned HTTP 503")


def test_failing_helix_gives_one_warning_and_no_categories(caplog):
    """Categories are optional: `get` returns None instead of raising."""
    with caplog.at_level(logging.WARNING):
        categories = CategoryLookup(HelixDown(), ["x", "y"])
        assert [categories.get("x"), categories.get("y")] == [None, None]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["Twitch returned HTTP 503; continuing without categories"]


# --- against the stand-in -------------------------------------------------------------------------


def test_recognize_a_login_a_file_and_an_offline_channel(twitch, model_path, world):
    """A login in any case and a file give verdicts; an offline channel raises StreamOffline."""
    with Recognizer.load(settings(twitch, model_path), top=2) as ours:
        verdict = ours.recognize("Dcss_Minotaur_Berserker", max_frames=3)
        assert isinstance(verdict, Verdict)
        assert (verdict.game, verdict.known, len(verdict.predictions)) == (DARK, True, 3)
        assert ours.recognize(str(world.channel("etr_bumpy_ride").file), max_frames=2).game == BRIGHT
        with pytest.raises(StreamOffline):
            ours.recognize("already_over")


def test_category_lookup_requests_all_categories_at_once(twitch, model_path):
    """One request gives the categories of the live channels; offline channels and files have none."""
    before = len(twitch.requests)
    with Recognizer.load(settings(twitch, model_path)) as ours:
        found = ours.category_lookup(["https://www.twitch.tv/Etr_Bumpy_Ride", "nobody_here", "some.mp4"])
        assert found.get("https://www.twitch.tv/Etr_Bumpy_Ride") == Game(9000004, "Extreme Tux Racer")
        assert [found.get("nobody_here"), found.get("some.mp4")] == [None, None]
    assert sum(request.path == "/helix/streams" for request in twitch.requests[before:]) == 1


def test_category_lookup_without_credentials_raises_settings_error(twitch, model_path):
    """The error names the missing setting."""
    bare = settings(twitch, model_path, client_id="")
    with Recognizer.load(bare) as ours, pytest.raises(SettingsError, match="CLIENT_ID"):
        ours.category_lookup(["x"])


def test_missing_model_raises_model_error_at_first_use(twitch, tmp_path):
    """`load` succeeds; the error says how to build a model."""
    with Recognizer.load(settings(twitch, tmp_path / "none")) as ours:
        with pytest.raises(ModelError, match=r"model\.create"):
            ours.recognize("etr_bumpy_ride")
        with pytest.raises(ModelError):
            ours.classifier  # noqa: B018 - a property that loads


def test_import_of_the_package_is_light():
    """`import recognition` loads no heavy library; it has the name Recognizer and no other."""
    code = "import sys, recognition; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"numpy", "requests", "streamlink", "av", "cv2", "onnxruntime", "pydantic"}
    assert recognition.Recognizer is Recognizer
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        recognition.Recogniser  # noqa: B018 - the name is looked up
