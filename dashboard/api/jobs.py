"""Jobs: downloads, trainings and checks as processes that outlive the server."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.jobs.folders import UnknownJob
from dashboard.jobs.log import MAX_WINDOW, LogWindow
from dashboard.jobs.options import JobOrder
from dashboard.jobs.schemas import JOB_EXAMPLE, Job
from dashboard.jobs.service import WORK

router = APIRouter(tags=["jobs"])

Offset = Annotated[int | None, Query(ge=0, le=2**53, description="First byte; without it, the last ones.")]
Limit = Annotated[int, Query(ge=1, le=MAX_WINDOW, description="Bytes at most.")]


class Jobs(BaseModel):
    """All jobs, the newest first, and by kind what hinders a new one; "" if nothing does."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"jobs": [JOB_EXAMPLE], "obstacles": {"download": "", "train": "Two games …", "check": ""}}]
        }
    )
    jobs: list[Job]
    obstacles: dict[str, str]


def get_job(job_id: Annotated[str, Path(description="Id of a job.")], services: ServicesDep) -> Job:
    """Return the job that the path names."""
    try:
        return services.jobs.job(job_id, WORK)
    except UnknownJob as error:
        raise Problem(404, str(error)) from error


JobDep = Annotated[Job, Depends(get_job)]


@router.get("/jobs", summary="List the jobs")
def list_jobs(services: ServicesDep) -> Jobs:
    """Return the latest 50 jobs, and what each kind of job still needs before it can start."""
    obstacles = {kind: services.jobs.obstacle(kind) for kind in WORK}
    return Jobs(jobs=services.jobs.jobs(WORK), obstacles=obstacles)


@router.post("/jobs", status_code=201, summary="Start a job", responses=problems(409, 422))
def start_job(order: JobOrder, services: ServicesDep) -> Job:
    """Start a download, a training or a check. One of them runs at a time; it goes on when the server ends."""
    return services.jobs.create(order.options)


@router.get("/jobs/{job_id}", summary="Show a job", responses=problems(404))
def show_job(job: JobDep) -> Job:
    """Return the job with its state and progress."""
    return job


@router.get("/jobs/{job_id}/log", summary="Read a job's log", responses=problems(404, 422))
def read_job_log(job: JobDep, services: ServicesDep, offset: Offset = None, limit: Limit = 64_000) -> LogWindow:
    """Return a part of the log. To follow it, ask again with `next` as the offset."""
    return services.jobs.log(job, offset, limit)


@router.post("/jobs/{job_id}/stop", status_code=202, summary="Stop a job", responses=problems(404, 409))
def stop_job(job: JobDep, services: ServicesDep) -> Job:
    """Ask the command to stop, as Ctrl-C does; after its time is up it is ended by force. Frames and epochs stay."""
    services.jobs.stop(job)
    return services.jobs.job(job.id, WORK)


@router.delete("/jobs/{job_id}", status_code=204, summary="Delete a job", responses=problems(404, 409))
def delete_job(job: JobDep, services: ServicesDep) -> None:
    """Delete the log of a job that has ended. What it made, such as frames and models, stays."""
    services.jobs.delete(job)
