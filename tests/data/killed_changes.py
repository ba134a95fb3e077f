"""Kill test of changes: kill --apply and --undo of a check at random moments, then look for every picture."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from config import Settings
from data.entities import Game, StoredFrame
from data.factories import open_catalog, open_changes
from data.storage.layout import CHECK_FILE
from data.video.images import encode_jpeg
from model.cleaning.check_file import to_csv
from model.cleaning.findings import GAMEPLAY, INTERMISSION, OTHER_GAME, CheckResult, FrameFinding, StreamFinding
from tests.data.conftest import settings
from tests.data.kill_harness import DatasetUnderTest, KilledCommand, KillMoment, kill_moments, run_and_kill

_GAMES = Game(7, "Chess"), Game(8, "Go")
_STREAMERS = {"ann": OTHER_GAME, "ben": INTERMISSION, "cat": GAMEPLAY}  # what a check says of each


def count_journals(dataset: DatasetUnderTest) -> int:
    """Return the number of changes."""
    return sum(1 for _ in dataset.folder.root.glob(".changes/*.*"))


APPLY = KilledCommand(("model.check", "--apply", "--relabel"), "Moved ", count_journals, ends=True)
UNDO = KilledCommand(("model.check", "--undo"), " moved back", count_journals, ends=True)


@dataclass
class ChangingDataset:
    """A checked dataset, of which a third of the frames goes to another game at --apply, and a third to the trash."""

    dataset: DatasetUnderTest
    frames: int  # of each streamer
    killed: Counter[str] = field(default_factory=Counter)  # by what a kill left: nothing, a pending or a whole change

    def fill(self) -> None:
        """Save the frames, their rows, and the check."""
        folder = self.dataset.folder
        folder.add_games(_GAMES)
        saved: list[StoredFrame] = []
        for login in _STREAMERS:
            saved += folder.save(7, login, [_picture(f"{login}{number}") for number in range(self.frames)])
        folder.save_report(CHECK_FILE, to_csv(_findings(saved)).encode())
        with open_catalog(self._settings()) as catalog:
            catalog.add_games(_GAMES)
            catalog.add_frames(saved)
        self._contents = self._all_contents()

    def kill(self, moment: KillMoment) -> list[str]:
        """Kill an --apply, or an --undo if a change is applied; finish it; return what is wrong afterwards."""
        applied = self._moved() > 0
        wrong = run_and_kill(self.dataset, moment, UNDO if applied else APPLY)
        with open_changes(self._settings()) as changes:
            finished = changes.finish_pending()
        self.killed["finished" if finished else "whole" if (self._moved() > 0) != applied else "nothing"] += 1
        return [*wrong, *(f"{moment}: {error}" for error in self._errors())]

    def _settings(self) -> Settings:
        return settings(**self.dataset.variables, DOWNLOAD_PATH=str(self.dataset.path))

    def _errors(self) -> Iterator[str]:
        moved = self._moved()
        if moved not in (0, 2 * self.frames):
            yield f"{moved} of {2 * self.frames} frames have moved"
        if self._all_contents() != self._contents:
            yield "not every picture is there once"

    def _moved(self) -> int:
        """Return the number of frames that are not where `fill` put them."""
        return 3 * self.frames - sum(1 for _ in self.dataset.folder.root.glob("7/*.jpg"))

    def _all_contents(self) -> Counter[str]:
        """Return how often each picture is there, in the games and in the trash."""
        paths = self.dataset.folder.root.rglob("*.jpg")
        return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def _findings(frames: Sequence[StoredFrame]) -> CheckResult:
    """Return the findings of a check that says _STREAMERS."""

    def common(login: str) -> tuple[float, str, str, Game | None, bool]:
        kind = _STREAMERS[login]
        return float(kind != GAMEPLAY), kind, "", _GAMES[1] if kind == OTHER_GAME else None, kind != GAMEPLAY

    streams = (StreamFinding(7, login, 1, *common(login)) for login in _STREAMERS)
    return CheckResult(tuple(streams), tuple(FrameFinding(frame, *common(frame.login)) for frame in frames))


def _picture(name: str) -> bytes:
    """Return a JPEG of 240 x 240 pixels that no other name has."""
    rng = np.random.default_rng(list(name.encode()))
    return encode_jpeg(np.kron(rng.integers(0, 255, (6, 6, 3), np.uint8), np.ones((40, 40, 1), np.uint8)), 90)


def change_moments(count: int, seed: int) -> list[KillMoment]:
    """Return `count` moments, half of them after the beginning of a journal, where a change takes some 0.1 s."""
    return [
        replace(moment, delay_s=moment.delay_s / 4) if moment.saving else moment for moment in kill_moments(count, seed)
    ]
