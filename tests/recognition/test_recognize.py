"""recognition.recognize: the lines on fakes, and the command as a user starts it, against the stand-in."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from data.entities import Frame
from data.errors import OnlyAds, StreamOffline, StreamUnavailable, UndecodableVideo
from model.inference.calibration import Calibration
from model.inference.classifier import Classifier
from recognition.events import FrameClassified, VerdictReached
from recognition.outputs.console import event_lines
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize, save_model
from tests.recognition.fakes import ColourClassifier, events, frames
from tests.sample_images import BLUE, GREEN, RED, flat
from tests.standin import Standin

# --- the lines, on fakes --------------------------------------------------------------------------


def spoken(made: Iterable[Frame], classifier: ColourClassifier) -> list[str]:
    """The lines printed of it."""
    return [line for event in events(made, classifier) for line in event_lines(event)]


def test_the_words():
    """Each frame's game and confidence, then the game with the largest sum of softmax outputs, and that sum."""
    classifier = ColourClassifier()
    top = np.exp(2) / (np.exp(2) + 2)
    score = 2 * top + (1 - top) / 2
    assert spoken(frames(GREEN, BLUE, GREEN), classifier) == [
        f"Frame 1: Green: the Sequel with a {100 * top:.2f}% confidence.",
        f"Frame 2: Bleu pâle with a {100 * top:.2f}% confidence.",
        f"Frame 3: Green: the Sequel with a {100 * top:.2f}% confidence.",
        f"Green: the Sequel with a score of {score:.1f}",
    ]
    assert classifier.shapes == [(1, 16, 16, 3)] * 3


def test_a_stream_of_nothing_known():
    """Every frame is below the threshold: the last line says so, and what comes closest."""
    classifier = ColourClassifier(calibration=Calibration(score="max_logit", threshold=3.0, share=0.05))
    top = np.exp(2) / (np.exp(2) + 2)
    assert spoken(frames(GREEN, GREEN), classifier) == [
        f"Frame 1: Unknown (closest: Green: the Sequel with a {100 * top:.2f}% confidence).",
        f"Frame 2: Unknown (closest: Green: the Sequel with a {100 * top:.2f}% confidence).",
        "Unknown with a score of 2.0 (closest: Green: the Sequel)",
    ]


def test_confidences_are_over_the_temperature():
    """Logits twice as sure as they should be, at temperature 2, print what they should."""
    top = np.exp(2) / (np.exp(2) + 2)
    said = spoken(frames(GREEN), ColourClassifier(logit=4.0, calibration=Calibration(temperature=2.0)))
    assert said[0] == f"Frame 1: Green: the Sequel with a {100 * top:.2f}% confidence."


def test_the_classifier_sees_rgb():
    """A red frame reaches the model as red, whatever order of channels the JPEG library has."""
    assert spoken(frames(RED), ColourClassifier())[-1].startswith("Red Game")


def test_each_line_comes_with_its_frame():
    """A line is there while the next frame is still to come."""
    come = threading.Event()

    def slow() -> Iterable[Frame]:
        first, second = frames(RED, BLUE)
        yield first
        assert come.wait(30)
        yield second

    said = events(slow(), ColourClassifier())
    assert next(said).source == "x"
    come.set()
    assert [type(event) for event in said] == [FrameClassified, VerdictReached]


@pytest.mark.parametrize("error", [StreamOffline("x is not live"), OnlyAds("x: ads"), UndecodableVideo("x: none")])
def test_an_error_before_the_first_frame_is_the_answer(error):
    """Without a frame there is no verdict: the stream's own error goes up."""
    with pytest.raises(type(error)) as raised:
        spoken(frames(then=error), ColourClassifier())
    assert raised.value is error


def test_an_error_after_some_frames_is_a_warning(caplog):
    """The frames so far have their verdict; what ended them is told apart, on stderr."""
    with caplog.at_level(logging.WARNING):
        said = spoken(frames(RED, RED, then=StreamUnavailable("x: gone")), ColourClassifier(logit=99))
    assert said[-1] == "Red Game with a score of 2.0"
    assert len(said) == 3
    assert "x: gone; the verdict is based on the frames so far" in caplog.text


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twitch(world):
    """The stand-in, with the channels that are recognised here."""
    logins = {"dcss_minotaur_berserker", "etr_bumpy_ride", "already_over", "only_sponsors"}
    with Standin(world.only(logins)) as running:
        yield running
    assert not running.unknown


def test_the_model_of_this_test_is_a_classifier(model_path):
    """What save_model writes is what the product loads: dark is the first game, bright the second."""
    classifier = Classifier.load(model_path)
    assert (classifier.classes, classifier.img_size) == ((DARK, BRIGHT), 240)
    images = np.stack([flat((9, 9, 9), 240, 240), flat((240, 240, 240), 240, 240)])
    assert classifier.logits(images).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize(("login", "game"), [("dcss_minotaur_berserker", DARK), ("Etr_Bumpy_Ride", BRIGHT)])
def test_the_answer(twitch, model_path, login, game):
    """A line for each of the window's fifteen frames, then the verdict; no word on stderr; no Helix, no credentials."""
    before = len(twitch.requests)
    done = recognize(twitch, model_path, login)
    expected = [f"Frame {number}: {game.name} with a 100.00% confidence." for number in range(1, 16)]
    assert done.stdout.splitlines() == [*expected, f"{game.name} with a score of 15.0"]
    assert (done.returncode, done.stderr) == (0, "")
    hosts = {request.host for request in twitch.requests[before:]}
    assert not hosts & {"api.twitch.tv", "id.twitch.tv"}


def test_a_file_is_answered_too(twitch, model_path, world):
    """A recording on the disk: as many frames as of a live window, from all of it, and no request."""
    before = len(twitch.requests)
    done = recognize(twitch, model_path, str(world.channel("etr_bumpy_ride").file))
    expected = [f"Frame {number}: {BRIGHT.name} with a 100.00% confidence." for number in range(1, 16)]
    assert done.stdout.splitlines() == [*expected, f"{BRIGHT.name} with a score of 15.0"]
    assert (done.returncode, done.stderr, len(twitch.requests)) == (0, "", before)


def test_fewer_frames_by_setting(twitch, model_path):
    """FRAMES_PER_STREAM is how many frames are looked at."""
    done = recognize(twitch, model_path, "dcss_minotaur_berserker", FRAMES_PER_STREAM="2")
    assert done.stdout.splitlines()[2:] == [f"{DARK.name} with a score of 2.0"]


@pytest.mark.parametrize(
    ("login", "code", "words"),
    [
        ("already_over", 3, "already_over is not live"),
        ("only_sponsors", 4, "only_sponsors shows nothing but ads"),
        ("nobody_of_that_name", 5, "nobody_of_that_name"),
        ("https://www.twitch.tv/already_over", 3, "already_over is not live"),
        ("no such file.mp4", 5, "is not a Twitch login"),
    ],
)
def test_no_answer(twitch, model_path, login, code, words):
    """Offline, only ads, unknown and impossible: one line on stderr that says so, and each its exit code."""
    done = recognize(twitch, model_path, login, AD_WAIT_S="0")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_servers_that_fail(twitch, model_path):
    """Servers in trouble are exit code 7."""
    twitch.fail("gql.twitch.tv", 503, times=1)
    done = recognize(twitch, model_path, "etr_bumpy_ride")
    assert (done.returncode, done.stdout) == (7, "")
    assert re.fullmatch(r"\w+: etr_bumpy_ride: .*upgrade streamlink\n", done.stderr)


def test_without_a_model(twitch, tmp_path):
    """No model is exit code 1, with the command that makes one; a wait for ads does not hold it up."""
    start = time.monotonic()
    done = recognize(twitch, tmp_path / "none", "only_sponsors", AD_WAIT_S="60")
    assert (done.returncode, done.stdout) == (1, "")
    assert "python -m model.create" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - start < 20


def test_a_model_of_another_size(twitch, tmp_path):
    """The model's image size and IMG_SIZE have to be one: the line names the setting and the value."""
    save_model(tmp_path, (DARK, BRIGHT), img_size=96)
    done = recognize(twitch, tmp_path, "etr_bumpy_ride")
    assert done.returncode == 1
    assert re.search(r"IMG_SIZE.* 96 ", done.stderr)


@pytest.mark.parametrize(
    ("name", "value"),
    [("IMG_SIZE", "large"), ("FRAMES_PER_STREAM", "0"), ("TWITCH_STANDIN", "http://example.com:80")],
)
def test_a_wrong_setting(twitch, model_path, name, value):
    """Exit code 2, and the line begins with the setting's name."""
    done = recognize(twitch, model_path, "etr_bumpy_ride", **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(rf"\w+: {name}: ", done.stderr)


@pytest.mark.parametrize(
    "words", [[], ["--login", "x"], ["x", "--every", "2"], ["x", "--watch", "--csv", "f"], ["x", "--sure", "0.9"]]
)
def test_a_wrong_command_line(twitch, model_path, words):
    """No source, an unknown option, and options that do not go together are answered with the usage."""
    done = recognize(twitch, model_path, *words)
    assert done.returncode == 2
    assert "usage: python -m recognition.recognize" in done.stderr


def takers(pid: int) -> list[str]:
    """The threads of a process that would take SIGTERM; on Linux, elsewhere none are known."""
    states = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    blocked = [int(line.split()[1], 16) for state in states for line in state.splitlines() if line.startswith("SigBlk")]
    return [f"{mask:x}" for mask in blocked if not mask >> (signal.SIGTERM - 1) & 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_waiting_for_ads(twitch, model_path, number):
    """Ctrl-C and SIGTERM end the command at once, however long the ads would be waited for."""
    env = environment(twitch, model_path, AD_WAIT_S="600")
    with subprocess.Popen(
        command("-v", "only_sponsors"), cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert "waiting for the stream" in next(line for line in process.stderr if "ads" in line)
        assert len(takers(process.pid)) <= 1  # while the main thread puts them off, nobody takes them
        start = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) == 130
        assert time.monotonic() - start < 5
        assert "Traceback" not in process.stderr.read()


def test_a_reader_that_leaves(twitch, model_path):
    """`| head -1` ends it without a traceback."""
    with subprocess.Popen(
        command("dcss_minotaur_berserker"),
        cwd=ROOT,
        env=environment(twitch, model_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith("Frame 1: ")
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
