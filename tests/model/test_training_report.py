"""Training report: metrics.json and plots for any names and any number of games."""

from __future__ import annotations

import json
import struct
import warnings
from itertools import pairwise

import numpy as np
import pytest

from tests.model.lazily import plots, training_report

HISTORY = {"loss": [2.0, 1.0], "val_loss": [2.1, 1.5], "accuracy": [0.1, 0.5], "val_accuracy": [0.1, 0.4]}
NAMES = ["$TICK and $TOCK", "原神", "Tom Clancy's Rainbow Six: Siege X", "a_b^c", "<b>&amp;"]


def metrics(games: int) -> dict:
    """Return the part of a metrics.json that the plots need."""
    names = [NAMES[number % len(NAMES)] for number in range(games)]
    return {
        "history": HISTORY,
        "best_epoch": 1,
        "games": [{"name": name} for name in names],
        "confusion": (np.eye(games, dtype=int) * 7 + np.eye(games, k=1, dtype=int)).tolist(),
    }


@pytest.mark.parametrize("games", [2, 50])
def test_plots_grow_with_the_number_of_games(tmp_path, games):
    """Plots are drawn without a warning whatever the names hold, and grow with the number of games."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training_report.write(tmp_path / "results", metrics(games), draw=True)
    picture = (tmp_path / "results" / "confusion.png").read_bytes()
    width, height = struct.unpack(">II", picture[16:24])
    assert height > games * 50
    assert width > games * 50
    assert json.loads((tmp_path / "results" / "metrics.json").read_text())["games"][0]["name"] == NAMES[0]


def test_confusion_matrix_names_do_not_overlap():
    """With fifty games, each row's name is lower than its row."""
    figure = plots.confusion_matrix(np.eye(50), [f"Game number {number}" for number in range(50)])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    rows = sorted((box.y0, box.y1) for box in boxes)
    assert all(below[1] <= above[0] for below, above in pairwise(rows))


def test_learning_curves_of_one_epoch_have_markers():
    """A line through a single point is invisible without a marker."""
    figure = plots.learning_curves({name: values[:1] for name, values in HISTORY.items()}, 1)
    assert [line.get_marker() for axes in figure.axes for line in axes.lines[1:]] == ["o"] * 4


def test_write_without_draw_writes_only_metrics(tmp_path):
    """VISUALIZE_RESULTS=false leaves out the plots."""
    training_report.write(tmp_path / "results", metrics(2), draw=False)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["metrics.json"]
