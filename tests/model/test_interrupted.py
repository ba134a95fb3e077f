"""Interrupted training runs, resumed with --resume."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.model.conftest import ROOT, create, environment, figures


def test_resume_after_sigkill_gives_the_same_metrics(trained, tmp_path):
    """SIGKILL after the third of eight epochs, during the fourth: --resume gives the same metrics in each epoch."""
    settings = {"EPOCHS": "8", "VISUALIZE_RESULTS": "false"}
    variables = environment(trained.dataset.download_path, tmp_path, **settings)
    words = [sys.executable, "-m", "model.create"]
    with subprocess.Popen(words, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or []:
            if line.startswith("epoch 3/8"):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished"]

    resumed = create(trained.dataset.download_path, tmp_path, "--resume", **settings)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after epoch 3 of 8" in resumed.stderr
    assert "epoch 3/8" not in resumed.stderr
    assert figures(tmp_path)["history"] == figures(trained.path)["history"]
    assert figures(tmp_path)["accuracy_by_frame"] == figures(trained.path)["accuracy_by_frame"]
    assert not (tmp_path / "unfinished").exists()


def test_resume_with_other_settings_is_refused(trained, tmp_path):
    """One line says what to do; without --resume the files would be deleted."""
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "fingerprint").write_text("other settings")
    done = create(trained.dataset.download_path, tmp_path, "--resume")
    assert done.returncode == 1
    assert "other settings or frames" in done.stderr
    assert unfinished.exists()


def test_resume_without_checkpoint_begins(trained, tmp_path):
    """--resume may stand in a script that is started again and again."""
    run = create(trained.dataset.download_path, tmp_path, "--resume", EPOCHS="1", VISUALIZE_RESULTS="false")
    assert run.returncode == 0, run.stderr
    assert "There is no training run to resume" in run.stderr
