"""Jobs: processes that outlive the server, their locks, their end by request or by force, and their logs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dashboard.jobs import folders
from dashboard.jobs.folders import JobFolders, JobRunning
from dashboard.jobs.log import last_error, read_window
from dashboard.jobs.options import DownloadOptions, TrainOptions
from dashboard.jobs.service import WORK, JobRefused, JobService
from tests.dashboard.conftest import make_settings
from tests.standin import Standin

CHANNELS = ("bzflag_ctf", "torcs_alpine_1")
PATIENCE_S = 60
SLEEP = "import time; time.sleep(600)"
RECORD = b'{"kind": "check", "options": {}, "shown": "", "started": "2026-11-26T12:00:00Z"}'
STUBBORN = (
    "import signal, time\n"
    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)"
)


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in with two channels of two games."""
    with Standin(world.only(CHANNELS)) as running:
        yield running


@pytest.fixture
def settings(settings, twitch, tmp_path, postgres):
    """Return the settings of an empty dataset that collects from the stand-in without an end."""
    greedy = {"filter_frames": False, "max_streamer_fraction": 1.0, "min_streamers": 1}
    return make_settings(tmp_path, **postgres, **twitch.environment, **greedy)


@pytest.fixture
def jobs(tmp_path: Path) -> JobService:
    """Return the service of a server without a dataset."""
    return JobService(make_settings(tmp_path))


@pytest.fixture
def job_folders(tmp_path: Path) -> JobFolders:
    """Return an empty place for jobs."""
    return JobFolders(tmp_path / "jobs")


def wait_until(is_true: Callable[[], Any]) -> None:
    """Return as soon as a condition holds; fail after a minute."""
    end = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def start(job_folders: JobFolders, code: str, grace_s: float = 30.0) -> str:
    """Start a job that runs Python code; return its id."""
    command = [sys.executable, "-c", code]
    record = json.loads(RECORD) | {"command": command, "separate": False, "grace_s": grace_s}
    return job_folders.start("work", "check", lambda _: record, os.environ)


def log_of(job_folders: JobFolders, job_id: str) -> str:
    return (job_folders.root / job_id / "log").read_text()


def is_alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended may wait to be noticed."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(job_folders: JobFolders, job_id: str) -> int:
    """Return the process id of a job's command, as soon as it is known."""
    wait_until(lambda: job_folders.record(job_id).pid)
    pid = job_folders.record(job_id).pid
    assert pid
    return pid


def runner_of(pid: int) -> psutil.Process:
    """Return the runner of a command."""
    runner = psutil.Process(pid).parent()
    assert runner
    assert "dashboard.jobs.runner" in runner.cmdline()
    return runner


def state_of(jobs: JobService, job_id: str) -> str:
    return jobs.job(job_id, WORK).state


def test_download_runs_to_its_end_as_a_job_of_the_api(client, settings):
    """The job reports its progress and log, leaves the frames that it was asked for, and can be deleted."""
    answer = client.post("/api/v1/jobs", json={"kind": "download", "options": {"frames": 30}})
    assert answer.status_code == 201
    job = answer.json()
    assert (job["state"], job["command"]) == ("running", "python -m data.download --frames=30")
    path = f"/api/v1/jobs/{job['id']}"
    wait_until(lambda: client.get(path).json()["state"] != "running")
    job = client.get(path).json()
    assert (job["state"], job["exit_code"], job["meaning"]) == ("finished", 0, "success"), client.get(
        f"{path}/log"
    ).text
    assert (job["progress"]["done"], job["progress"]["total"]) == (30, 30)
    assert "Downloaded 30 frames of 2 games" in client.get(f"{path}/log").json()["text"]
    assert len(list(settings.download_path.glob("frames/*/*.jpg"))) == 30
    assert client.post(f"{path}/stop").status_code == 409
    assert [each["id"] for each in client.get("/api/v1/jobs").json()["jobs"]] == [job["id"]]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_two_servers_start_at_once_one_job_which_a_third_one_stops(jobs, tmp_path):
    """One start wins, the other error names it; a server that comes later sees the job and stops it."""
    results: list[Any] = []

    def start_one(servers_folders: JobFolders) -> None:
        try:
            results.append(start(servers_folders, SLEEP))
        except JobRunning as error:
            results.append(error)

    root = jobs.folders.root
    threads = [threading.Thread(target=start_one, args=[JobFolders(root)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [job_id] = [result for result in results if isinstance(result, str)]
    [error] = [result for result in results if isinstance(result, JobRunning)]
    assert job_id in str(error)
    later = JobService(make_settings(tmp_path))
    later.start()
    [job] = later.jobs(WORK)
    assert (job.id, job.state) == (job_id, "running")
    with pytest.raises(JobRefused, match="running"):
        later.delete(job)
    later.stop(job)
    assert state_of(later, job_id) in ("stopping", "stopped")
    wait_until(lambda: state_of(jobs, job_id) == "stopped")
    assert jobs.job(job_id, WORK).exit_code == -signal.SIGINT
    later.delete(job := jobs.job(job_id, WORK))
    jobs.delete(job)  # a moment later: it is gone already


def test_job_when_its_server_is_killed_goes_on_and_its_result_is_found(jobs):
    """A server that starts a job and is killed with -9 a moment later leaves a job that ends by itself."""
    job_folders = jobs.folders
    command = [sys.executable, "-c", "import time; time.sleep(0.3); print('error: done'); raise SystemExit(3)"]
    record = json.loads(RECORD) | {"command": command, "separate": False, "grace_s": 1}
    code = (
        "import os, signal, pathlib, dashboard.jobs.folders as folders\n"
        f"jobs = folders.JobFolders(pathlib.Path({str(job_folders.root)!r}))\n"
        f"jobs.start('work', 'check', lambda _: {record!r}, os.environ)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    [job_id] = job_folders.ids(("check",))
    wait_until(lambda: job_folders.record(job_id).ended)
    assert job_folders.record(job_id).exit_code == 3
    assert log_of(job_folders, job_id) == "error: done\n"
    job = jobs.job(job_id, WORK)
    assert (job.state, job.message) == ("failed", "done")


def test_job_when_its_runner_is_killed_is_lost_and_its_command_ends(jobs):
    """The lock tells that the runner is gone; the command gets SIGTERM from the kernel, and another job may start."""
    job_id = start(jobs.folders, SLEEP)
    pid = command_of(jobs.folders, job_id)
    runner_of(pid).kill()
    wait_until(lambda: state_of(jobs, job_id) == "lost")
    wait_until(lambda: not is_alive(pid))
    jobs.folders.ask_to_stop(start(jobs.folders, SLEEP))


def test_command_without_runner_that_ignores_signals_is_killed_at_a_later_look(jobs, monkeypatch):
    """Such a command keeps the lock: no job starts, and its own is not deleted, until a look at it has killed it."""
    job_id = start(jobs.folders, STUBBORN)
    wait_until(lambda: log_of(jobs.folders, job_id) == "ready\n")
    pid = command_of(jobs.folders, job_id)
    runner_of(pid).kill()
    wait_until(lambda: state_of(jobs, job_id) == "stopping")
    with pytest.raises(JobRunning, match=job_id):
        start(jobs.folders, SLEEP)
    with pytest.raises(JobRefused, match="running"):
        jobs.delete(jobs.job(job_id, WORK))
    assert is_alive(pid)
    monkeypatch.setattr(folders, "_KILL_AFTER_S", 0.0)
    wait_until(lambda: state_of(jobs, job_id) == "lost")
    wait_until(lambda: not is_alive(pid))
    jobs.folders.ask_to_stop(start(jobs.folders, SLEEP))


def test_job_whose_folder_is_removed_by_hand_ends(job_folders):
    """Nobody could stop it any more, and it would keep others from starting."""
    job_id = start(job_folders, SLEEP)
    pid = command_of(job_folders, job_id)
    shutil.rmtree(job_folders.root / job_id)
    wait_until(lambda: not is_alive(pid))


DAMAGED = (
    b"",
    b"{}",
    b"[]",
    b'[["kind", "check"]]',
    b"[" * 500_000,
    RECORD.replace(b'"check"', b'["check"]'),
    RECORD.replace(b"2026-11-26T12:00:00Z", b"noon"),
    RECORD.replace(b'"shown"', b'"pid": 0, "shown"'),  # process group 0 is the server's own
)


def test_damaged_files_of_a_job_cost_that_job_only(jobs):
    """A record that is cut off, deep, or of other types is no job; the list and the server's start go on without it."""
    for number, content in enumerate((RECORD, *DAMAGED)):
        folder = jobs.folders.root / f"20261126-120000-00000{number}-check"
        folder.mkdir(parents=True)
        (folder / "job.json").write_bytes(content)
        (folder / "progress.json").write_bytes(b"[" * 9_000)
    jobs.start()
    assert [(job.state, job.progress.done) for job in jobs.jobs(WORK)] == [("lost", 0)]


def test_stop_of_a_command_that_ignores_it_ends_it_by_force(job_folders, monkeypatch):
    """SIGINT comes first, SIGTERM after the grace period; here a handler says so and takes no notice of the first."""
    code = STUBBORN.replace("(signal.SIGINT, signal.SIGTERM)", "[signal.SIGINT]")
    job_id = start(job_folders, code, grace_s=0.2)
    wait_until(lambda: log_of(job_folders, job_id) == "ready\n")
    job_folders.ask_to_stop(job_id)
    wait_until(lambda: job_folders.record(job_id).ended)
    record = job_folders.record(job_id)
    assert (record.exit_code, record.stopped) == (-signal.SIGTERM, True)


def test_jobs_beyond_the_latest_50_are_deleted_unless_they_run(job_folders):
    """Old folders go; one that runs stays however old it is."""
    job_id = start(job_folders, SLEEP)
    for number in range(60):
        (job_folders.root / f"99991231-000000-0000{number:02}-check").mkdir()
    job_folders.prune(("check",))
    left = job_folders.ids(("check",))
    assert len(left) == 51
    assert left[-1] == job_id
    job_folders.ask_to_stop(job_id)


def test_log_of_gigabytes_is_read_in_windows_of_harmless_text(tmp_path):
    """Windows are small, begin and end at lines, follow each other, and hold no character that a terminal obeys."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(3 << 30)
        file.seek(0, os.SEEK_END)
        file.write("\nfirst \x1b[31mred\x1b[0m\u202e\u200f\n<b>second</b> é\nthird".encode())
    last = read_window(log, None, 64, ended=False)
    assert last.text == "first \ufffd[31mred\ufffd[0m\ufffd\ufffd\n<b>second</b> é\n"
    assert last.size == log.stat().st_size
    assert read_window(log, last.next, 64, ended=False).text == ""
    assert read_window(log, last.next, 64, ended=True).text == "third"
    assert read_window(log, 2**53, 64, ended=True).text == ""
    part = read_window(log, last.offset, 20, ended=True)
    assert part.text.startswith("first ")
    assert read_window(log, 1000, 500, ended=False).next == 1500  # no line ends here


def test_log_shows_no_secret(tmp_path):
    """Tokens are cut out, as from the commands' own messages."""
    log = tmp_path / "log"
    log.write_text("https://user:password@host/?token=abc123\n")
    assert read_window(log, None, 1000, ended=True).text == "https://…@host/?token=…\n"


def test_last_error_of_a_log_is_one_bounded_printable_line(tmp_path):
    """It is the command's own message; otherwise that of its options, or the end of a traceback."""
    log = tmp_path / "log"
    assert last_error(log) == ""
    for text, message in (
        ("error: first\ninfo: x\nerror: a \x1b[1m?token=abc\nKeyError: 1\n", "a \ufffd[1m?token=…"),
        ("usage: x\nx: error: unknown option", "x: error: unknown option"),
        ("Traceback:\n  x\nValueError: bad\n\n", "ValueError: bad"),
        ("info: no errors\n", ""),
        ("error: " + "x y " * 50_000, ""),  # its beginning is out of sight
        ("error: " + "x y " * 1000, "x y " * 125),
    ):
        log.write_text(text)
        assert last_error(log) == message


HOSTILE = [
    {"kind": "download", "options": {"games": ["@/etc/passwd"]}},
    {"kind": "download", "options": {"games": [" @/etc/passwd"]}},
    {"kind": "download", "options": {"games": ["a\nb"]}},
    {"kind": "download", "options": {"games": ["\x00"]}},
    {"kind": "download", "options": {"games": [""]}},
    {"kind": "download", "options": {"games": ["x"] * 51}},
    {"kind": "download", "options": {"frames": 0}},
    {"kind": "download", "options": {"frames": 10**30}},
    {"kind": "download", "options": {"minutes": 1e308}},
    {"kind": "download", "options": {"progress": "/etc/passwd"}},
    {"kind": "train", "options": {"model": "../evil"}},
    {"kind": "train", "options": {"model": "/tmp"}},
    {"kind": "train", "options": {"model": ".hidden"}},
    {"kind": "train", "options": {"model": "a\n"}},
    {"kind": "train", "options": {"architecture": "--help"}},
    {"kind": "train", "options": {"initial_weights": "/etc/passwd"}},
    {"kind": "check", "options": {"apply": True}},
    {"kind": "survey", "options": {"top_streams": 5}},
    {"kind": "rm", "options": {}},
    {},
    [],
]


def test_hostile_options_are_refused(client):
    """Files, unknown options, control characters and numbers without sense start nothing."""
    for body in HOSTILE:
        answer = client.post("/api/v1/jobs", json=body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/api/v1/jobs").json()["jobs"] == []


def test_ids_that_are_no_job_are_not_found(client):
    """No id of a request becomes a path that leaves the folder of the jobs."""
    job_id = "20261126-000000-000000-check"
    for name in ("..", "%2e%2e", "work.lock", job_id, f"{job_id}%2f..", f"{job_id}%0a", "x" * 5000):
        for method, path in (("GET", ""), ("GET", "/log"), ("POST", "/stop"), ("DELETE", "")):
            assert client.request(method, f"/api/v1/jobs/{name}{path}").status_code in (404, 405)


def test_game_that_begins_with_a_dash_stays_one_word():
    """A game's name cannot become another option of the command."""
    options = DownloadOptions(games=["--until=1", "Warhammer 40,000; rm -rf"], minutes=2)
    assert options.words() == ["--game=--until=1", "--game=Warhammer 40,000; rm -rf", "--minutes=2"]


def test_what_is_missing_is_said_and_nothing_starts(tmp_path, postgres):
    """Without credentials nothing is collected, with one game nothing is trained or checked."""
    jobs = JobService(make_settings(tmp_path, **postgres))
    assert "CLIENT_ID" in jobs.obstacle("download")
    assert "CLIENT_ID" in jobs.obstacle("survey")
    assert "none" in jobs.obstacle("check")
    (jobs.folders.root.parents[1] / "frames" / "7").mkdir(parents=True)
    (jobs.folders.root.parents[1] / "frames" / "7" / "ann-1.jpg").touch()
    assert "one" in jobs.obstacle("check")
    with pytest.raises(Exception, match="Two games with frames are needed"):
        jobs.create(TrainOptions())
    assert not jobs.folders.root.exists()


def test_training_into_a_folder_that_holds_no_model_is_refused(tmp_path, monkeypatch):
    """A name beside MODEL_PATH may be new, a model's or an interrupted training's; other files stay as they are."""
    from dashboard.jobs.commands import changed_settings, make_environment, make_record
    from data.errors import FolderError

    settings = make_settings(tmp_path, LANGUAGES="en,de", CLIENT_SECRET="secret", DASHBOARD_TOKEN="x" * 40)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "LICENSE").touch()
    (tmp_path / "begun" / "unfinished").mkdir(parents=True)
    for name in ("photos", "LICENSE"):
        with pytest.raises(FolderError, match=name):
            changed_settings(TrainOptions(model=name), settings)
    assert changed_settings(TrainOptions(model="begun", resume=True), settings)
    monkeypatch.setenv("model_path", "/elsewhere")  # settings are read whatever their case
    env = make_environment(settings, changed_settings(TrainOptions(model="new", time_limit_min=5), settings))
    assert (env["MODEL_PATH"], env["TIME_LIMIT_MIN"]) == (str(tmp_path / "new"), "5.0")
    assert make_record(TrainOptions(epochs=3), changed_settings(TrainOptions(epochs=3), settings), tmp_path)[
        "shown"
    ] == ("FINE_TUNE_EPOCHS=3 python -m model.create --epochs=3")
    assert (env["LANGUAGES"], env["CLIENT_SECRET"]) == ('["de", "en"]', "secret")
    assert not {"DASHBOARD_TOKEN", "model_path"} & env.keys()
