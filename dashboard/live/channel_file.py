"""Channel file: the sources of the wall, so that it goes on after a restart."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from data.atomic import atomic_file

_MAX_BYTES = 4_000_000  # 200 of the longest addresses take 400 kB

log = logging.getLogger(__name__)


class ChannelFile:
    """The file `watch.json`: {"sources": […]}."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[str]:
        """Return the sources; none if there is no file, or an invalid one."""
        try:
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES + 1)
            sources = json.loads(text if len(text) <= _MAX_BYTES else b"")["sources"]
            return [source for source in sources if isinstance(source, str)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            log.warning("%s cannot be read (%s); the wall begins empty", self._path, error)
            return []

    def write(self, sources: Sequence[str]) -> None:
        """Replace the sources. A failure costs only the restart, so it is logged."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_file(self._path) as temporary:
                temporary.write_text(json.dumps({"sources": list(sources)}, indent=1))
        except OSError as error:
            log.warning("%s cannot be written (%s): a restart will not know these channels", self._path, error)
