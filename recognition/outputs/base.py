"""Output: the base class of everything that consumes events, such as a terminal, a file or a server."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data.errors import FolderError, ToolkitError
from recognition.events import Event

STDOUT = Path("-")  # in place of a file

log = logging.getLogger(__name__)


def check_replaceable(path: Path) -> None:
    """Raise FileExistsError for a binary file that is not Parquet: `--csv *.mp4` names a video, often a source."""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(1000)
        if b"\0" in start and not start.startswith(b"PAR1"):
            raise FileExistsError(errno.EEXIST, "the file there is a binary file")


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
        Raises FolderError if a file cannot be written; the output gets no event after that, only `close`.
        """
        raise NotImplementedError

    def on_batch(self, images: int, seconds: float) -> None:
        """Handle one inference of watch mode: its number of images, its seconds. Any thread may call this."""

    def close(self) -> None:
        """Write or send what is still buffered and free all resources. A second call does nothing."""


class FanOut(Output):
    """Several outputs behind the interface of one.

    An output that fails is closed and gets no further events; the others go on. It costs one line on stderr and the
    exit code 1, never the recognition: a watch lasts for days. Only an OSError of stdout itself is raised.
    """

    def __init__(self, outputs: Iterable[Output]) -> None:
        """Take the outputs. If one of them cannot be created, close those before it and raise its error."""
        self.exit_code = 0
        self._outputs: list[Output] = []
        try:
            for output in outputs:
                self._outputs.append(output)
        except BaseException:
            self.close()
            raise

    def emit(self, event: Event) -> None:
        """Emit the event to each output, in their order."""
        for output in [*self._outputs]:
            if not self._succeeds(lambda: output.emit(event)):  # noqa: B023 - called at once
                self._outputs.remove(output)
                self._succeeds(output.close, quiet=True)

    def on_batch(self, images: int, seconds: float) -> None:
        """Pass the inference on to each output."""
        for output in [*self._outputs]:
            output.on_batch(images, seconds)

    def close(self) -> None:
        """Close the outputs, the last one first. A second call does nothing."""
        with ExitStack() as stack:
            while self._outputs:
                stack.callback(self._succeeds, self._outputs.pop(0).close)

    def _succeeds(self, action: Callable[[], None], quiet: bool = False) -> bool:
        """Return whether the action succeeds; log its failure, unless `quiet`."""
        try:
            action()
        except (OSError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # see the class; a panic of a Rust library is no Exception
            self.exit_code = 1
            if not quiet:
                unexpected = f"an output failed and is closed: {type(error).__name__}: {error}"
                log.error("%s", error if isinstance(error, ToolkitError) else unexpected)
                log.debug("traceback of this error:", exc_info=True)
            return False
        return True


@contextmanager
def folder_errors(option: str, path: Path) -> Iterator[None]:
    """Raise FolderError, with the option that named the path, for an OSError in the block; one of stdout passes."""
    try:
        yield
    except OSError as error:
        if path == STDOUT:
            raise
        raise FolderError(f"{option}: cannot write {path}: {error}; choose a path that you can write to") from error
