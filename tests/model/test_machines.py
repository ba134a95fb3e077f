"""One model on several devices and in several processes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data.errors import SettingsError
from model.training import hardware
from model.training.hardware import Hardware
from tests.model.conftest import create, figures
from tests.model.forks import SETTINGS


@pytest.fixture(scope="module")
def single(trained, tmp_path_factory) -> dict:
    """Return the metrics of one process."""
    path = tmp_path_factory.mktemp("alone")
    run = create(trained.dataset.download_path, path, **SETTINGS)
    assert run.returncode == 0, run.stderr
    return figures(path)


def test_two_processes_train_one_model(forked, single):
    """With TF_CONFIG on loopback each takes half of each batch: the metrics equal one process's. The first writes."""
    first, second = forked.workers
    assert (first.returncode, second.returncode) == (0, 0), (first, second)
    joint = figures(first.path)
    for name, values in single["history"].items():
        assert np.allclose(joint["history"][name], values, rtol=1e-3), name
    assert joint["accuracy_by_frame"] == single["accuracy_by_frame"]
    assert (second.stdout, list(second.path.iterdir())) == ("", [])


def test_two_devices_train_one_model(forked, single):
    """With two devices of one process: the same metrics."""
    job = forked.two_devices
    assert job.returncode == 0, job.stderr
    devices, history = json.loads(job.stdout.splitlines()[-1])
    assert devices == 2
    for name, values in single["history"].items():
        assert np.allclose(history[name], values, rtol=1e-3), name


def test_batch_size_fits_the_memory():
    """A power of two, at most 32 on a CPU, less for large activations; a requested size is kept."""
    cpu = Hardware()
    assert hardware.batch_size(0, cpu, 1, 10_000) == 32
    assert hardware.batch_size(0, cpu, 10**15, 10_000) == 1
    assert hardware.batch_size(24, cpu, 1, 10_000) == 24


@pytest.mark.parametrize(
    "config",
    [
        "no JSON",
        "{}",
        "5",
        "[" * 100_000,
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1e999}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": NaN}}',
    ],
    ids=["text", "empty", "number", "nested", "index", "infinity", "NaN"],
)
def test_invalid_tf_config_names_the_setting(config):
    """Whatever TF_CONFIG contains, the error is one line."""
    with pytest.raises(SettingsError, match=r"^TF_CONFIG: "):
        hardware._parse_cluster(config)
