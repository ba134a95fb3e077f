"""data.collector: the loop, on fakes: what is chosen, what is kept, what ends it, what does not."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from data.collector import Collector, Plan, Stop
from data.entities import Frame, Game, StoredFrame, Stream
from data.errors import CatalogUnavailable, FolderError, HelixRefused, HelixUnavailable, OnlyAds, StreamOffline

PLAN = Plan(
    max_games=3,
    min_streamers=2,
    non_games=frozenset(),
    streams_per_game=2,
    stream_tries=4,
    frames_per_stream=5,
    games_interval_s=0,
    rest_s=60,
    helix_pause_s=0.001,
    frames=20,
)


class FakeTwitch:
    """Games with live channels; a channel's value is how many frames it gives, or the error it raises."""

    def __init__(self, channels: dict[Game, dict[str, int | Exception]]) -> None:
        self.channels = channels
        self.outages: list[Exception] = []
        self.asked: Counter[str] = Counter()
        self.grabbed: list[str] = []

    def top_games(self, non_games):
        self.asked["top_games"] += 1
        if self.outages:
            raise self.outages.pop()
        yield from (game for game in self.channels if game.id not in non_games)

    def streams(self, game_id, at_most):
        self.asked["streams"] += 1
        found = next(channels for game, channels in self.channels.items() if game.id == game_id)
        return [Stream(login, game_id, "", "en", 1) for login in found][:at_most]

    def frames(self, login, at_most):
        self.grabbed.append(login)
        given = next(channels[login] for channels in self.channels.values() if login in channels)
        if isinstance(given, Exception):
            raise given
        for number in range(1, min(given, at_most) + 1):
            yield Frame(number, b"jpeg")


class FakeStore:
    """Folder and catalogue in one: files and rows as sets."""

    def __init__(self) -> None:
        self.files: set[StoredFrame] = set()
        self.rows: set[StoredFrame] = set()
        self.games: dict[int, Game] = {}
        self.remembered: set[Game] = set()
        self.row_error: Exception | None = None

    def save(self, game_id, login, jpegs):
        first = 1 + max((f.number for f in self.files if (f.game_id, f.login) == (game_id, login)), default=0)
        saved = [StoredFrame(game_id, login, first + i) for i in range(len(jpegs))]
        self.files |= set(saved)
        return saved

    def delete(self, frames):
        self.files -= set(frames)

    def remember(self, games):
        self.remembered |= set(games)

    def add_games(self, games):
        self.games.update({game.id: game for game in games})
        return list(games)

    def game_ids(self):
        return set(self.games)

    def smallest_game(self, excluding):
        counts = Counter(row.game_id for row in self.rows)
        free = [game for game in self.games.values() if game.id not in set(excluding)]
        return min(free, key=lambda game: (counts[game.id], game.id), default=None)

    def add_frames(self, frames):
        if self.row_error:
            raise self.row_error
        self.rows |= set(frames)


def collector(twitch, store, plan=PLAN, stop=None):
    return Collector(
        helix=twitch, grabber=twitch, folder=store, catalog=store, plan=plan, stop=stop or Stop(), rng=random.Random(1)
    )


A, B, C, D = (Game(number, name) for number, name in enumerate("ABCD", 1))


def test_the_game_with_the_fewest_frames_is_filled():
    """Games with the same streams end up with the same number of frames, files and rows alike."""
    twitch = FakeTwitch({game: {f"{game.name.lower()}{i}": 5 for i in range(3)} for game in (A, B)})
    store = FakeStore()
    tally = collector(twitch, store).run()
    assert Counter(row.game_id for row in store.rows) == {1: 10, 2: 10}
    assert store.rows == store.files
    assert tally.total == 20
    assert tally.frames == {"A": 10, "B": 10}


def test_the_limit_of_frames_is_exact():
    """The last grab takes no more than is missing."""
    store = FakeStore()
    plan = Plan(**{**PLAN.__dict__, "frames": 7})
    assert collector(FakeTwitch({A: {"a": 5, "b": 5}}), store, plan).run().total == 7
    assert len(store.files) == 7


def test_games_are_added_up_to_the_maximum_and_with_enough_streamers():
    """A game below MIN_STREAMERS is passed over; no more than MAX_GAMES are added; names are written beside."""
    twitch = FakeTwitch({A: {"a": 5}, **{game: {f"{game.name}1": 5, f"{game.name}2": 5} for game in (B, C, D)}})
    store = FakeStore()
    plan = Plan(**{**PLAN.__dict__, "max_games": 2})
    collector(twitch, store, plan).run()
    assert set(store.games.values()) == {B, C} == store.remembered


def test_a_broken_stream_stops_nothing_and_is_counted_by_reason():
    """Streams that fail are counted by reason; the next ones give the frames."""
    twitch = FakeTwitch({A: {"gone": StreamOffline("x"), "ads": OnlyAds("x"), "good": 5, "fine": 5}})
    tally = collector(twitch, FakeStore()).run()
    assert tally.total == 20
    assert set(tally.failures) == {"offline", "only ads"}
    assert tally.streams == len(twitch.grabbed)


def test_at_most_so_many_streams_are_tried_and_used():
    """Of ten streams four are tried at most in a turn, and two suffice."""
    twitch = FakeTwitch({A: {f"a{i}": 5 for i in range(10)}, B: {f"b{i}": StreamOffline("x") for i in range(10)}})
    plan = Plan(**{**PLAN.__dict__, "frames": 15})
    collector(twitch, FakeStore(), plan).run()
    assert sum(login.startswith("b") for login in twitch.grabbed) == 4  # then the game rests
    assert sum(login.startswith("a") for login in twitch.grabbed) == 3  # two in the first turn, one in the second


def test_a_game_that_gives_nothing_rests_while_others_are_filled():
    """The smallest game without a usable stream does not keep the loop from the others."""
    twitch = FakeTwitch({A: {"a1": StreamOffline("x"), "a2": StreamOffline("x")}, B: {"b1": 5, "b2": 5}})
    store = FakeStore()
    collector(twitch, store).run()
    assert Counter(row.game_id for row in store.rows) == {2: 20}
    assert Counter(twitch.grabbed)["a1"] == 1


def test_helix_down_means_waiting():
    """After an outage the loop goes on, and it waited in between instead of asking at once."""
    twitch = FakeTwitch({A: {"a": 5, "b": 5}})
    twitch.outages = [HelixUnavailable("down")] * 3
    waits = []

    class Watched(Stop):
        def pause(self, seconds):
            waits.append(seconds)
            super().pause(seconds)

    assert collector(twitch, FakeStore(), stop=Watched()).run().total == 20
    assert waits == [PLAN.helix_pause_s] * 3


def test_refused_credentials_end_the_run():
    """No waiting helps against wrong credentials."""
    twitch = FakeTwitch({A: {"a": 5}})
    twitch.outages = [HelixRefused("no")]
    with pytest.raises(HelixRefused):
        collector(twitch, FakeStore()).run()


def test_without_rows_the_files_go_again():
    """When the catalogue fails, the files of that stream are removed and the error ends the run."""
    store = FakeStore()
    store.row_error = CatalogUnavailable("gone")
    with pytest.raises(CatalogUnavailable):
        collector(FakeTwitch({A: {"a": 5, "b": 5}}), store).run()
    assert not store.files


def test_a_full_disk_ends_the_run():
    """FolderError is no stream's fault: it passes through."""

    class Full(FakeStore):
        def save(self, game_id, login, jpegs):
            raise FolderError("full")

    with pytest.raises(FolderError):
        collector(FakeTwitch({A: {"a": 5, "b": 5}}), Full()).run()


def test_frames_before_a_break_are_kept():
    """A stream that breaks off after two frames leaves two frames, and is counted as failed."""

    class Breaking(FakeTwitch):
        def frames(self, login, at_most):
            yield from super().frames(login, 2)
            raise StreamOffline("gone in the middle")

    store = FakeStore()
    plan = Plan(**{**PLAN.__dict__, "frames": 4})
    tally = collector(Breaking({A: {"a": 5, "b": 5}}), store, plan).run()
    assert len(store.rows) == 4
    assert tally.failures == {"offline": 2}


def test_a_stop_ends_the_run_and_keeps_what_was_grabbed():
    """Set in the middle of a stream, the stop ends it after that frame; what was grabbed is saved."""
    stop = Stop()

    class Stopping(FakeTwitch):
        def frames(self, login, at_most):
            yield Frame(1, b"jpeg")
            stop.set()
            yield Frame(2, b"jpeg")
            pytest.fail("grabbed on after the stop")

    store = FakeStore()
    collector(Stopping({A: {"a": 5, "b": 5}}), store, stop=stop).run()
    assert len(store.rows) == 2


def test_no_game_at_all_means_waiting():
    """With nothing to take, the loop waits until it is stopped, and asks Helix once a look, not in a spin."""
    twitch = FakeTwitch({})
    stop = Stop()

    class Counting(Stop):
        def pause(self, seconds):
            if twitch.asked["top_games"] == 3:
                stop.set()
            super().pause(seconds)

    stop = Counting()
    assert collector(twitch, FakeStore(), stop=stop).run().total == 0
    assert twitch.asked["top_games"] == 3
