"""Counts of an import, and the names of what it leaves out."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from data.text import plural

_NAMED = 20  # pictures that were left out are named up to this number; the others with -v
_MAX_NAME = 300  # characters: a path may have 4,000

log = logging.getLogger(__name__)


@dataclass
class ImportStats:
    """What an import did so far. Other threads may read it."""

    frames: Counter[str] = field(default_factory=Counter)  # added, by the game's name
    present: int = 0  # frames that the dataset has already
    trashed: int = 0  # frames that lie in the trash
    unwanted: int = 0  # frames of streamers that were forgotten or are excluded
    rejected: Counter[str] = field(default_factory=Counter)  # frames that the filter rejected, by reason
    bad: int = 0  # files and sources that could not be read
    others: int = 0  # files that are no pictures

    @property
    def seen(self) -> int:
        """Number of pictures so far."""
        return self.frames.total() + self.present + self.trashed + self.unwanted + self.rejected.total() + self.bad

    def leave_out(self, name: str, reason: str) -> None:
        """Count and log a file or source that cannot be read."""
        self.bad += 1
        shown = name if len(name) <= _MAX_NAME else f"…{name[-_MAX_NAME:]}"
        log.log(logging.WARNING if self.bad <= _NAMED else logging.INFO, "%s is left out: %s", shown, reason)
        if self.bad == _NAMED:
            log.warning("further files that are left out are named with -v")

    def leave_out_other(self, name: str) -> None:
        """Count a file that is no picture."""
        self.others += 1
        log.info("%s is no picture", name)

    def summary(self, *, dry_run: bool = False) -> str:
        """Return one line."""
        games = plural(len(self.frames), "game")
        parts = [f"{'Would add' if dry_run else 'Added'} {plural(self.frames.total(), 'frame')} of {games}"]
        parts += [f"{self.present:,} already there"] if self.present else []
        parts += [f"{self.trashed:,} in the trash"] if self.trashed else []
        parts += [f"{self.unwanted:,} of excluded or forgotten streamers"] if self.unwanted else []
        parts += [f"{count:,} rejected as {reason}" for reason, count in self.rejected.most_common()]
        parts += [f"{plural(self.bad, 'file')} left out"] if self.bad else []
        parts += [f"{self.others:,} without a picture"] if self.others else []
        return "; ".join(parts) + "."
