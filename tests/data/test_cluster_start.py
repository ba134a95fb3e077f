"""Start of a command on a cluster, when it is interrupted: Ray is not needed for that."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from data import download, interruption
from data.pool.cluster import end_start
from tests.child_processes import start_child
from tests.data.conftest import environment


def _kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):  # it has ended, as it should
        os.killpg(process.pid, signal.SIGKILL)


def test_end_of_a_start_that_hangs_kills_its_processes_and_no_others():
    """Children and their children, which Ray would leave behind; a child from before the start goes on."""
    with ExitStack() as running:
        other = subprocess.Popen(["sleep", "600"])
        running.callback(other.wait)
        running.callback(other.kill)
        others = psutil.Process().children(recursive=True)
        words, pipe = ["sh", "-c", "sleep 600 <&- & echo $!; exec cat"], subprocess.PIPE  # cat waits for its input
        child = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        running.callback(child.wait)
        running.callback(_kill_group, child)
        assert child.stdout
        child.stdout.readline()
        end_start(Future(), others, 0.2)
        child.communicate(timeout=10)  # until the pipe has no writer any more
        assert child.returncode < 0
        assert other.poll() is None


def test_download_on_a_cluster_when_a_signal_comes_has_the_time_of_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The end is forced after that time, here at once, while the database does not answer: exit code 128 + SIGTERM.

    With the time of other commands the connection would fail first, after two seconds: exit code 130.
    """
    assert download._CLUSTER_GRACE_S > interruption.GRACE_S
    monkeypatch.setattr(download, "_CLUSTER_GRACE_S", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        database = {"DB_HOST": "127.0.0.1", "DB_PORT": str(silent.getsockname()[1]), "TIMEOUT_S": "1"}
        variables = environment(**database, DOWNLOAD_PATH=str(tmp_path), RAY_ADDRESS="127.0.0.1:1")

        def work() -> None:
            os.environ.clear()
            os.environ.update(variables)
            os._exit(download.main([]))

        child = start_child(work)
        try:
            with silent.accept()[0]:
                os.kill(child, signal.SIGTERM)
                status = os.waitpid(child, 0)[1]
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM
