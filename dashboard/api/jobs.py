"""Jobs: downloads, trainings and checks as processes that outlive the server."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import problems
from dashboard.api.processes import add_process_routes, find_process
from dashboard.jobs.options import JobOrder
from dashboard.jobs.schemas import JOB_EXAMPLE, Job
from dashboard.jobs.service import WORK

router = APIRouter(tags=["jobs"])


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
    return find_process(services, job_id, WORK, "job")


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


read_job_log, stop_job, delete_job = add_process_routes(
    router,
    "job",
    get_job,
    stop="Ask the command to stop, as Ctrl-C does; after its time is up it is ended by force. Frames and epochs stay.",
    delete="Delete the log of a job that has ended. What it made, such as frames and models, stays.",
)
