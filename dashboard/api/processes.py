"""Processes: the operations that jobs and surveys have in common, which read the log, stop and delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.jobs.folders import UnknownJob
from dashboard.jobs.log import MAX_WINDOW, LogWindow
from dashboard.jobs.options import Kind
from dashboard.jobs.schemas import Job
from dashboard.services import Services

Offset = Annotated[int | None, Query(ge=0, le=2**53, description="First byte; without it, the last ones.")]
Limit = Annotated[int, Query(ge=1, le=MAX_WINDOW, description="Bytes at most.")]


def find_process(services: Services, process_id: str, kinds: tuple[Kind, ...], noun: str) -> Job:
    """Return the job or survey (`noun`) with this id. Raises Problem: there is none."""
    try:
        return services.jobs.job(process_id, kinds)
    except UnknownJob as error:
        raise Problem(404, f"There is no such {noun}.") from error


def add_process_routes(
    router: APIRouter, noun: str, find: Callable[..., Job], *, stop: str, delete: str
) -> tuple[Callable[..., LogWindow], Callable[..., Job], Callable[..., None]]:
    """Add the operations to a router and return them: read the log, stop, delete.

    Args:
        router: the router of the jobs or the surveys.
        noun: job or survey: part of the paths, names and summaries.
        find: the dependency that returns the one which the path names.
        stop: description of the second operation.
        delete: description of the third.
    """
    path, found, responses = f"/{noun}s/{{{noun}_id}}", Depends(find), problems(404, 409)

    @router.get(f"{path}/log", name=f"read_{noun}_log", summary=f"Read a {noun}'s log", responses=problems(404, 422))
    def read_log(services: ServicesDep, job: Job = found, offset: Offset = None, limit: Limit = 64_000) -> LogWindow:
        """Return a part of the log. To follow it, ask again with `next` as the offset."""
        return services.jobs.log(job, offset, limit)

    @router.post(
        f"{path}/stop",
        status_code=202,
        name=f"stop_{noun}",
        summary=f"Stop a {noun}",
        description=stop,
        responses=responses,
    )
    def stop_process(services: ServicesDep, job: Job = found) -> Job:
        services.jobs.stop(job)
        return services.jobs.job(job.id, (job.kind,))

    @router.delete(
        path,
        status_code=204,
        name=f"delete_{noun}",
        summary=f"Delete a {noun}",
        description=delete,
        responses=responses,
    )
    def delete_process(services: ServicesDep, job: Job = found) -> None:
        services.jobs.delete(job)

    return read_log, stop_process, delete_process
