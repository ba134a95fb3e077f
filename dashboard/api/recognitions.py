"""Recognitions: what a stream, an uploaded picture or clip, or a frame of the dataset shows."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from typing import IO, Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.models.recognition import MAX_FRAMES, Recognition, TooManyRecognitions
from dashboard.uploads.service import TooManyUploads, UploadService, UploadTooLarge, receive
from data.entities import StoredFrame
from data.errors import FolderError, UndecodableVideo

router = APIRouter(tags=["recognitions"])

_UPLOAD_NAME = "uploaded file"  # a login has no space
_RETRY = {"Retry-After": "5"}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "the picture or clip itself, at most 64 MiB",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("application/octet-stream", "image/*", "video/*")
        },
    }
}


class SourceToRecognise(BaseModel):
    """A source, and how many of its frames are classified."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "some_login", "frames": 5}]})

    source: str = Field(min_length=1, max_length=2048, description="a Twitch login, or an address that is allowed")
    frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = None


class FrameToRecognise(BaseModel):
    """A frame of the dataset."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"path": "27471/some_login-1.jpg"}]})

    path: str = Field(max_length=100, description="game id/login-number.jpg")


@router.post(
    "/recognitions",
    summary="What a stream shows now",
    response_model=Recognition,
    responses=problems(404, 409, 422, 502, 503),
)
def recognise_source(services: ServicesDep, request: SourceToRecognise) -> Recognition:
    """Take frames of a channel, a recording or a clip, and return their predictions and the verdict of them all."""
    source = services.security.check_source(request.source)
    frames = request.frames or min(services.settings.frames_per_stream, MAX_FRAMES)
    try:
        return services.models.recognise_source(source, frames)
    except TooManyRecognitions as error:
        raise Problem(503, str(error), _RETRY) from error


@router.post(
    "/recognitions/upload",
    summary="What a picture or a clip shows",
    response_model=Recognition,
    responses=problems(408, 409, 413, 422, 503),
    openapi_extra=_BODY,
)
async def recognise_upload(request: Request, services: ServicesDep) -> Recognition:
    """Decode the body in a process of its own, and return the predictions of its frames and the verdict."""
    try:
        with tempfile.TemporaryFile() as file:
            await receive(request.stream(), file)
            jpegs = await _decode(services.uploads, request, file)
    except UploadTooLarge as error:
        raise Problem(413, str(error), {"Connection": "close"}) from error
    except TooManyUploads as error:
        raise Problem(503, str(error), _RETRY) from error
    except UndecodableVideo as error:
        raise Problem(422, str(error)) from error
    return await run_in_threadpool(services.models.recognise_frames, _UPLOAD_NAME, jpegs)


async def _decode(uploads: UploadService, request: Request, file: IO[bytes]) -> list[bytes]:
    """Return an upload's frames; give up when the client leaves. Raises UndecodableVideo, TooManyUploads."""
    gone = threading.Event()

    async def watch() -> None:
        await request.receive()  # after the whole body: returns when the client leaves
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        return await run_in_threadpool(uploads.decode, file, gone)
    finally:
        watching.cancel()


@router.post(
    "/recognitions/frame",
    summary="What a frame of the dataset shows",
    response_model=Recognition,
    responses=problems(404, 409, 422),
)
def recognise_frame(services: ServicesDep, request: FrameToRecognise) -> Recognition:
    """Return the prediction of a frame, such as whether the model agrees with its game."""
    try:
        return services.models.recognise_stored(StoredFrame.parse(request.path))
    except ValueError as error:
        raise Problem(422, "path: must be <game id>/<login>-<number>.jpg") from error
    except FolderError as error:
        raise Problem(404, "This frame does not exist; it may have been moved or deleted.") from error
