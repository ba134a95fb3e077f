"""Requests of /dataset: what its operations take."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dashboard.dataset.queries import Sort

GameId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
Login = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,25}$")]
Number = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
FramePath = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}/[a-z0-9_]{1,25}-[1-9][0-9]{0,17}\.jpg$")]
ChangeId = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}-[0-9]{6}-[0-9]{6}$")]
ChangeIdOrLast = Annotated[str, StringConstraints(pattern=r"^(last|[0-9]{8}-[0-9]{6}-[0-9]{6})$")]
HashHead = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{16})?$")]
_Text = Annotated[str, StringConstraints(max_length=100)]
_MAX_LISTED = 50_000

_PATH = "509658/ann-12.jpg"


def example(**values: Any) -> ConfigDict:
    """Return a model's configuration with this example; unknown fields are refused."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [dict(values)]})


class FilterFields(BaseModel):
    """Which frames: those that fit every field that is given."""

    model_config = example(game=["509658"], suspect=True)

    game: list[GameId] = Field([], max_length=1000, description="ids of games")
    login: list[Login] = Field([], max_length=1000, description="logins of streamers")
    language: list[_Text] = Field([], max_length=100, description="languages of streams, ISO 639-1 or `other`")
    kind: list[_Text] = Field([], max_length=100, description="kinds of screen, by the last check")
    suggested: list[GameId] = Field([], max_length=1000, description="ids of games that the last check suggests")
    suspect: bool | None = Field(None, description="whether the last check suspects the frame")
    min_suspicion: float = Field(0, ge=0, le=1, description="least suspicion, 0 to 1")
    since: date | None = Field(None, description="first day, in UTC")
    until: date | None = Field(None, description="last day, in UTC")
    q: str = Field("", max_length=25, description="a part of the streamer's login")


class OrderedFields(FilterFields):
    """Which frames, in which order."""

    sort: Sort = Field("stream", description="what the frames are sorted by; by likeness, give `like` too")
    descending: bool = Field(False, description="whether the order is reversed; likeness begins with the most alike")
    like: FramePath | Literal[""] = Field("", description="path of the frame to compare with, for sort=likeness")


class WindowFields(OrderedFields):
    """A window of the frames."""

    offset: int = Field(0, ge=0, le=10**9, description="place of the first frame")
    limit: int = Field(200, ge=1, le=500, description="number of frames")
    at: list[FramePath] = Field(
        [], max_length=5, description="paths; the window begins with the first of them that matches, not at `offset`"
    )


class PathsFields(OrderedFields):
    """A large window of the frames' paths."""

    offset: int = Field(0, ge=0, le=10**9, description="place of the first frame")
    limit: int = Field(20_000, ge=1, le=20_000, description="number of frames")


class ChangeRequest(BaseModel):
    """A change of many frames. Give `frames` or `filter`."""

    model_config = example(action="move", game_id="7", frames=[_PATH])

    action: Literal["move", "no_game", "delete"]
    game_id: GameId | None = Field(None, description="the game to move to")
    frames: list[FramePath] | None = Field(None, max_length=_MAX_LISTED, description="paths")
    filter: FilterFields | None = Field(None, description="all frames that match")
    except_: list[FramePath] = Field([], alias="except", max_length=_MAX_LISTED, description="paths to leave out")
    version: int | None = Field(None, description="that of the list: frames which came later are left out")


class NewGame(BaseModel):
    """A game to add."""

    model_config = example(name="Chess")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
