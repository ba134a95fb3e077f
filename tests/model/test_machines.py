"""One model on several devices and in several processes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from data.errors import SettingsError
from model.training import hardware
from model.training.hardware import Hardware
from tests.model.conftest import ROOT, create, environment, figures

# Dropout draws for each process by itself: without it two and one compute the same.
SETTINGS = {"EPOCHS": "4", "BATCH_SIZE": "12", "DROPOUT": "0", "VISUALIZE_RESULTS": "false", "AUGMENT": "true"}
SETTINGS |= {"TIME_LIMIT_MIN": "60"}  # which processes have to agree on
SETTINGS |= {"AUGMENT_WEBCAM": "0", "AUGMENT_CENTER": "0"}  # they show the next picture of a process's own part


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


@pytest.fixture(scope="module")
def single(trained, tmp_path_factory) -> dict:
    """Return the metrics of one process."""
    path = tmp_path_factory.mktemp("alone")
    run = create(trained.dataset.download_path, path, **SETTINGS)
    assert run.returncode == 0, run.stderr
    return figures(path)


def test_two_processes_train_one_model(trained, single, tmp_path):
    """With TF_CONFIG on loopback each takes half of each batch: the metrics equal one process's. The first writes."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    for number in (0, 1):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": number}}
        settings = SETTINGS | {"TF_CONFIG": json.dumps(config)}
        variables = environment(trained.dataset.download_path, tmp_path / f"{number}", **settings)
        words = [sys.executable, "-m", "model.create"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(words, cwd=ROOT, env=variables, text=True, **pipes))
    outputs = [process.communicate(timeout=280) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    joint = figures(tmp_path / "0")
    for name, values in single["history"].items():
        assert np.allclose(joint["history"][name], values, rtol=1e-3), name
    assert joint["accuracy_by_frame"] == single["accuracy_by_frame"]
    assert (outputs[1][0], list((tmp_path / "1").iterdir())) == ("", [])


def test_two_devices_train_one_model(trained, single):
    """MirroredStrategy, as with two GPUs, here with two logical devices on one CPU: the same metrics."""
    code = (
        "import sys, tensorflow as tf\n"
        "cpu, = tf.config.list_physical_devices('CPU')\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])\n"
        "import config, json\n"
        "from data.storage.frame_folder import FrameFolder\n"
        "from model import create\n"
        "from model.datasets import image_dataset, listing\n"
        "from model.training import checkpoint, experiment, factories\n"
        "from model.training.hardware import Hardware\n"
        "settings, hardware = config.load(), Hardware(strategy)\n"
        "folder = FrameFolder(settings.download_path / 'frames')\n"
        "frames = list(folder.frames())\n"
        "classes = listing.classes_of(frames, folder.game_names(), folder.location)\n"
        "frames = image_dataset.decodable_frames(folder.root, frames, 32)\n"
        "split, = create._make_splits(frames, classes, 0, settings, print)\n"
        "args = folder.root, frames, classes, settings.img_size, settings.batch_size\n"
        "dataset = image_dataset.ImageDataset(*args)\n"
        "model = factories.make_network(settings, len(classes), hardware)\n"
        "checkpoints = checkpoint.CheckpointStore(settings.model_path, write=False)\n"
        "context = factories.TrainingContext(settings, dataset, hardware, checkpoints, print)\n"
        "result = experiment.train_with_holdout(context, model, split, False)\n"
        "print(json.dumps([hardware.devices, result.history.history]))"
    )
    variables = environment(trained.dataset.download_path, trained.path, **SETTINGS)
    words = [sys.executable, "-c", code]
    run = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stderr
    devices, history = json.loads(run.stdout.splitlines()[-1])
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
