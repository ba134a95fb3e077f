"""data.collection.collector: the loop, on fakes: what is chosen, what is kept, what ends it, what does not."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from data.collection.collector import Collector
from data.collection.grab_pool import Stop, Stopped
from data.collection.state import Plan
from data.entities import Frame, Game, StoredFrame, Stream
from data.errors import CatalogUnavailable, FolderError, DirectoryUnauthorized, DirectoryUnavailable, OnlyAds, StreamOffline

PLAN = Plan(
    max_games=3,
    min_streamers=2,
    non_games=frozenset(),
    streams_per_game=2,
    stream_tries=4,
    frames_per_stream=5,
    streamer_share=1.0,
    games_interval_s=0,
    rest_s=60,
    helix_pause_s=0.001,
    parallel_streams=1,
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
        self.asked[f"streams of {game_id}"] += 1
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

    def streamer_frames(self, game_id):
        return Counter(row.login for row in self.rows if row.game_id == game_id)

    def add_frames(self, frames):
        if self.row_error:
            raise self.row_error
        self.rows |= set(frames)


class FakeSieve:
    """Leaves out the frames of the streamers given, for these reasons, but for their first ones in number."""

    def __init__(self, reasons: dict[str, str], kept: int = 0) -> None:
        self._reasons = reasons
        self._kept = kept
        self._seen: Counter[str] = Counter()

    def sift(self, login, jpeg):
        self._seen[login] += 1
        return self._reasons.get(login, "") if self._seen[login] > self._kept else ""


class EndingInsteadOfWaiting(Stop):
    """Ends the run when there is nothing left to do."""

    def pause(self, seconds):
        self.set()
        super().pause(seconds)


@pytest.fixture(params=[1, 8])
def plan(request):
    """The plan one stream at a time, and eight: for what must hold in both."""
    yield replace(PLAN, parallel_streams=request.param)
    assert not grab_threads()


def grab_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("grab")]


def collector(twitch, store, plan=PLAN, stop=None, sieve=None):
    return Collector(
        helix=twitch,
        grabber=twitch,
        sieve=sieve or FakeSieve({}),
        folder=store,
        catalog=store,
        plan=plan,
        stop=stop or Stop(),
        rng=random.Random(1),
    )


A, B, C, D = (Game(number, name) for number, name in enumerate("ABCD", 1))


def test_the_game_with_the_fewest_frames_is_filled(plan):
    """Games with the same streams end up with the same number of frames, files and rows alike."""
    twitch = FakeTwitch({game: {f"{game.name.lower()}{i}": 5 for i in range(3)} for game in (A, B)})
    store = FakeStore()
    tally = collector(twitch, store, plan).run()
    assert Counter(row.game_id for row in store.rows) == {1: 10, 2: 10}
    assert store.rows == store.files
    assert tally.total == 20
    assert tally.frames == {"A": 10, "B": 10}


def test_the_limit_of_frames_is_exact(plan):
    """The last grab takes no more than is missing."""
    store = FakeStore()
    plan = replace(plan, frames=7)
    assert collector(FakeTwitch({A: {"a": 5, "b": 5}}), store, plan).run().total == 7
    assert len(store.files) == 7


def test_games_are_added_up_to_the_maximum_and_with_enough_streamers(plan):
    """A game below MIN_STREAMERS is passed over; no more than MAX_GAMES are added; names are written beside."""
    twitch = FakeTwitch({A: {"a": 5}, **{game: {f"{game.name}1": 5, f"{game.name}2": 5} for game in (B, C, D)}})
    store = FakeStore()
    plan = replace(plan, max_games=2)
    collector(twitch, store, plan).run()
    assert set(store.games.values()) == {B, C} == store.remembered


def test_a_broken_stream_stops_nothing_and_is_counted_by_reason(plan):
    """Streams that fail are counted by reason; the next ones give the frames."""
    twitch = FakeTwitch({A: {"gone": StreamOffline("x"), "ads": OnlyAds("x"), "good": 5, "fine": 5}})
    tally = collector(twitch, FakeStore(), plan).run()
    assert tally.total == 20
    assert set(tally.failures) == {"offline", "only ads"}
    assert tally.streams == len(twitch.grabbed)


def test_at_most_so_many_streams_are_tried_and_used():
    """Of ten streams four are tried at most in a turn, and two suffice."""
    twitch = FakeTwitch({A: {f"a{i}": 5 for i in range(10)}, B: {f"b{i}": StreamOffline("x") for i in range(10)}})
    plan = replace(PLAN, frames=15)
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


def test_helix_down_means_waiting(plan):
    """After an outage the loop goes on, and it waited in between instead of asking at once."""
    twitch = FakeTwitch({A: {"a": 5, "b": 5}})
    twitch.outages = [DirectoryUnavailable("down")] * 3
    waits = []

    class Watched(Stop):
        def pause(self, seconds):
            waits.append(seconds)
            super().pause(seconds)

    assert collector(twitch, FakeStore(), plan, stop=Watched()).run().total == 20
    assert waits == [PLAN.helix_pause_s] * 3


def test_refused_credentials_end_the_run(plan):
    """No waiting helps against wrong credentials."""
    twitch = FakeTwitch({A: {"a": 5}})
    twitch.outages = [DirectoryUnauthorized("no")]
    with pytest.raises(DirectoryUnauthorized):
        collector(twitch, FakeStore(), plan).run()


def test_without_rows_the_files_go_again(plan):
    """When the catalogue fails, the files of that stream are removed and the error ends the run."""
    store = FakeStore()
    store.row_error = CatalogUnavailable("gone")
    with pytest.raises(CatalogUnavailable):
        collector(FakeTwitch({A: {"a": 5, "b": 5}}), store, plan).run()
    assert not store.files


def test_a_full_disk_ends_the_run(plan):
    """FolderError is no stream's fault: it passes through."""

    class Full(FakeStore):
        def save(self, game_id, login, jpegs):
            raise FolderError("full")

    with pytest.raises(FolderError):
        collector(FakeTwitch({A: {"a": 5, "b": 5}}), Full(), plan).run()


def test_frames_before_a_break_are_kept(plan):
    """A stream that breaks off after two frames leaves two frames, and is counted as failed."""

    class Breaking(FakeTwitch):
        def frames(self, login, at_most):
            yield from super().frames(login, 2)
            raise StreamOffline("gone in the middle")

    store = FakeStore()
    plan = replace(plan, frames=4)
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


def test_no_game_at_all_means_waiting(plan):
    """With nothing to take, the loop waits until it is stopped, and asks Helix once a look, not in a spin."""
    twitch = FakeTwitch({})
    stop = Stop()

    class Counting(Stop):
        def pause(self, seconds):
            if twitch.asked["top_games"] == 3:
                stop.set()
            super().pause(seconds)

    stop = Counting()
    assert collector(twitch, FakeStore(), plan, stop=stop).run().total == 0
    assert twitch.asked["top_games"] == 3


def test_what_the_sieve_leaves_out_is_counted_and_not_saved(plan):
    """Of five frames two are saved: the streams gave something. In the next turn all are left out: they failed."""
    store = FakeStore()
    sieve = FakeSieve({"a": "frozen", "b": "black"}, kept=2)
    plan = replace(plan, frames=None)
    tally = collector(FakeTwitch({A: {"a": 5, "b": 5}}), store, plan, EndingInsteadOfWaiting(), sieve).run()
    assert Counter(row.login for row in store.rows) == {"a": 2, "b": 2}
    assert store.rows == store.files
    assert tally.left_out == {"frozen": 3 + 5, "black": 3 + 5}
    assert tally.failures == {"nothing to keep": 2}


def test_a_stream_of_which_all_is_left_out_has_failed(plan):
    """It is counted by reason, and another stream takes its place in the turn."""
    twitch = FakeTwitch({A: {"black": 5, "card": 5, "good": 5, "fine": 5}})
    store = FakeStore()
    sieve = FakeSieve({"black": "black", "card": "test card"})
    tally = collector(twitch, store, replace(plan, frames=10), sieve=sieve).run()
    assert {row.login for row in store.rows} == {"good", "fine"}
    assert tally.failures.keys() <= {"nothing to keep"}
    assert tally.left_out == {"black": 5 * ("black" in twitch.grabbed), "test card": 5 * ("card" in twitch.grabbed)}
    assert sum(tally.left_out.values()) == 5 * tally.failures["nothing to keep"]


def test_a_game_of_which_all_is_left_out_rests(plan):
    """Its streams are tried in one turn, and not again while others are filled."""
    twitch = FakeTwitch({A: {"a1": 5, "a2": 5}, B: {f"b{i}": 5 for i in range(4)}})
    store = FakeStore()
    tally = collector(twitch, store, plan, sieve=FakeSieve({"a1": "frozen", "a2": "frozen"})).run()
    assert Counter(row.game_id for row in store.rows) == {2: 20}
    assert Counter(twitch.grabbed)["a1"] == Counter(twitch.grabbed)["a2"] == 1
    assert tally.failures == {"nothing to keep": 2}


def test_a_stop_in_the_middle_of_a_frozen_stream_is_no_failure():
    """What was not looked at could have been kept: nothing is said of the stream."""
    stop = Stop()

    class Stopping(FakeTwitch):
        def frames(self, login, at_most):
            stop.set()
            yield from super().frames(login, at_most)

    tally = collector(
        Stopping({A: {"a": 5, "b": 5}}), FakeStore(), stop=stop, sieve=FakeSieve({"a": "frozen", "b": "frozen"})
    ).run()
    assert not tally.failures
    assert tally.left_out == {"frozen": 1}


SHARED = replace(PLAN, streamer_share=0.1, min_streamers=1, streams_per_game=5, stream_tries=10)


@pytest.mark.parametrize("at_once", [1, 8])
def test_no_streamer_fills_a_game(at_once):
    """Of twenty streamers each gives FRAMES_PER_STREAM, and more only as far as it is a tenth of all frames."""
    store = FakeStore()
    plan = replace(SHARED, parallel_streams=at_once, frames=300)
    assert collector(FakeTwitch({A: {f"a{i}": 9 for i in range(20)}}), store, plan).run().total == 300
    given = Counter(row.login for row in store.rows)
    assert len(given) == 20
    assert max(given.values()) <= 30


def test_streamers_without_frames_come_first():
    """With all streams drawn, those that gave none are tried before the others: 4 x 5 frames of four streamers."""
    store = FakeStore()
    store.games[1] = A
    store.add_frames([StoredFrame(1, f"a{i}", number) for i in range(4) for number in range(1, 5)])
    twitch = FakeTwitch({A: {f"a{i}": 5 for i in range(8)}})
    collector(twitch, store, replace(SHARED, streams_per_game=4, frames=20)).run()
    assert set(twitch.grabbed) == {"a4", "a5", "a6", "a7"}


def test_a_streamer_who_nearly_has_his_share_gives_the_rest_of_it():
    """Two of five given: three are asked for, though Twitch has nine."""
    store = FakeStore()
    store.games[1] = A
    store.add_frames([StoredFrame(1, "a", number) for number in (1, 2)])
    asked = []

    class Asked(FakeTwitch):
        def frames(self, login, at_most):
            asked.append((login, at_most))
            yield from super().frames(login, at_most)

    plan = replace(SHARED, frames=8, max_games=1)
    collector(Asked({A: {"a": 9, "b": 9}}), store, plan).run()
    assert sorted(asked) == [("a", 3), ("b", 5)]


def test_a_game_whose_streamers_all_have_their_share_rests(plan):
    """Nobody is grabbed, Helix is asked once, the others are filled, and who was passed over is counted."""
    store = FakeStore()
    store.games.update({1: A, 2: B})
    store.add_frames([StoredFrame(1, login, number) for login in ("a1", "a2") for number in range(1, 6)])
    store.add_frames([StoredFrame(2, f"old{i}", number) for i in range(20) for number in range(1, 6)])
    twitch = FakeTwitch({A: {"a1": 5, "a2": 5}, B: {f"b{i}": 5 for i in range(10)}})
    plan = replace(SHARED, parallel_streams=plan.parallel_streams, frames=20, max_games=2)
    tally = collector(twitch, store, plan).run()
    assert all(login.startswith("b") for login in twitch.grabbed)
    assert twitch.asked["streams of 1"] == 1
    assert tally.passed_over == {"a1", "a2"}
    assert not tally.failures


def test_where_nobody_may_give_more_the_loop_waits():
    """A game of two streamers who have their share keeps no loop busy: it rests, and the loop waits."""
    twitch = FakeTwitch({A: {"a": 5, "b": 5}})
    tally = collector(twitch, FakeStore(), replace(SHARED, frames=100), EndingInsteadOfWaiting()).run()
    assert tally.total == 10
    assert twitch.asked["streams of 1"] == 3  # MIN_STREAMERS, the turn that gave, the turn in which nobody might


EIGHT = replace(PLAN, parallel_streams=8, streams_per_game=8, stream_tries=10, min_streamers=1)


def many(*games: Game, streams: int = 10, frames: int = 5) -> dict[Game, dict[str, int | Exception]]:
    return {game: {f"{game.name.lower()}{i}": frames for i in range(streams)} for game in games}


class Watched(FakeTwitch):
    """Counts how many grabs run at once, each of which takes a moment."""

    def __init__(self, channels) -> None:
        super().__init__(channels)
        self.lock = threading.Lock()
        self.now = self.most = 0

    def frames(self, login, at_most):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            for frame in super().frames(login, at_most):
                time.sleep(0.001)
                yield frame
        finally:
            with self.lock:
                self.now -= 1


def test_streams_are_grabbed_at_the_same_time():
    """No grab goes on before eight have begun: the barrier opens, so they ran side by side."""
    barrier = threading.Barrier(8, timeout=20)

    class Meeting(FakeTwitch):
        def frames(self, login, at_most):
            barrier.wait()
            yield from super().frames(login, at_most)

    store = FakeStore()
    assert collector(Meeting(many(A)), store, replace(EIGHT, frames=40)).run().total == 40
    assert store.rows == store.files
    assert not grab_threads()


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_never_more_than_the_limit_at_once(limit):
    """However many streams and games there are, no more grabs run at once than the setting says."""
    twitch = Watched(many(A, B, C))
    collector(twitch, FakeStore(), replace(EIGHT, frames=200, parallel_streams=limit)).run()
    assert twitch.most == limit


def test_games_side_by_side_stay_balanced():
    """With more workers than one game's streams several games fill at once, none a few turns ahead.

    A quick turn may end, and the next begin, while another game's is still under way.
    """
    twitch, store = Watched(many(A, B, C)), FakeStore()
    collector(twitch, store, replace(EIGHT, streams_per_game=2, frames=300)).run()
    counts = Counter(row.game_id for row in store.rows)
    assert twitch.most > 2
    assert len(counts) == 3
    assert max(counts.values()) - min(counts.values()) <= 3 * 2 * PLAN.frames_per_stream


@pytest.mark.parametrize("frames", [1, 13, 37])
def test_the_limit_is_exact_with_many_in_flight(frames):
    """What is in flight is reserved; what it fails to bring is fetched from others."""
    channels = many(A, B)
    channels[A].update(a1=StreamOffline("x"), a2=2, a3=OnlyAds("x"))
    channels[B].update(b1=1, b2=StreamOffline("x"))
    store = FakeStore()
    assert collector(Watched(channels), store, replace(EIGHT, frames=frames)).run().total == frames
    assert len(store.files) == len(store.rows) == frames


def test_the_display_tells_how_much_is_in_flight():
    """Streams and games are counted where there are several; one stream is named."""
    told = set()

    class Telling(FakeStore):
        def add_frames(self, frames):
            super().add_frames(frames)
            told.add(loop.tally.doing)

    loop = collector(Watched(many(A, B, C)), Telling(), replace(EIGHT, streams_per_game=3, frames=90))
    loop.run()
    assert "8 streams of 3 games" in told


def test_no_more_streams_than_hoped_for_are_begun():
    """Two good streams are enough for a turn: with two in flight a third begins only when one has failed."""
    twitch = FakeTwitch({A: {"a1": 5, "a2": 5, "a3": 5, "a4": 5}})
    collector(twitch, FakeStore(), replace(PLAN, parallel_streams=8, frames=10)).run()
    assert len(twitch.grabbed) == 2


@pytest.mark.parametrize("raises", [False, True], ids=["at the next frame", "in the grabber's wait"])
def test_a_stop_amid_eight_grabs_keeps_what_was_grabbed(raises):
    """Each of the eight has one frame when the stop comes; all are saved, soon, and no thread is left."""
    stop = Stop()
    barrier = threading.Barrier(8, action=stop.set, timeout=20)

    class Stopping(FakeTwitch):
        def frames(self, login, at_most):
            yield Frame(1, b"jpeg")
            barrier.wait()
            if raises:
                raise Stopped
            yield Frame(2, b"jpeg")
            pytest.fail("grabbed on after the stop")

    store = FakeStore()
    begun = time.monotonic()
    tally = collector(Stopping(many(A)), store, replace(EIGHT, frames=None), stop).run()
    assert len(store.rows) == len(store.files) == tally.total == (8 if raises else 16)
    assert time.monotonic() - begun < 5
    assert not grab_threads()


def test_a_stream_that_hangs_does_not_stop_the_others():
    """While one stream gives nothing, the rest of its turn and the other games go on."""
    released = threading.Event()

    class Hanging(FakeTwitch):
        def frames(self, login, at_most):
            if login == "a0":
                assert released.wait(20)
            yield from super().frames(login, at_most)

    class Store(FakeStore):
        def add_frames(self, frames):
            super().add_frames(frames)
            if len(self.rows) >= 100:
                released.set()

    store = Store()
    twitch = Hanging({A: {"a0": 5, "a1": 5}, **many(B, C)})
    collector(twitch, store, replace(EIGHT, frames=150)).run()
    assert {row.game_id for row in store.rows} == {1, 2, 3}
    assert len(store.rows) == 150


def test_helix_down_loses_no_grab_in_flight():
    """Helix fails while streams are being grabbed: what they give is saved during the wait, not after it."""
    down, released = threading.Event(), threading.Event()

    class Failing(FakeTwitch):
        def streams(self, game_id, at_most):
            if game_id == B.id and at_most == 100:
                down.set()
                raise DirectoryUnavailable("down")
            return super().streams(game_id, at_most)

        def frames(self, login, at_most):
            assert down.wait(20)
            yield from super().frames(login, at_most)

    class Store(FakeStore):
        def add_frames(self, frames):
            super().add_frames(frames)
            if len(self.rows) == 20:
                released.set()

    stop, store = Stop(), Store()
    threading.Thread(target=lambda: released.wait(20) and stop.set(), daemon=True).start()
    channels = {**many(A, streams=4), **many(B)}
    begun = time.monotonic()
    collector(Failing(channels), store, replace(EIGHT, frames=None, helix_pause_s=60, games_interval_s=600), stop).run()
    assert Counter(row.game_id for row in store.rows) == {1: 20}
    assert time.monotonic() - begun < 20


def test_refused_credentials_lose_no_grab_in_flight():
    """The run ends, and what the streams in flight had given is saved."""
    refused = threading.Event()

    class Refusing(FakeTwitch):
        def streams(self, game_id, at_most):
            if game_id == B.id and at_most == 100:
                refused.set()
                raise DirectoryUnauthorized("no")
            return super().streams(game_id, at_most)

        def frames(self, login, at_most):
            yield Frame(1, b"jpeg")
            assert refused.wait(20)
            yield Frame(2, b"jpeg")

    store = FakeStore()
    with pytest.raises(DirectoryUnauthorized):
        collector(Refusing({**many(A, streams=4), **many(B)}), store, replace(EIGHT, frames=None)).run()
    assert store.rows == store.files
    assert len(store.rows) >= 4
    assert not grab_threads()
