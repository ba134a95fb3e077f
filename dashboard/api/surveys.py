"""Surveys: which games many live streams show, as processes that outlive the server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.api.processes import add_process_routes, find_process
from dashboard.jobs.options import SurveyOptions
from dashboard.jobs.schemas import SURVEY_EXAMPLE, Job
from dashboard.jobs.service import SURVEYS
from dashboard.jobs.survey_results import Outcome, ResultQuery, Sort
from dashboard.jobs.tables import csv_table, parquet_table, summarise
from dashboard.live.tile import page_of

router = APIRouter(tags=["surveys"])
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The table."}
}
_RESULT_EXAMPLE: dict[str, JsonValue] = {
    "source": "a_chess_player",
    "url": "https://www.twitch.tv/a_chess_player",
    "time": "2026-11-26T14:00:09.5Z",
    "known": True,
    "game": {"id": "743", "name": "Chess"},
    "closest": {"id": "743", "name": "Chess"},
    "confidence": 0.97,
    "score": 4.85,
    "frames": 5,
    "early": True,
    "preview": False,
    "category": {"id": "509658", "name": "Just Chatting"},
    "mismatch": True,
    "reason": None,
    "message": None,
}


class Surveys(BaseModel):
    """All surveys, the newest first, and what hinders a new one; "" if nothing does."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"surveys": [SURVEY_EXAMPLE], "obstacle": ""}]})
    surveys: list[Job]
    obstacle: str


class NamedGame(BaseModel):
    """A game or category. Its id is a string: JavaScript cannot hold all ids as numbers."""

    id: str
    name: str


class SurveyResult(BaseModel):
    """What one stream shows, or why that is not known: the keys of docs/events.schema.json, with ids as strings.

    `url` is the address of the stream's page, "" if it has none.
    """

    source: str
    url: str
    time: datetime
    known: bool | None = None
    game: NamedGame | None = None
    closest: NamedGame | None = None
    confidence: float | None = None
    score: float | None = None
    frames: int | None = None
    early: bool | None = None
    preview: bool | None = None
    category: NamedGame | None = None
    mismatch: bool | None = None
    reason: str | None = None
    message: str | None = None


class SurveyResultList(BaseModel):
    """A part of the results that match; `all` counts those that do not match, too."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"total": 37, "all": 100, "offset": 0, "results": [_RESULT_EXAMPLE]}]}
    )
    total: int
    all: int
    offset: int
    results: list[SurveyResult]


class ResultFilter(BaseModel):
    """Which results, in which order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    q: Annotated[str, Field(max_length=200)] = ""
    """Part of the source, the game, the category or the message."""
    game: Annotated[list[str], Field(max_length=100)] = []
    """Ids of games that the streams show."""
    outcome: Annotated[list[Outcome], Field(max_length=3)] = []
    """Known, unknown or failed ones only."""
    mismatch: bool | None = None
    """Whether the stream shows another game than its category."""
    sort: Sort = "order"
    """Key of the order; that of arrival by default."""
    descending: bool = False
    """Largest first."""
    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Number of results to skip."""
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    """Results at most."""


def get_survey(survey_id: Annotated[str, Path(description="Id of a survey.")], services: ServicesDep) -> Job:
    """Return the survey that the path names."""
    return find_process(services, survey_id, SURVEYS, "survey")


SurveyDep = Annotated[Job, Depends(get_survey)]


@router.get("/surveys", summary="List the surveys")
def list_surveys(services: ServicesDep) -> Surveys:
    """Return the latest 50 surveys, and what a new one still needs before it can start."""
    return Surveys(surveys=services.jobs.jobs(SURVEYS), obstacle=services.jobs.obstacle("survey"))


@router.post("/surveys", status_code=201, summary="Start a survey", responses=problems(409, 422))
def start_survey(options: SurveyOptions, services: ServicesDep) -> Job:
    """Recognise what many live streams show. One survey runs at a time; it goes on when the server ends."""
    return services.jobs.create(options)


@router.get("/surveys/{survey_id}", summary="Show a survey", responses=problems(404))
def show_survey(survey: SurveyDep, services: ServicesDep) -> Job:
    """Return the survey with its state, its progress and the counts of its results so far."""
    return survey.model_copy(update={"summary": summarise(services.jobs.results(survey.id).counts)})


@router.get("/surveys/{survey_id}/results", summary="Read a survey's results", responses=problems(404, 422))
def read_survey_results(
    survey: SurveyDep, services: ServicesDep, filter_: Annotated[ResultFilter, Query()]
) -> SurveyResultList:
    """Return a part of the results so far, filtered and sorted. Without a value to sort by, a result comes last."""
    query = ResultQuery(
        q=filter_.q.strip().lower(),
        games=filter_.game,
        outcomes=filter_.outcome,
        mismatch=filter_.mismatch,
        sort=filter_.sort,
        descending=filter_.descending,
    )
    results = services.jobs.results(survey.id)
    total, events = results.find(query, filter_.offset, filter_.limit)
    rows = [SurveyResult.model_validate(_for_page(event)) for event in events]
    return SurveyResultList(total=total, all=len(results), offset=filter_.offset, results=rows)


@router.get("/surveys/{survey_id}/results.csv", summary="Download as CSV", responses=_FILE | problems(404))
def download_survey_csv(survey: SurveyDep, services: ServicesDep) -> Response:
    """Return the results so far as CSV, in the columns of `recognition.recognize --csv`."""
    return _attachment(csv_table(services.jobs.folder(survey.id)), ".csv", "text/csv", survey)


@router.get("/surveys/{survey_id}/results.parquet", summary="Download as Parquet", responses=_FILE | problems(404))
def download_survey_parquet(survey: SurveyDep, services: ServicesDep) -> Response:
    """Return the results so far as Parquet, in the columns of `recognition.recognize --parquet`."""
    results = services.jobs.results(survey.id)
    table = parquet_table(services.jobs.folder(survey.id), results)
    return _attachment(table, ".parquet", "application/vnd.apache.parquet", survey)


read_survey_log, stop_survey, delete_survey = add_process_routes(
    router,
    "survey",
    get_survey,
    stop="Ask the survey to stop, as Ctrl-C does. Its results so far stay.",
    delete="Delete a survey that has ended, with its results.",
)


def _for_page(event: dict[str, Any]) -> dict[str, Any]:
    games = {name: event[name] for name in ("game", "closest", "category") if event.get(name)}
    ids = {name: game | {"id": str(game["id"])} for name, game in games.items()}
    return event | ids | {"url": page_of(event["source"])}


def _attachment(table: bytes, suffix: str, media_type: str, survey: Job) -> Response:
    # Not a file to send from: the table of a survey that runs grows meanwhile.
    if not table:
        raise Problem(404, "The survey has no result yet.")
    headers = {"Content-Disposition": f'attachment; filename="{survey.id}{suffix}"'}
    return Response(table, media_type=media_type, headers=headers)
