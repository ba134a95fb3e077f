"""Training processes that share one import of TensorFlow, which takes three seconds of CPU.

A parent imports it and forks each job before any use of it. The jobs run at the same time.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.model.conftest import ROOT, environment

# Dropout draws for each process by itself: without it two and one compute the same.
SETTINGS = {"EPOCHS": "2", "BATCH_SIZE": "12", "DROPOUT": "0", "VISUALIZE_RESULTS": "false", "AUGMENT": "true"}
SETTINGS |= {"TIME_LIMIT_MIN": "60"}  # which processes have to agree on
SETTINGS |= {"AUGMENT_WEBCAM": "0", "AUGMENT_CENTER": "0"}  # they show the next picture of a process's own part
KILLED_SETTINGS = {"EPOCHS": "8", "VISUALIZE_RESULTS": "false"}

_PARENT = """
import cv2, json, os, sys, traceback
from model.terminal.native_log import importing_tensorflow
with importing_tensorflow(show=True):
    from model.training import experiment, factories, screen_head

cv2.setNumThreads(1)  # threads would not survive the fork
few = screen_head._FEW_DRAWN
for count, seed in ((few, screen_head._SEED), (few // 2, screen_head._OTHER_SEED)):
    screen_head._drawn_images(32, count, seed)  # cached: otherwise each job draws them
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
_CREATE = "import sys\nfrom model.create import main\nsys.exit(main([]))"
# SIGKILL as soon as the line of the third epoch is written.
_KILLED = """
import os, signal, sys
from model.create import main

class Stderr:
    def write(self, text):
        sys.__stderr__.write(text)
        sys.__stderr__.flush()
        if text.startswith("epoch 3/8"):
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name):
        return getattr(sys.__stderr__, name)

sys.stderr = Stderr()
sys.exit(main([]))
"""
# MirroredStrategy, as with two GPUs, here with two logical devices on one CPU.
_TWO_DEVICES = """
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
    """One forked process: the folder of its model, and what it gave."""

    path: Path
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Jobs:
    """What the processes gave."""

    workers: tuple[Job, Job]  # of a cluster on loopback
    two_devices: Job
    killed: Job  # after three of eight epochs


def run(dataset: Path, root: Path) -> Jobs:
    """Run all jobs on the frames in `dataset`, in folders of `root`."""
    workers = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    clusters = [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}) for index in (0, 1)
    ]
    codes = [(_CREATE, SETTINGS | {"TF_CONFIG": cluster}) for cluster in clusters]
    codes += [(_TWO_DEVICES, SETTINGS), (_KILLED, KILLED_SETTINGS)]
    described: list[dict[str, Any]] = []
    for number, (code, settings) in enumerate(codes):
        files = {name: str(root / f"{number}.{name}") for name in ("stdout", "stderr")}
        described.append({"environment": environment(dataset, root / f"{number}", **settings), "code": code, **files})
    done = subprocess.run(
        [sys.executable, "-c", _PARENT],
        cwd=ROOT,
        env=environment(root, root),
        input=json.dumps(described),
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    texts = ([Path(job[name]).read_text() for name in ("stdout", "stderr")] for job in described)
    returncodes = json.loads(done.stdout)
    jobs = [Job(root / f"{n}", code, *text) for n, (code, text) in enumerate(zip(returncodes, texts, strict=True))]
    return Jobs((jobs[0], jobs[1]), *jobs[2:])


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports
