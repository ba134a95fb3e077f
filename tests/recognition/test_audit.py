"""The audit as a command: from the listing of a stand-in to the rows and the report, through kills and outages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from data.entities import Game
from data.errors import DirectoryUnavailable, ModelError, StreamOffline
from data.storage.audit_rows import AuditRow
from data.storage.audits import AuditStore
from data.storage.folder_files import FolderFiles
from data.storage.object_files import ObjectFiles
from data.storage.pseudonyms import Pseudonyms
from data.storage.transactions import Transactions
from recognition.auditing.command import make_judgement, repeat
from tests.data.conftest import settings
from tests.in_process import run_command
from tests.recognition.commands import BRIGHT, DARK, ROOT, environment
from tests.standin import Channel, Standin, World

LIAR = "plays_something_else"


@pytest.fixture(scope="module")
def judged_model(model_path, tmp_path_factory) -> Path:
    """Return a model with metrics: both games are precise."""
    folder = tmp_path_factory.mktemp("judged") / "model"
    shutil.copytree(model_path, folder)
    (folder / "results").mkdir()
    answers = {"right": 19, "other_game": 1, "no_game": 0, "unknown": 0, "sure": 19}
    games = [
        {
            "id": game.id,
            "name": game.name,
            "precision_by_stream": 0.95,
            "called_streams": 20,
            "streams_by_answer": answers,
        }
        for game in (DARK, BRIGHT)
    ]
    (folder / "results" / "metrics.json").write_text(json.dumps({"games": games}))
    return folder


def _usual(world: World, game: Game) -> Channel:
    """Return a channel that shows the game without ads or faults."""
    return next(channel for channel in world.channels if channel.game_id == game.id and channel.behaviour == "live")


def _small_world(world: World) -> World:
    """Return a channel of each game, one that declares the dark and shows the bright one, a talker, one offline."""
    dark, bright = _usual(world, DARK), _usual(world, BRIGHT)
    liar = replace(bright, login=LIAR, game_id=DARK.id, game=DARK.name, igdb_id=dark.igdb_id, language="ja", viewers=7)
    talker = next(channel for channel in world.channels if channel.login == "just_talking")
    gone = replace(dark, login="gone", behaviour="offline")
    return World((dark, bright, liar, talker, gone))


class Audit:
    """Runs the command on a stand-in with a database, and reads what it has stored."""

    def __init__(self, twitch: Standin, model: Path, database: dict[str, str], folder: Path, engine: Engine) -> None:
        self.twitch, self.folder, self._engine = twitch, folder, engine
        fixed = {"FRAMES_PER_STREAM": "2", "AD_WAIT_S": "0", "AUDIT_PATH": str(folder / "audits")}
        fixed |= {"DOWNLOAD_PATH": str(folder / "dataset"), **twitch.environment, **database}
        self.env = environment(twitch, model, **fixed)

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return run_command("recognition.audit", *arguments, env=self.env | changes)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "recognition.audit", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, env=self.env, text=True, **pipes)  # type: ignore[call-overload]

    def rows(self) -> list[AuditRow]:
        """Return the rows of all audits."""
        with self._engine.begin() as connection:
            has = connection.execute(text("SELECT to_regclass('audits') IS NOT NULL")).scalar()
            ids = connection.execute(text("SELECT id FROM audits ORDER BY id")).scalars().all() if has else []
        store = AuditStore(Transactions(self._engine))
        return [row for number in ids for row in store.rows(number, with_pictures=True)]

    def answered(self) -> int:
        """Return the number of streams that have an answer."""
        return sum(bool(row.outcome) for row in self.rows())

    def wait_for_answers(self, count: int) -> None:
        """Wait until this number of streams has an answer."""
        end = time.monotonic() + 60
        while self.answered() < count:
            assert time.monotonic() < end
            time.sleep(0.1)

    def reports(self) -> list[Path]:
        return sorted((self.folder / "audits").glob("*/report.html"))


@pytest.fixture(scope="module")
def small_twitch(world) -> Iterator[Standin]:
    """Run a stand-in of five channels."""
    with Standin(_small_world(world)) as running:
        yield running
    assert not running.unknown


@pytest.fixture
def audit(small_twitch, judged_model, postgres, tmp_path, engine) -> Audit:
    """Return the command with an empty database."""
    return Audit(small_twitch, judged_model, postgres, tmp_path, engine)


def test_audit_finds_the_liar_and_names_nobody(audit):
    """One stream of three is a confirmed mismatch, the talker is only counted, and no file names a login."""
    done = audit.run("--top", "100", "--again", "0")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    outcomes = Counter((row.outcome, row.looks) for row in audit.rows())
    assert outcomes == {("match", 1): 2, ("other game", 2): 1, ("failed", 1): 1}
    [liar] = [row for row in audit.rows() if row.outcome == "other game"]
    assert (liar.login, liar.category, liar.shown) == (LIAR, DARK, BRIGHT)
    assert liar.jpeg.startswith(b"\xff\xd8")
    [report] = audit.reports()
    assert str(report) in done.stdout
    logins = [channel.login.encode() for channel in audit.twitch.world.channels]
    for path in report.parent.iterdir():
        assert not [login for login in logins if login in path.read_bytes()], path.name
    assert Pseudonyms(FolderFiles(audit.folder / "dataset" / "frames")).of(LIAR) in report.read_text(encoding="utf-8")


def test_audit_again_is_a_new_audit_with_a_trend(audit):
    """A finished audit is not continued: the second one has rows and a report of its own."""
    for _ in range(2):
        assert audit.run("--game", DARK.name, "--language", "ja", "--again", "0", "--logins").returncode == 0
    assert [row.login for row in audit.rows()] == [LIAR] * 2
    first, second = audit.reports()
    assert LIAR in second.read_text(encoding="utf-8")
    assert first.parent != second.parent


def test_sample_looks_at_some_streams_for_all(audit):
    """--sample 2 of the three judged live streams: the weights of the two add up to the population.

    The key of the pseudonyms lies where the dataset is.
    """
    address = f"memory:/{audit.folder}/frames"
    assert audit.run("--sample", "2", "--seed", "1", "--again", "0", STORE_URL=address).returncode == 0
    assert ObjectFiles(address).exists(".key")
    rows = audit.rows()
    assert len(rows) == 2
    assert sum(row.weight for row in rows) == pytest.approx(4.0)  # with the one that Helix lists although it is over


def test_named_channels_that_are_not_live_are_failed_and_forgotten_ones_are_left_out(audit):
    """A named list: its offline channel is failed, an excluded streamer is no part of the audit."""
    done = audit.run(LIAR, "nobody_here", "etr_bumpy_ride", "--again", "0", EXCLUDE_STREAMERS="etr_bumpy_ride")
    assert done.returncode == 0, done.stderr
    assert {(row.login, row.outcome) for row in audit.rows()} == {(LIAR, "other game"), ("nobody_here", "failed")}
    [report] = audit.reports()
    counts = json.loads(report.with_name("report.json").read_text(encoding="utf-8"))["counts"]
    assert [counts[key] for key in ("listed", "sampled", "population", "failed")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name channels, or choose streams"),
        (["--language", "english"], 2, "invalid language 'english'"),
        (["--top", "1", "--every", "1 week"], 2, "invalid value '1 week'"),
        (["--game", "No Such Game"], 2, "Twitch has no category 'No Such Game'"),
        (["--language", "xx"], 3, "no live stream matches"),
        (["/tmp/video.mp4"], 2, "is no channel of Twitch"),
        (["--top", "1", "--min-precision", "0.99"], 1, "lower --min-precision"),
        (["--top", "1", "--out", "/proc/none/here"], 1, "--out: cannot write /proc/none/here"),
    ],
)
def test_audit_when_it_cannot_succeed_prints_the_reason(audit, arguments, code, message):
    """Wrong options, no live stream, no precise game, no place for reports: an exit code, one line, and no look."""
    done = audit.run(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert message in done.stderr
    assert not audit.reports()
    assert not audit.rows()


def test_killed_audit_goes_on_without_a_second_look_at_what_it_has_seen(
    world, judged_model, postgres, tmp_path, engine
):
    """After kill -9 the same command finishes: each stream has one row, and only those in flight are asked twice."""
    many = World(tuple(replace(_usual(world, DARK), login=f"dark_{number}") for number in range(30)))
    arguments = ("--top", "100", "--parallel", "2", "--again", "0")
    with Standin(many) as twitch:
        killed = Audit(twitch, judged_model, postgres, tmp_path, engine)
        with killed.start(*arguments) as process:
            killed.wait_for_answers(8)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        before = killed.answered()
        assert 8 <= before < 30
        done = killed.run(*arguments)
        assert "continuing the audit" in done.stderr
        sessions = Counter(r.path.rpartition("/")[2] for r in twitch.requests if r.host == "usher.ttvnw.net")
    assert done.returncode == 0, done.stderr
    rows = killed.rows()
    assert Counter(row.login for row in rows) == {f"dark_{number}": 1 for number in range(30)}
    assert {row.outcome for row in rows} == {"match"}
    assert len(sessions) == 30
    assert sum(count > 1 for count in sessions.values()) <= 18  # as many as a survey of 2 has in flight, or not stored
    assert max(sessions.values()) <= 2
    assert len(killed.reports()) == 1


def test_interrupted_audit_says_so_and_goes_on_afterwards(audit):
    """SIGTERM while it waits for second looks: exit code 130 and no report; the same command makes the rest."""
    arguments = ("--top", "100", "--again")
    with ThreadPoolExecutor(1) as pool:

        def interrupt() -> None:
            audit.wait_for_answers(4)  # the signal would end the tests before the command runs
            os.kill(os.getpid(), signal.SIGTERM)

        interrupted = pool.submit(interrupt)
        done = audit.run(*arguments, "60")
        interrupted.result()
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)
    assert "The same command goes on with this audit" in done.stderr
    assert not audit.reports()
    assert "continuing" in audit.run(*arguments, "0").stderr
    assert len(audit.reports()) == 1
    assert Counter((row.outcome, row.looks) for row in audit.rows())["other game", 2] == 1


def test_repeat_goes_on_after_an_outage_and_keeps_the_rhythm():
    """Each audit begins so long after the one before; an outage, or no live stream, is logged and costs one audit."""
    errors: list[Exception | None] = [None, DirectoryUnavailable("down"), StreamOffline("none"), None]
    waits: list[float] = []

    def audit() -> None:
        if error := errors.pop(0):
            raise error

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return not errors

    repeat(audit, 60, wait)
    assert len(waits) == 4
    assert all(59 < seconds <= 60 for seconds in waits)


def test_judgement_without_metrics_needs_the_bound_0(model_path, judged_model):
    """A model without precisions is refused, unless all its games are to count."""
    plain, measured = settings(MODEL_PATH=str(model_path)), settings(MODEL_PATH=str(judged_model))
    with pytest.raises(ModelError, match="--min-precision 0"):
        make_judgement(plain, (DARK, BRIGHT), 0.9)
    assert make_judgement(plain, (DARK, BRIGHT), 0).judges(DARK)
    assert make_judgement(measured, (DARK, BRIGHT), 0.9).judges(BRIGHT)
    assert not make_judgement(measured, (DARK, BRIGHT), 0.9).judges(Game(1, "Chess"))
