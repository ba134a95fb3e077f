"""Exception tree: one class for each different recovery.

    ToolkitError                      every expected error; a command prints one line and exits
    ├── SettingsError                 a setting is invalid           → exit 2; the line names the setting
    ├── DirectoryError                the directory of games and streams (Helix)
    │   ├── DirectoryUnavailable      down, slow or rate-limited     → wait, then repeat the request
    │   ├── DirectoryUnauthorized     it refuses us for good         → exit 1; the line says what to fix
    │   └── CategoryNotFound          no category has that name      → exit 2; the line names it
    ├── StreamError                   this stream only               → take the next stream
    │   ├── StreamOffline             ended, or not started          → exit 3
    │   ├── OnlyAds                   only ads so far                → exit 4
    │   ├── SourceNotFound            no such channel, URL or file   → exit 5
    │   ├── UndecodableVideo          the video cannot be decoded    → exit 6
    │   ├── AllFramesRejected         the filter rejects each frame  → only downloads raise it
    │   ├── StreamClaimed             another download grabs it      → only downloads raise it
    │   ├── StreamUnavailable         its servers fail or refuse     → exit 7
    │   └── UnexpectedStreamError     an exception nobody named      → exit 1; its traceback at -vv
    ├── FolderError                   files cannot be read/written   → exit 1; saved frames stay
    ├── CatalogUnavailable            PostgreSQL is out of reach     → exit 1; saved frames stay
    │   └── CatalogConnectionLost     it was reachable before        → wait for its restart, repeat the call
    ├── DatasetError                  too little to train on         → exit 1; the line says what is missing
    ├── ModelError                    missing or inconsistent files  → exit 1; the line says how to build a model
    ├── ClusterError                  the cluster cannot be used     → exit 1; the line says what to fix
    │   └── WorkerLost                a worker of the cluster died   → the task goes to another worker
    └── ExtraMissing                  an extra is not installed      → exit 1; the line says how to install it

Who catches what: the download loop `StreamError`, its pause `DirectoryUnavailable`, the commands `ToolkitError`.
Exceptions of libraries are translated where they enter, with `raise ... from`; around a whole stream,
`translate_unexpected` translates those that nobody foresaw. No function returns None for failure.
Exit code 8 is not here: it is that of an unknown verdict, which is no error (recognition.modes.single).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

log = logging.getLogger(__name__)


class ToolkitError(Exception):
    """Base class of all expected errors. `str(error)` is one line: what happened, then what to do."""

    exit_code: ClassVar[int] = 1


class SettingsError(ToolkitError):
    """A setting is missing or invalid. The message starts with its name in upper case."""

    exit_code = 2


class DirectoryError(ToolkitError):
    """Base class of errors of the directory of games and streams (the Twitch API)."""


class DirectoryUnavailable(DirectoryError):
    """The directory is down, slow or rate-limited; the same request may succeed later."""


class DirectoryUnauthorized(DirectoryError):
    """The directory refused the credentials, also after one renewal of the token, or the same request many times."""


class CategoryNotFound(DirectoryError):
    """The directory has no category with that name."""

    exit_code = 2


class StreamError(ToolkitError):
    """Base class of errors that concern one stream. `reason` is the key under which failures are counted."""

    reason: ClassVar[str] = "failed"


class StreamOffline(StreamError):
    """The stream has ended or has not started. Helix lists a stream for up to 15 minutes after its end."""

    reason = "offline"
    exit_code = 3


class OnlyAds(StreamError):
    """Every segment was an ad until the waiting time was over."""

    reason = "only ads"
    exit_code = 4


class LoginForgotten(StreamError):
    """The streamer asked not to be in the dataset (data.forget)."""

    reason = "forgotten"


class SourceNotFound(StreamError):
    """The channel, recording or file does not exist, or Streamlink has no plugin for the URL."""

    reason = "unknown login"
    exit_code = 5


class UndecodableVideo(StreamError):
    """The bytes hold no decodable video frame or image."""

    reason = "no picture"
    exit_code = 6


class AllFramesRejected(StreamError):
    """The filter rejected each frame: black, frozen, a test card or a duplicate."""

    reason = "nothing to keep"


class StreamClaimed(StreamError):
    """Another download into the same dataset grabs the stream now."""

    reason = "in another download"


class StreamUnavailable(StreamError):
    """The stream's servers failed, refused the request or sent nothing."""

    reason = "unavailable"
    exit_code = 7


class UnexpectedStreamError(StreamError):
    """A library or the toolkit raised an exception that nobody named: a defect, but of this stream only."""

    reason = "internal"


class StopRequested(Exception):
    """The user, a signal or a limit ends the run. It is no failure and is never translated."""


@contextmanager
def translate_unexpected(source: str) -> Iterator[None]:
    """Raise UnexpectedStreamError for any exception of the block except ToolkitError and StopRequested.

    Whatever a server, a stream or a file sends costs that source, never the run. `source`: name for the message.
    """
    try:
        yield
    except (ToolkitError, StopRequested):
        raise
    except Exception as error:
        log.debug("%s: unexpected exception", source, exc_info=True)
        raise UnexpectedStreamError(
            f"{source}: unexpected {type(error).__name__}; run with -vv and report it"
        ) from error


class FolderError(ToolkitError):
    """A file of the dataset or of an output (--csv, --parquet, --save) cannot be read or written."""


class CatalogUnavailable(ToolkitError):
    """PostgreSQL cannot be reached or refuses us. The frames are safe; data.dbSync rebuilds their rows."""


class CatalogConnectionLost(CatalogUnavailable):
    """The connection to PostgreSQL broke or cannot be made, as at a restart; the same call may succeed later."""


class DatasetError(ToolkitError):
    """The folder does not hold enough to train on."""


class ModelError(ToolkitError):
    """The model's files are missing, unreadable or inconsistent."""


class ClusterError(ToolkitError):
    """The Ray cluster cannot be reached, is open to everybody, or its nodes do not fit this machine."""


class WorkerLost(ClusterError):
    """A worker died, or the network lost it; so did each other one that got the same task."""

    reason = "worker lost"  # as in StreamError


class ExtraMissing(ToolkitError):
    """A command needs an optional part of the toolkit that is not installed."""
