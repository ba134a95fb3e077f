"""Output: the interface of everything that consumes events, such as a terminal, a file or a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from data.errors import FolderError

if TYPE_CHECKING:
    from recognition.engine.batching import ImageClassifier
    from recognition.events import Event


class Output(Protocol):
    """A consumer of events. The command closes it at the end, also after an error.

    Example:
        An output that prints verdicts::

            class VerdictPrinter:
                def emit(self, event: Event) -> None:
                    if isinstance(event, VerdictReached):
                        print(event.source, event.verdict.game.name)

                def close(self) -> None:
                    pass

        `recognition.outputs.factory` makes the outputs that a command's options ask for.
    """

    def emit(self, event: Event) -> None:
        """Handle one event. Return at once: a slow output delays the recognition.

        Args:
            event: any event, in the order in which they happen; ignore those that do not concern this output.

        Raises:
            FolderError: a file cannot be written.
        """

    def close(self) -> None:
        """Write or send what is still buffered and free all resources. A second call does nothing."""


@runtime_checkable
class InferenceTimer(Output, Protocol):
    """An output that also measures how long inference takes."""

    def time_inference(self, classifier: ImageClassifier) -> ImageClassifier:
        """Return a classifier that gives the same predictions and measures the time of each batch."""


@contextmanager
def folder_errors(option: str, path: Path) -> Iterator[None]:
    """Raise FolderError, with the option that named the path, for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise FolderError(f"{option}: cannot write {path}: {error}; choose a path that you can write to") from error
