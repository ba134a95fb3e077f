"""Events as lines on stdout, for people or for programs; flushed at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

from recognition.events import Answered, Changed, Event, Failed, FrameSeen, as_json

log = logging.getLogger(__name__)


class Lines:
    """For people. With one source the original's lines; `named`: each line begins with its source."""

    def __init__(self, named: bool) -> None:
        self._named = named

    def tell(self, event: Event) -> None:
        """Print what there is to say of it; a failure's line goes to stderr."""
        if isinstance(event, Failed):
            log.error("%s", event.error)
            return
        for line in lines(event):
            print(f"{event.source}: {line}" if self._named else line, flush=True)

    def close(self) -> None:
        """Nothing is kept."""


class JsonLines:
    """For programs: docs/events.schema.json."""

    def tell(self, event: Event) -> None:
        """Print it."""
        print(json.dumps(as_json(event), ensure_ascii=False), flush=True)

    def close(self) -> None:
        """Nothing is kept."""


def lines(event: FrameSeen | Answered | Changed) -> Iterator[str]:
    """What is said of an event."""
    if isinstance(event, FrameSeen):
        yield event.prediction.line(event.number)
    elif isinstance(event, Answered):
        yield event.verdict.line()
    elif event.after:
        yield f"Now {event.after.name} (frame {event.number})"
    else:
        yield f"Now Unknown (frame {event.number})"
