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

_COLUMNS, _SIDE, _GAP, _LEFT = 6, 72.0, 4.0, 84.0


def contact_sheet(frames: FrameFolder) -> Canvas:
    """Draw one frame of each of the first games: unchanged, with each transform, and with all of them."""
    stored = sorted(frames.frames(), key=lambda frame: (frame.game_id, frame.login, frame.number))
    images = _images(frames, stored)
    probabilities = {name: Settings.model_fields[f"augment_{name}"].default for name in TRANSFORM_NAMES}
    rows = {name: Augmentation(**{name: 1.0}, seed=1) for name in TRANSFORM_NAMES} | {
        "all": Augmentation(**probabilities, seed=2)
    }
    canvas = Canvas(round(12 + (len(rows) + 1) * (_SIDE + _GAP)), round(_LEFT + _COLUMNS * (_SIDE + _GAP) + 8))
    _row(canvas, 0, "unchanged", images)
    for number, (name, augmentation) in enumerate(rows.items(), start=1):
        _row(canvas, number, name, augment_batch(images, np.arange(len(images)), augmentation))
    return canvas


def _images(frames: FrameFolder, stored: Sequence[StoredFrame]) -> np.ndarray:
    """Return the first frame of each of the first games, uint8 RGB (games, 240, 240, 3)."""
    first = {frame.game_id: frame for frame in reversed(stored)}
    chosen = [first[game_id] for game_id in sorted(first)][:_COLUMNS]
    return np.stack([decode_jpeg((frames.root / frame.path).read_bytes()) for frame in chosen])


def _row(canvas: Canvas, number: int, name: str, images: np.ndarray) -> None:
    top = 8 + number * (_SIDE + _GAP)
    canvas.text(_LEFT - 10, top + _SIDE / 2 + 4, name, size=13, color=GREY, align="right")
    for column, image in enumerate(images):
        canvas.image(_LEFT + column * (_SIDE + _GAP), top, _SIDE, image)
