"""Several outputs as one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from recognition.events import Event
from recognition.outputs.base import Output


class FanOut:
    """Tells each of them, in this order; a context manager that closes them all."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = tuple(outputs)

    def emit(self, event: Event) -> None:
        """Pass it on."""
        for output in self._outputs:
            output.emit(event)

    def close(self) -> None:
        """Close each, the last one first, whatever another's end brings."""
        with ExitStack() as stack:
            for output in self._outputs:
                stack.callback(output.close)

    def __enter__(self) -> FanOut:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
