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
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import psutil

from benchmarks._grabbing import REPOSITORY
from benchmarks._logged import LoggedCommand, logged_command
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

    def start(
        self, name: str, settings: dict[str, str], *, on_cluster: bool = True
    ) -> AbstractContextManager[LoggedCommand]:
        """Start a training whose model is in the folder `name`; kill it at the end of the block."""
        variables = environment(self._dataset, self._home / name, **settings)
        variables |= self._cluster.environment if on_cluster else {}
        return logged_command([sys.executable, "-m", "model.create"], variables, cwd=REPOSITORY)

    def train(self, name: str, *, on_cluster: bool) -> float:
        """Train; return the wall seconds. Raises RuntimeError."""
        began = time.monotonic()
        with self.start(name, SETTINGS, on_cluster=on_cluster) as run:
            run.succeed(200)
        return run.ended - began

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

    def wait_for_epoch(self, name: str, run: LoggedCommand) -> None:
        """Wait until the first epoch of a training is over."""
        run.wait_until(lambda: any((self._home / name).glob("unfinished/*.npz")), _BEGIN_S)


def main() -> int:
    """Run the trials; print a JSON object; return the exit code."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="training-")))
        cluster = stack.enter_context(NodeCluster(1, {"CUDA_VISIBLE_DEVICES": ""}))
        bench = Bench(home, cluster)
        one, both = bench.train("one", on_cluster=False), bench.train("cluster", on_cluster=True)
        with bench.start("killed", _LONG) as killed:
            bench.wait_for_epoch("killed", killed)
        time.sleep(10)  # the end of the block has killed it
        orphans = bench.trainings()
        with bench.start("failing", _LONG) as failing:
            bench.wait_for_epoch("failing", failing)
            began = time.monotonic()
            cluster.kill_node(0)
            code = failing.end(120)
        failed_s, error = failing.ended - began, failing.log[-1][1]
        difference, left = bench.largest_difference(), bench.trainings()
        result = {
            "one": round(one, 1),
            "cluster": round(both, 1),
            "largest_difference": difference,
            "orphans": len(orphans),
            "failed_s": round(failed_s, 1),
            "code": code,
            "error": error,
            "left": len(left),
        }
    print(json.dumps(result), flush=True)
    right = difference < 1e-3 and code == 1 and error.startswith("error: ")
    return int(not right or bool(orphans + left))


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    sys.exit(main())
