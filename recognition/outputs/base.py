"""Output: the base class of everything that consumes events, such as a terminal, a file or a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data.errors import FolderError
from recognition.events import Event


class Output:
    """A consumer of events. The command closes it at the end, also after an error.

    Example:
        An output that prints verdicts::

            class VerdictPrinter(Output):
                def emit(self, event: Event) -> None:
                    if isinstance(event, VerdictReached):
                        print(event.source, event.verdict.game.name)

        `recognition.outputs.factory` makes the outputs that a command's options ask for.
    """

    def emit(self, event: Event) -> None:
        """Handle one event. Return at once: a slow output delays the recognition.

        Events of all kinds come in the order in which they happen; ignore those that do not concern this output.
        Raises FolderError if a file cannot be written.
        """
        raise NotImplementedError

    def on_batch(self, images: int, seconds: float) -> None:
        """Handle one inference of watch mode: its number of images, its seconds. Any thread may call this."""

    def close(self) -> None:
        """Write or send what is still buffered and free all resources. A second call does nothing."""


class FanOut(Output):
    """Several outputs behind the interface of one."""

    def __init__(self, outputs: Iterable[Output]) -> None:
        self._outputs = tuple(outputs)

    def emit(self, event: Event) -> None:
        """Emit the event to each output, in their order."""
        for output in self._outputs:
            output.emit(event)

    def on_batch(self, images: int, seconds: float) -> None:
        """Pass the inference on to each output."""
        for output in self._outputs:
            output.on_batch(images, seconds)

    def close(self) -> None:
        """Close the outputs, the last one first. An error of one output does not keep the others open."""
        with ExitStack() as stack:
            for output in self._outputs:
                stack.callback(output.close)


@contextmanager
def folder_errors(option: str, path: Path) -> Iterator[None]:
    """Raise FolderError, with the option that named the path, for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise FolderError(f"{option}: cannot write {path}: {error}; choose a path that you can write to") from error
