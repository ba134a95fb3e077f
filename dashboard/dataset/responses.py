"""Responses of /dataset, as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from dashboard.dataset.requests import example

_PATH, _CHANGE_ID, _TIME = "509658/ann-12.jpg", "20261126-101500-123456", "2026-11-26T10:15:00.000Z"
_GAME: dict[str, Any] = {"id": "7", "name": "Chess", "frames": 1200, "streamers": 80, "checked": 1200, "suspects": 31}
_PICTURE = "/api/v1/dataset/pictures/509658/ann/12?v=0123456789abcdef"
_FRAME: dict[str, Any] = {
    "path": _PATH,
    "game_id": "509658",
    "login": "ann",
    "number": 12,
    "picture": _PICTURE,
    "date": _TIME,
    "language": "en",
    "suspicion": 0.83,
    "kind": "other game",
    "suspect": True,
    "suggested": "7",
}
_GROUP: dict[str, Any] = {"game_id": "509658", "login": "ann", "start": 0, "count": 15, "suspicion": 0.83}
_CHANGE: dict[str, Any] = {
    "id": _CHANGE_ID,
    "time": _TIME,
    "summary": "moved: 12 frames to Chess",
    "moved": 12,
    "trashed": 0,
    "undoes": "",
    "is_undone": False,
}
_TRASHED: dict[str, Any] = {
    "path": _PATH,
    "game_id": "509658",
    "login": "ann",
    "number": 12,
    "picture": f"/api/v1/dataset/trash/pictures/{_CHANGE_ID}/509658/ann/12?v=0123456789abcdef",
    "date": _TIME,
    "reason": "deleted",
    "change_id": _CHANGE_ID,
}


class GameEntry(BaseModel):
    """A game of the dataset."""

    model_config = example(**_GAME)

    id: str
    name: str
    frames: int
    streamers: int
    checked: int = Field(description="frames that the last check saw")
    suspects: int


class GameName(BaseModel):
    """A game by id and name."""

    model_config = example(id="1000000000000", name="Chess")

    id: str
    name: str


class DatasetState(BaseModel):
    """The dataset in numbers."""

    model_config = example(
        version=1764152100000,
        path="/data/frames",
        frames=1200,
        games=[_GAME],
        languages={"en": 900, "ja": 300},
        kinds=["gameplay", "menu"],
        checked_at=_TIME,
        first=_TIME,
        last=_TIME,
        trash=3,
        removed_games=[{"id": "8", "name": "Go"}],
        database="ok",
        message="",
    )

    version: int = Field(description="another one after each change of the frames that are listed")
    path: str
    frames: int
    games: list[GameEntry] = Field(description="by name")
    languages: dict[str, int] = Field(description="frames by language, most first")
    kinds: list[str] = Field(description="kinds of screen that the last check found")
    checked_at: str | None
    first: str | None = Field(description="time of the oldest frame")
    last: str | None
    trash: int = Field(description="frames in the trash")
    removed_games: list[GameName]
    database: Literal["ok", "unavailable"]
    message: str = Field(description="what is wrong, and what to do; empty if nothing is")


class FrameEntry(BaseModel):
    """A frame in a list."""

    model_config = example(**_FRAME)

    path: str
    game_id: str
    login: str
    number: int
    picture: str = Field(description="address of the JPEG")
    date: str | None
    language: str
    suspicion: float | None = Field(description="0 to 1, by the last check; null: not checked")
    kind: str | None
    suspect: bool
    suggested: str | None = Field(description="id of the game that the frame shows instead, by the last check")


class FrameWindow(BaseModel):
    """Frames in a row of an order."""

    model_config = example(version=1764152100000, total=1, offset=0, frames=[_FRAME])

    version: int
    total: int
    offset: int | None = Field(description="null: no frame of `at` matches")
    frames: list[FrameEntry]


class PathWindow(BaseModel):
    """Paths in a row of an order."""

    model_config = example(version=1764152100000, total=1, offset=0, paths=[_PATH])

    version: int
    total: int
    offset: int
    paths: list[str]


class GroupEntry(BaseModel):
    """Frames of one stream that follow each other."""

    model_config = example(**_GROUP)

    game_id: str
    login: str
    start: int
    count: int
    suspicion: float | None


class GroupList(BaseModel):
    """All groups of an order."""

    model_config = example(version=1764152100000, total=15, groups=[_GROUP])

    version: int
    total: int = Field(description="number of frames")
    groups: list[GroupEntry]


class Neighbour(BaseModel):
    """A frame that looks alike."""

    model_config = example(path=_PATH, picture=_PICTURE, similarity=0.94, game_id="509658")

    path: str
    picture: str
    similarity: float = Field(description="cosine of the features, -1 to 1")
    game_id: str


class FrameDetail(FrameEntry):
    """A frame with all that is known of it."""

    model_config = example(**_FRAME, sha256="01" * 32, title="", viewers=12, origin="", reason="", neighbours=[])

    sha256: str
    title: str
    viewers: int | None
    origin: str = Field(description="where the frame came from")
    reason: str = Field(description="what the last check says")
    neighbours: list[Neighbour] = Field(description="most similar frames; empty without features of a check")
    neighbours_pending: bool = Field(False, description="whether features are still being read: ask again in seconds")


class ChangeEntry(BaseModel):
    """A change of the dataset."""

    model_config = example(**_CHANGE)

    id: str = Field(description="empty if no frame had to move")
    time: str | None
    summary: str
    moved: int = Field(description="frames that went to another game")
    trashed: int = Field(description="frames that went to the trash")
    undoes: str = Field(description="id of the change that it undoes")
    is_undone: bool


class ChangeList(BaseModel):
    """The latest changes."""

    model_config = example(changes=[_CHANGE])

    changes: list[ChangeEntry] = Field(description="newest first")


class TrashedEntry(BaseModel):
    """A frame in the trash."""

    model_config = example(**_TRASHED)

    path: str = Field(description="before it was removed")
    game_id: str
    login: str
    number: int
    picture: str
    date: str | None
    reason: str
    change_id: str


class TrashWindow(BaseModel):
    """Frames in the trash, newest change first."""

    model_config = example(total=1, offset=0, frames=[_TRASHED])

    total: int
    offset: int
    frames: list[TrashedEntry]
