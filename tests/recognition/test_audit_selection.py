"""Selection of an audit: which live streams it covers, and what a scope says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from data.entities import Game, Stream
from model.evaluation.game_metrics import GameMetrics
from recognition.auditing.run import planned_rows
from recognition.auditing.selection import Population, Scope, find_streams
from recognition.reports.outcomes import Judgement

CHESS, GO, TALK = Game(1, "Chess"), Game(2, "Go"), Game(509658, "Just Chatting")
JUDGEMENT = Judgement({game.id: GameMetrics(game, 0.95, 20, 19, 1, 0, 0, 19) for game in (CHESS, GO)}, 0.9)


def _stream(login: str, game: Game | None, viewers: int) -> Stream:
    return Stream(login, game.id if game else 0, "a title", "en", viewers, game.name if game else "")


class Directory:
    """A directory of eight streams: by viewers c0 (Chess, 10), g1 (Go, 9), t2 (talk, 8), n3 (none, 7), c4 …"""

    def __init__(self) -> None:
        games = zip("cgtn" * 2, (CHESS, GO, TALK, None) * 2, strict=True)
        self.streams = [_stream(f"{name}{n}", game, 10 - n) for n, (name, game) in enumerate(games)]

    def game_by_name(self, name: str) -> Game:
        return {game.name: game for game in (CHESS, GO, TALK)}[name]

    def iter_streams(self, game_id: int | None = None) -> Iterator[Stream]:
        return (stream for stream in self.streams if game_id in (None, stream.game_id))

    def streams_by_login(self, logins: Iterable[str]) -> dict[str, Stream]:
        wanted = set(logins)
        return {stream.login: stream for stream in self.streams if stream.login in wanted}


def _find(scope: Scope, *named: str, excluded: str = "") -> Population:
    return find_streams(Directory(), scope, named, lambda login: login == excluded, JUDGEMENT)  # type: ignore[arg-type]


def _logins(population: Population) -> list[str]:
    return [stream.login for stream in population.judged]


def test_all_live_streams_are_listed_and_those_without_a_judged_category_counted():
    """Streams of other categories, or of none, are numbers only: category, streams, viewers."""
    population = _find(Scope())
    assert _logins(population) == ["c0", "g1", "c4", "g5"]
    assert population.not_judged == (("Just Chatting", 2, 12), ("", 2, 10))
    assert population.listed == 8


def test_top_of_several_games_are_those_with_the_most_viewers_of_all():
    """The listings of the games are merged by viewers."""
    assert _logins(_find(Scope(games=("Go", "Chess"), top=3))) == ["c0", "g1", "c4"]
    assert _logins(_find(Scope(top=3))) == ["c0", "g1"]


def test_named_channels_join_the_listing_once_without_excluded_streamers():
    """A named channel that is listed too is there once; a named one that is not live is absent."""
    population = _find(Scope(top=1, named="x"), "c0", "g5", "gone", "c4", excluded="c4")
    assert _logins(population) == ["c0", "g5"]
    assert population.absent == ("gone",)
    assert _logins(_find(Scope(named="x", listed=False), "g5")) == ["g5"]
    [row] = planned_rows(Population((), (), ("gone",)), None, None)
    assert (row.login, row.outcome, row.reason, row.weight) == ("gone", "failed", "offline", 0.0)


def test_many_other_categories_are_summed():
    """Beyond 200 categories the rest is one row by the name that reports know, and no stream is lost."""
    directory = Directory()
    directory.streams = [_stream(f"s{n}", Game(1000 + n // 2, f"Other {n // 2}"), 1) for n in range(600)]
    population = find_streams(directory, Scope(), (), lambda _: False, JUDGEMENT)
    assert population.not_judged[-1] == ("others", 200, 200)
    assert population.listed == 600


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (Scope(), "all live streams"),
        (Scope(top=200), "the 200 live streams with the most viewers"),
        (Scope(games=("Chess", "Go"), languages=("en", "ja")), "all live streams of Chess, Go, in en, ja"),
        (Scope(named="hash", named_count=2, listed=False), "2 named channels"),
        (Scope(named="hash", named_count=1, top=5), "1 named channel and the 5 live streams with the most viewers"),
        (Scope(sample=2000), "all live streams; a stratified sample of 2,000 streams"),
    ],
)
def test_scope_says_what_it_covers(scope, text):
    """The text for people; its key differs for each scope and is the same for the same."""
    assert str(scope) == text
    assert scope.key() == Scope(**{name: getattr(scope, name) for name in scope.__slots__}).key()
