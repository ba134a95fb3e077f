"""recognition.recognize --watch, as a user starts it, on channels that switch, end, break and come back."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from config import Settings
from data.http import session as web
from recognition import Recognizer
from recognition.events import FrameClassified, GameChanged
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize
from tests.recognition.schema import valid
from tests.scripted import Reply, Scripted
from tests.standin import Fault, Standin, World
from tests.standin.faults import status

LIVES_S = 8.0
BEHAVIOURS = ("live", "ended", "expired", "rewound", "midroll", "broken", "offline")


@pytest.fixture(scope="module")
def channels(world) -> World:
    """A bright channel of each behaviour, and a dark one."""
    bright = world.channel("etr_bumpy_ride")
    made = [dataclasses.replace(bright, login=name, behaviour=name) for name in BEHAVIOURS]
    return World((*made, dataclasses.replace(world.channel("dcss_minotaur_berserker"), login="dark")))


@pytest.fixture(scope="module")
def twitch(channels):
    """The stand-in with these."""
    with Standin(channels, lifetime_s=LIVES_S) as running:
        yield running
    assert not running.unknown


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def started(twitch: Standin, model_path, *words: str, **changes: str) -> subprocess.Popen[str]:
    """The command in the background."""
    env = environment(twitch, model_path, **changes)
    pipe = subprocess.PIPE
    return subprocess.Popen(command("--watch", *words), cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)


def metrics_of(port: int) -> str:
    """What is served there, once it is."""
    with web.new_session(5) as session:
        return session.get(f"http://127.0.0.1:{port}/metrics").text


def seconds_of(event: dict[str, Any]) -> float:
    """Epoch seconds."""
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def test_everything_that_may_happen_to_streams(channels, model_path):
    """Half a minute of channels that switch, end, lose their addresses, show ads and send broken segments.

    Each line is as described. The planted switch is told within ten seconds of its first picture, and posted; no other
    is. No segment is lost but those that are no pictures; one channel ends, the others go on to the time's end.
    """
    at = (time.time() + 14) // 2 * 2
    port, logins = free_port(), ("live", *BEHAVIOURS[1:])
    switching = channels.with_switches([("live", at, "dark")])
    with Scripted([Reply(503)] + [Reply(204)] * 99) as hook, Standin(switching, lifetime_s=LIVES_S) as twitch:
        words = ["--json", "--minutes", "0.55", "--webhook", f"{hook.url}/changes", "--metrics", str(port)]
        watching = started(twitch, model_path, *words, *logins)
        time.sleep(28)
        metrics = metrics_of(port)
        out, err = watching.communicate(timeout=60)
    events = [valid(json.loads(line)) for line in out.splitlines()]
    changes = [event for event in events if event["event"] == "change"]
    assert Counter((e["source"], e["game"]["name"]) for e in changes) == Counter(
        [("live", DARK.name), *((login, BRIGHT.name) for login in logins if login != "offline")]
    )
    [switch] = [event for event in changes if event["before"]]
    assert 0 < seconds_of(switch) - at <= 10
    assert [event["source"] for event in events if event["event"] == "failure"] == ["offline"]
    verdicts = {event["source"]: event for event in events if event["event"] == "verdict"}
    assert set(verdicts) == set(logins) - {"offline"}
    assert seconds_of(verdicts["ended"]) < seconds_of(verdicts["live"]) - 5
    frames = [event for event in events if event["event"] == "frame"]
    assert not any(event["lost"] for event in frames)
    counted = Counter(event["source"] for event in frames)
    assert counted == {login: event["frames"] for login, event in verdicts.items()}
    assert counted["live"] >= 15
    assert min(counted["expired"], counted["rewound"]) >= 13
    assert hook.requests[0][1] == "/changes"
    assert {body for body in hook.bodies} == {json.dumps(event, ensure_ascii=False).encode() for event in changes}
    assert re.search(r'^twitchcategory_frames_total{source="live"} (9|1\d)\.0$', metrics, re.M)
    assert f'twitchcategory_showing{{game="{DARK.name}",source="live"}} 1.0' in metrics
    assert "twitchcategory_inference_seconds_count" in metrics
    assert (watching.returncode, "Traceback" in err) == (3, False)


def test_twitch_in_trouble(channels, model_path):
    """For ten seconds every server fails: nothing is told of it, and it goes on with what the stream shows by then."""
    faults = [Fault("down", status(503), skip=14, for_s=20)]
    with Standin(channels.only({"live"}), lifetime_s=3600, faults=faults) as twitch:
        done = recognize(twitch, model_path, "--watch", "--json", "--minutes", "0.6", "live")
        assert twitch.fault_counts["down"] >= 3
    events = [valid(json.loads(line)) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "frame"] == ["change", "verdict"]
    frames = [event for event in events if event["event"] == "frame"]
    assert len(frames) >= 10
    assert done.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(twitch, model_path, number):
    """Each stream's verdict, at once; what was printed before are changes, each line with its time and its source."""
    with started(twitch, model_path, "live", "dark") as watching:
        assert watching.stdout
        assert watching.stderr
        lines = [watching.stdout.readline() for _ in range(2)]
        start = time.monotonic()
        watching.send_signal(number)
        assert watching.wait(30) == 0
        assert time.monotonic() - start < 8
        lines += watching.stdout.readlines()
        assert watching.stderr.read() == ""
    at = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    said = sorted(re.sub(at, "TIME", line).rstrip() for line in lines)
    assert re.sub(r"score of \d+\.0", "score of N", "\n".join(said)).splitlines() == [
        f"TIME dark: {DARK.name} with a score of N",
        f"TIME dark: Now {DARK.name} (100.0%, frame 3)",
        f"TIME live: {BRIGHT.name} with a score of N",
        f"TIME live: Now {BRIGHT.name} (100.0%, frame 3)",
    ]


def test_streams_are_waited_for(channels, model_path):
    """With --wait an offline channel is no end: it goes on until the time is over, and says once that it is offline."""
    with Standin(channels, lifetime_s=3600) as twitch:
        done = recognize(twitch, model_path, "--watch", "--wait", "--minutes", "0.1", "offline")
        assert (done.returncode, done.stdout, done.stderr) == (3, "", "error: offline is not live\n")
        start = time.monotonic()
        assert recognize(twitch, model_path, "--watch", "--minutes", "5", "offline").returncode == 3
        assert time.monotonic() - start < 30


def test_against_the_streamers_own_word(channels, model_path):
    """With credentials each change has the category, and a mismatch is marked: this streamer forgot to set it."""
    at = (time.time() - 600) // 2 * 2
    with Standin(channels.with_switches([("live", at, "dark")])) as twitch:
        credentials = {name: value for name, value in twitch.environment.items() if name.startswith("CLIENT")}
        words = ["--watch", "--category", "--minutes", "0.12", "live", "dark"]
        done = recognize(twitch, model_path, *words, **credentials)
        assert not twitch.unknown
    assert done.returncode == 0
    verdicts = sorted(line.partition(": ")[2] for line in done.stdout.splitlines() if "score" in line)
    assert [re.sub(r"\d+\.0", "N", line) for line in verdicts] == [
        f"{DARK.name} with a score of N (category: {DARK.name})",
        f"{DARK.name} with a score of N (category: {BRIGHT.name}, mismatch)",
    ]


def test_seldom_is_cheaper(twitch, model_path):
    """--every 6: a third of the frames, and of the requests for playlists."""
    before = len(twitch.requests)
    done = recognize(twitch, model_path, "--watch", "--json", "--every", "6", "--minutes", "0.35", "live")
    frames = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "frame"]
    looks = [request for request in twitch.requests[before:] if "/v1/playlist/" in request.path]
    assert 3 <= len(frames) <= 6
    assert len(looks) <= 5


def test_a_file_is_watched_to_its_end(twitch, model_path, world):
    """A frame of each two seconds, at once; its changes and its verdict, and it is over."""
    file = str(world.channel("etr_bumpy_ride").file)
    done = recognize(twitch, model_path, "--watch", "--wait", file)
    lines = [line.partition(f"{file}: ")[2] for line in done.stdout.splitlines()]
    assert lines == [f"Now {BRIGHT.name} (100.0%, frame 3)", f"{BRIGHT.name} with a score of 15.0"]
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--webhook", "example.com"], 2, "--webhook: 'example.com' is no http"),
        (["--category"], 2, "CLIENT_ID"),
        (["--frames", "3"], 2, "--frames does not go with --watch"),
    ],
)
def test_what_cannot_be(twitch, model_path, words, code, said):
    """It is an error at once, in a line, before anything is watched."""
    done = recognize(twitch, model_path, "--watch", *words, "live")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr.splitlines()[-1]


def test_a_port_that_is_taken(twitch, model_path):
    """The line says which one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = recognize(twitch, model_path, "--watch", "--metrics", str(port), "live")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--metrics: nothing can listen at 127.0.0.1:{port}" in done.stderr


def test_no_model(twitch, tmp_path):
    """Exit code 1, and the command that makes one."""
    done = recognize(twitch, tmp_path / "none", "--watch", "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert "python -m model.create" in done.stderr


def test_as_a_library(twitch, model_path):
    """A dozen lines: events as they come; who has seen enough leaves, and nothing stays behind."""
    before = {thread.name for thread in threading.enumerate()}
    settings = Settings(model_path=model_path, twitch_standin=twitch.url)
    with Recognizer.load(settings) as recognizer:
        shown: dict[str, str] = {}
        frames = 0
        for event in recognizer.watch(["Live", "dark"]):
            frames += isinstance(event, FrameClassified)
            if isinstance(event, GameChanged) and event.after:
                shown[event.source] = event.after.name
            if len(shown) == 2:
                break
    assert shown == {"live": BRIGHT.name, "dark": DARK.name}
    assert frames >= 6
    end = time.monotonic() + 10
    while (left := {thread.name for thread in threading.enumerate()} - before) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left
