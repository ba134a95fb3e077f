"""The exception tree: one class for each different recovery.

    ToolkitError                 anything expected; a command prints it as one line and exits
    ├── SettingsError            a setting is wrong            → exit 2, the line names it
    ├── DirectoryError               the API
    │   ├── DirectoryUnavailable     down, slow, over its limits   → wait and ask again
    │   ├── DirectoryUnauthorized         credentials not accepted      → exit 1, the line says what to fix
    │   └── CategoryNotFound          no category of that name      → exit 2, the line names it
    ├── StreamError              this stream only              → take the next stream
    │   ├── StreamOffline        over, or not started          → exit 3
    │   ├── OnlyAds              nothing but ads so far        → exit 4
    │   ├── SourceNotFound         no such channel or address    → exit 5
    │   ├── UndecodableVideo            its video cannot be decoded   → exit 6
    │   ├── AllFramesRejected        flat, frozen or a test card → downloads alone raise it
    │   └── StreamUnavailable    its servers fail or refuse    → exit 7
    ├── FolderError              files cannot be written/read  → exit 1, what is saved stays
    ├── CatalogUnavailable       PostgreSQL does not answer    → exit 1, nothing is lost
    │   └── CatalogConnectionLost          it did before                 → wait for its restart, ask again
    ├── DatasetError             not enough to train on        → exit 1, the line says what is missing
    └── ModelError               missing or not matching       → exit 1, the line says how to make one

`StreamError` serves the download loop, `DirectoryUnavailable` its pause, `ToolkitError` the commands.
Exceptions of libraries are translated where they enter, with `raise ... from`. Nothing returns None
to say that it failed.
"""

from __future__ import annotations

from typing import ClassVar


class ToolkitError(Exception):
    """Base of everything expected. `str(error)` is one line that says what to do."""

    exit_code: ClassVar[int] = 1


class SettingsError(ToolkitError):
    """A setting is missing or wrong; the message starts with its name in upper case."""

    exit_code = 2


class DirectoryError(ToolkitError):
    """The Twitch API did not answer as needed."""


class DirectoryUnavailable(DirectoryError):
    """Down, slow or over its limits: the same request may succeed later."""


class DirectoryUnauthorized(DirectoryError):
    """The credentials were refused, after one renewal where that is possible."""


class CategoryNotFound(DirectoryError):
    """Twitch has no category of that name."""

    exit_code = 2


class StreamError(ToolkitError):
    """This stream cannot be grabbed; others can. `reason` is the key that failures are counted by."""

    reason: ClassVar[str] = "failed"


class StreamOffline(StreamError):
    """The stream is over or has not started. Helix lists a stream up to 15 minutes after its end."""

    reason = "offline"
    exit_code = 3


class OnlyAds(StreamError):
    """Every segment was an ad for as long as we waited."""

    reason = "only ads"
    exit_code = 4


class SourceNotFound(StreamError):
    """Twitch has no such channel or recording, nobody knows such an address, there is no such file."""

    reason = "unknown login"
    exit_code = 5


class UndecodableVideo(StreamError):
    """The bytes hold no decodable video frame."""

    reason = "no picture"
    exit_code = 6


class AllFramesRejected(StreamError):
    """Every frame was left out: black, frozen, a test card, or seen before."""

    reason = "nothing to keep"


class StreamUnavailable(StreamError):
    """The stream's servers failed, refused or fell silent."""

    reason = "unavailable"
    exit_code = 7


class FolderError(ToolkitError):
    """The dataset's folder cannot be read or written: permissions, or a full disk."""


class CatalogUnavailable(ToolkitError):
    """PostgreSQL cannot be reached or refuses us; the files are safe and dbSync rebuilds the rows."""


class CatalogConnectionLost(CatalogUnavailable):
    """The connection was lost, or none can be made, as at a restart: the same call may succeed later."""


class DatasetError(ToolkitError):
    """The folder does not hold what training needs."""


class ModelError(ToolkitError):
    """The model's files are missing, unreadable or do not belong together."""
