"""recognition.recognize on many streams, as a user starts it: from Helix or by name, to lines, tables and files."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from arro3.io import read_parquet

from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize
from tests.recognition.schema import valid
from tests.standin import Standin
from tests.standin.preview import HOST

DARK_LOGIN, BRIGHT_LOGIN, TALKING = "dcss_minotaur_berserker", "etr_bumpy_ride", "just_talking"


@pytest.fixture(scope="module")
def twitch(world):
    """A channel of each game of the model, one of no game, one that is over, one that shows ads alone."""
    with Standin(world.only({DARK_LOGIN, BRIGHT_LOGIN, TALKING, "already_over", "only_sponsors"})) as running:
        yield running
    assert not running.unknown


def survey(twitch: Standin, model_path: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """The command with Helix's credentials; of each stream two frames, and no wait for ads."""
    own = {"FRAMES_PER_STREAM": "2", "AD_WAIT_S": "0", **twitch.environment}
    return recognize(twitch, model_path, *words, **{**own, **changes})


def test_the_streams_with_most_viewers(twitch, model_path):
    """So many of them, each a line with its category; the summary on stderr; no mismatch where ids agree."""
    done = survey(twitch, model_path, "--top-streams", "2")
    assert sorted(done.stdout.splitlines()) == [
        f"{DARK_LOGIN}: {DARK.name} with a score of 2.0 (category: {DARK.name})",
        f"{BRIGHT_LOGIN}: {BRIGHT.name} with a score of 2.0 (category: {BRIGHT.name})",
    ]
    first, games = done.stderr.splitlines()
    assert first.startswith("2 streams, ")
    assert ": 2 known, 0 unknown, 0 failed; 4 frames in " in first
    assert sorted(games.split(", ")) == [f"{DARK.name} 1", f"{BRIGHT.name} 1"]
    assert done.returncode == 0


def test_the_streams_of_a_game(twitch, model_path):
    """All of them; what is under a category that it does not show is a mismatch, in its line and in the summary."""
    done = survey(twitch, model_path, "--game", "Just Chatting")
    [line] = done.stdout.splitlines()
    assert line.startswith(f"{TALKING}: ")
    assert line.endswith("(category: Just Chatting, mismatch)")
    assert "1 stream under another category: just_talking shows " in done.stderr


def test_one_failed_stream_stops_no_other(twitch, model_path):
    """All channels of the world: each has its line, on stdout or stderr; the exit code is 0: some were answered."""
    done = survey(twitch, model_path, "--top-streams", "100")
    assert {line.split(":")[0] for line in done.stdout.splitlines()} == {DARK_LOGIN, BRIGHT_LOGIN, TALKING}
    assert "error: already_over is not live\n" in done.stderr
    assert re.search(r"3 known, 0 unknown, 2 failed \((1 offline, 1 only ads|1 only ads, 1 offline)\)", done.stderr)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--game", "No Such Game"], 2, "Twitch has no category 'No Such Game'"),
        (["already_over", "--parallel", "2"], 3, "already_over is not live"),
        (["already_over", "only_sponsors", "--parallel", "2"], 1, "nothing but ads"),
        (["--game", DARK.name, "--csv", "nowhere/x.csv"], 1, "--csv: nowhere/x.csv cannot be written"),
        (["--game", DARK.name, "--parquet", "nowhere/x"], 1, "--parquet: nowhere/x cannot be written"),
    ],
)
def test_what_ends_it(twitch, model_path, words, code, message):
    """A category that is none, no answer at all, a file that cannot be: each its exit code and a line."""
    done = survey(twitch, model_path, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_credentials(twitch, model_path):
    """Helix's streams need them: exit code 2, and the line names what is missing."""
    done = survey(twitch, model_path, "--top-streams", "3", CLIENT_ID="")
    assert done.returncode == 2
    assert done.stderr.startswith("error: CLIENT_ID: ")


def test_named_sources_with_their_categories(twitch, model_path):
    """--category asks for those of logins; a file has none; where Helix fails, a warning, and answers without."""
    words = (DARK_LOGIN, "--parallel", "2", "--category")
    assert "(category: " in survey(twitch, model_path, *words).stdout
    done = survey(twitch, model_path, *words, CLIENT_SECRET="wrong")
    assert done.stdout == f"{DARK_LOGIN}: {DARK.name} with a score of 2.0\n"
    assert "the answers stand without categories" in done.stderr
    assert done.returncode == 0


def test_all_outputs_tell_the_same(twitch, model_path, tmp_path):
    """JSON lines as described, CSV and Parquet of one survey: the same sources with the same answers."""
    files = tmp_path / "a.csv", tmp_path / "a.parquet"
    words = ("--json", "--csv", str(files[0]), "--parquet", str(files[1]))
    done = survey(twitch, model_path, "--top-streams", "100", *words)
    events = {event["source"]: valid(event) for event in map(json.loads, done.stdout.splitlines())}
    with files[0].open(newline="") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    table = read_parquet(files[1]).read_all()
    columns = {name: table.column(name).to_pylist() for name in ("source", "game_id", "confidence", "reason")}
    packed = {values[0]: values[1:] for values in zip(*columns.values(), strict=True)}
    assert len(events) == 5
    assert events.keys() == rows.keys() == packed.keys()
    for source, event in events.items():
        game_id = event["game"]["id"] if event.get("game") else None
        assert packed[source] == (game_id, event.get("confidence"), event.get("reason"))
        assert rows[source]["game_id"] == ("" if game_id is None else str(game_id))
    assert done.stderr.count("\n") == 3  # the summary alone


def test_previews(twitch, model_path):
    """--preview: nothing but Helix and previews is asked for, and the summary says so."""
    before = len(twitch.requests)
    done = survey(twitch, model_path, "--top-streams", "2", "--preview")
    assert len(done.stdout.splitlines()) == 2
    assert "2 frames in " in done.stderr
    assert "2 by their previews alone" in done.stderr
    hosts = [request.host for request in twitch.requests[before:]]
    assert hosts.count(HOST) == 2
    assert set(hosts) == {HOST, "id.twitch.tv", "api.twitch.tv"}


def test_on_a_terminal(twitch, model_path):
    """A table with a head, a row a stream, and no line that is left of the progress."""
    reader, writer = pty.openpty()
    env = environment(twitch, model_path, **twitch.environment, FRAMES_PER_STREAM="2", COLUMNS="120", TERM="xterm")
    words = command("--top-streams", "2")
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=writer, stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        shown = _all_of(reader)
        assert process.wait(60) == 0
    assert "Source" in shown
    assert DARK_LOGIN in shown
    assert "2/2" in shown
    assert shown.rstrip().endswith("\x1b[2K")


def _all_of(reader: int) -> str:
    """What comes until the other side closes; Linux calls that an error."""
    pieces = []
    while True:
        try:
            pieces.append(os.read(reader, 65536))
        except OSError:
            os.close(reader)
            return b"".join(pieces).decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(twitch, model_path, tmp_path, number):
    """What there is by then stands in the files, whole; the summary is printed; the exit code is 130, and soon."""
    files = tmp_path / "a.csv", tmp_path / "a.parquet"
    words = command(DARK_LOGIN, "only_sponsors", "--csv", str(files[0]), "--parquet", str(files[1]))
    env = environment(twitch, model_path, FRAMES_PER_STREAM="2", AD_WAIT_S="600")
    with subprocess.Popen(
        words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(DARK_LOGIN)
        killer = threading.Timer(20, process.kill)
        killer.start()
        process.send_signal(number)
        code, story = process.wait(), process.stderr.read()
        killer.cancel()
    assert (code, "Traceback" in story) == (130, False)
    assert "1 stream, " in story
    assert "Interrupted." in story
    assert len(files[0].read_text().splitlines()) == 2
    assert read_parquet(files[1]).read_all().column("source").to_pylist() == [DARK_LOGIN]
