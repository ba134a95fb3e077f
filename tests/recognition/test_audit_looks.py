"""Looks of an audit: first looks, second looks in time, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from data.entities import Game, Stream
from data.errors import DirectoryUnavailable, OnlyAds
from data.storage.audit_rows import AuditRow
from model.evaluation.game_metrics import GameMetrics
from recognition.auditing.looks import Looks
from recognition.decision.verdict import VerdictAccumulator
from recognition.events import Result, SourceFailed, VerdictReached
from recognition.reports.outcomes import Judgement

CHESS, TETRIS, GO = Game(1, "Chess"), Game(2, "Tetris"), Game(3, "Go")
TALK = Game(509658, "Just Chatting")
JUDGEMENT = Judgement({game.id: GameMetrics(game, 0.95, 20, 19, 1, 0, 0, 19) for game in (CHESS, TETRIS, GO)}, 0.9)
START = datetime(2026, 5, 4, tzinfo=timezone.utc)
AGAIN_S = 600.0


def row(login: str, **values: object) -> AuditRow:
    return replace(AuditRow(login, CHESS, 5, "en", "1. Chess", 2.0), **values)  # type: ignore[arg-type]


@dataclass
class Twitch:
    """Live streams with their categories, what each shows at each look, and a clock that only waits and looks move."""

    shows: dict[str, list[Game | None]]  # by login, at the first and the second look; None: it gives no frame
    categories: dict[str, Game] = field(default_factory=dict)  # of streams that do not declare chess
    offline: set[str] = field(default_factory=set)
    look_s: float = 1.0
    now: datetime = START
    looks: list[tuple[str, float, bool]] = field(default_factory=list)  # (login, seconds since the start, preview)

    def streams_by_login(self, logins: Iterable[str]) -> dict[str, Stream]:
        categories = {login: self.categories.get(login, CHESS) for login in logins if login not in self.offline}
        return {login: Stream(login, game.id, "", "en", 9, game.name) for login, game in categories.items()}

    def survey(self, streams: Iterable[Stream], preview: bool) -> Iterator[Result]:
        for stream in streams:
            self.now += timedelta(seconds=self.look_s)
            self.looks.append((stream.login, (self.now - START).total_seconds(), preview))
            shown = self.shows[stream.login]
            yield self._result(stream, shown.pop(0) if len(shown) > 1 else shown[0])

    def _result(self, stream: Stream, game: Game | None) -> Result:
        if game is None:
            return SourceFailed(stream.login, self.now, OnlyAds(stream.login))
        accumulator = VerdictAccumulator((CHESS, TETRIS, GO))
        accumulator.add_frame(np.array([9.0 * (game == other) for other in (CHESS, TETRIS, GO)]), known=game != TALK)
        return VerdictReached(stream.login, self.now, accumulator.verdict(), stream.category, jpeg=b"jpeg")

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now += timedelta(seconds=seconds)

    def audit(self, rows: Iterable[AuditRow], again_s: float = AGAIN_S) -> list[AuditRow]:
        """Return the rows that the looks have changed."""
        arguments = (self.survey, self.streams_by_login, JUDGEMENT)
        return list(Looks(*arguments, again_s=again_s, wait=self.wait, clock=lambda: self.now).run(rows))


def test_match_and_unknown_need_one_look_and_a_mismatch_two():
    """Only a stream that shows another known game is looked at again, after the pause, without its preview."""
    twitch = Twitch({"match": [CHESS], "other": [TETRIS], "unknown": [TALK]})
    rows = twitch.audit(map(row, twitch.shows))
    assert [(item.login, item.outcome, item.looks) for item in rows] == [
        ("match", "match", 1),
        ("other", "other game", 1),
        ("unknown", "unknown", 1),
        ("other", "other game", 2),
    ]
    assert twitch.looks[-1] == ("other", 2 + AGAIN_S + 1, False)
    assert [preview for *_, preview in twitch.looks] == [True, True, True, False]
    assert (rows[-1].shown, rows[-1].frames, rows[-1].jpeg, rows[0].jpeg) == (TETRIS, 2, b"jpeg", b"")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (CHESS, "second look: match"),
        (GO, "second look: another game, Go"),
        (TALK, "second look: unknown"),
        (None, "no second look: only ads"),
    ],
)
def test_mismatch_when_the_second_look_differs_is_not_confirmed(second, reason):
    """The category's game, a third game, an unknown picture or no frame: none of them confirms the first look."""
    *_, last = Twitch({"a": [TETRIS, second]}).audit([row("a")])
    assert (last.outcome, last.shown, last.looks, last.jpeg) == ("not confirmed", TETRIS, 2, b"")
    assert last.reason == reason


def test_mismatch_whose_streamer_corrects_the_category_is_not_confirmed_and_no_mistake():
    """The first look was right then: the reason tells it from a mistake that the second look takes back."""
    twitch = Twitch({"a": [TETRIS]}, {"a": TETRIS})
    [last] = twitch.audit([row("a", outcome="other game", shown=TETRIS, looks=1, at=START)])
    assert (last.outcome, last.reason) == ("not confirmed", "no second look: category changed")


def test_stream_that_ends_or_leaves_the_judged_categories_has_no_look():
    """A first look is not possible: failed; a second one is not: not confirmed. Neither asks the stream itself."""
    twitch = Twitch({"ended": [CHESS], "talks": [CHESS]}, {"talks": TALK}, {"ended"})
    assert {(item.login, item.outcome, item.reason) for item in twitch.audit(map(row, twitch.shows))} == {
        ("ended", "failed", "offline"),
        ("talks", "failed", "category changed"),
    }
    assert not twitch.looks
    [last] = twitch.audit([row("ended", outcome="other game", shown=TETRIS, looks=1, at=START)])
    assert (last.outcome, last.reason, last.looks) == ("not confirmed", "no second look: offline", 2)


def test_category_is_that_of_the_moment_of_the_look():
    """A streamer who has switched game and category since the listing is no mismatch."""
    [item] = Twitch({"a": [TETRIS]}, {"a": TETRIS}).audit([row("a")])
    assert (item.outcome, item.category) == ("match", TETRIS)


def test_second_looks_of_a_long_audit_come_while_it_goes_on():
    """With 2,000 streams of 2 s each, no second look is later than twice the pause and a page of streams."""
    twitch = Twitch({f"s{n}": [TETRIS if n % 50 == 0 else CHESS] for n in range(2000)}, look_s=2.0)
    rows = twitch.audit(map(row, twitch.shows))
    times: dict[str, list[float]] = {}
    for login, at, _ in twitch.looks:
        times.setdefault(login, []).append(at)
    delays = [second - first for first, second in (pair for pair in times.values() if len(pair) == 2)]
    assert len(delays) == 40
    assert AGAIN_S <= min(delays) <= max(delays) < 2 * AGAIN_S + 2 * 200
    assert len({item.login for item in rows}) == 2000
    assert max(map(len, times.values())) == 2


def test_continued_audit_looks_only_at_what_is_left():
    """Streams with an outcome are not looked at again, but a mismatch that waits for its second look is."""
    rows = [
        row("done", outcome="match", looks=1, at=START),
        row("failed", outcome="failed", looks=1, at=START),
        row("waits", outcome="other game", shown=TETRIS, looks=1, frames=3, at=START - timedelta(hours=3)),
        row("confirmed", outcome="other game", shown=TETRIS, looks=2, at=START),
        row("left"),
    ]
    twitch = Twitch({"waits": [TETRIS], "left": [CHESS]})
    found = twitch.audit(rows)
    assert [(item.login, item.outcome, item.looks) for item in found] == [
        ("waits", "other game", 2),
        ("left", "match", 1),
    ]
    assert found[0].frames == 4


def test_second_look_after_the_clock_was_set_back_comes_within_twice_the_pause():
    """A first look that lies a year ahead by its time does not keep the audit waiting for a year."""
    for ahead_s in (AGAIN_S / 2, 365 * 86_400):
        twitch = Twitch({"a": [TETRIS]})
        at = START + timedelta(seconds=ahead_s)
        [last] = twitch.audit([row("a", outcome="other game", shown=TETRIS, looks=1, at=at)])
        assert last.looks == 2
        assert (twitch.now - START).total_seconds() <= 2 * AGAIN_S


def test_directory_error_ends_the_looks_after_the_answers_before_it():
    """What was answered before Helix failed is yielded; the error says why the audit ends."""
    twitch, found = Twitch({f"s{n}": [CHESS] for n in range(150)}), []

    def failing(logins: list[str]) -> dict[str, Stream]:
        if "s149" in logins:
            raise DirectoryUnavailable("down")
        return twitch.streams_by_login(logins)

    looks = Looks(twitch.survey, failing, JUDGEMENT, again_s=1, wait=twitch.wait, clock=lambda: twitch.now)
    with pytest.raises(DirectoryUnavailable):
        found.extend(looks.run(map(row, twitch.shows)))
    assert len(found) == 100
