"""Fan-out: several outputs behind the interface of one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from recognition.events import Event
from recognition.outputs.base import Output


class FanOut:
    """Emit each event to several outputs in their order. A context manager that closes them at its end."""

    def __init__(self, outputs: Iterable[Output]) -> None:
        self._outputs = tuple(outputs)

    def emit(self, event: Event) -> None:
        """Emit the event to each output."""
        for output in self._outputs:
            output.emit(event)

    def close(self) -> None:
        """Close the outputs, the last one first. An error of one output does not keep the others open."""
        with ExitStack() as stack:
            for output in self._outputs:
                stack.callback(output.close)

    def __enter__(self) -> FanOut:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
