"""Training on a Ray cluster: the same model as one process trains, and no process that outlives its command.

    python -m benchmarks.cluster_training

Linux, as root. The dataset is painted; this machine and one node, a network namespace of benchmarks._netns, train.

    one, cluster       wall seconds of model.create in one process, and with --ray on both
    largest_difference of a metric after any epoch, as a fraction of the value of one process
    failed_s           from kill -9 of the node until the command has ended with an error
    orphans            training processes 10 s after kill -9 of the command

Exit code 1: a difference above 0.1 %, no error, or an orphan.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks._grabbing import REPOSITORY
from benchmarks._netns import NodeCluster
from tests.model.conftest import Painted, environment, figures, paint_everything

# Dropout, and pictures that show the next one of a process's own part, differ between one process and two.
SETTINGS = {"EPOCHS": "3", "BATCH_SIZE": "12", "DROPOUT": "0", "VISUALIZE_RESULTS": "false", "AUGMENT": "true"}
SETTINGS |= {"TIME_LIMIT_MIN": "60", "AUGMENT_WEBCAM": "0", "AUGMENT_CENTER": "0"}
_LONG = {**SETTINGS, "EPOCHS": "100000"}
_BEGIN_S = 60.0


class Bench:
    """Trainings on one dataset."""

    def __init__(self, home: Path, cluster: NodeCluster) -> None:
        self._dataset = paint_everything(Painted(home / "dataset")).download_path
        self._home, self._cluster = home, cluster

    def start(self, name: str, settings: dict[str, str], *, on_cluster: bool = True) -> subprocess.Popen[str]:
        """Start a training whose model is in the folder `name`."""
        variables = environment(self._dataset, self._home / name, **settings)
        variables |= self._cluster.environment if on_cluster else {}
        command = [sys.executable, "-m", "model.create"]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=REPOSITORY, env=variables, text=True, **pipes)  # type: ignore[call-overload]

    def train(self, name: str, *, on_cluster: bool) -> float:
        """Train; return the wall seconds. Raises RuntimeError."""
        began = time.monotonic()
        process = self.start(name, SETTINGS, on_cluster=on_cluster)
        _, stderr = process.communicate(timeout=200)
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}: {stderr[-500:]}")
        return time.monotonic() - began

    def largest_difference(self) -> float:
        """Return the largest difference between the metrics of both trainings, as a fraction."""
        one, cluster = (figures(self._home / name)["history"] for name in ("one", "cluster"))
        values = [(old, new) for name, olds in one.items() for old, new in zip(olds, cluster[name], strict=True)]
        return max(abs(old - new) / max(abs(old), 1e-9) for old, new in values)

    def trainings(self) -> list[int]:
        """Return the ids of all training processes of this dataset."""
        return [process.pid for process in psutil.process_iter() if self._is_own(process)]

    def _is_own(self, process: psutil.Process) -> bool:
        try:
            own = process.environ().get("DOWNLOAD_PATH") == str(self._dataset)
            return own and "model.create" in process.cmdline()
        except psutil.Error:
            return False

    def begun(self, name: str, settings: dict[str, str]) -> subprocess.Popen[str]:
        """Start a training on the cluster; return when its first epoch is over."""
        process = self.start(name, settings)
        end = time.monotonic() + _BEGIN_S
        while not list((self._home / name).glob("unfinished/*.npz")):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise RuntimeError(f"the training does not begin: {process.communicate()[1][-500:]}")
            time.sleep(0.1)
        return process


def main() -> int:
    """Run the trials; print a JSON object; return the exit code."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="training-")))
        cluster = stack.enter_context(NodeCluster(1, {"CUDA_VISIBLE_DEVICES": ""}))
        bench = Bench(home, cluster)
        one, both = bench.train("one", on_cluster=False), bench.train("cluster", on_cluster=True)
        killed = bench.begun("killed", _LONG)
        killed.kill()
        killed.communicate()
        time.sleep(10)
        orphans = bench.trainings()
        failing = bench.begun("failing", _LONG)
        began = time.monotonic()
        cluster.kill_node(0)
        _, stderr = failing.communicate(timeout=120)
        error = stderr.strip().splitlines()[-1]
        difference, left = bench.largest_difference(), bench.trainings()
        result = {
            "one": round(one, 1),
            "cluster": round(both, 1),
            "largest_difference": difference,
            "orphans": len(orphans),
            "failed_s": round(time.monotonic() - began, 1),
            "code": failing.returncode,
            "error": error,
            "left": len(left),
        }
    print(json.dumps(result), flush=True)
    right = difference < 1e-3 and failing.returncode == 1 and error.startswith("error: ")
    return int(not right or bool(orphans + left))


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    sys.exit(main())
