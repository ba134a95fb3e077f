"""Survey mode, run as a command: streams from Helix or by name; text, table, CSV, Parquet, interrupts."""

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

from config import Settings
from recognition.modes.survey import survey_settings
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize
from tests.recognition.schema import valid
from tests.standin import Standin
from tests.standin.preview import HOST

DARK_LOGIN, BRIGHT_LOGIN, TALKING = "dcss_minotaur_berserker", "etr_bumpy_ride", "just_talking"


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in: a channel of each game of the model, one without a game, one offline, one with only ads."""
    with Standin(world.only({DARK_LOGIN, BRIGHT_LOGIN, TALKING, "already_over", "only_sponsors"})) as running:
        yield running
    assert not running.unknown


def survey(twitch: Standin, model_path: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command with Helix credentials, two frames of each stream, and no waiting for ads."""
    settings = {"FRAMES_PER_STREAM": "2", "AD_WAIT_S": "0", **twitch.environment}
    return recognize(twitch, model_path, *arguments, **{**settings, **changes})


def test_top_streams_prints_lines_with_categories_and_summary(twitch, model_path):
    """Each stream has a line with its category; the summary is on stderr; equal ids are no mismatch."""
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


def test_game_when_streams_show_another_one_marks_the_mismatch(twitch, model_path):
    """--game surveys all streams of a category; a mismatch stands in the stream's line and in the summary."""
    done = survey(twitch, model_path, "--game", "Just Chatting")
    [line] = done.stdout.splitlines()
    assert line.startswith(f"{TALKING}: ")
    assert line.endswith("(category: Just Chatting, mismatch)")
    assert "1 stream in another category: just_talking shows " in done.stderr


def test_survey_when_some_streams_fail_recognises_the_others(twitch, model_path):
    """Each channel of the stand-in has a line on stdout or stderr; the exit code is 0 because some have a verdict."""
    done = survey(twitch, model_path, "--top-streams", "100")
    assert {line.split(":")[0] for line in done.stdout.splitlines()} == {DARK_LOGIN, BRIGHT_LOGIN, TALKING}
    assert "error: already_over is not live\n" in done.stderr
    assert re.search(r"3 known, 0 unknown, 2 failed \((1 offline, 1 only ads|1 only ads, 1 offline)\)", done.stderr)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--game", "No Such Game"], 2, "Twitch has no category 'No Such Game'"),
        (["already_over", "--parallel", "2"], 3, "already_over is not live"),
        (["already_over", "only_sponsors", "--parallel", "2"], 1, "nothing but ads"),
        (["--game", DARK.name, "--csv", "nowhere/x.csv"], 1, "--csv: cannot write nowhere/x.csv"),
        (["--game", DARK.name, "--parquet", "nowhere/x"], 1, "--parquet: cannot write nowhere/x"),
        (["x", "--window", "2h"], 2, "--window needs --ray or RAY_ADDRESS"),
        (["x", "./config.py", "--ray", "local"], 2, "sources: './config.py' is a file of this machine"),
    ],
)
def test_survey_when_it_cannot_succeed_prints_the_reason(twitch, model_path, arguments, code, message):
    """An unknown category, no verdict at all, an unwritable file: each has its exit code and message."""
    done = survey(twitch, model_path, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_top_streams_without_credentials_names_the_setting(twitch, model_path):
    """--top-streams needs Helix: without credentials, the exit code is 2 and the message begins with the setting."""
    done = survey(twitch, model_path, "--top-streams", "3", CLIENT_ID="")
    assert done.returncode == 2
    assert done.stderr.startswith("error: CLIENT_ID is empty")


def test_category_when_helix_fails_continues_without(twitch, model_path):
    """--category adds the categories of named channels; if Helix refuses, there is a warning and a plain verdict."""
    arguments = (DARK_LOGIN, "--parallel", "2", "--category")
    assert "(category: " in survey(twitch, model_path, *arguments).stdout
    done = survey(twitch, model_path, *arguments, CLIENT_SECRET="wrong")
    assert done.stdout == f"{DARK_LOGIN}: {DARK.name} with a score of 2.0\n"
    assert "continuing without categories" in done.stderr
    assert done.returncode == 0


def test_json_csv_and_parquet_hold_the_same_results(twitch, model_path, tmp_path):
    """The JSON lines of a survey are valid; CSV and Parquet contain the same sources with the same values."""
    files = tmp_path / "a.csv", tmp_path / "a.parquet"
    arguments = ("--json", "--csv", str(files[0]), "--parquet", str(files[1]))
    done = survey(twitch, model_path, "--top-streams", "100", *arguments)
    events = {event["source"]: valid(event) for event in map(json.loads, done.stdout.splitlines())}
    with files[0].open(newline="") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    table = read_parquet(files[1]).read_all()
    columns = {name: table.column(name).to_pylist() for name in ("source", "game_id", "confidence", "reason")}
    parquet = {values[0]: values[1:] for values in zip(*columns.values(), strict=True)}
    assert len(events) == 5
    assert events.keys() == rows.keys() == parquet.keys()
    for source, event in events.items():
        game_id = event["game"]["id"] if event.get("game") else None
        assert parquet[source] == (game_id, event.get("confidence"), event.get("reason"))
        assert rows[source]["game_id"] == ("" if game_id is None else str(game_id))
    assert done.stderr.count("\n") == 3  # only the summary


def test_channel_of_list_and_listing_is_recognised_once(twitch, model_path, tmp_path):
    """A list of thousands of lines with comments, blank lines and other names of the same channel is one source."""
    names = [DARK_LOGIN, f"https://www.twitch.tv/{DARK_LOGIN.upper()}", f" twitch.tv/{DARK_LOGIN}/", "", "# comment"]
    (tmp_path / "list").write_text("\ufeff" + "\r\n".join(names * 1000), encoding="utf-8")
    done = survey(twitch, model_path, "--from", str(tmp_path / "list"), "--top-streams", "2", "--csv", "-")
    assert sorted(row["source"] for row in csv.DictReader(done.stdout.splitlines())) == [DARK_LOGIN, BRIGHT_LOGIN]
    assert done.returncode == 0


def test_preview_when_certain_requests_no_stream(twitch, model_path):
    """With --preview, only Helix and preview images are requested; the summary counts the previews."""
    before = len(twitch.requests)
    done = survey(twitch, model_path, "--top-streams", "2", "--preview")
    assert len(done.stdout.splitlines()) == 2
    assert "2 frames in " in done.stderr
    assert "2 from previews only" in done.stderr
    hosts = [request.host for request in twitch.requests[before:]]
    assert hosts.count(HOST) == 2
    assert set(hosts) == {HOST, "id.twitch.tv", "api.twitch.tv"}


def test_terminal_shows_table_and_clears_progress(twitch, model_path):
    """On a terminal there is a table with a heading and a row for each stream; the progress line disappears."""
    reader, writer = pty.openpty()
    env = environment(twitch, model_path, **twitch.environment, FRAMES_PER_STREAM="2", COLUMNS="120", TERM="xterm")
    arguments = command("--top-streams", "2")
    with subprocess.Popen(arguments, cwd=ROOT, env=env, stdout=writer, stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        displayed = _read_all(reader)
        assert process.wait(60) == 0
    assert "Source" in displayed
    assert DARK_LOGIN in displayed
    assert "2/2" in displayed
    assert displayed.rstrip().endswith("\x1b[2K")


def _read_all(reader: int) -> str:
    """Read a pseudo-terminal until the other side closes it, which Linux reports as an error."""
    chunks = []
    while True:
        try:
            chunks.append(os.read(reader, 65536))
        except OSError:
            os.close(reader)
            return b"".join(chunks).decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_results_and_prints_summary(twitch, model_path, tmp_path, number):
    """After a signal, CSV and Parquet hold the results so far, the summary is printed, and the exit code is 130."""
    files = tmp_path / "a.csv", tmp_path / "a.parquet"
    arguments = command(
        DARK_LOGIN, "only_sponsors", "--parallel", "2", "--csv", str(files[0]), "--parquet", str(files[1])
    )
    env = environment(twitch, model_path, FRAMES_PER_STREAM="2", AD_WAIT_S="600")
    with subprocess.Popen(
        arguments, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(DARK_LOGIN)
        killer = threading.Timer(20, process.kill)
        killer.start()
        process.send_signal(number)
        code, stderr = process.wait(), process.stderr.read()
        killer.cancel()
    assert (code, "Traceback" in stderr) == (130, False)
    assert "1 stream, " in stderr
    assert "Interrupted." in stderr
    assert len(files[0].read_text().splitlines()) == 2
    assert read_parquet(files[1]).read_all().column("source").to_pylist() == [DARK_LOGIN]


@pytest.mark.parametrize(("setting", "used"), [("auto", "true"), (True, "true"), ("FALSE", "false")])
def test_survey_uses_the_8_bit_model_unless_int8_is_false(setting, used):
    """INT8=auto is for surveys; --parallel takes precedence over PARALLEL_STREAMS."""
    settings = Settings(None, int8=setting, parallel_streams=5)
    assert survey_settings(settings, None).int8 == used
    assert [survey_settings(settings, parallel).parallel_streams for parallel in (None, 9)] == [5, 9]
