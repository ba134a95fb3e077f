"""Model: what is loaded, its card, metrics, confusion matrix and worst frames, and the models beside it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.models.comparison import ModelNotFound
from dashboard.models.folder import NO_REPORT, ModelFolder
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

router = APIRouter(tags=["model"])

_Kind = Annotated[ReportKind, Query(description="validation frames of the training, or the latest evaluation")]
_Folder = Annotated[
    str, Query(alias="folder", max_length=255, description="name of a folder beside MODEL_PATH; empty: MODEL_PATH")
]
_NO_CARD = "This model has no card. model.create writes one."


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
    reports, message = _folder(services, name).reports()
    return Reports(reports=[found.report for found in reports], message=message)


@router.get("/model/confusion", summary="Confusion matrix", response_model=Confusion, responses=problems(404, 409))
def get_confusion(services: ServicesDep, report: _Kind = "training", name: _Folder = "") -> Confusion:
    """Return the frames by true and predicted game, and the games that are confused most."""
    return _report(_folder(services, name), report).confusion


@router.get("/model/worst", summary="Worst frames", response_model=WorstFrames, responses=problems(404, 409))
def get_worst(services: ServicesDep, report: _Kind = "training", name: _Folder = "") -> WorstFrames:
    """Return the frames for which the model was surest of a wrong game."""
    folder = _folder(services, name)
    return folder.worst(_report(folder, report), name)


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
        raise Problem(404, NO_REPORT[kind])
    return found
