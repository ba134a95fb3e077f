"""Processes: the operations that jobs and surveys have in common, which read the log, stop and delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

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

    `noun`, job or survey, is part of paths, names and summaries. `find` is the dependency that returns the one which
    the path names. `stop` and `delete` describe the operations.
    """
    path, found, errors = f"/{noun}s/{{{noun}_id}}", Depends(find), problems(404, 409)
    read: dict[str, Any] = {
        "name": f"read_{noun}_log",
        "summary": f"Read a {noun}'s log",
        "responses": problems(404, 422),
    }
    texts: dict[str, dict[str, Any]] = {
        name: {"name": f"{name}_{noun}", "summary": f"{name.capitalize()} a {noun}"} for name in ("stop", "delete")
    }

    @router.get(f"{path}/log", **read)
    def read_log(services: ServicesDep, job: Job = found, offset: Offset = None, limit: Limit = 64_000) -> LogWindow:
        """Return a part of the log. To follow it, ask again with `next` as the offset."""
        return services.jobs.log(job, offset, limit)

    @router.post(f"{path}/stop", status_code=202, description=stop, responses=errors, **texts["stop"])
    def stop_process(services: ServicesDep, job: Job = found) -> Job:
        services.jobs.stop(job)
        return services.jobs.job(job.id, (job.kind,))

    @router.delete(path, status_code=204, description=delete, responses=errors, **texts["delete"])
    def delete_process(services: ServicesDep, job: Job = found) -> None:
        services.jobs.delete(job)

    return read_log, stop_process, delete_process
