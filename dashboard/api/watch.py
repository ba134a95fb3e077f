"""API of the live wall: channels, their pictures, and one stream of events for all of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response, WebSocket
from starlette.responses import Response as PlainResponse

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.live.schemas import AddedSources, ChangeLog, Sources, Wall
from dashboard.live.service import MAX_ENTRIES
from dashboard.live.streams import EventStream, serve_socket

router = APIRouter(tags=["watch"])

_MAX_ID = 40
_EVENTS_EXAMPLE = (
    'id: 9b3f02aa-1842\nevent: change\ndata: {"tile":{"id":"5f0c2a91d3","game":{"id":"743","name":"Chess"},'
    '"known":true},"event":{"schema":1,"event":"change","source":"some_login",…}}\n\n'
)
_EVENTS: dict[int | str, dict[str, object]] = {
    200: {
        "description": "The events, until the client leaves",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS_EXAMPLE}},
    }
}
_PICTURE: dict[int | str, dict[str, object]] = {
    200: {
        "description": "The frame",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}
TileId = Annotated[str, Path(max_length=_MAX_ID, description="`id` of a tile")]
EventId = Annotated[str, Query(max_length=_MAX_ID, description="Id of the last event that the client has")]


@router.get("/watch", summary="The watched channels", response_model=Wall)
def list_channels(services: ServicesDep) -> dict[str, object]:
    """Return a tile for each channel: state, game, confidence over time, declared category, newest frame."""
    streams, last_event_id = services.watch.tiles()
    return {"streams": streams, "last_event_id": last_event_id}


@router.post("/watch", summary="Watch more channels", response_model=AddedSources, responses=problems(409, 422))
def add_channels(services: ServicesDep, body: Sources) -> dict[str, object]:
    """Watch more channels from now on, also after a restart of the server; say which are refused and why.

    The first channel loads the model, which takes a second or two.
    """
    added, refused = services.watch.add(body.sources)
    return {"added": added, "refused": [{"source": source, "message": message} for source, message in refused]}


@router.delete("/watch/{tile_id}", summary="Stop to watch a channel", status_code=204, responses=problems(404))
def remove_channel(services: ServicesDep, tile_id: TileId) -> None:
    """Stop to watch a channel and remove its tile."""
    if not services.watch.remove(tile_id):
        raise _no_tile()


@router.get(
    "/watch/events",
    summary="What happens on the wall, as server-sent events",
    response_class=Response,
    responses={**_EVENTS, **problems(503)},
)
async def stream_events(
    services: ServicesDep,
    after: EventId = "",
    last_event_id: Annotated[str, Header(max_length=_MAX_ID, description="Has precedence over `after`")] = "",
) -> EventStream:
    """Send all events of all channels, as they happen, in one stream.

    `data` is `{"tile": …, "event": …}`: what changed of a tile since the event before, and the event of
    docs/events.schema.json that changed it, or null. A tile with an unknown id is new and whole. `point` is to be
    appended to its `history`. The names are those of the events, with `tile` for frames (at most one a second and
    tile); `removed`; and `reset`, after which the client reads `GET /watch` again: the events that it lacks are gone.
    Without `after` and Last-Event-ID the stream begins with the next event. The WebSocket `/api/v1/watch/socket?after=`
    sends the same, each event as `{"id", "event", "data"}`; it takes no messages.
    """
    log = services.watch.log
    return EventStream(log, last_event_id or after or log.last_id)


@router.websocket("/watch/socket")
async def open_socket(socket: WebSocket, services: ServicesDep, after: EventId = "") -> None:
    """Send the same events through a WebSocket, each as `{"id", "event", "data"}`; it takes no messages."""
    log = services.watch.log
    await serve_socket(socket, log, after or log.last_id)


@router.get("/watch/log", summary="Latest changes, verdicts and failures", response_model=ChangeLog)
def list_changes(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES, description="How many at most")] = 100,
) -> dict[str, object]:
    """Return the latest changes of game, verdicts and failures since the server's start, newest first."""
    return {"entries": services.watch.entries(limit)}


@router.get(
    "/watch/{tile_id}/picture",
    summary="Newest frame of a channel",
    response_class=Response,
    responses={**_PICTURE, **problems(404)},
)
async def get_picture(
    services: ServicesDep,
    tile_id: TileId,
    n: Annotated[int | None, Query(ge=0, le=10**12, description="Number of the frame")] = None,
) -> PlainResponse:
    """Return the newest frame as JPEG. If that is frame `n`, the answer never changes and may be kept."""
    if not (found := services.watch.picture(tile_id)):
        raise _no_tile()
    number, jpeg = found
    kept = "private, max-age=31536000, immutable" if n == number else "no-store"
    return PlainResponse(jpeg, media_type="image/jpeg", headers={"Cache-Control": kept})


def _no_tile() -> Problem:
    return Problem(404, "There is no such channel on the wall, or it has no frame yet")
