"""Interrupted training runs, resumed with --resume."""

from __future__ import annotations

import os
import signal
import threading
import time

from tests.model.conftest import create, figures
from tests.model.forks import KILLED_SETTINGS


def test_resume_after_sigkill_gives_the_same_metrics(trained, forked):
    """SIGKILL after the third of eight epochs: --resume gives the same metrics in each epoch.

    The first three are of another process than those of `trained`: the same seed gives the same split and model.
    """
    killed = forked.killed
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in killed.path.iterdir()] == ["unfinished"]

    resumed = create(trained.dataset.download_path, killed.path, "--resume", **KILLED_SETTINGS)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after epoch 3 of 8" in resumed.stderr
    assert "epoch 3/8" not in resumed.stderr
    for name in ("validation", "history", "accuracy_by_frame"):
        assert figures(killed.path)[name] == figures(trained.path)[name]
    assert not (killed.path / "unfinished").exists()


def test_signal_in_training_names_resume_in_the_last_line(trained, tmp_path):
    """The exit code is 130, no traceback is printed, and the epochs are there; damaged, they are refused and kept."""
    checkpoint = tmp_path / "unfinished" / "split.npz"

    def interrupt() -> None:
        while not checkpoint.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)  # the same handler as that of Ctrl-C

    threading.Thread(target=interrupt, daemon=True).start()
    done = create(trained.dataset.download_path, tmp_path, EPOCHS="5000", PATIENCE="5000")
    assert done.returncode == 130
    last = done.stderr.splitlines()[-1]
    assert last == "error: Interrupted. Finished epochs are kept: repeat the command with --resume."
    assert "Traceback" not in done.stderr
    content = checkpoint.read_bytes()[:-99]
    checkpoint.write_bytes(content)
    again = create(trained.dataset.download_path, tmp_path, "--resume", EPOCHS="5000", PATIENCE="5000")
    assert again.returncode == 1
    assert "split.npz is damaged" in again.stderr.splitlines()[-1]
    assert checkpoint.read_bytes() == content


def test_resume_with_other_settings_is_refused(trained, tmp_path):
    """One line says what to do; without --resume the files would be deleted."""
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "fingerprint").write_text("other settings")
    done = create(trained.dataset.download_path, tmp_path, "--resume")
    assert done.returncode == 1
    assert "other settings or frames" in done.stderr
    assert unfinished.exists()


def test_resume_without_checkpoint_begins(trained):
    """One line says that there is nothing to resume, and a model is trained."""
    assert trained.run.returncode == 0
    assert "There is no training run to resume: a new one begins." in trained.run.stderr.splitlines()
