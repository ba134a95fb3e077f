"""Streams of messages to clients: server-sent events and WebSockets.

Each client looks for new messages ten times a second and gets them in one piece: at 50 channels, that costs half of
what a write for each message costs. A client that does not take a piece within 30 s is cut off.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from dashboard.live.event_log import EventLog, Message

_PERIOD_S = 0.1
_PING_S = 15.0
_STALL_S = 30.0
_CLOSE_S = 1.0
_NO_MESSAGES_EXPECTED = 1008  # code of a WebSocket's end: the client broke a rule


async def new_messages(log: EventLog, seen: str) -> AsyncIterator[list[Message]]:
    """Yield what follows the message `seen`, as it comes; an empty list after 15 s of silence. End with the log."""
    sent_at = time.monotonic()
    while not log.closed:
        messages = log.after(seen)
        if messages or time.monotonic() >= sent_at + _PING_S:
            seen, sent_at = messages[-1].id if messages else seen, time.monotonic()
            yield messages
        await anyio.sleep(_PERIOD_S)


class EventStream(StreamingResponse):
    """Server-sent events: the messages after the one `seen`, until the client leaves or stalls."""

    media_type = "text/event-stream"

    def __init__(self, log: EventLog, seen: str) -> None:
        super().__init__(_as_server_sent(log, seen), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; give up on a client that does not receive."""

        async def send_or_give_up(message: AsgiMessage) -> None:
            with anyio.fail_after(_STALL_S):
                await send(message)

        with suppress(TimeoutError):
            await super().__call__(scope, receive, send_or_give_up)


async def _as_server_sent(log: EventLog, seen: str) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for messages in new_messages(log, seen):
        yield "".join(f"id: {one.id}\nevent: {one.name}\ndata: {one.data}\n\n" for one in messages) or ": ping\n\n"


async def serve_socket(socket: WebSocket, log: EventLog, seen: str) -> None:
    """Send the messages after the one `seen` to a WebSocket, until the client leaves, stalls, or sends anything."""
    await socket.accept()
    async with anyio.create_task_group() as tasks:

        async def until_a_message() -> None:
            await socket.receive()
            tasks.cancel_scope.cancel()

        tasks.start_soon(until_a_message)
        with suppress(TimeoutError):
            async for messages in new_messages(log, seen):
                for one in messages:
                    with anyio.fail_after(_STALL_S):
                        await socket.send_text(_as_text(one))
        tasks.cancel_scope.cancel()
    with suppress(RuntimeError), anyio.move_on_after(_CLOSE_S):  # the client closed it, or takes nothing
        await socket.close(_NO_MESSAGES_EXPECTED if not log.closed else 1001)


def _as_text(message: Message) -> str:
    return f'{{"id":{json.dumps(message.id)},"event":{json.dumps(message.name)},"data":{message.data}}}'
