"""Model folder: what the files of a trained model say of it, without loading it."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import get_args
from urllib.parse import urlencode

from dashboard.models.reports import MAX_WORST, ReportFile, read_report
from dashboard.models.schemas import CalibrationInfo, GameOfModel, ModelFile, ReportKind, WorstFrames
from data.entities import StoredFrame
from data.errors import ModelError
from data.readers import file_sha256, read_regular_file
from data.text import printable
from model.inference.calibration import Calibration
from model.inference.classes import CLASSES_FILE, read_classes
from model.inference.classifier import CLASSES_KEY, INT8_FILE, ONNX_FILE
from model.inference.location import SHIPPED
from model.inference.onnx_header import read_header
from model.reports.rendering import WORST

CARD = "model_card.md"
_FILES = ("model.h5", ONNX_FILE, INT8_FILE, "model.tflite", CLASSES_FILE, CARD)
_MAX_CARD_BYTES, _MAX_PICTURE_BYTES = 1 << 18, 1 << 20
NO_REPORT: dict[ReportKind, str] = {
    "training": "There is no report of this model's training. Training writes one: python -m model.create",
    "evaluation": "This model was not evaluated. Evaluate it: python -m model.evaluate",
}
_OLD_REPORT = "This report does not list them. An evaluation does: python -m model.evaluate"
_API = "/api/v1"
Stamp = tuple[tuple[str, int, int, int], ...]  # name, inode, nanoseconds of the last change and bytes of each file


class ModelFolder:
    """A folder that may hold a model. `results`: where its evaluation is, if not in the folder itself."""

    def __init__(self, path: Path, results: Path | None = None) -> None:
        self.path = path
        self._results = path / "results"
        self._evaluation = (results or self._results) / "evaluation"

    @property
    def holds_model(self) -> bool:
        """Whether a model and its classes are there."""
        return all((self.path / name).is_file() for name in (ONNX_FILE, CLASSES_FILE))

    @property
    def is_shipped(self) -> bool:
        """Whether it is the folder of the model that comes with the toolkit."""
        return real_path(self.path) == SHIPPED

    def stamp(self) -> Stamp:
        """Return what changes when a file of the model changes."""
        return tuple(
            (name, status.st_ino, status.st_mtime_ns, status.st_size)
            for name, status in self._statuses()
            if name in (ONNX_FILE, INT8_FILE, CLASSES_FILE)
        )

    def files(self) -> list[ModelFile]:
        """Return the files of the model that are there."""
        return [
            ModelFile(name=name, bytes=status.st_size, modified=utc_time(status.st_mtime))
            for name, status in self._statuses()
        ]

    def classes(self) -> list[GameOfModel]:
        """Return the games that the model knows. Raises ModelError."""
        classes = read_classes(self.path / CLASSES_FILE)
        metadata = _header(str(self.path / ONNX_FILE), self.stamp())[0]
        if metadata.get(CLASSES_KEY) != ",".join(str(game.id) for game in classes):
            raise ModelError(f"{ONNX_FILE} and {CLASSES_FILE} do not match. Train the model again.")
        return [GameOfModel(id=str(game.id), name=game.name) for game in classes]

    def calibration(self) -> tuple[CalibrationInfo, int]:
        """Return the model's calibration, and the size of its images in pixels. Raises ModelError."""
        metadata, img_size = _header(str(self.path / ONNX_FILE), self.stamp())
        calibration = Calibration.from_metadata(metadata)
        info = CalibrationInfo(
            temperature=calibration.temperature,
            score=calibration.score_name,
            threshold=calibration.threshold if math.isfinite(calibration.threshold) else None,
            stream_threshold=calibration.stream_threshold,
        )
        return info, img_size

    def card(self) -> str | None:
        """Return the text of the card, None if there is none. Raises ModelError: it cannot be read."""
        try:
            return read_regular_file(self.path / CARD, _MAX_CARD_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelError(f"{CARD} cannot be read: {error.strerror}.") from error

    def report(self, kind: ReportKind) -> ReportFile | None:
        """Return a report, None if there is none. Raises ModelError: it cannot be read."""
        found = read_report(self._results if kind == "training" else self._evaluation, kind)
        if not found or not found.sha256:
            return found
        # An evaluation may be of the 8-bit model.
        hashes = [_sha256(str(self.path / name), self.stamp()) for name in (ONNX_FILE, INT8_FILE)]
        return replace(found, report=found.report.model_copy(update={"is_current": found.sha256 in hashes}))

    def reports(self) -> tuple[list[ReportFile], str]:
        """Return the reports that can be read, and a message about the others; empty if there is none to say."""
        reports, messages = [], []
        for kind in get_args(ReportKind):
            try:
                if found := self.report(kind):
                    reports.append(found)
            except ModelError as error:
                messages.append(str(error))
        return reports, " ".join(messages) if reports or messages else NO_REPORT["training"]

    def worst(self, report: ReportFile, name: str = "") -> WorstFrames:
        """Return the worst frames of a report with their pictures' addresses. `name`: by which a visitor named it."""
        query = f"?{urlencode({'folder': name})}" if name else ""
        is_evaluation = report.report.kind == "evaluation"
        frames = []
        for number, frame in enumerate(report.worst[:MAX_WORST], 1):
            picture = f"{_API}/model/worst/{number}{query}" if is_evaluation else _dataset_picture(frame.path)
            frames.append(frame.model_copy(update={"picture": picture}))
        is_perfect = report.report.accuracy_by_frame == 1
        return WorstFrames(kind=report.report.kind, frames=frames, message="" if frames or is_perfect else _OLD_REPORT)

    def worst_picture(self, number: int) -> bytes | None:
        """Return the evaluation's picture of a frame, None without one. `number`: its place among `worst`, from 1."""
        try:
            return read_regular_file(self._evaluation / WORST.format(number), _MAX_PICTURE_BYTES)
        except OSError:
            return None

    def _statuses(self) -> Iterator[tuple[str, os.stat_result]]:
        for name in _FILES:
            try:
                status = (self.path / name).stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield name, status


def utc_time(epoch_s: float) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(epoch_s, timezone.utc).isoformat(timespec="seconds")


def real_path(path: Path) -> Path:
    """Return where a path leads. Unlike Path.resolve, this raises nothing for a loop of links."""
    return Path(os.path.realpath(path))


def shown_name(path: Path) -> str:
    """Return the name of a folder as text that can be shown and sent."""
    return printable(real_path(path).name)


def _dataset_picture(path: str) -> str | None:
    """Return the address of a frame's picture in the dataset; None if no frame has this path."""
    try:
        frame = StoredFrame.parse(path)
    except ValueError:
        return None
    return f"{_API}/dataset/pictures/{frame.game_id}/{frame.login}/{frame.number}"


@lru_cache(maxsize=64)
def _header(path: str, _stamp: Stamp) -> tuple[dict[str, str], int]:
    return read_header(Path(path))


@lru_cache(maxsize=128)
def _sha256(path: str, _stamp: Stamp) -> str:
    try:
        return file_sha256(path).hex()
    except OSError:
        return ""
