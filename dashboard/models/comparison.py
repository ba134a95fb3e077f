"""Comparison: the models in the folders beside MODEL_PATH, by their reports."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from dashboard.models.folder import ModelFolder, real_path, shown_name
from dashboard.models.reports import ReportFile
from dashboard.models.schemas import ComparedModel, ComparedModels, ComparedReport
from data.errors import ModelError
from model.inference.classifier import ONNX_FILE

_MAX_ENTRIES = 2000  # of the folder above MODEL_PATH: it may be anything, such as a home folder
_MAX_MODELS = 50


class ModelNotFound(ModelError):
    """No folder of this name holds a model."""


def compare(current: ModelFolder, model_path: Path) -> ComparedModels:
    """Return the current model and those in the folders beside `model_path`, by name, the current one first."""
    own = real_path(current.path)
    beside = [folder for folder in _folders(real_path(model_path).parent) if real_path(folder.path) != own]
    models = [_compared(current, current=True)] if current.holds_model else []
    models += [_compared(folder, current=False) for folder in beside[:_MAX_MODELS]]
    return ComparedModels(models=models, truncated=len(beside) > _MAX_MODELS)


def folder_beside(model_path: Path, name: str) -> ModelFolder:
    """Return the folder with this name beside `model_path`. Raises ModelNotFound: no folder there holds a model."""
    # The name is only compared with those of the folders, so it cannot lead anywhere else.
    for folder in _folders(real_path(model_path).parent):
        if shown_name(folder.path) == name:
            return folder
    raise ModelNotFound("There is no model of this name beside MODEL_PATH.")


def _folders(parent: Path) -> list[ModelFolder]:
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in islice(entries, _MAX_ENTRIES) if not entry.name.startswith(".")]
    except OSError:
        return []
    folders = (ModelFolder(parent / name) for name in sorted(names))
    return [folder for folder in folders if _is_readable_model(folder)]


def _is_readable_model(folder: ModelFolder) -> bool:
    try:
        return folder.holds_model
    except OSError:  # no right to look into it
        return False


def _compared(folder: ModelFolder, *, current: bool) -> ComparedModel:
    onnx = next((file for file in folder.files() if file.name == ONNX_FILE), None)
    model = ComparedModel(
        name=shown_name(folder.path),
        current=current,
        shipped=folder.is_shipped,
        classes=0,
        bytes=onnx.bytes if onnx else 0,
        modified=onnx.modified if onnx else "",
    )
    try:
        model.classes = len(folder.classes())
        model.training = _summary(folder.report("training"))
        model.evaluation = _summary(folder.report("evaluation"))
    except ModelError as error:
        model.message = str(error)
    return model


def _summary(found: ReportFile | None) -> ComparedReport | None:
    if found is None or found.report.is_current is False:
        return None
    report = found.report
    return ComparedReport(
        date=report.date,
        folder=report.folder,
        frames=report.frames,
        accuracy_by_frame=report.accuracy_by_frame,
        accuracy_by_stream=report.accuracy_by_stream,
        macro_f1=report.macro_f1,
    )
