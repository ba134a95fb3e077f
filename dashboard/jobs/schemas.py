"""Schemas of jobs: in job.json, which a person may have changed, and in the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from dashboard.jobs.options import Kind

State = Literal["running", "stopping", "finished", "failed", "stopped", "lost"]

JOB_EXAMPLE: dict[str, JsonValue] = {
    "id": "20261126-134500-123456-download",
    "kind": "download",
    "state": "running",
    "started": "2026-11-26T13:45:00.123Z",
    "ended": None,
    "exit_code": None,
    "meaning": "",
    "message": "",
    "command": "twitchcategory download --frames=500",
    "options": {"games": [], "frames": 500, "minutes": None, "until": None},
    "progress": {"done": 120, "total": 500, "text": "120 of 500 frames in 40 s (3.00 a second)"},
    "summary": None,
}
SURVEY_EXAMPLE: dict[str, JsonValue] = {
    **JOB_EXAMPLE,
    "id": "20261126-140000-123456-survey",
    "kind": "survey",
    "command": "twitchcategory recognize --top-streams=100",
    "options": {"game": None, "top_streams": 100, "frames": None, "preview": False, "languages": []},
    "progress": {"done": 37, "total": 100, "text": "streams"},
}


class JobRecord(BaseModel):
    """What job.json says of a job; the runner adds the process group `pid`, and at the end the last three."""

    kind: Kind
    options: dict[str, Any]
    shown: str
    started: datetime
    pid: Annotated[int | None, Field(ge=2)] = None
    ended: datetime | None = None
    exit_code: int | None = None
    stopped: bool = False


class JobProgress(BaseModel):
    """What is done, of how much if that is known, in a unit that the text names."""

    done: float = 0
    total: float | None = None
    text: str = ""


class SurveyGame(BaseModel):
    """Streams of a survey that show a game; `mismatches` of them declare another one."""

    id: str
    name: str
    streams: int
    mismatches: int


class SurveySummary(BaseModel):
    """Counts of a survey's results; `compared` verdicts have a game and a category to compare."""

    streams: int
    known: int
    unknown: int
    failed: int
    frames: int
    compared: int
    mismatches: int
    games: list[SurveyGame]
    failures: dict[str, int]


class Job(BaseModel):
    """A command that runs, or ran, in a process of its own."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: str
    kind: Kind
    state: State
    started: datetime
    ended: datetime | None
    exit_code: int | None
    meaning: str
    """What the exit code means."""
    message: str
    """The last error in the log of a job that failed."""
    command: str
    """The command line, as a person would write it."""
    options: dict[str, Any]
    progress: JobProgress
    summary: SurveySummary | None = None
    """Of one survey; null in lists and for other jobs."""
