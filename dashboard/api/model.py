"""Model: what is loaded, its card, metrics, confusion matrix and worst frames, and the models beside it."""

from __future__ import annotations

from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Response

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.models.comparison import ModelNotFound
from dashboard.models.folder import ModelFolder
from dashboard.models.reports import MAX_WORST, ReportFile
from dashboard.models.schemas import (
    ComparedModels,
    Confusion,
    ModelCard,
    ModelInfo,
    ReportKind,
    Reports,
    WorstFrames,
)
from dashboard.services import Services
from data.entities import StoredFrame
from data.errors import ModelError

_OLD_REPORT = "This report does not list them. An evaluation does: python -m model.evaluate"
router = APIRouter(tags=["model"])

_Kind = Annotated[ReportKind, Query(description="validation frames of the training, or the latest evaluation")]
_Folder = Annotated[
    str, Query(alias="folder", max_length=255, description="name of a folder beside MODEL_PATH; empty: MODEL_PATH")
]
_NO_CARD = "This model has no card. model.create writes one."
_NO_REPORT = {
    "training": "There is no report of this model's training. Training writes one: python -m model.create",
    "evaluation": "This model was not evaluated. Evaluate it: python -m model.evaluate",
}


@router.get("/model", summary="The model in use", response_model=ModelInfo, responses=problems(404))
def get_model(services: ServicesDep, name: _Folder = "") -> ModelInfo:
    """Return files, classes, calibration and state of the model, without loading it."""
    return services.models.info(_folder(services, name))


@router.get("/model/card", summary="The model's card", response_model=ModelCard, responses=problems(404, 409))
def get_card(services: ServicesDep, name: _Folder = "") -> ModelCard:
    """Return model_card.md: Markdown."""
    text = _folder(services, name).card()
    return ModelCard(text=text, message="" if text else _NO_CARD)


@router.get("/model/metrics", summary="Metrics of the model", response_model=Reports, responses=problems(404))
def get_metrics(services: ServicesDep, name: _Folder = "") -> Reports:
    """Return the metrics of the training's validation frames, and of the latest evaluation, as far as there are."""
    folder, reports, messages = _folder(services, name), [], []
    for kind in get_args(ReportKind):
        try:
            if found := folder.report(kind):
                reports.append(found.report)
        except ModelError as error:
            messages.append(str(error))
    if not reports and not messages:
        messages = [_NO_REPORT["training"]]
    return Reports(reports=reports, message=" ".join(messages))


@router.get("/model/confusion", summary="Confusion matrix", response_model=Confusion, responses=problems(404, 409))
def get_confusion(services: ServicesDep, report: _Kind = "training", name: _Folder = "") -> Confusion:
    """Return the frames by true and predicted game, and the games that are confused most."""
    return _report(_folder(services, name), report).confusion


@router.get("/model/worst", summary="Worst frames", response_model=WorstFrames, responses=problems(404, 409))
def get_worst(services: ServicesDep, report: _Kind = "training", name: _Folder = "") -> WorstFrames:
    """Return the frames for which the model was surest of a wrong game."""
    found = _report(_folder(services, name), report)
    frames = found.worst[:MAX_WORST]
    query = f"?{urlencode({'folder': name})}" if name else ""
    for number, frame in enumerate(frames, 1):
        is_stored = report == "training"
        frame.picture = _dataset_picture(frame.path) if is_stored else f"/api/v1/model/worst/{number}{query}"
    is_perfect = found.report.accuracy_by_frame == 1
    return WorstFrames(kind=report, frames=frames, message="" if frames or is_perfect else _OLD_REPORT)


@router.get(
    "/model/worst/{number}",
    summary="Picture of one of the worst frames",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems(404)},
)
def get_worst_picture(
    services: ServicesDep,
    number: Annotated[int, Path(ge=1, le=MAX_WORST, description="its place in the list, from 1")],
    name: _Folder = "",
) -> Response:
    """Return the picture that the evaluation kept of a frame, JPEG."""
    picture = _folder(services, name).worst_picture(number)
    if picture is None:
        raise Problem(404, "This picture does not exist. Evaluate the model again: python -m model.evaluate")
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-cache"})


@router.get("/models", summary="Models compared", response_model=ComparedModels)
def list_models(services: ServicesDep) -> ComparedModels:
    """Return the model in MODEL_PATH and those in the folders beside it, with their metrics."""
    return services.models.compared()


def _folder(services: Services, name: str) -> ModelFolder:
    try:
        return services.models.folder(name)
    except ModelNotFound as error:
        raise Problem(404, str(error)) from error


def _report(folder: ModelFolder, kind: ReportKind) -> ReportFile:
    if (found := folder.report(kind)) is None:
        raise Problem(404, _NO_REPORT[kind])
    return found


def _dataset_picture(path: str) -> str | None:
    """Return the address of a frame's picture in the dataset; None if no frame has this path."""
    try:
        frame = StoredFrame.parse(path)
    except ValueError:
        return None
    return f"/api/v1/dataset/pictures/{frame.game_id}/{frame.login}/{frame.number}"
