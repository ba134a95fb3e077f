"""recognition.recognize: the printed lines, with fakes; then the command in a process, against the stand-in."""

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
from data.errors import (
    OnlyAds,
    StreamError,
    StreamOffline,
    StreamUnavailable,
    UndecodableVideo,
    UnexpectedStreamError,
)
from model.inference.calibration import Calibration
from model.inference.classifier import Classifier
from recognition.events import FrameClassified, VerdictReached
from recognition.outputs.console import event_line
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize, save_model
from tests.recognition.fakes import ColourClassifier, events, frames
from tests.sample_images import BLUE, GREEN, RED, flat
from tests.standin import Standin

# --- printed lines, with fakes ---------------------------------------------------------------------


def printed(frames: Iterable[Frame], classifier: ColourClassifier) -> list[str]:
    """Return the lines that the command prints for these frames."""
    return [event_line(event) for event in events(frames, classifier)]


def test_output_lines():
    """Each frame's game and confidence, then the game with the largest sum of softmax outputs, and that sum."""
    classifier = ColourClassifier()
    top = np.exp(2) / (np.exp(2) + 2)
    score = 2 * top + (1 - top) / 2
    assert printed(frames(GREEN, BLUE, GREEN), classifier) == [
        f"Frame 1: Green: the Sequel with a {100 * top:.2f}% confidence.",
        f"Frame 2: Bleu pâle with a {100 * top:.2f}% confidence.",
        f"Frame 3: Green: the Sequel with a {100 * top:.2f}% confidence.",
        f"Green: the Sequel with a score of {score:.1f}",
    ]
    assert classifier.shapes == [(1, 16, 16, 3)] * 3


def test_output_lines_when_all_frames_are_unknown():
    """If every frame is below the threshold, each line says Unknown and names the closest game."""
    classifier = ColourClassifier(calibration=Calibration(score_name="max_logit", threshold=3.0, unknown_fraction=0.05))
    top = np.exp(2) / (np.exp(2) + 2)
    assert printed(frames(GREEN, GREEN), classifier) == [
        f"Frame 1: Unknown (closest: Green: the Sequel with a {100 * top:.2f}% confidence).",
        f"Frame 2: Unknown (closest: Green: the Sequel with a {100 * top:.2f}% confidence).",
        "Unknown with a score of 2.0 (closest: Green: the Sequel)",
    ]


def test_confidence_is_divided_by_the_temperature():
    """Logits that are twice too large print the right confidence at temperature 2."""
    top = np.exp(2) / (np.exp(2) + 2)
    lines = printed(frames(GREEN), ColourClassifier(logit=4.0, calibration=Calibration(temperature=2.0)))
    assert lines[0] == f"Frame 1: Green: the Sequel with a {100 * top:.2f}% confidence."


def test_classifier_receives_rgb():
    """A red frame reaches the model as RGB, whatever channel order the JPEG library has."""
    assert printed(frames(RED), ColourClassifier())[-1].startswith("Red Game")


def test_frame_event_is_emitted_before_the_next_frame_arrives():
    """A frame's event is available while the next frame is still being fetched."""
    arrived = threading.Event()

    def slow() -> Iterable[Frame]:
        first, second = frames(RED, BLUE)
        yield first
        assert arrived.wait(30)
        yield second

    stream = events(slow(), ColourClassifier())
    assert next(stream).source == "x"
    arrived.set()
    assert [type(event) for event in stream] == [FrameClassified, VerdictReached]


@pytest.mark.parametrize("error", [StreamOffline("x is not live"), OnlyAds("x: ads"), UndecodableVideo("x: none")])
def test_error_before_the_first_frame_is_raised(error):
    """Without a frame there is no verdict: the stream's own error is raised."""
    with pytest.raises(type(error)) as raised:
        printed(frames(then=error), ColourClassifier())
    assert raised.value is error


def test_error_after_some_frames_is_a_warning(caplog):
    """The verdict is based on the frames so far; the error is logged as a warning."""
    with caplog.at_level(logging.WARNING):
        lines = printed(frames(RED, RED, then=StreamUnavailable("x: gone")), ColourClassifier(logit=99))
    assert lines[-1] == "Red Game with a score of 2.0"
    assert len(lines) == 3
    assert "x: gone; the verdict is based on the frames so far" in caplog.text


@pytest.mark.parametrize("error", [IndexError("demux"), RecursionError(), AttributeError("stray comma")])
def test_unexpected_error_costs_its_source_only(error, caplog):
    """Without a frame it is the source's failure "internal"; after some frames there is a verdict and a warning."""
    with pytest.raises(UnexpectedStreamError, match=f"^x: unexpected {type(error).__name__}"):
        printed(frames(then=error), ColourClassifier())
    assert printed(frames(RED, RED, then=error), ColourClassifier(logit=99))[-1] == "Red Game with a score of 2.0"
    assert f"x: unexpected {type(error).__name__}" in caplog.text


def test_frame_that_cannot_be_classified_costs_its_source_only():
    """What the image library or ONNX Runtime raises for a frame is the source's failure, too."""
    with pytest.raises(StreamError):
        printed([Frame(1, b"no JPEG")], ColourClassifier())


def test_source_without_a_frame_has_no_picture():
    """An iterator that ends at once is a failure of its source, no traceback."""
    with pytest.raises(UndecodableVideo, match=r"^x: no picture"):
        printed([], ColourClassifier())


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in with the channels of this module."""
    logins = {"dcss_minotaur_berserker", "etr_bumpy_ride", "already_over", "only_sponsors"}
    with Standin(world.only(logins)) as running:
        yield running
    assert not running.unknown


def test_model_of_these_tests_is_loadable(model_path):
    """The product loads what save_model writes: dark images are the first game, bright ones the second."""
    classifier = Classifier.load(model_path)
    assert (classifier.classes, classifier.img_size) == ((DARK, BRIGHT), 240)
    images = np.stack([flat((9, 9, 9), 240, 240), flat((240, 240, 240), 240, 240)])
    assert classifier.logits(images).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize(("login", "game"), [("dcss_minotaur_berserker", DARK), ("Etr_Bumpy_Ride", BRIGHT)])
def test_live_channel_prints_fifteen_frames_and_the_verdict(twitch, model_path, login, game):
    """There is a line for each frame of the live window, then the verdict; stderr is empty, Helix is not asked."""
    before = len(twitch.requests)
    done = recognize(twitch, model_path, login)
    expected = [f"Frame {number}: {game.name} with a 100.00% confidence." for number in range(1, 16)]
    assert done.stdout.splitlines() == [*expected, f"{game.name} with a score of 15.0"]
    assert (done.returncode, done.stderr) == (0, "")
    hosts = {request.host for request in twitch.requests[before:]}
    assert not hosts & {"api.twitch.tv", "id.twitch.tv"}


def test_video_file_prints_fifteen_frames_and_the_verdict(twitch, model_path, world):
    """A file gives as many frames as a live window, spread over the whole recording, without any request."""
    before = len(twitch.requests)
    done = recognize(twitch, model_path, str(world.channel("etr_bumpy_ride").file))
    expected = [f"Frame {number}: {BRIGHT.name} with a 100.00% confidence." for number in range(1, 16)]
    assert done.stdout.splitlines() == [*expected, f"{BRIGHT.name} with a score of 15.0"]
    assert (done.returncode, done.stderr, len(twitch.requests)) == (0, "", before)


def test_frames_per_stream_limits_the_frames(twitch, model_path):
    """FRAMES_PER_STREAM is the number of classified frames."""
    done = recognize(twitch, model_path, "dcss_minotaur_berserker", FRAMES_PER_STREAM="2")
    assert done.stdout.splitlines()[2:] == [f"{DARK.name} with a score of 2.0"]


@pytest.mark.parametrize(
    ("login", "code", "message"),
    [
        ("already_over", 3, "already_over is not live"),
        ("only_sponsors", 4, "only_sponsors shows nothing but ads"),
        ("nobody_of_that_name", 5, "nobody_of_that_name"),
        ("https://www.twitch.tv/already_over", 3, "already_over is not live"),
        ("no such file.mp4", 5, "is not found: name a Twitch login"),
    ],
)
def test_source_without_verdict_has_its_message_and_exit_code(twitch, model_path, login, code, message):
    """Offline, only ads, unknown login, invalid source: each has one line on stderr and its exit code."""
    done = recognize(twitch, model_path, login, AD_WAIT_S="0")
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_servers_when_failing_have_their_exit_code(twitch, model_path):
    """Unavailable servers are exit code 7."""
    twitch.fail("gql.twitch.tv", 503, times=1)
    done = recognize(twitch, model_path, "etr_bumpy_ride")
    assert (done.returncode, done.stdout) == (7, "")
    assert re.fullmatch(r"\w+: etr_bumpy_ride: .*upgrade streamlink\n", done.stderr)


def test_recognize_without_a_model_names_the_command_that_makes_one(twitch, tmp_path):
    """The exit code is 1, the message names model.create, and waiting for ads does not delay it."""
    start = time.monotonic()
    done = recognize(twitch, tmp_path / "none", "only_sponsors", AD_WAIT_S="60")
    assert (done.returncode, done.stdout) == (1, "")
    assert "python -m model.create" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - start < 20


def test_model_of_another_image_size_names_the_setting(twitch, tmp_path):
    """IMG_SIZE must equal the model's image size: the message names the setting and the value."""
    save_model(tmp_path, (DARK, BRIGHT), img_size=96)
    done = recognize(twitch, tmp_path, "etr_bumpy_ride")
    assert done.returncode == 1
    assert "set IMG_SIZE=96" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("IMG_SIZE", "large"), ("FRAMES_PER_STREAM", "0"), ("TWITCH_STANDIN", "http://example.com:80")],
)
def test_invalid_setting_is_named(twitch, model_path, name, value):
    """The exit code is 2, and the message begins with the setting's name."""
    done = recognize(twitch, model_path, "etr_bumpy_ride", **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(rf"\w+: {name}: ", done.stderr)


@pytest.mark.parametrize(
    "arguments", [[], ["--login", "x"], ["x", "--every", "2"], ["x", "--watch", "--save", "f"], ["x", "--sure", "0.9"]]
)
def test_invalid_command_line_prints_the_usage(twitch, model_path, arguments):
    """Without a source, with an unknown option or with conflicting options, the usage is printed."""
    done = recognize(twitch, model_path, *arguments)
    assert done.returncode == 2
    assert "usage: python -m recognition.recognize" in done.stderr


def sigterm_threads(pid: int) -> list[str]:
    """Return the signal masks of the process's threads that do not block SIGTERM; empty where there is no /proc."""
    states = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    blocked = [int(line.split()[1], 16) for state in states for line in state.splitlines() if line.startswith("SigBlk")]
    return [f"{mask:x}" for mask in blocked if not mask >> (signal.SIGTERM - 1) & 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_waiting_for_ads_ends_the_command(twitch, model_path, number):
    """Ctrl-C and SIGTERM end the command at once, however long it would wait for the ads to end."""
    env = environment(twitch, model_path, AD_WAIT_S="600")
    with subprocess.Popen(
        command("-v", "only_sponsors"), cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert "waiting for the stream" in next(line for line in process.stderr if "ads" in line)
        assert len(sigterm_threads(process.pid)) <= 1  # only the main thread may receive it
        start = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) in (130, 128 + number)  # the second one by force, under load
        assert time.monotonic() - start < 20
        assert "Traceback" not in process.stderr.read()


def test_stdout_when_closed_by_the_reader_ends_the_command(twitch, model_path):
    """`| head -1` ends the command with exit code 0 and without a traceback."""
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
