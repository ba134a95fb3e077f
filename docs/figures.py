"""README figures that show frames: the data path, and recognised streams with the printed lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.entities import StoredFrame
from data.storage.frame_folder import FrameFolder
from data.video.images import decode_jpeg
from docs.canvas import BLUE, GREEN, GREY, INK, ORANGE, PAPER, VIOLET, WIDTH, Canvas
from docs.streams import Stream

_SIDE, _COLUMNS, _GAP = 78.0, 5, 4.0
_BLOCK = 306.0  # height of one recognised stream
_LEFT, _RIGHT, _COLUMN = 12.0, 478.0, 410.0  # left edges and width of the data path's two columns
_SEGMENTS = ("live", "live", "live", "ad", "ad", "live", "live", "live", "live", "prefetch")  # as on Twitch
_CELL, _CELL_X = 56.0, 262.0
_EXAMPLE = "stk_lighthouse"
_STORED_EXAMPLES = (_EXAMPLE, "openttd_arctic", "hedgewars_city")


def recognition(streams: Sequence[Stream]) -> Canvas:
    """Draw each stream's frames beside the command's output; frames that were outvoted have an orange border."""
    canvas = Canvas(round(_BLOCK * len(streams)) + 6)
    for row, stream in enumerate(streams):
        top = 12 + row * _BLOCK
        command = f"$ python -m recognition.recognize {stream.login}"
        canvas.box(12, top, WIDTH - 24, _BLOCK - 14, fill=PAPER)
        canvas.text(22, top + 19, command, size=12, bold=True, mono=True)
        for number, image in enumerate(stream.images):
            x = 22 + number % _COLUMNS * (_SIDE + _GAP)
            y = top + 30 + number // _COLUMNS * (_SIDE + _GAP)
            if stream.outvoted(number):
                canvas.box(x - 2, y - 2, _SIDE + 4, _SIDE + 4, fill=ORANGE, edge=ORANGE, radius=2)
            canvas.image(x, y, _SIDE, image)
        for number in range(len(stream.lines)):
            _line(canvas, 436, top + 41 + number * 16, stream, number)
    return canvas


def data_path(frames: Path, stream: Stream) -> Canvas:
    """Draw the path from Twitch to the printed lines.

    Args:
        frames: the dataset's folder of frames.
        stream: a recognised stream, for the last step.
    """
    folder = FrameFolder(frames)
    stored = sorted(folder.frames(), key=lambda frame: (frame.game_id, frame.login, frame.number))
    canvas = Canvas(658)
    _twitch(canvas)
    _grabbing(canvas, _images(folder, stored, _EXAMPLE, _SEGMENTS.count("live")))
    _collecting(canvas, folder, stored)
    _training(canvas)
    _recognising(canvas, stream)
    return canvas


def _images(folder: FrameFolder, stored: Sequence[StoredFrame], login: str, max_frames: int) -> list[np.ndarray]:
    """Return the first `max_frames` frames of a channel in the dataset, uint8 RGB (240, 240, 3) each."""
    chosen = [frame for frame in stored if frame.login == login][:max_frames]
    return [decode_jpeg(folder.read(frame)) for frame in chosen]


def _twitch(canvas: Canvas) -> None:
    canvas.box(12, 12, WIDTH - 24, 124, fill="#f5f2fc", edge=VIOLET)
    canvas.text(26, 33, "Twitch", size=14, bold=True, color=VIOLET)
    canvas.box(26, 46, 208, 76)
    canvas.text(38, 67, "Helix", size=13, bold=True)
    canvas.text(38, 87, "the most watched games,", size=12, color=GREY)
    canvas.text(38, 104, "the live streams of a game", size=12, color=GREY)
    canvas.text(_CELL_X, 67, "HLS", size=13, bold=True)
    text = "a live stream: segments of two seconds, each begins with a key frame"
    canvas.text(_CELL_X + 36, 67, text, size=12, color=GREY)
    colors = {"live": (BLUE, "#dbe8f6"), "ad": (ORANGE, "#fbe6d8"), "prefetch": (GREY, "white")}
    for number, segment in enumerate(_SEGMENTS):
        edge, fill = colors[segment]
        x = _CELL_X + number * (_CELL + 5)
        canvas.box(x, 84, _CELL, 34, edge=edge, fill=fill, radius=3, dashed=segment == "prefetch")
        canvas.text(x + _CELL / 2, 105, segment, size=11, color=edge, align="center")


def _grabbing(canvas: Canvas, images: Sequence[np.ndarray]) -> None:
    """Draw a frame below each segment of the stream itself; ads and prefetch segments give none."""
    canvas.box(12, 170, WIDTH - 24, 80, edge=BLUE)
    canvas.arrow((130, 122), (130, 168))
    canvas.text(140, 157, "logins", size=12, color=GREY)
    canvas.text(38, 195, "data.capture.grabber", size=13, bold=True, color=BLUE)
    canvas.text(38, 215, "Streamlink; no ads; frames of", size=12, color=GREY)
    canvas.text(38, 232, "240 × 240 pixels, as JPEG", size=12, color=GREY)
    remaining = iter(images)
    for number, segment in enumerate(_SEGMENTS):
        x = _CELL_X + number * (_CELL + 5)
        image = next(remaining, None) if segment == "live" else None
        if image is None:
            canvas.text(x + _CELL / 2, 214, "skipped", size=11, color=GREY, align="center")
            continue
        canvas.arrow((x + _CELL / 2, 118), (x + _CELL / 2, 180), color=BLUE)
        canvas.image(x, 182, _CELL, image)


def _collecting(canvas: Canvas, folder: FrameFolder, stored: Sequence[StoredFrame]) -> None:
    """Draw the two places where a frame is stored: the folder and the catalogue."""
    _card(canvas, _LEFT, 284, 208, command="data.download", text="writes a file and a row for each frame")
    canvas.text(_LEFT + 14, 358, "folder", size=12, bold=True)
    for row, login in enumerate(_STORED_EXAMPLES):
        y = 367 + row * 39
        game_id = next((frame.game_id for frame in stored if frame.login == login), 0)
        canvas.text(_LEFT + 14, y + 22, f"{game_id}/", size=11.5, mono=True)
        for column, image in enumerate(_images(folder, stored, login, 4)):
            canvas.image(_LEFT + 84 + column * 39, y, 36, image)
        canvas.text(_LEFT + 242, y + 22, "…", size=12, color=GREY)
    canvas.text(_LEFT + 280, 358, "PostgreSQL", size=12, bold=True)
    canvas.arrow((_LEFT + 338, 435), (_LEFT + 338, 415))
    for row, (table, count) in enumerate((("games", len({f.game_id for f in stored})), ("frames", len(stored)))):
        y = 367 + row * 68
        canvas.box(_LEFT + 280, y, 116, 46, fill=PAPER, radius=3)
        canvas.text(_LEFT + 290, y + 20, table, size=11.5, bold=True, mono=True)
        canvas.text(_LEFT + 290, y + 37, f"{count} rows", size=11, color=GREY)


def _training(canvas: Canvas) -> None:
    """Draw the step from the folder to the model's files."""
    canvas.arrow((_LEFT + _COLUMN / 2, 492), (_LEFT + _COLUMN / 2, 518))
    _card(canvas, _LEFT, 520, 126, command="model.create", text="trains on some streamers, validates on the others")
    files = (("model.h5", "for Keras"), ("model.onnx", "for ONNX Runtime"), ("classes.txt", "ids and names"))
    for number, (name, what) in enumerate(files):
        x = _LEFT + 14 + number * 130
        canvas.box(x, 582, 122, 50, fill="#e6f3ec", edge=GREEN, radius=3)
        canvas.text(x + 61, 604, name, size=12, bold=True, mono=True, align="center")
        canvas.text(x + 61, 622, what, size=11, color=GREY, align="center")


def _recognising(canvas: Canvas, stream: Stream) -> None:
    """Draw the step from the grabber's frames and the model's files to the printed lines."""
    gutter = (_LEFT + _COLUMN + _RIGHT) / 2
    for x in (_LEFT + _COLUMN / 2, _RIGHT + _COLUMN / 2):
        canvas.arrow((x, 250), (x, 282), color=BLUE)
    canvas.arrow((_LEFT + _COLUMN, 607), (gutter, 607), (gutter, 312), (_RIGHT - 2, 312), color=GREEN)
    text = "sums each game's probability over the frames"
    _card(canvas, _RIGHT, 284, 60, command="recognition.recognize", text=text)
    canvas.arrow((_RIGHT + _COLUMN / 2, 344), (_RIGHT + _COLUMN / 2, 370))
    canvas.box(_RIGHT, 372, _COLUMN, 274, fill=PAPER)
    canvas.text(_RIGHT + 14, 397, f"$ python -m recognition.recognize {stream.login}", size=11.5, mono=True, bold=True)
    # The first frames, an ellipsis, the last two frames and the verdict.
    shown = [*range(8), None, *range(len(stream.images) - 2, len(stream.lines))]
    for row, number in enumerate(shown):
        _line(canvas, _RIGHT + 14, 418 + row * 19, stream, number)


def _line(canvas: Canvas, x: float, y: float, stream: Stream, number: int | None) -> None:
    """Draw printed line `number`, or an ellipsis for None; the verdict and outvoted lines have their own colours."""
    if number is None:
        canvas.text(x, y, "…", size=11.5, mono=True, color=GREY)
        return
    last = number == len(stream.lines) - 1
    color = GREEN if last else ORANGE if stream.outvoted(number) else INK
    canvas.text(x, y, stream.lines[number], size=11.5, mono=True, bold=last, color=color)


def _card(canvas: Canvas, x: float, y: float, height: float, *, command: str, text: str) -> None:
    """Draw the box of a command: its name, and what it does."""
    canvas.box(x, y, _COLUMN, height, edge=BLUE)
    canvas.text(x + 14, y + 24, f"python -m {command}", size=13, bold=True, mono=True, color=BLUE)
    canvas.text(x + 14, y + 44, text, size=12, color=GREY)
