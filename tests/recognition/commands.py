"""Helpers to run the command in a process of its own, with a model that separates dark images from bright ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from config import Settings
from data.entities import Game
from model.inference.classes import CLASSES_FILE, write_classes
from model.inference.classifier import CLASSES_KEY, ONNX_FILE
from tests.in_process import run_command
from tests.standin import Standin

ROOT = Path(__file__).resolve().parents[2]
DARK, BRIGHT = Game(9000003, "Dungeon Crawl Stone Soup"), Game(9000004, "Extreme Tux Racer")


def save_model(folder: Path, games: tuple[Game, ...], img_size: int = 240, slope: float = 100.0) -> Path:
    """Write a model.onnx and its classes.txt; return the folder.

    The model answers the first game for dark images and the second for bright ones. Its logits are ±`slope` times
    the mean of all pixels and channels, 0 to 255, less 110.
    """
    weight = np.array([[-slope, slope]], np.float32)  # (1, classes)
    bias = np.array([110.0 * slope, -110.0 * slope], np.float32)  # (classes,)
    axes = numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
            helper.make_node("MatMul", ["column", "weight"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [None, img_size, img_size, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, len(games)])],
        [
            axes,
            numpy_helper.from_array(np.array([1], np.int64), "last"),
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {CLASSES_KEY: ",".join(str(game.id) for game in games)})
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / ONNX_FILE)
    write_classes(folder / CLASSES_FILE, games)
    return folder


def command(*arguments: str) -> list[str]:
    """Return the command line for these arguments."""
    return [sys.executable, "-m", "recognition.recognize", *arguments]


def environment(standin: Standin, model_path: Path, **changes: str) -> dict[str, str]:
    """Return this process's environment with the stand-in, the model and `changes` as the only settings."""
    settings = {name.upper() for name in Settings.model_fields}
    other = {name: value for name, value in os.environ.items() if name not in settings}
    return {**other, "TWITCH_STANDIN": standin.url, "MODEL_PATH": str(model_path), **changes}


def recognize(standin, model_path, *arguments, cwd=ROOT, stdin="", **changes) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in this process."""
    env = environment(standin, model_path, **changes)
    return run_command("recognition.recognize", *arguments, env=env, cwd=cwd, stdin=stdin)
