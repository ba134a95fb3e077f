"""Contact sheet of the augmentation: a row for each transform of model.augmentation.pipeline, and one for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from config import Settings
from data.entities import StoredFrame
from data.storage.frame_folder import FrameFolder
from data.video.images import decode_jpeg
from docs.canvas import GREY, Canvas
from model.augmentation.pipeline import TRANSFORM_NAMES, Augmentation, augment_batch

_COLUMNS, _SIDE, _BETWEEN, _LEFT = 6, 72.0, 4.0, 84.0


def sheet(frames: FrameFolder) -> Canvas:
    """One frame of each of the first games, as it is and changed."""
    stored = sorted(frames.frames(), key=lambda frame: (frame.game_id, frame.login, frame.number))
    pictures = _pictures(frames, stored)
    shares = {name: Settings.model_fields[f"augment_{name}"].default for name in TRANSFORM_NAMES}
    rows = {name: Augmentation(**{name: 1.0}, seed=1) for name in TRANSFORM_NAMES} | {
        "together": Augmentation(**shares, seed=2)
    }
    canvas = Canvas(round(12 + (len(rows) + 1) * (_SIDE + _BETWEEN)), round(_LEFT + _COLUMNS * (_SIDE + _BETWEEN) + 8))
    _row(canvas, 0, "as it is", pictures)
    for number, (name, augmentation) in enumerate(rows.items(), start=1):
        _row(canvas, number, name, augment_batch(pictures, np.arange(len(pictures)), augmentation))
    return canvas


def _pictures(frames: FrameFolder, stored: Sequence[StoredFrame]) -> np.ndarray:
    first = {frame.game_id: frame for frame in reversed(stored)}
    chosen = [first[game_id] for game_id in sorted(first)][:_COLUMNS]
    return np.stack([decode_jpeg((frames.root / frame.path).read_bytes()) for frame in chosen])


def _row(canvas: Canvas, number: int, name: str, pictures: np.ndarray) -> None:
    top = 8 + number * (_SIDE + _BETWEEN)
    canvas.text(_LEFT - 10, top + _SIDE / 2 + 4, name, size=13, color=GREY, align="right")
    for column, picture in enumerate(pictures):
        canvas.picture(_LEFT + column * (_SIDE + _BETWEEN), top, _SIDE, picture)
