"""Job service: start, list, stop and delete jobs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from pathlib import Path

from config import Settings
from dashboard.jobs import commands, runner
from dashboard.jobs.folders import JobFolders, UnknownJob
from dashboard.jobs.log import LogWindow, last_error, read_window
from dashboard.jobs.obstacles import obstacle
from dashboard.jobs.options import Kind, Options
from dashboard.jobs.schemas import Job, JobProgress, JobRecord, State
from dashboard.jobs.survey_results import SurveyResults, count_results
from data.errors import ToolkitError
from data.text import printable_line

WORK: tuple[Kind, ...] = ("download", "train", "check")
SURVEYS: tuple[Kind, ...] = ("survey",)
_ACTIVE: tuple[State, ...] = ("running", "stopping")
_MAX_PROGRESS_BYTES = 10_000
_INDEXES = 2  # surveys whose index of results stays in memory
_ANSWERS = frozenset({0, 3, 4, 5, 6, 7, 8})  # exit codes of a recognition that ended by itself
_MEANINGS = {
    0: "success",
    1: "an error, which the log names",
    2: "an invalid setting or option, which the log names",
    **dict.fromkeys((3, 4, 5, 6, 7), "no stream gave an answer"),
    8: "no stream shows a game that the model knows",
    130: "interrupted",
}
_LOST = "its process was killed, the disk was full at its end, or the machine started again"


class JobRefused(ToolkitError):
    """The job cannot be started, stopped or deleted now."""


class JobService:
    """The jobs of the dataset. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.folders = JobFolders(settings.download_path.resolve() / "dashboard" / "jobs")
        self._results: OrderedDict[str, SurveyResults] = OrderedDict()
        self._counts: dict[str, int] = {}  # results of surveys that have ended
        self._lock = threading.Lock()

    def start(self) -> None:
        """End commands whose runner died while no server ran."""
        with suppress(ToolkitError):
            self.jobs(WORK + SURVEYS)

    def close(self) -> None:
        """Do nothing: jobs outlive the server."""

    def obstacle(self, kind: Kind) -> str:
        """Return what hinders a job of this kind; "" if nothing does."""
        return obstacle(kind, self._settings)

    def create(self, options: Options) -> Job:
        """Start a job. Raises JobRunning, FolderError, JobRefused."""
        if text := self.obstacle(options.kind):
            raise JobRefused(text)
        kinds = SURVEYS if options.kind == "survey" else WORK
        changes = commands.changed_settings(options, self._settings)
        env = commands.make_environment(self._settings, changes)
        job_id = self.folders.start(
            _group(options.kind), options.kind, partial(commands.make_record, options, changes), env
        )
        self.folders.prune(kinds)
        return self.job(job_id, kinds)

    def jobs(self, kinds: tuple[Kind, ...]) -> list[Job]:
        """Return the jobs of these kinds, the newest first. Raises FolderError."""
        found = []
        for job_id in self.folders.ids(kinds):
            with suppress(UnknownJob):  # deleted meanwhile
                found.append(self.job(job_id, kinds))
        return found

    def job(self, job_id: str, kinds: tuple[Kind, ...]) -> Job:
        """Return a job of one of these kinds. Raises UnknownJob."""
        record = self.folders.record(job_id)
        runs = record.ended is None and self.folders.has_runner(job_id)
        if record.ended is None and not runs:  # since it was read, it may have ended
            record = self.folders.record(job_id)
        if record.kind not in kinds:
            raise UnknownJob("There is no such job.")
        state, code = self._state(job_id, record, runs), record.exit_code
        return Job(
            id=job_id,
            kind=record.kind,
            state=state,
            started=record.started,
            ended=record.ended,
            exit_code=code,
            meaning=_LOST if state == "lost" else "" if code is None else _MEANINGS.get(code, "ended by force"),
            message=last_error(self.folder(job_id) / runner.LOG) if state == "failed" else "",
            command=record.shown,
            options=record.options,
            progress=self._progress(job_id, record, ended=state not in _ACTIVE),
        )

    def _state(self, job_id: str, record: JobRecord, runs: bool) -> State:
        if runs:
            return "stopping" if self.folders.is_stopping(job_id) else "running"
        if record.ended is None:
            return "stopping" if self.folders.end_orphan(_group(record.kind), job_id, record.pid) else "lost"
        if record.stopped:
            return "stopped"
        good = _ANSWERS if record.kind == "survey" else {0}
        return "finished" if record.exit_code in good else "failed"

    def _progress(self, job_id: str, record: JobRecord, ended: bool) -> JobProgress:
        if record.kind == "survey":
            return self._survey_progress(job_id, record, ended)
        with suppress(OSError, ValueError):  # not written yet
            with (self.folder(job_id) / commands.PROGRESS).open("rb") as file:
                progress = JobProgress.model_validate_json(file.read(_MAX_PROGRESS_BYTES))
            return progress.model_copy(update={"text": printable_line(progress.text)})
        return JobProgress()

    def _survey_progress(self, job_id: str, record: JobRecord, ended: bool) -> JobProgress:
        """Return the number of results: of lines, because a list of jobs must not read them all."""
        done = self._counts.get(job_id)
        if done is None:
            done = count_results(self.folder(job_id) / runner.OUTPUT)
        if ended:
            self._counts[job_id] = done
        return JobProgress(done=done, total=done if ended else record.options.get("top_streams"), text="streams")

    def stop(self, job: Job) -> None:
        """Ask a job to stop. Raises JobRefused, FolderError."""
        if job.state not in _ACTIVE:
            raise JobRefused("The job has ended already.")
        self.folders.ask_to_stop(job.id)

    def delete(self, job: Job) -> None:
        """Delete a job that has ended. Raises JobRefused, FolderError."""
        if job.state in _ACTIVE:
            raise JobRefused("The job is running; stop it first.")
        with self._lock:
            self._results.pop(job.id, None)
            self._counts.pop(job.id, None)
        self.folders.delete(job.id)

    def log(self, job: Job, offset: int | None, limit: int) -> LogWindow:
        """Return a part of the job's log."""
        return read_window(self.folder(job.id) / runner.LOG, offset, limit, ended=job.state not in _ACTIVE)

    def results(self, job_id: str) -> SurveyResults:
        """Return the results of a survey so far."""
        with self._lock:
            results = self._results.pop(job_id, None) or SurveyResults(self.folder(job_id) / runner.OUTPUT)
            self._results[job_id] = results
            while len(self._results) > _INDEXES:
                self._results.popitem(last=False)
        return results.update()

    def folder(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.folders.root / job_id


def _group(kind: Kind) -> str:
    """Return the group of a kind, of which one job runs at a time."""
    return "survey" if kind == "survey" else "work"
