"""One model on several devices and in several processes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import SettingsError
from model.training import hardware
from model.training.hardware import Hardware
from tests.model.conftest import ROOT, create, environment, figures

# Dropout draws for each process by itself: without it two and one compute the same.
SETTINGS = {"EPOCHS": "2", "BATCH_SIZE": "12", "DROPOUT": "0", "VISUALIZE_RESULTS": "false", "AUGMENT": "true"}
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


# Processes that share one import of TensorFlow, which takes five seconds: each job is forked before any use of it.
FORKS = """
import json, os, sys, traceback
from model.terminal.native_log import importing_tensorflow
with importing_tensorflow(show=True):
    from model.training import experiment, factories

jobs, children = json.load(sys.stdin), []
for job in jobs:
    child = os.fork()
    if child == 0:
        os.environ.clear()
        os.environ.update(job["environment"])
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(job[name], os.O_CREAT | os.O_WRONLY), number)
        try:
            exec(job["code"], {})
            code = 0
        except BaseException as error:
            code = error.code if isinstance(error, SystemExit) else traceback.print_exc() or 1
        sys.stdout.flush()
        os._exit(code)
    children.append(child)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""
CREATE = "import sys\nfrom model.create import main\nsys.exit(main([]))"
# MirroredStrategy, as with two GPUs, here with two logical devices on one CPU.
TWO_DEVICES = """
import tensorflow as tf
cpu, = tf.config.list_physical_devices('CPU')
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
import config, json
from data.storage.frame_folder import FrameFolder
from model import create
from model.datasets import image_dataset, listing
from model.training import checkpoint, experiment, factories
from model.training.hardware import Hardware
settings, hardware = config.load(), Hardware(strategy)
folder = FrameFolder(settings.download_path / 'frames')
frames = list(folder.frames())
classes = listing.classes_of(frames, folder.game_names(), folder.location)
frames = image_dataset.decodable_frames(folder.root, frames, 32)
split, = create._make_splits(frames, classes, 0, settings, print)
args = folder.root, frames, classes, settings.img_size, settings.batch_size
dataset = image_dataset.ImageDataset(*args)
model = factories.make_network(settings, len(classes), hardware)
checkpoints = checkpoint.CheckpointStore(settings.model_path, write=False)
context = factories.TrainingContext(settings, dataset, hardware, checkpoints, print)
result = experiment.train_with_holdout(context, model, split, False)
print(json.dumps([hardware.devices, result.history.history]))
"""


@dataclass
class Job:
    """One forked process: what it ran on, and what it gave."""

    path: Path
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def jobs(trained, tmp_path_factory) -> list[Job]:
    """Run two processes of a cluster on loopback, and one with two devices, at the same time."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    root = tmp_path_factory.mktemp("jobs")
    described: list[dict[str, Any]] = []
    for number, code in enumerate((CREATE, CREATE, TWO_DEVICES)):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": number}}
        own = {"TF_CONFIG": json.dumps(cluster)} if code is CREATE else {}
        variables = environment(trained.dataset.download_path, root / f"{number}", **SETTINGS, **own)
        files = {name: str(root / f"{number}.{name}") for name in ("stdout", "stderr")}
        described.append({"environment": variables, "code": code, **files})
    done = subprocess.run(
        [sys.executable, "-c", FORKS],
        cwd=ROOT,
        env=environment(root, root),
        input=json.dumps(described),
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    texts = ([Path(job[name]).read_text() for name in ("stdout", "stderr")] for job in described)
    codes = json.loads(done.stdout)
    return [Job(root / f"{n}", code, *text) for n, (code, text) in enumerate(zip(codes, texts, strict=True))]


def test_two_processes_train_one_model(jobs, single):
    """With TF_CONFIG on loopback each takes half of each batch: the metrics equal one process's. The first writes."""
    first, second, _ = jobs
    assert (first.returncode, second.returncode) == (0, 0), (first, second)
    joint = figures(first.path)
    for name, values in single["history"].items():
        assert np.allclose(joint["history"][name], values, rtol=1e-3), name
    assert joint["accuracy_by_frame"] == single["accuracy_by_frame"]
    assert (second.stdout, list(second.path.iterdir())) == ("", [])


def test_two_devices_train_one_model(jobs, single):
    """With two devices of one process: the same metrics."""
    job = jobs[2]
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
