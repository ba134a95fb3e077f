"""Operations of /dataset: lists, pictures and changes of the frames."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.dataset import queries, requests, responses, views
from dashboard.dataset.index import DatasetIndex
from dashboard.dataset.queries import FrameQuery
from dashboard.dataset.service import DatasetService
from data.entities import StoredFrame
from data.errors import FolderError
from data.storage.journal import Change, ChangeSummary, trash_path
from data.storage.manifest import to_iso

router = APIRouter(prefix="/dataset", tags=["dataset"])

_IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}
_NEIGHBOURS_S = 0.5  # to wait for features
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "The JPEG"}}
_GameId = Annotated[requests.GameId, Path(description="id of the game", examples=["509658"])]
_Login = Annotated[requests.Login, Path(description="login of the streamer", examples=["ann"])]
_Number = Annotated[requests.Number, Path(description="number of the frame", examples=["12"])]
_ChangeId = Annotated[requests.ChangeId, Path(description="id of the change", examples=["20261126-101500-123456"])]
_UndoneId = Annotated[requests.ChangeIdOrLast, Path(description="id of the change, or `last`", examples=["last"])]
_Head = Annotated[requests.HashHead, Query(description="first 16 digits of the file's SHA-256")]
_Offset = Annotated[int, Query(ge=0, le=10**9, description="place of the first one")]


@router.get("", response_model=responses.DatasetState, summary="Numbers of the dataset")
def show_dataset(services: ServicesDep) -> Response:
    """Return games, languages and kinds with their frames, and whether the database answers."""
    dataset = services.dataset
    index = dataset.index
    summary = dataset.summary(index)
    removed = dataset.store.removed_games()
    return JSONResponse(
        {
            "version": summary.version,
            "path": dataset.store.location,
            "frames": summary.frames,
            "games": views.game_entries(summary),
            "languages": summary.languages,
            "kinds": summary.kinds,
            "checked_at": to_iso(index.findings.checked_at) or None,
            "first": to_iso(summary.first) or None,
            "last": to_iso(summary.last) or None,
            "trash": dataset.history.trash_size(),
            "removed_games": [{"id": str(game.id), "name": game.name} for game in removed.values()],
            "database": "unavailable" if dataset.outage else "ok",
            "message": dataset.message,
        }
    )


@router.get(
    "/frames", response_model=responses.FrameWindow, summary="A window of the frames", responses=problems(404, 409)
)
def list_frames(services: ServicesDep, fields: Annotated[requests.WindowFields, Query()]) -> Response:
    """Return the frames that match, in order, from `offset` or from the frame `at` on."""
    index = services.dataset.index
    positions = _positions(services.dataset, index, fields)
    offset = _place(index, positions, fields.at) if fields.at else fields.offset
    window = positions[:0] if offset is None else positions[offset : offset + fields.limit]
    return _window(index, positions, offset, frames=views.frame_entries(index, window))


@router.get("/paths", response_model=responses.PathWindow, summary="Paths of many frames", responses=problems(404, 409))
def list_paths(services: ServicesDep, fields: Annotated[requests.PathsFields, Query()]) -> Response:
    """Return the paths of the frames that match, in order."""
    index = services.dataset.index
    positions = _positions(services.dataset, index, fields)
    window = positions[fields.offset : fields.offset + fields.limit]
    return _window(index, positions, fields.offset, paths=views.paths(index, window))


@router.get(
    "/groups", response_model=responses.GroupList, summary="Streams of the frames", responses=problems(404, 409)
)
def list_groups(services: ServicesDep, fields: Annotated[requests.OrderedFields, Query()]) -> Response:
    """Return the runs of frames of one stream, in the same order as the frames."""
    index = services.dataset.index
    positions = _positions(services.dataset, index, fields)
    entries = views.group_entries(index, positions, queries.groups(index, positions))
    return JSONResponse({"version": index.version, "total": len(positions), "groups": entries})


@router.get(
    "/frames/{game_id}/{login}/{number}",
    response_model=responses.FrameDetail,
    summary="One frame",
    responses=problems(404, 409),
)
def show_frame(services: ServicesDep, game_id: _GameId, login: _Login, number: _Number) -> Response:
    """Return a frame with its provenance, what the last check says, and the frames that look alike."""
    dataset, index = services.dataset, services.dataset.index
    position = _find(index, _path(game_id, login, number))
    detail = views.frame_detail(index, position, dataset.described(index.frame(position)))
    found = dataset.neighbours(index, position, _NEIGHBOURS_S)
    neighbours = views.neighbour_entries(index, found or ())
    return JSONResponse({**detail, "neighbours": neighbours, "neighbours_pending": found is None})


@router.get(
    "/pictures/{game_id}/{login}/{number}",
    response_class=Response,
    summary="Picture of a frame",
    responses=_JPEG | problems(404),
)
def show_picture(services: ServicesDep, game_id: _GameId, login: _Login, number: _Number, v: _Head = "") -> Response:
    """Return the JPEG of a frame, which browsers keep for ever: another picture has another `v`."""
    return _picture(services.dataset, _path(game_id, login, number), v)


@router.post(
    "/changes", response_model=responses.ChangeEntry, summary="Change frames", responses=problems(404, 409, 503)
)
def change_frames(services: ServicesDep, request: requests.ChangeRequest) -> Response:
    """Move frames to another game, or to the trash: all of them or none, with their rows.

    Frames that are gone, or in that game already, are left out; the response says how many went.
    """
    dataset = services.dataset
    if (request.action == "move") != (request.game_id is not None):
        raise Problem(422, "game_id: needed to move frames, and for nothing else.")
    if (request.frames is None) == (request.filter is None):
        raise Problem(422, "Give either frames or filter.")
    index = dataset.index
    positions = _selected(dataset, index, request)
    target = int(request.game_id) if request.game_id else None
    reason = {"move": "moved", "no_game": "no game", "delete": "deleted"}[request.action]
    return _changed(dataset.move(index, positions, target, reason))


@router.post(
    "/changes/{change_id}/undo",
    response_model=responses.ChangeEntry,
    summary="Undo a change",
    responses=problems(409, 503),
)
def undo_change(services: ServicesDep, change_id: _UndoneId) -> Response:
    """Move the frames of a change back; `last` is the last one that is not undone, also if another visitor made it.

    The response is the change that does so.
    """
    return _changed(services.dataset.undo(None if change_id == "last" else change_id))


@router.get("/changes", response_model=responses.ChangeList, summary="Latest changes", responses=problems(409))
def list_changes(
    services: ServicesDep, limit: Annotated[int, Query(ge=1, le=200, description="number of changes")] = 50
) -> Response:
    """Return the latest changes, newest first; those of the command `model.check` too."""
    found = services.dataset.history.changes(limit)
    undone = {change.undoes for change in found}
    return JSONResponse({"changes": [views.change_entry(change, undone) for change in found]})


@router.get("/trash", response_model=responses.TrashWindow, summary="A window of the trash", responses=problems(409))
def list_trash(
    services: ServicesDep,
    offset: _Offset = 0,
    limit: Annotated[int, Query(ge=1, le=500, description="number of frames")] = 200,
) -> Response:
    """Return the frames in the trash, newest change first."""
    history = services.dataset.history
    frames = [views.trashed_entry(file) for file in history.trash(offset, limit)]
    return JSONResponse({"total": history.trash_size(), "offset": offset, "frames": frames})


@router.get(
    "/trash/pictures/{change_id}/{game_id}/{login}/{number}",
    response_class=Response,
    summary="Picture in the trash",
    responses=_JPEG | problems(404),
)
def show_trashed_picture(
    services: ServicesDep, *, change_id: _ChangeId, game_id: _GameId, login: _Login, number: _Number, v: _Head = ""
) -> Response:
    """Return the JPEG of a frame in the trash."""
    frame = StoredFrame.parse(_path(game_id, login, number))
    return _picture(services.dataset, trash_path(change_id, frame), v)


@router.post("/games", response_model=responses.GameName, summary="Add a game", responses=problems(409, 503))
def add_game(services: ServicesDep, request: requests.NewGame) -> Response:
    """Return the game with this name: a new one, one that was removed, or one that is there already."""
    game = services.dataset.add_game(request.name)
    return JSONResponse({"id": str(game.id), "name": game.name})


def _positions(dataset: DatasetService, index: DatasetIndex, fields: requests.OrderedFields) -> np.ndarray:
    """Return the positions of the frames that match, in order. Raises Problem, DatasetError."""
    if (fields.sort == "likeness") != bool(fields.like):
        raise Problem(422, "like: needed for sort=likeness, and for nothing else.")
    like = index.frame(_find(index, fields.like)).sha256 if fields.like else b""
    return dataset.positions(index, FrameQuery(views.to_filter(fields), fields.sort, fields.descending, like))


def _place(index: DatasetIndex, positions: np.ndarray, wanted: list[str]) -> int | None:
    """Return the place of the first of these paths that is in the order."""
    places = (np.flatnonzero(positions == position) for position in index.find(wanted).tolist())
    return next((int(found[0]) for found in places if len(found)), None)


def _find(index: DatasetIndex, path: str) -> int:
    positions = index.find([path])
    if not len(positions):
        raise Problem(404, f"There is no frame {path}.")
    return int(positions[0])


def _path(game_id: str, login: str, number: str) -> str:
    return f"{game_id}/{login}-{number}.jpg"


def _window(index: DatasetIndex, positions: np.ndarray, offset: int | None, **content: Any) -> Response:
    return JSONResponse({"version": index.version, "total": len(positions), "offset": offset, **content})


def _selected(dataset: DatasetService, index: DatasetIndex, request: requests.ChangeRequest) -> np.ndarray:
    """Return the positions of the frames that a request means: of those that its sender saw, not of later ones."""
    if request.filter is not None:
        positions = dataset.positions(index, FrameQuery(views.to_filter(request.filter)))
    else:
        positions = np.unique(index.find(request.frames or ()))
    if request.version is not None:
        positions = positions[index.rows["since"][positions] <= request.version]
    return np.setdiff1d(positions, index.find(request.except_))


def _changed(change: Change) -> Response:
    moved = len(change.moves) - change.trashed
    summary = ChangeSummary(change.id if change.moves else "", change.summary, change.undoes, moved, change.trashed)
    return JSONResponse(views.change_entry(summary))


def _picture(dataset: DatasetService, path: str, head: str) -> Response:
    try:
        content = dataset.picture(path, head)
    except FolderError as error:
        raise Problem(404, str(error)) from error
    return Response(content, media_type="image/jpeg", headers=_IMMUTABLE if head else {"Cache-Control": "no-cache"})
