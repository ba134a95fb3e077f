"""Machines of a Ray cluster: one training process on each, which TF_CONFIG makes one training run.

Ray only places the processes; how they train is in model.training.hardware.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from data.errors import ModelError
from data.pool.cluster import open_cluster
from data.pool.placement import Command, run_on_nodes
from data.settings.variables import as_text
from model.training.checkpoint import CHECKPOINT_FOLDER

if TYPE_CHECKING:
    from config import Settings

_TENSORFLOW = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "CUDA_VISIBLE_DEVICES")


def train_on_cluster(args: argparse.Namespace, settings: Settings) -> int:
    """Run model.create with the options `args` on each node; return the exit code of this machine's process.

    This machine's process writes the model. Raises ClusterError, SettingsError, ExtraMissing.
    """
    with open_cluster(settings, needs_store=True, needs_database=False) as cluster:
        return run_on_nodes(cluster, lambda addresses: _commands(args, cluster.settings, addresses))


def _commands(args: argparse.Namespace, settings: Settings, addresses: Sequence[str]) -> list[Command]:
    """Return the command of each process; the first one is this machine's."""
    words = ["-m", "model.create", *(["--folds", str(args.folds)] if args.folds else [])]
    words += ["--resume"] if args.resume else []
    words += ["-q"] if args.quiet else ["-v"] * args.verbose
    shown = [f"--progress={args.progress}"] if args.progress else []
    files = _checkpoints(settings.model_path / CHECKPOINT_FOLDER) if args.resume else {}
    variables = _variables(settings)
    return [
        Command(
            words + shown * (index == 0),
            variables | {"TF_CONFIG": tf_config(addresses, index)},
            "MODEL_PATH",
            files,
        )
        for index in range(len(addresses))
    ]


def tf_config(addresses: Sequence[str], index: int) -> str:
    """Return the TF_CONFIG of worker `index`; addresses: host:port of all workers."""
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}})


def _variables(settings: Settings) -> dict[str, str]:
    """Return the settings that are given, as variables. Secrets stay here: training needs none."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set - {"ray_address"}}
    texts = {name.upper(): as_text(value) for name, value in given.items() if not isinstance(value, SecretStr)}
    return {name: os.environ[name] for name in _TENSORFLOW if name in os.environ} | texts


def _checkpoints(folder: Path) -> dict[str, bytes]:
    """Return the files of the training run to resume: each process needs them."""
    try:
        return {f"{CHECKPOINT_FOLDER}/{path.name}": path.read_bytes() for path in folder.glob("*") if path.is_file()}
    except OSError as error:
        raise ModelError(f"{folder} cannot be used: {error.strerror}. Move it away.") from error
