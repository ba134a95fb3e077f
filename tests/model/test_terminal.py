"""What the commands show on stderr: progress bars on a terminal, and TensorFlow's messages only if they matter."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

from model.terminal.progress import make_progress
from tests.model.conftest import ROOT
from tests.pseudo_terminal import PseudoTerminal

WORK = """
import sys, time
from model.terminal.progress import make_progress
with make_progress(quiet={quiet})("features", 40) as advance:
    for number in range(20):
        advance(1)
        time.sleep(0.01)
    print("warning: something happened", file=sys.stderr)
    {wait}
"""


def test_progress_on_a_terminal_shows_what_is_left():
    """What is done, of how much, and an estimate; a line that is printed meanwhile scrolls above the bar and stays."""
    code = WORK.format(quiet=False, wait="sys.stdin.readline()")
    with PseudoTerminal([sys.executable, "-c", code], os.environ, 80, 10) as terminal:
        lines = terminal.wait_for(lambda lines: any("20/40" in line for line in lines) and "warning" in lines[0])
        assert lines[0] == "warning: something happened"
        assert lines[1].startswith("features ")
        assert lines[1].endswith(" left")


def test_progress_without_a_terminal_or_with_quiet_shows_nothing():
    """A log file gets no escape codes, and -q no bar."""
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(quiet=False, wait="")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "warning: something happened\n")
    with PseudoTerminal([sys.executable, "-c", WORK.format(quiet=True, wait="")], os.environ, 80, 10) as terminal:
        assert [line for line in terminal.finish() if line] == ["warning: something happened"]


def test_progress_into_a_file_shows_what_is_done_to_other_programs(tmp_path):
    """The file holds text, done and total, of the block's end too; one that cannot be written costs nothing."""
    file = tmp_path / "progress.json"
    with make_progress(quiet=True, file=str(file))("features", 40) as advance:
        assert json.loads(file.read_text()) == {"text": "features", "done": 0, "total": 40}
        advance(3)
        advance(4)
    assert json.loads(file.read_text()) == {"text": "features", "done": 7, "total": 40}
    with make_progress(quiet=False, file=str(tmp_path / "missing" / "progress.json"))("steps", None) as advance:
        advance(1)


def test_native_log_drops_information_and_keeps_errors(capfd):
    """Lines of libraries that only inform are dropped, whatever their format; errors and other lines stay."""
    from model.terminal.native_log import filtered_stderr

    noise = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795667254.621220   20755 cudart_stub.cc:31] Could not find cuda drivers on your machine\n"
        "W0000 00:00:1795667254.621220   20755 computation_placer.cc:177] computation placer already registered\n"
        "2026-11-26 04:24:05.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] optimized\n"
        "E0000 00:00:1795667254.6 20755 cuda_fft.cc:477] Unable to register cuFFT factory: already registered\n"
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
    )
    errors = "E0000 00:00:1795667254.6 20755 driver.cc:1] out of memory\nSegmentation fault\n"
    with filtered_stderr():
        os.write(2, (noise + errors).encode())
    assert capfd.readouterr().err == errors


def test_native_log_keeps_errors_of_a_block_that_fails(capfd):
    """The reason of a failed import is printed before its exception."""
    from model.terminal.native_log import filtered_stderr

    try:
        with filtered_stderr():
            os.write(2, b"libcuda.so: cannot open shared object file\n")
            raise ImportError
    except ImportError:
        assert capfd.readouterr().err == "libcuda.so: cannot open shared object file\n"


def test_import_of_tensorflow_leaves_out_matplotlib_in_the_block_only(monkeypatch):
    """Keras imports it if it can; the plots of a report do so later."""
    from model.terminal.native_log import importing_tensorflow

    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with importing_tensorflow(show=True), pytest.raises(ImportError):
        importlib.import_module("matplotlib")
    assert "matplotlib" not in sys.modules
