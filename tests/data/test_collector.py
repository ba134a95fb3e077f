"""data.collection.collector: the download loop on fakes: selection, saving, failures, stopping."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from data.collection.collector import Collector
from data.collection.grab_pool import StopEvent
from data.collection.state import CollectorSettings
from data.collection.stream_grabs import grabs_in_threads
from data.entities import Frame, FrameDetails, Game, StoredFrame, Stream
from data.errors import (
    CatalogUnavailable,
    DirectoryUnauthorized,
    DirectoryUnavailable,
    FolderError,
    LoginForgotten,
    OnlyAds,
    StopRequested,
    StreamClaimed,
    StreamOffline,
)


@dataclass(frozen=True)
class Settings(CollectorSettings):
    """Those of the loop, and how many streams its pool grabs at the same time."""

    parallel_streams: int = 1


SETTINGS = Settings(
    max_games=3,
    min_streamers=2,
    non_games=frozenset(),
    streams_per_game=2,
    stream_tries=4,
    frames_per_stream=5,
    max_streamer_fraction=1.0,
    games_interval_s=0,
    game_cooldown_s=60,
    helix_retry_interval_s=0.001,
    frames=20,
)


class FakeTwitch:
    """Directory and source in one: games with live channels, each with its number of frames or the error it raises."""

    def __init__(self, channels: dict[Game, dict[str, int | Exception]]) -> None:
        self.channels = channels
        self.outages: list[Exception] = []
        self.calls: Counter[str] = Counter()
        self.grabbed: list[str] = []

    def top_games(self, non_games):
        self.calls["top_games"] += 1
        if self.outages:
            raise self.outages.pop()
        yield from (game for game in self.channels if game.id not in non_games)

    def streams_by_game(self, game_id, max_streams):
        self.calls["streams"] += 1
        self.calls[f"streams of {game_id}"] += 1
        found = next(channels for game, channels in self.channels.items() if game.id == game_id)
        return [Stream(login, game_id, "", "en", 1) for login in found][:max_streams]

    def frames(self, login, max_frames):
        self.grabbed.append(login)
        given = next(channels[login] for channels in self.channels.values() if login in channels)
        if isinstance(given, Exception):
            raise given
        for number in range(1, min(given, max_frames) + 1):
            yield Frame(number, b"jpeg")


class FakeDataset:
    """Frame store and catalog in one: files and rows as sets."""

    def __init__(self) -> None:
        self.files: set[StoredFrame] = set()
        self.rows: set[StoredFrame] = set()
        self.games: dict[int, Game] = {}
        self.stored_games: set[Game] = set()
        self.removed: dict[int, Game] = {}
        self.row_error: Exception | None = None

    def save(self, game_id, login, jpegs, details):
        first = 1 + max((f.number for f in self.files if (f.game_id, f.login) == (game_id, login)), default=0)
        pairs = enumerate(zip(jpegs, details, strict=True), first)
        saved = [StoredFrame(game_id, login, n, hashlib.sha256(jpeg).digest(), known) for n, (jpeg, known) in pairs]
        self.files |= set(saved)
        return saved

    def delete(self, frames):
        self.files -= set(frames)

    def store_games(self, games):
        self.stored_games |= set(games)

    def add_games(self, games):
        self.games.update({game.id: game for game in games})

    def game_frames(self):
        counts = Counter(row.game_id for row in self.rows)
        return {game: counts[game.id] for game in self.games.values()}

    def removed_games(self):
        return self.removed

    def streamer_frames(self, game_id):
        return Counter(row.login for row in self.rows if row.game_id == game_id)

    def add_frames(self, frames):
        if self.row_error:
            raise self.row_error
        self.rows |= set(frames)

    def remove_frames(self, frames):
        self.rows -= set(frames)


class StoreSide:
    """The dataset as a frame store: here `add_games` adds to games.tsv, not to the rows."""

    def __init__(self, dataset: FakeDataset) -> None:
        self.save, self.delete, self.add_games = dataset.save, dataset.delete, dataset.store_games
        self.removed_games = dataset.removed_games


class FakeFilter:
    """Rejects the frames of the given logins for the given reasons, except their first `kept` frames."""

    def __init__(self, reasons: dict[str, str], kept: int = 0) -> None:
        self._reasons = reasons
        self._kept = kept
        self._seen: Counter[str] = Counter()

    def reject_reason(self, login, jpeg):
        self._seen[login] += 1
        return self._reasons.get(login, "") if self._seen[login] > self._kept else ""


class StopInsteadOfWaiting(StopEvent):
    """Ends the run at its first wait."""

    def pause(self, seconds):
        self.set()
        super().pause(seconds)


@pytest.fixture(params=[1, 8])
def settings(request):
    """The settings with one stream at a time, and with eight: for what must hold with both."""
    yield replace(SETTINGS, parallel_streams=request.param)
    assert not grab_threads()


def grab_threads() -> list[threading.Thread]:
    """Return the threads of grabs; those that are about to end get a moment."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("grab")]
    for thread in threads:
        thread.join(1)
    return [thread for thread in threads if thread.is_alive()]


def collector(twitch, dataset, settings=SETTINGS, stop=None, frame_filter=None, **options):
    stop = stop or StopEvent()
    return Collector(
        directory=twitch,
        pool=grabs_in_threads(twitch, frame_filter or FakeFilter({}), settings.parallel_streams, stop),
        store=StoreSide(dataset),
        index=dataset,
        settings=settings,
        stop=stop,
        rng=random.Random(1),
        **options,
    )


A, B, C, D = (Game(number, name) for number, name in enumerate("ABCD", 1))


def test_the_game_with_the_fewest_frames_is_filled(settings):
    """Games with the same streams end with the same number of frames, as files and as rows."""
    twitch = FakeTwitch({game: {f"{game.name.lower()}{i}": 5 for i in range(3)} for game in (A, B)})
    dataset = FakeDataset()
    stats = collector(twitch, dataset, settings).run()
    assert Counter(row.game_id for row in dataset.rows) == {1: 10, 2: 10}
    assert dataset.rows == dataset.files
    assert stats.total == 20
    assert stats.frames == {"A": 10, "B": 10}


def test_the_limit_of_frames_is_exact(settings):
    """The last grab takes only the missing frames."""
    dataset = FakeDataset()
    settings = replace(settings, frames=7)
    assert collector(FakeTwitch({A: {"a": 5, "b": 5}}), dataset, settings).run().total == 7
    assert len(dataset.files) == 7


def test_games_are_added_up_to_the_maximum_and_with_enough_streamers(settings):
    """A game below MIN_STREAMERS is skipped; at most MAX_GAMES are added; their names reach the store."""
    twitch = FakeTwitch({A: {"a": 5}, **{game: {f"{game.name}1": 5, f"{game.name}2": 5} for game in (B, C, D)}})
    dataset = FakeDataset()
    settings = replace(settings, max_games=2)
    collector(twitch, dataset, settings).run()
    assert set(dataset.games.values()) == {B, C} == dataset.stored_games


def test_failing_streams_are_counted_by_reason_and_replaced(settings):
    """Streams that fail are counted by reason; the next ones give the frames."""
    twitch = FakeTwitch({A: {"gone": StreamOffline("x"), "ads": OnlyAds("x"), "good": 5, "fine": 5}})
    stats = collector(twitch, FakeDataset(), settings).run()
    assert stats.total == 20
    assert set(stats.failures) == {"offline", "only ads"}
    assert stats.streams == len(twitch.grabbed)


def test_a_round_tries_at_most_stream_tries_and_uses_streams_per_game():
    """Of ten streams a round tries at most four, and two successes are enough."""
    twitch = FakeTwitch({A: {f"a{i}": 5 for i in range(10)}, B: {f"b{i}": StreamOffline("x") for i in range(10)}})
    settings = replace(SETTINGS, frames=15)
    collector(twitch, FakeDataset(), settings).run()
    assert sum(login.startswith("b") for login in twitch.grabbed) == 4  # then the game has a cooldown
    assert sum(login.startswith("a") for login in twitch.grabbed) == 3  # two in the first round, one in the second


def test_a_game_without_usable_streams_gets_a_cooldown():
    """The smallest game has only failing streams; the loop fills the other game."""
    twitch = FakeTwitch({A: {"a1": StreamOffline("x"), "a2": StreamOffline("x")}, B: {"b1": 5, "b2": 5}})
    dataset = FakeDataset()
    collector(twitch, dataset).run()
    assert Counter(row.game_id for row in dataset.rows) == {2: 20}
    assert Counter(twitch.grabbed)["a1"] == 1


def test_directory_outage_waits_then_continues(settings):
    """After three failed requests the loop goes on; it waited before each repetition."""
    twitch = FakeTwitch({A: {"a": 5, "b": 5}})
    twitch.outages = [DirectoryUnavailable("down")] * 3
    waits = []

    class RecordingStop(StopEvent):
        def pause(self, seconds):
            waits.append(seconds)
            super().pause(seconds)

    assert collector(twitch, FakeDataset(), settings, stop=RecordingStop()).run().total == 20
    assert waits == [SETTINGS.helix_retry_interval_s] * 3


def test_refused_credentials_end_the_run(settings):
    """DirectoryUnauthorized passes through without a wait."""
    twitch = FakeTwitch({A: {"a": 5}})
    twitch.outages = [DirectoryUnauthorized("no")]
    with pytest.raises(DirectoryUnauthorized):
        collector(twitch, FakeDataset(), settings).run()


def test_failed_insert_of_rows_deletes_the_files(settings):
    """When the catalog fails, the files of that stream are deleted and the error ends the run."""
    dataset = FakeDataset()
    dataset.row_error = CatalogUnavailable("gone")
    with pytest.raises(CatalogUnavailable):
        collector(FakeTwitch({A: {"a": 5, "b": 5}}), dataset, settings).run()
    assert not dataset.files


def test_a_full_disk_ends_the_run(settings):
    """FolderError passes through: it is not the failure of a stream."""

    class Full(FakeDataset):
        def save(self, game_id, login, jpegs, details):
            raise FolderError("full")

    with pytest.raises(FolderError):
        collector(FakeTwitch({A: {"a": 5, "b": 5}}), Full(), settings).run()


def test_frames_before_a_failure_are_saved(settings):
    """A stream that fails after two frames gives two frames and counts as failed."""

    class Breaking(FakeTwitch):
        def frames(self, login, max_frames):
            yield from super().frames(login, 2)
            raise StreamOffline("gone in the middle")

    dataset = FakeDataset()
    settings = replace(settings, frames=4)
    stats = collector(Breaking({A: {"a": 5, "b": 5}}), dataset, settings).run()
    assert len(dataset.rows) == 4
    assert stats.failures == {"offline": 2}


def test_stop_during_a_grab_saves_its_frames():
    """A stop during a stream ends the grab after that frame; the frames until then are saved."""
    stop = StopEvent()

    class Stopping(FakeTwitch):
        def frames(self, login, max_frames):
            yield Frame(1, b"jpeg")
            stop.set()
            yield Frame(2, b"jpeg")
            pytest.fail("the grab continued after the stop")

    dataset = FakeDataset()
    collector(Stopping({A: {"a": 5, "b": 5}}), dataset, stop=stop).run()
    assert len(dataset.rows) == 2


def test_without_games_the_loop_waits(settings):
    """Without games the loop waits until the stop and sends one request per interval: no busy loop."""
    twitch = FakeTwitch({})
    stop = StopEvent()

    class Counting(StopEvent):
        def pause(self, seconds):
            if twitch.calls["top_games"] == 3:
                stop.set()
            super().pause(seconds)

    stop = Counting()
    assert collector(twitch, FakeDataset(), settings, stop=stop).run().total == 0
    assert twitch.calls["top_games"] == 3


def test_rejected_frames_are_counted_and_not_saved(settings):
    """Two of five frames are saved: success. In the next round the filter rejects all frames: failure."""
    dataset = FakeDataset()
    frame_filter = FakeFilter({"a": "frozen", "b": "black"}, kept=2)
    settings = replace(settings, frames=None)
    stats = collector(FakeTwitch({A: {"a": 5, "b": 5}}), dataset, settings, StopInsteadOfWaiting(), frame_filter).run()
    assert Counter(row.login for row in dataset.rows) == {"a": 2, "b": 2}
    assert dataset.rows == dataset.files
    assert stats.rejected == {"frozen": 3 + 5, "black": 3 + 5}
    assert stats.failures == {"nothing to keep": 2}


def test_a_stream_with_all_frames_rejected_counts_as_failed(settings):
    """The failure is counted by reason, and another stream takes the place in the round."""
    twitch = FakeTwitch({A: {"black": 5, "card": 5, "good": 5, "fine": 5}})
    dataset = FakeDataset()
    frame_filter = FakeFilter({"black": "black", "card": "test card"})
    stats = collector(twitch, dataset, replace(settings, frames=10), frame_filter=frame_filter).run()
    assert {row.login for row in dataset.rows} == {"good", "fine"}
    assert stats.failures.keys() <= {"nothing to keep"}
    assert stats.rejected == {"black": 5 * ("black" in twitch.grabbed), "test card": 5 * ("card" in twitch.grabbed)}
    assert sum(stats.rejected.values()) == 5 * stats.failures["nothing to keep"]


def test_a_game_with_all_frames_rejected_gets_a_cooldown(settings):
    """Its streams are tried in one round, and not again while other games are filled."""
    twitch = FakeTwitch({A: {"a1": 5, "a2": 5}, B: {f"b{i}": 5 for i in range(4)}})
    dataset = FakeDataset()
    stats = collector(twitch, dataset, settings, frame_filter=FakeFilter({"a1": "frozen", "a2": "frozen"})).run()
    assert Counter(row.game_id for row in dataset.rows) == {2: 20}
    assert Counter(twitch.grabbed)["a1"] == Counter(twitch.grabbed)["a2"] == 1
    assert stats.failures == {"nothing to keep": 2}


def test_stop_during_a_frozen_stream_is_no_failure():
    """Frames after the stop might have been good ones, so the stream does not count as failed."""
    stop = StopEvent()

    class Stopping(FakeTwitch):
        def frames(self, login, max_frames):
            stop.set()
            yield from super().frames(login, max_frames)

    stats = collector(
        Stopping({A: {"a": 5, "b": 5}}),
        FakeDataset(),
        stop=stop,
        frame_filter=FakeFilter({"a": "frozen", "b": "frozen"}),
    ).run()
    assert not stats.failures
    assert stats.rejected == {"frozen": 1}


WITH_QUOTA = replace(SETTINGS, max_streamer_fraction=0.1, min_streamers=1, streams_per_game=5, stream_tries=10)


@pytest.mark.parametrize("parallel", [1, 8])
def test_no_streamer_exceeds_the_maximum_fraction(parallel):
    """Each of 20 streamers gives FRAMES_PER_STREAM, and more only up to a tenth of all frames."""
    dataset = FakeDataset()
    settings = replace(WITH_QUOTA, parallel_streams=parallel, frames=300)
    assert collector(FakeTwitch({A: {f"a{i}": 9 for i in range(20)}}), dataset, settings).run().total == 300
    given = Counter(row.login for row in dataset.rows)
    assert len(given) == 20
    assert max(given.values()) <= 30


def test_streamers_without_frames_come_first():
    """All streams are drawn; those without frames are tried first: 4 x 5 frames of four streamers."""
    dataset = FakeDataset()
    dataset.games[1] = A
    dataset.add_frames([StoredFrame(1, f"a{i}", number) for i in range(4) for number in range(1, 5)])
    twitch = FakeTwitch({A: {f"a{i}": 5 for i in range(8)}})
    collector(twitch, dataset, replace(WITH_QUOTA, streams_per_game=4, frames=20)).run()
    assert set(twitch.grabbed) == {"a4", "a5", "a6", "a7"}


def test_a_streamer_close_to_the_quota_gives_only_the_rest():
    """A streamer with two of five frames is grabbed for three, although the stream has nine."""
    dataset = FakeDataset()
    dataset.games[1] = A
    dataset.add_frames([StoredFrame(1, "a", number) for number in (1, 2)])
    requested = []

    class Recording(FakeTwitch):
        def frames(self, login, max_frames):
            requested.append((login, max_frames))
            yield from super().frames(login, max_frames)

    settings = replace(WITH_QUOTA, frames=8, max_games=1)
    collector(Recording({A: {"a": 9, "b": 9}}), dataset, settings).run()
    assert sorted(requested) == [("a", 3), ("b", 5)]


def test_a_game_with_all_streamers_over_quota_gets_a_cooldown(settings):
    """No stream of it is grabbed, its streams are listed once, and its streamers count as over quota."""
    dataset = FakeDataset()
    dataset.games.update({1: A, 2: B})
    dataset.add_frames([StoredFrame(1, login, number) for login in ("a1", "a2") for number in range(1, 6)])
    dataset.add_frames([StoredFrame(2, f"old{i}", number) for i in range(20) for number in range(1, 6)])
    twitch = FakeTwitch({A: {"a1": 5, "a2": 5}, B: {f"b{i}": 5 for i in range(10)}})
    settings = replace(WITH_QUOTA, parallel_streams=settings.parallel_streams, frames=20, max_games=2)
    stats = collector(twitch, dataset, settings).run()
    assert all(login.startswith("b") for login in twitch.grabbed)
    assert twitch.calls["streams of 1"] == 1
    assert stats.over_quota == {"a1", "a2"}
    assert not stats.failures


def test_with_all_streamers_over_quota_the_loop_waits(caplog):
    """The only game has two streamers over quota: the game gets a cooldown, and the loop waits and says why."""
    twitch = FakeTwitch({A: {"a": 5, "b": 5}})
    stats = collector(twitch, FakeDataset(), replace(WITH_QUOTA, frames=100), StopInsteadOfWaiting()).run()
    assert stats.total == 10
    assert (
        twitch.calls["streams of 1"] == 3
    )  # for MIN_STREAMERS, for the successful round, for the round without eligible streams
    assert "no game has live streams to grab, but those of streamers over MAX_STREAMER_FRACTION; wait" in caplog.text


EIGHT = replace(SETTINGS, parallel_streams=8, streams_per_game=8, stream_tries=10, min_streamers=1)


def many(*games: Game, streams: int = 10, frames: int = 5) -> dict[Game, dict[str, int | Exception]]:
    return {game: {f"{game.name.lower()}{i}": frames for i in range(streams)} for game in games}


class ConcurrencyMeter(FakeTwitch):
    """Counts how many grabs run at the same time; each takes a moment."""

    def __init__(self, channels, frame_s: float = 0.001) -> None:
        super().__init__(channels)
        self.frame_s = frame_s
        self.lock = threading.Lock()
        self.now = self.most = 0

    def frames(self, login, max_frames):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            for frame in super().frames(login, max_frames):
                time.sleep(self.frame_s)
                yield frame
        finally:
            with self.lock:
                self.now -= 1


def test_streams_are_grabbed_at_the_same_time():
    """No grab continues before eight have begun; the barrier opens, so they ran at the same time."""
    barrier = threading.Barrier(8, timeout=20)

    class Meeting(FakeTwitch):
        def frames(self, login, max_frames):
            barrier.wait()
            yield from super().frames(login, max_frames)

    dataset = FakeDataset()
    assert collector(Meeting(many(A)), dataset, replace(EIGHT, frames=40)).run().total == 40
    assert dataset.rows == dataset.files
    assert not grab_threads()


def test_a_streamer_who_changes_the_game_is_grabbed_once_at_a_time():
    """Twitch may list a stream in its old game for a while."""
    twitch = ConcurrencyMeter({A: {"ann": 5}, B: {"ann": 5}}, frame_s=0.02)
    stats = collector(twitch, FakeDataset(), replace(EIGHT, frames=20)).run()
    assert (stats.total, twitch.most) == (20, 1)
    assert stats.failures["in another download"] > 0


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_grabs_in_flight_reach_and_never_exceed_the_limit(limit):
    """With many streams and games, exactly PARALLEL_STREAMS grabs run at the same time."""
    twitch = ConcurrencyMeter(many(A, B, C))
    collector(twitch, FakeDataset(), replace(EIGHT, frames=200, parallel_streams=limit)).run()
    assert twitch.most == limit


def test_games_filled_in_parallel_stay_balanced():
    """With more workers than one game's streams several games fill together, none a few rounds ahead.

    A quick round may finish, and the next one begin, while another game's round is unfinished.
    """
    # Frames take long, so that a thread that waits for a core under load stays within the limit below.
    twitch, dataset = ConcurrencyMeter(many(A, B, C), frame_s=0.02), FakeDataset()
    collector(twitch, dataset, replace(EIGHT, streams_per_game=2, frames=300)).run()
    counts = Counter(row.game_id for row in dataset.rows)
    assert twitch.most > 2
    assert len(counts) == 3
    assert max(counts.values()) - min(counts.values()) <= 3 * 2 * SETTINGS.frames_per_stream


@pytest.mark.parametrize("frames", [1, 13, 37])
def test_the_limit_of_frames_is_exact_with_many_in_flight(frames):
    """Frames in flight are reserved; frames that a stream fails to bring come from others."""
    channels = many(A, B)
    channels[A].update(a1=StreamOffline("x"), a2=2, a3=OnlyAds("x"))
    channels[B].update(b1=1, b2=StreamOffline("x"))
    dataset = FakeDataset()
    assert collector(ConcurrencyMeter(channels), dataset, replace(EIGHT, frames=frames)).run().total == frames
    assert len(dataset.files) == len(dataset.rows) == frames


def test_status_counts_streams_and_games_in_flight():
    """With several streams in flight the status counts streams and games."""
    seen = set()

    class Recording(FakeDataset):
        def add_frames(self, frames):
            super().add_frames(frames)
            seen.add(loop.stats.status)

    loop = collector(ConcurrencyMeter(many(A, B, C)), Recording(), replace(EIGHT, streams_per_game=3, frames=90))
    loop.run()
    assert "8 streams of 3 games" in seen


def test_a_round_starts_no_more_streams_than_its_target():
    """Two streams are the target: with two in flight a third starts only when one has failed."""
    twitch = FakeTwitch({A: {"a1": 5, "a2": 5, "a3": 5, "a4": 5}})
    collector(twitch, FakeDataset(), replace(SETTINGS, parallel_streams=8, frames=10)).run()
    assert len(twitch.grabbed) == 2


@pytest.mark.parametrize("raises", [False, True], ids=["at the next frame", "in the source's wait"])
def test_stop_during_eight_grabs_saves_their_frames(raises):
    """Each of eight grabs has one frame at the stop; all frames are saved within 5 s, and no thread is left."""
    stop = StopEvent()
    barrier = threading.Barrier(8, action=stop.set, timeout=20)

    class Stopping(FakeTwitch):
        def frames(self, login, max_frames):
            yield Frame(1, b"jpeg")
            barrier.wait()
            if raises:
                raise StopRequested
            yield Frame(2, b"jpeg")
            pytest.fail("the grab continued after the stop")

    dataset = FakeDataset()
    begun = time.monotonic()
    stats = collector(Stopping(many(A)), dataset, replace(EIGHT, frames=None), stop).run()
    assert len(dataset.rows) == len(dataset.files) == stats.total == (8 if raises else 16)
    assert time.monotonic() - begun < 20
    assert not grab_threads()


def test_a_hanging_stream_does_not_block_the_others():
    """While one stream gives nothing, the rest of its round and the other games go on."""
    released = threading.Event()

    class Hanging(FakeTwitch):
        def frames(self, login, max_frames):
            if login == "a0":
                assert released.wait(20)
            yield from super().frames(login, max_frames)

    class ReleasingDataset(FakeDataset):
        def add_frames(self, frames):
            super().add_frames(frames)
            if len(self.rows) >= 100:
                released.set()

    dataset = ReleasingDataset()
    twitch = Hanging({A: {"a0": 5, "a1": 5}, **many(B, C)})
    collector(twitch, dataset, replace(EIGHT, frames=150)).run()
    assert {row.game_id for row in dataset.rows} == {1, 2, 3}
    assert len(dataset.rows) == 150


def test_directory_outage_saves_grabs_in_flight_during_the_wait():
    """The directory fails while streams are grabbed: their frames are saved during the wait, not after it."""
    down, released = threading.Event(), threading.Event()

    class Failing(FakeTwitch):
        def streams_by_game(self, game_id, max_streams):
            if game_id == B.id and max_streams == 100:
                down.set()
                raise DirectoryUnavailable("down")
            return super().streams_by_game(game_id, max_streams)

        def frames(self, login, max_frames):
            assert down.wait(20)
            yield from super().frames(login, max_frames)

    class ReleasingDataset(FakeDataset):
        def add_frames(self, frames):
            super().add_frames(frames)
            if len(self.rows) == 20:
                released.set()

    stop, dataset = StopEvent(), ReleasingDataset()
    threading.Thread(target=lambda: released.wait(20) and stop.set(), daemon=True).start()
    channels = {**many(A, streams=4), **many(B)}
    begun = time.monotonic()
    collector(
        Failing(channels), dataset, replace(EIGHT, frames=None, helix_retry_interval_s=60, games_interval_s=600), stop
    ).run()
    assert Counter(row.game_id for row in dataset.rows) == {1: 20}
    assert time.monotonic() - begun < 20


def test_refused_credentials_save_the_grabs_in_flight():
    """The run ends, and the frames of the streams in flight are saved."""
    begun, refused = threading.Semaphore(0), threading.Event()

    class Refusing(FakeTwitch):
        def streams_by_game(self, game_id, max_streams):
            if game_id == B.id and max_streams == 100:
                assert all(begun.acquire(timeout=20) for _ in range(4))
                refused.set()
                raise DirectoryUnauthorized("no")
            return super().streams_by_game(game_id, max_streams)

        def frames(self, login, max_frames):
            begun.release()
            yield Frame(1, b"jpeg")
            assert refused.wait(20)
            yield Frame(2, b"jpeg")

    dataset = FakeDataset()
    with pytest.raises(DirectoryUnauthorized):
        collector(Refusing({**many(A, streams=4), **many(B)}), dataset, replace(EIGHT, frames=None)).run()
    assert dataset.rows == dataset.files
    assert len(dataset.rows) >= 4
    assert not grab_threads()


def test_an_exception_that_nobody_foresaw_costs_its_stream_only(settings):
    """It counts as internal; its frames until then and those of the other streams are kept."""

    class Breaking(FakeTwitch):
        def frames(self, login, max_frames):
            yield from super().frames(login, max_frames)
            if login == "a0":
                raise IndexError("demux")

    dataset, settings = FakeDataset(), replace(settings, frames=10)
    stats = collector(Breaking(many(A, streams=2)), dataset, settings).run()
    assert {frame.login for frame in dataset.rows} == {"a0", "a1"}
    assert stats.failures["internal"] == 1
    assert set(stats.failures) <= {"internal"}
    assert stats.total == len(dataset.rows) == len(dataset.files) == settings.frames


def test_a_filter_that_breaks_costs_the_stream_only():
    """The filter reads foreign bytes, too."""

    class Broken(FakeFilter):
        def reject_reason(self, login, jpeg):
            if login == "a0":
                raise ValueError("no JPEG")
            return ""

    dataset = FakeDataset()
    stats = collector(FakeTwitch({A: {"a0": 5, "a1": 5}}), dataset, SETTINGS, None, Broken({})).run()
    assert stats.failures["internal"]
    assert {frame.login for frame in dataset.rows} == {"a1"}


def test_streams_that_hang_at_the_stop_give_their_frames_and_are_left_behind():
    """The run ends in seconds although a request never does; frames from before are saved."""
    released, begun = threading.Event(), threading.Event()

    class Hanging(FakeTwitch):
        def frames(self, login, max_frames):
            yield Frame(1, b"jpeg")
            begun.set()
            released.wait(60)

    dataset, stop = FakeDataset(), StopEvent()
    run = collector(Hanging({A: {"a0": 5, "a1": 5}}), dataset, replace(EIGHT, frames=None), stop=stop)
    thread = threading.Thread(target=run.run)
    thread.start()
    assert begun.wait(20)
    time.sleep(0.05)
    stop.set()
    thread.join(20)
    try:
        assert not thread.is_alive()
        assert {frame.login for frame in dataset.rows} == {"a0", "a1"} == {frame.login for frame in dataset.files}
    finally:
        released.set()
        assert not grab_threads()


def test_stop_when_saving_takes_longer_than_the_grace_period_saves_all_frames(monkeypatch):
    """Grabs that end while the frames of others are saved count, too: a store may be far away."""
    monkeypatch.setattr("data.collection.collector._GRACE_S", 0.01)
    stop = StopEvent()
    barrier = threading.Barrier(8, action=stop.set, timeout=20)
    ends = {"a6": threading.Event(), "a7": threading.Event()}

    class EndingInTurn(FakeTwitch):
        def frames(self, login, max_frames):
            yield Frame(1, b"jpeg")
            barrier.wait()
            if login in ends:
                ends[login].wait(20)

    class Slow(FakeDataset):
        def save(self, game_id, login, *frames):
            ends["a7" if login == "a6" else "a6"].set()
            time.sleep(0.4 if login == "a6" else 0)
            return super().save(game_id, login, *frames)

    dataset = Slow()
    twitch = EndingInTurn(many(A, streams=8))
    assert collector(twitch, dataset, replace(EIGHT, frames=None), stop).run().total == 8
    assert len(dataset.rows) == 8


def test_a_game_whose_streams_another_download_grabs_is_tried_again_soon():
    """Claims are no reason for the long cooldown; the failures are counted by their reason; own claims are freed."""
    refusals, held = iter(range(6)), set()

    @contextmanager
    def claim(login):
        if next(refusals, None) is not None:
            raise StreamClaimed(login)
        held.add(login)
        yield
        held.remove(login)

    dataset = FakeDataset()
    stats = collector(FakeTwitch(many(A)), dataset, SETTINGS, claim=claim).run()
    assert stats.failures == {"in another download": 6}
    assert stats.total == 20
    assert not held


def test_frames_that_the_dataset_has_are_counted_and_leave_no_file():
    """The index gives them no row: their files go, and a stream without a new frame counts as failed."""

    class Knowing(FakeDataset):
        def add_frames(self, frames):
            assert all(len(frame.sha256) == 32 for frame in frames)
            known = [frame for frame in frames if frame.login == "a0" or frame.number == 2]
            super().add_frames([frame for frame in frames if frame not in known])
            return known

    dataset = Knowing()
    stats = collector(FakeTwitch({A: {"a0": 5, "a1": 5}}), dataset, replace(SETTINGS, frames=8)).run()
    assert dataset.files == dataset.rows
    assert {frame.login for frame in dataset.rows} == {"a1"}
    assert set(stats.failures) == {"nothing to keep"}
    assert stats.rejected["identical"] > 5
    assert stats.total == 8 == len(dataset.rows)


def test_frames_in_the_trash_are_not_saved_again():
    """The same screen, byte for byte, as one that somebody removed; other frames of the stream are saved."""

    class Repeating(FakeTwitch):
        def frames(self, login, max_frames):
            for frame in super().frames(login, max_frames):
                yield replace(frame, jpeg=b"menu" if frame.number == 2 or login == "a0" else b"play")

    dataset, settings = FakeDataset(), replace(SETTINGS, frames=8)
    trashed = {hashlib.sha256(b"menu").digest()}
    stats = collector(Repeating({A: {"a0": 5, "a1": 5}}), dataset, settings, trashed=trashed).run()
    assert {(frame.login, frame.sha256) for frame in dataset.files} == {("a1", hashlib.sha256(b"play").digest())}
    assert stats.total == len(dataset.rows) == 8
    assert set(stats.rejected) == {"in the trash"}
    assert stats.failures["nothing to keep"]


def counts(dataset: FakeDataset) -> Counter[int]:
    return Counter(row.game_id for row in dataset.rows)


def dataset_of(*games: Game) -> FakeDataset:
    dataset = FakeDataset()
    dataset.add_games(games)
    return dataset


def test_until_gives_each_game_as_many_frames_and_ends_the_run(settings):
    """Each game has exactly 12 frames, also the one that had some; nothing is missing at the end."""
    twitch, dataset = FakeTwitch(many(A, B, C)), dataset_of(A, B, C)
    dataset.rows = {StoredFrame(1, "old", number) for number in range(1, 8)}
    stats = collector(twitch, dataset, replace(settings, frames=None, until=12)).run()
    assert counts(dataset) == {1: 12, 2: 12, 3: 12}
    assert stats.total == 5 + 12 + 12
    assert stats.missing == 0


def test_until_collects_the_games_that_are_still_to_be_added(settings):
    """An empty dataset is not complete: popular games are added, and filled."""
    dataset = FakeDataset()
    collector(FakeTwitch(many(A, B, C, D)), dataset, replace(settings, frames=None, until=6)).run()
    assert counts(dataset) == {1: 6, 2: 6, 3: 6}


def test_until_with_enough_frames_ends_at_once(settings):
    """No stream is grabbed, and nothing waits."""
    twitch, dataset = FakeTwitch(many(A)), dataset_of(A)
    dataset.rows = {StoredFrame(1, "old", number) for number in range(1, 8)}
    settings = replace(settings, frames=None, until=7, max_games=1, helix_retry_interval_s=60)
    assert collector(twitch, dataset, settings).run().total == 0
    assert not twitch.grabbed


def test_until_waits_for_a_game_without_live_streams():
    """The other game is complete, the run goes on; what is missing is known."""
    twitch, dataset = FakeTwitch({A: {"a0": 5, "a1": 5}, B: {}}), dataset_of(A, B)
    stats = collector(twitch, dataset, replace(SETTINGS, frames=None, until=4), StopInsteadOfWaiting()).run()
    assert counts(dataset) == {1: 4}
    assert stats.missing == 4


def test_frames_ends_a_run_before_until(settings):
    """The limit that is reached first counts."""
    dataset = dataset_of(A, B)
    stats = collector(FakeTwitch(many(A, B)), dataset, replace(settings, frames=7, until=50, max_games=2)).run()
    assert stats.total == 7
    assert stats.missing == 93


def test_only_the_games_that_are_asked_for_are_collected(settings):
    """No popular game is added, and no other game of the dataset gets a frame."""
    twitch, dataset = FakeTwitch(many(A, B, C, D)), dataset_of(A, B)
    collector(twitch, dataset, replace(settings, games=frozenset({2}))).run()
    assert counts(dataset) == {2: 20}
    assert "top_games" not in twitch.calls


def test_excluded_games_get_no_frame_and_are_never_added(settings):
    """By id and by name in any letter case, in the dataset or not yet; they take no streams from the list."""
    twitch, dataset = FakeTwitch(many(A, B, C, D)), dataset_of(A)
    collector(twitch, dataset, replace(settings, excluded_games=frozenset({"1", "c"}))).run()
    assert counts(dataset) == {2: 10, 4: 10}
    assert 3 not in dataset.games


def test_removed_games_are_left_out_until_they_are_asked_for(settings):
    """A row that is left of a removed game, and its popularity, bring no frame; its place goes to another game."""
    twitch, dataset = FakeTwitch(many(A, B, C)), dataset_of(A, B)
    dataset.removed = {1: A}
    collector(twitch, dataset, replace(settings, max_games=2)).run()
    assert counts(dataset) == {2: 10, 3: 10}


def test_games_that_twitch_does_not_know_are_left_out(settings):
    """An imported game with an id of our own gives no frame and is not missing for --until."""
    own = Game(10**12, "my own game")
    twitch, dataset = FakeTwitch(many(A)), dataset_of(A, own)
    stats = collector(twitch, dataset, replace(settings, frames=None, until=5, max_games=2)).run()
    assert counts(dataset) == {1: 5}
    assert stats.missing == 0
    assert twitch.calls[f"streams of {own.id}"] == 0


def test_a_game_that_is_removed_during_a_grab_stays_removed():
    """The frames in flight are dropped: they would bring the folder back."""

    class Removing(FakeTwitch):
        def frames(self, login, max_frames):
            yield from super().frames(login, max_frames)
            dataset.removed = {1: A}

    twitch, dataset = Removing(many(A)), dataset_of(A)
    stats = collector(twitch, dataset, replace(SETTINGS, max_games=0), StopInsteadOfWaiting()).run()
    assert not dataset.files
    assert set(stats.rejected) == {"removed game"}


def test_excluded_streamers_are_never_selected(settings):
    """Their streams are not opened, and not counted as tried."""
    twitch, dataset = FakeTwitch({A: {"good": 5, "bad": 5, "fine": 5}}), FakeDataset()
    collector(twitch, dataset, settings, is_excluded=lambda login: login == "bad").run()
    assert set(twitch.grabbed) == {"good", "fine"}


def test_a_streamer_who_is_forgotten_during_a_grab_leaves_no_file():
    """The list is asked again after the rows are added, so no file and no row outlives it."""
    forgotten = set()

    class Forgetting(FakeTwitch):
        def frames(self, login, max_frames):
            yield from super().frames(login, max_frames)
            forgotten.add(self.grabbed[0])

    twitch, dataset = Forgetting(many(A)), dataset_of(A)
    stats = collector(twitch, dataset, replace(SETTINGS, frames=5), is_excluded=forgotten.__contains__).run()
    assert dataset.files == dataset.rows
    assert {frame.login for frame in dataset.files} == {twitch.grabbed[1]}
    assert stats.rejected == {"excluded streamer": 5}


def test_a_store_that_refuses_a_forgotten_streamer_costs_that_stream_only():
    """The frames count as rejected, and the run goes on with other streams."""

    class Refusing(FakeDataset):
        def save(self, game_id, login, jpegs, details):
            if login == "a1":
                raise LoginForgotten("a1 is forgotten")
            return super().save(game_id, login, jpegs, details)

    dataset = Refusing()
    stats = collector(FakeTwitch({A: {"a1": 5, "a2": 5}}), dataset, replace(SETTINGS, frames=10)).run()
    assert {frame.login for frame in dataset.files} == {"a2"}
    assert stats.rejected["excluded streamer"] == 5 * stats.failures["nothing to keep"] > 0


def test_a_list_of_forgotten_streamers_that_cannot_be_read_ends_the_run():
    """It is no failure of one stream: nothing may be collected without that list."""

    def is_excluded(login):
        raise FolderError("forgotten.txt is damaged")

    twitch, dataset = FakeTwitch(many(A)), dataset_of(A)
    with pytest.raises(FolderError):
        collector(twitch, dataset, is_excluded=is_excluded).run()
    assert not twitch.grabbed


def test_saved_frames_have_details_of_their_stream_and_segment():
    """The time is that of the segment; without one, or with a clock that is years off, that of the grab."""

    class Dated(FakeTwitch):
        def streams_by_game(self, game_id, max_streams):
            return [Stream("a0", game_id, "Any % — 原神", "ko", 1234)]

        def frames(self, login, max_frames):
            yield from (Frame(number, bytes([number]), date) for number, date in enumerate(dates))

    now = time.time()
    dates = [now - 30.5, None, 1e12, -1e300]
    twitch, dataset = Dated({A: {}}), dataset_of(A)
    collector(twitch, dataset, replace(SETTINGS, frames=4)).run()
    saved = sorted(dataset.files, key=lambda frame: frame.number)
    times = [frame.details.grabbed_at for frame in saved]
    assert times[0] == now - 30.5
    assert all(now <= grabbed_at <= time.time() for grabbed_at in times[1:])
    expected = FrameDetails(times[0], "ko", 1234, "Any % — 原神", "https://www.twitch.tv/a0")
    assert saved[0].details == expected
