"""The command as a user starts it, and a model for it that tells dark pictures from bright ones."""

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
from model.inference import classes as class_list
from model.inference.classifier import CLASSES_KEY, FILE
from tests.standin import Standin

ROOT = Path(__file__).resolve().parents[2]
DARK, BRIGHT = Game(9000003, "Dungeon Crawl Stone Soup"), Game(9000004, "Extreme Tux Racer")


def save_model(folder: Path, games: tuple[Game, ...], img_size: int = 240, sure: float = 100.0) -> Path:
    """A model.onnx that tells dark pictures (the first game) from bright ones, with its classes.txt; the folder.

    Of the mean of all channels, 0 to 255, what exceeds 110 counts `sure` times.
    """
    weight = np.array([[-sure, sure]], np.float32)
    bias = np.array([110.0 * sure, -110.0 * sure], np.float32)
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
    onnx.save(model, folder / FILE)
    class_list.write(folder / class_list.FILE, games)
    return folder


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "recognition.recognize", *words]


def environment(standin: Standin, model_path: Path, **changes: str) -> dict[str, str]:
    """This process's environment with the stand-in and the model, and no other setting of the toolkit."""
    own = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "TWITCH_STANDIN": standin.url, "MODEL_PATH": str(model_path), **changes}


def recognize(standin, model_path, *words, cwd=ROOT, **changes) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    env = environment(standin, model_path, **changes)
    return subprocess.run(command(*words), cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)
