"""Watch mode, run as a command, on channels that switch games, end, fail and come back."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from config import Settings
from data.http.session import new_session
from recognition import Recognizer
from recognition.engine.watcher import MAX_THREADS
from recognition.events import FrameClassified, GameChanged
from recognition.modes.watch import MAX_CONNECTIONS
from tests.receivers.ports import free_port
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize
from tests.recognition.receiver import Receiver, wait_until
from tests.recognition.schema import valid
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Clock, Fault, Standin, World
from tests.standin.faults import status

LIVES_S = 8.0
BEHAVIOURS = ("live", "ended", "expired", "rewound", "midroll", "broken", "offline")


@pytest.fixture(scope="module")
def channels(world) -> World:
    """Return a bright channel of each behaviour, and a dark one."""
    bright = world.channel("etr_bumpy_ride")
    made = [dataclasses.replace(bright, login=name, behaviour=name) for name in BEHAVIOURS]
    return World((*made, dataclasses.replace(world.channel("dcss_minotaur_berserker"), login="dark")))


@pytest.fixture(scope="module")
def twitch(channels):
    """Run the stand-in with these channels."""
    with Standin(channels, lifetime_s=LIVES_S) as running:
        yield running
    assert not running.unknown


@contextmanager
def start_watch(twitch: Standin, model_path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command in the background; kill it at the end of the block if it still runs."""
    env, pipe = environment(twitch, model_path), subprocess.PIPE
    words = command("--watch", *arguments)
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def metrics_of(port: int) -> str:
    """Return the metrics served at the port."""
    with new_session(5) as session:
        return session.get(f"http://127.0.0.1:{port}/metrics").text


def seconds_of(event: dict[str, Any]) -> float:
    """Return the event's time in epoch seconds."""
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def test_watch_reports_switch_end_ads_and_broken_segments(channels, model_path, tmp_path):
    """Watch channels that switch, end, lose their URLs, show ads and send broken segments, until SIGTERM.

    Each JSON line is valid. The only planted switch is emitted at the third frame of the new game, and posted. One
    channel ends; the others are watched on. No segment is missed but broken ones, or those of a poll that came late.
    """
    clock = Clock(speed=0)  # until the command has started, which may take long
    at = (clock.now() + 10) // 2 * 2
    port, logins = free_port(), ("live", *BEHAVIOURS[1:])
    switching = channels.with_switches([("live", at, "dark")])
    with (
        ScriptedServer([Reply(503)] + [Reply(204)] * 99) as hook,
        Standin(switching, lifetime_s=LIVES_S, clock=clock) as twitch,
    ):
        options = ["--json", "--webhook", f"{hook.url}/changes", "--metrics", str(port)]
        options += ["--outbox", str(tmp_path / "outbox.sqlite")]
        with start_watch(twitch, model_path, *options, *logins) as watching:
            wait_until(lambda: twitch.requests, 120)
            switched_at = time.time() + at - clock.now()
            clock.set_speed(1)
            wait_until(lambda: time.sleep(0.5) or (len({*hook.bodies}) == 7 and _is_shown(metrics_of(port))), 120)
            metrics = metrics_of(port)
            watching.terminate()
            out, err = watching.communicate(timeout=60)
    events = [valid(json.loads(line)) for line in out.splitlines()]
    changes = [event for event in events if event["event"] == "change"]
    assert Counter((e["source"], e["game"]["name"]) for e in changes) == Counter(
        [("live", DARK.name), *((login, BRIGHT.name) for login in logins if login != "offline")]
    )
    frames = [event for event in events if event["event"] == "frame"]
    [switch] = [event for event in changes if event["before"]]
    dark = [event for event in frames if event["game"]["name"] == DARK.name]
    assert switch["number"] == dark[2]["number"]
    assert seconds_of(dark[0]) > switched_at
    assert [event["source"] for event in events if event["event"] == "failure"] == ["offline"]
    verdicts = {event["source"]: event for event in events if event["event"] == "verdict"}
    assert set(verdicts) == set(logins) - {"offline"}
    assert events.index(verdicts["ended"]) < events.index(dark[2])
    by_source = {login: [event for event in frames if event["source"] == login] for login in verdicts}
    assert {login: len(own) for login, own in by_source.items()} == {
        login: e["frames"] for login, e in verdicts.items()
    }
    late = _late_segments(twitch)
    assert sum(frame["lost"] for frame in frames) <= late
    assert seconds_of(switch) - seconds_of(dark[0]) <= 10 + 2 * late
    assert hook.requests[0][1] == "/changes"
    assert {body for body in hook.bodies} == {json.dumps(event, ensure_ascii=False).encode() for event in changes}
    assert "twitchcategory_inference_seconds_count" in metrics
    assert (watching.returncode, "Traceback" in err) == (3, False)


def _is_shown(metrics: str) -> bool:
    """Return whether the switch is there, and the channels that go on after a fault have gone on."""
    counts = dict(re.findall(r'^twitchcategory_frames_total{source="(\w+)"} (\d+)\.0$', metrics, re.M))
    is_dark = f'twitchcategory_showing{{game="{DARK.name}",source="live"}} 1.0' in metrics
    return is_dark and all(int(counts.get(login, 0)) >= 11 for login in ("live", "expired", "rewound"))


def _late_segments(twitch: Standin) -> int:
    """Return how many segments of two seconds the polls of the playlists came late for; 0 on a quiet machine."""
    polls: dict[str, list[float]] = {}
    for request in list(twitch.requests):
        if "/v1/playlist/" in request.path:
            polls.setdefault(request.path, []).append(request.time)
    gaps_s = (after - before for times in polls.values() for before, after in itertools.pairwise(times))
    return sum(max(0, math.ceil(gap_s / 2) - 3) for gap_s in gaps_s)  # a poll takes up to three segments


def test_watch_when_servers_fail_briefly_continues(channels, model_path):
    """When every server fails for a while, no failure is emitted, and the stream is watched on afterwards.

    The stand-in's time passes twice as fast: its outage of 20 s takes 10 s.
    """
    faults = [Fault("down", status(503), skip=14, for_s=20)]
    with Standin(channels.only({"live"}), lifetime_s=3600, faults=faults, clock=Clock(speed=2)) as twitch:
        done = recognize(twitch, model_path, "--watch", "--json", "--minutes", "0.3", "live")
        assert twitch.fault_counts["down"] >= 3
    events = [valid(json.loads(line)) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "frame"] == ["change", "verdict"]
    frames = [event for event in events if event["event"] == "frame"]
    assert len(frames) >= 10
    assert done.returncode == 0


def test_signal_ends_watch_with_verdicts(twitch, model_path, tmp_path):
    """Changes are printed with time and source; after Ctrl-C, each stream's verdict is printed at once.

    A webhook whose server accepts connections and says nothing delays nothing.
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        start_watch(
            *(twitch, model_path, "live", "dark", "--outbox", str(tmp_path / "outbox.sqlite")),
            *("--webhook", f"http://127.0.0.1:{silent.getsockname()[1]}/"),
        ) as watching,
    ):
        assert watching.stdout
        assert watching.stderr
        lines = [watching.stdout.readline() for _ in range(2)]
        start = time.monotonic()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
        assert time.monotonic() - start < 20
        lines += watching.stdout.readlines()
        assert watching.stderr.read() == "warning: 2 alerts not delivered to 127.0.0.1; the next watch delivers them\n"
    at = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    printed = sorted(re.sub(at, "TIME", line).rstrip() for line in lines)
    assert re.sub(r"score of \d+\.0", "score of N", "\n".join(printed)).splitlines() == [
        f"TIME dark: {DARK.name} with a score of N",
        f"TIME dark: Now {DARK.name} (100.0%, frame 3)",
        f"TIME live: {BRIGHT.name} with a score of N",
        f"TIME live: Now {BRIGHT.name} (100.0%, frame 3)",
    ]


def test_watch_when_killed_loses_no_change_and_repeats_none(channels, model_path, tmp_path):
    """A change that the receiver refuses before a SIGKILL arrives after it, with its id; its game is not sent again.

    A watch that SIGTERM ends says nothing of streams that go on. One whose stream has ended meanwhile says so.
    """
    options = ("live", "--outbox", str(tmp_path / "outbox.sqlite"), "--alert")
    with Receiver(lambda _: Reply(503)) as hook, Standin(channels, lifetime_s=LIVES_S) as twitch:
        target = f"{hook.url}?kinds=start,change,end"
        with start_watch(twitch, model_path, *options, target) as watching:
            wait_until(lambda: hook.attempts)
            watching.kill()
        hook.reply = lambda _: Reply(204)
        with start_watch(twitch, model_path, *options, target) as watching:
            assert watching.stdout
            assert "Now" in watching.stdout.readline()
            wait_until(lambda: hook.accepted)
            watching.terminate()
            assert watching.wait(30) == 0
        gone = World((dataclasses.replace(channels.channel("live"), behaviour="offline"),))
        with Standin(gone, lifetime_s=LIVES_S) as later:
            changes = {"OUTBOX_PATH": options[2], "ALERTS": target}
            assert recognize(later, model_path, "--watch", "live", **changes).returncode == 3
        assert [json.loads(hook.bodies[delivery])["event"] for delivery in hook.accepted] == ["change", "failure"]
        assert {*hook.attempts} == {*hook.accepted}


def test_wait_option_when_offline_watches_until_the_time_is_over(channels, model_path):
    """With --wait, an offline channel is reported once and waited for; without, the command ends at once."""
    with Standin(channels, lifetime_s=3600) as twitch:
        done = recognize(twitch, model_path, "--watch", "--wait", "--minutes", "0.1", "offline")
        assert (done.returncode, done.stdout, done.stderr) == (3, "", "error: offline is not live\n")
        start = time.monotonic()
        assert recognize(twitch, model_path, "--watch", "--minutes", "5", "offline").returncode == 3
        assert time.monotonic() - start < 30


def test_category_when_the_game_has_switched_is_a_mismatch(channels, model_path):
    """With --category, verdicts have the streamer's category; a mismatch is marked after the planted switch."""
    at = (time.time() - 600) // 2 * 2
    with Standin(channels.with_switches([("live", at, "dark")])) as twitch:
        credentials = {name: value for name, value in twitch.environment.items() if name.startswith("CLIENT")}
        arguments = ["--watch", "--category", "--minutes", "0.12", "live", "dark"]
        done = recognize(twitch, model_path, *arguments, **credentials)
        assert not twitch.unknown
    assert done.returncode == 0
    verdicts = sorted(line.partition(": ")[2] for line in done.stdout.splitlines() if "score" in line)
    assert [re.sub(r"\d+\.0", "N", line) for line in verdicts] == [
        f"{DARK.name} with a score of N (category: {DARK.name})",
        f"{DARK.name} with a score of N (category: {BRIGHT.name}, mismatch)",
    ]


def test_every_option_reduces_frames_and_requests(twitch, model_path):
    """With --every 6, at most four frames and requests come in 18 s, less than half of those without it."""
    before = len(twitch.requests)
    done = recognize(twitch, model_path, "--watch", "--json", "--every", "6", "--minutes", "0.3", "live")
    frames = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "frame"]
    polls = [request for request in twitch.requests[before:] if "/v1/playlist/" in request.path]
    assert 2 <= len(frames) <= 4
    assert len(polls) <= 4


def test_file_when_watched_ends_with_its_verdict(twitch, model_path, world, tmp_path):
    """A file is watched without pauses, one frame every two seconds of video; --wait does not apply to files.

    --csv has the verdict. The webhook's secret path never appears, at -vv neither, though the first response is none.
    """
    file, table = str(world.channel("etr_bumpy_ride").file), tmp_path / "answers.csv"
    with ScriptedServer([Reply(503), Reply(204)]) as hook:
        outbox = str(tmp_path / "outbox.sqlite")
        options = ("--wait", "--csv", str(table), "--alert", f"{hook.url}/s3cret?key=s3cret", "--outbox", outbox, "-vv")
        done = recognize(twitch, model_path, "--watch", *options, file)
        assert hook.requests[0][1] == "/s3cret"
    lines = [line.partition(f"{file}: ")[2] for line in done.stdout.splitlines()]
    assert lines == [f"Now {BRIGHT.name} (100.0%, frame 3)", f"{BRIGHT.name} with a score of 15.0"]
    assert [row["score"] for row in csv.DictReader(table.read_text().splitlines())] == ["15.0"]
    assert done.returncode == 0
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--webhook", "example.com"], 2, "--webhook: invalid URL 'example.com'"),
        (["--category"], 2, "CLIENT_ID"),
        (["--frames", "3"], 2, "--frames cannot be used with --watch"),
    ],
)
def test_watch_when_an_option_is_invalid_fails_at_once(twitch, model_path, arguments, code, message):
    """An invalid option is one error message before anything is watched."""
    done = recognize(twitch, model_path, "--watch", *arguments, "live")
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr.splitlines()[-1]


def test_metrics_when_the_port_is_taken_names_it(twitch, model_path):
    """The error message names the option, the address and the port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = recognize(twitch, model_path, "--watch", "--metrics", str(port), "live")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--metrics: cannot listen at 127.0.0.1:{port}" in done.stderr


def test_watch_without_a_model_names_the_command_that_makes_one(twitch, tmp_path):
    """The exit code is 1, and the message names model.create."""
    done = recognize(twitch, tmp_path / "none", "--watch", "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert "python -m model.create" in done.stderr


def test_library_when_a_caller_stops_iterating_leaves_no_thread(twitch, model_path):
    """A caller of Recognizer.watch may leave the loop; closing the recogniser ends all of its threads."""
    before = {thread.name for thread in threading.enumerate()}
    settings = Settings(model_path=model_path, twitch_standin=twitch.url)
    with Recognizer.load(settings) as recognizer:
        displayed: dict[str, str] = {}
        frames = 0
        for event in recognizer.watch(["Live", "dark"]):
            frames += isinstance(event, FrameClassified)
            if isinstance(event, GameChanged) and event.after:
                displayed[event.source] = event.after.name
            if len(displayed) == 2:
                break
    assert displayed == {"live": BRIGHT.name, "dark": DARK.name}
    assert frames >= 6
    end = time.monotonic() + 10
    while (remaining := {thread.name for thread in threading.enumerate()} - before) and time.monotonic() < end:
        time.sleep(0.05)
    assert not remaining


def test_connections_are_as_many_as_threads():
    """The mode cannot import the engine's constant; its own one is the same."""
    assert MAX_CONNECTIONS == MAX_THREADS
