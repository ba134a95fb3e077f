"""Signals: every command ends within seconds, whatever servers do, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from data import cli
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import GREEDY, environment
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.standin import Fault, Standin, World, faults
from tests.standin.faults import HELIX, PLAYLISTS, SEGMENTS
from tests.standin.playlist import MEDIA_HOST

ROOT = Path(__file__).resolve().parent.parent
_CHANNELS = ["bzflag_ctf", "torcs_alpine_1", "supertux_crystal_mine"]
_RECOGNIZE = "recognition.recognize"
# By name: the words of the command; the host and path that hang, and how many requests pass; the signal; exit codes.
_HANGING = {
    "download": (["data.download"], (MEDIA_HOST, SEGMENTS, 8), signal.SIGHUP, {0}),
    "download of games": (["data.download"], (HELIX, "*", 1), signal.SIGTERM, {0}),
    "single": ([_RECOGNIZE, _CHANNELS[0]], (MEDIA_HOST, SEGMENTS, 2), signal.SIGTERM, {130}),
    "survey": ([_RECOGNIZE, "--csv", "x.csv", *_CHANNELS], (MEDIA_HOST, PLAYLISTS, 0), signal.SIGINT, {130}),
    "watch": ([_RECOGNIZE, "--watch", *_CHANNELS], (MEDIA_HOST, SEGMENTS, 1), signal.SIGTERM, {0}),
}
_SLOW = {143, 130, 129}  # of a process that ended by force, as on a machine under load

_PROGRAM = """\
import math, os, sys, threading, time
from data import interruption
threading.Thread(target=time.sleep, args=(3600,)).start()  # Python would wait for it at its exit
with (
    interruption.forced_end({grace_s}),
    interruption.handled(lambda *_: print("asked", flush=True)),
    interruption.at_forced_end(lambda: print("cleaned up", flush=True)),
):
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""


def _start(grace_s: float, *, nohup: bool = False) -> subprocess.Popen[str]:
    """Start a program that ends only by force; return it when it runs."""
    command = [sys.executable, "-c", _PROGRAM.format(grace_s=grace_s)]
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command] if nohup else command
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_when_nothing_reacts_ends_the_process_after_the_grace_period(sent):
    """Hanging threads do not matter; what is registered is called; the exit code names the signal."""
    with _start(0.5) as process:
        process.send_signal(sent)
        stdout, stderr = process.communicate(timeout=60)
    assert stdout == "asked\ncleaned up\n"
    assert stderr == "error: Interrupted; did not wait for what was going on.\n"
    assert process.returncode == 128 + sent


def test_second_signal_ends_the_process_at_once():
    """The grace period, of an hour here, is over at the second signal. Two within a moment count as one."""
    with _start(3600) as process:
        assert process.stdout
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)  # as a shell sends SIGHUP again that the terminal has sent
        assert process.stdout.readline() == "asked\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.6)
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=60)
    assert stdout.endswith("cleaned up\n")
    assert process.returncode == 128 + signal.SIGTERM


def test_grace_period_of_an_inner_block_counts_there():
    """A download on a cluster learns only from its settings that its end takes longer."""
    code = """
import os, signal, time
from data.interruption import forced_end, handled
with forced_end(0), handled(lambda *_: None), forced_end(3600):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.6)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_ignored_sighup_stays_ignored():
    """`nohup` starts programs with SIGHUP ignored: closing the terminal does not end them."""
    with _start(3600, nohup=True) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.kill()
        assert process.communicate()[0] == ""


@pytest.mark.timeout(240)
def test_signal_while_servers_hang_ends_every_command(world: World, tmp_path: Path):
    """No command waits for a request; no server or temporary file is left; frames of good streams are saved."""
    model = save_model(tmp_path / "model", (DARK, BRIGHT))
    with ExitStack() as stack:
        running: dict[str, subprocess.Popen[str]] = {}
        standins: dict[str, Standin] = {}
        for name, (words, (host, path, skip), _, _) in _HANGING.items():
            standin = stack.enter_context(Standin(world.only(_CHANNELS), preroll_s=0))
            standin.add_fault(Fault("hang", faults.silence(), host, path, skip=skip))
            standins[name] = standin
            env = {**standin.environment, "MODEL_PATH": str(model)}
            running[name] = stack.enter_context(_command(tmp_path / name, words, env))
            stack.callback(running[name].kill)
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # accepts connections, says nothing
        env = {"DB_HOST": "127.0.0.1", "DB_PORT": str(silent.getsockname()[1])}
        running["dbSync"] = stack.enter_context(_command(tmp_path / "dbSync", ["data.dbSync"], env))
        stack.callback(running["dbSync"].kill)
        stack.enter_context(silent.accept()[0])
        running["dbSync"].send_signal(signal.SIGTERM)  # its grace period passes while the others start
        for name, standin in standins.items():
            while not standin.fault_counts:
                assert running[name].poll() is None, running[name].communicate()
                time.sleep(0.02)
        time.sleep(1)  # for the frames in flight
        for name, (_, _, number, _) in _HANGING.items():
            running[name].send_signal(number)
        for name, process in running.items():
            _, stderr = process.communicate(timeout=60)
            assert process.returncode in (_HANGING[name][3] | _SLOW if name in _HANGING else {143}), (name, stderr)
            assert "Traceback" not in stderr
    end = time.monotonic() + 60
    while left := _leftovers(tmp_path):  # a forced end does not wait for the server that it stops
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert list(FrameFolder(tmp_path / "dataset" / "frames").frames())


def _command(folder: Path, words: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a command in a folder, where its temporary files are, too; the dataset, beside it, is that of all."""
    (folder / "tmp").mkdir(parents=True)
    places = {"DOWNLOAD_PATH": str(folder.parent / "dataset"), "DB_HOST": "", "TMPDIR": str(folder / "tmp")}
    times = {"TIMEOUT_S": "600", "DEADLINE_S": "600", "MIN_STREAMERS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment(**GREEDY) | places | times | {"PYTHONPATH": str(ROOT)} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _leftovers(folder: Path) -> list[str]:
    """Return the temporary files of the commands in a folder, and the names of processes there."""
    found = [path.name for path in folder.glob("*/tmp/*")]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += [process.name()] if process.cwd().startswith(f"{folder}/") else []
    return found


def test_stop_after_endless_minutes_is_no_error():
    """`--minutes 1e300` is longer than a timer can wait: the run has no end of its own."""
    stop = threading.Event()
    with cli.stop_on_signal(stop, 1e300):
        assert not stop.wait(0.05)
