"""Fault scenarios: a table of faults of Twitch, with the expected outcome of a download, and a function that runs one.

Each scenario is a real run: collector, Helix client, grabber, folder and catalog as data.download builds them, against
the stand-in. tests/data/test_faults.py checks the outcomes; benchmarks/faults.py prints them.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from data import dbSync, download
from data.collection.grab_pool import StopEvent
from data.errors import DirectoryUnauthorized, ToolkitError, UndecodableVideo
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.storage.frame_store import FolderScan
from data.storage.synchronisation import synchronise
from data.video.images import decode_jpeg
from tests.data.conftest import settings
from tests.standin import CLIPS, Fault, RandomFaults, Standin, World, faults, looks_like_ad
from tests.standin.faults import GQL, HELIX, PLAYLISTS, SEGMENTS, TOKENS, USHER, FaultKind
from tests.standin.media import TRANSCODES, Media
from tests.standin.playlist import MEDIA_HOST
from tests.standin.transcode import Rendition
from tests.standin.world import BEHAVIOURS, STILLS

_CLIP = "stk_hacienda"
_SOURCE = Rendition(854, 480, 30, 1_400_000)  # a larger one takes longer to encode
_POLL_S = 0.02
_LEAVE_S = 5.0  # for the stand-in's threads to notice that their clients are gone

# Short times, so that the faults of a day happen in seconds.
_QUICK = {
    "timeout_s": 1.0,
    "deadline_s": 1.5,
    "helix_retry_budget_s": 2.5,
    "stream_tries": 30,
    "helix_retry_interval_s": 0.2,
    "games_interval_s": 60,
    "game_cooldown_s": 0.2,
    "min_streamers": 1,
    "streams_per_game": 10,
    "frames_per_stream": 3,
    "parallel_streams": 4,
}


@dataclass(frozen=True)
class Scenario:
    """Faults of the stand-in, and the expected outcome of a download.

    The run stops when it has shown all that is expected, but not before `at_least_s`, and in any case after `seconds`.

    Args:
        channels: login → behaviour, most viewers first, all of one game.
        faults: faults that requests meet by rule.
        random_faults: faults that `random_fraction` of the requests, 0 to 1, meet at random.
        text: appended to every text that Helix returns.
        logins: exactly the logins whose frames are saved.
        reasons: reasons for which streams must have failed; others may occur too.
        error: type of the error that ends the run; None: no error.
        message: pattern for the error's message, or for a warning.
    """

    name: str
    channels: Mapping[str, str] = field(default_factory=lambda: {"good": "live"})
    faults: tuple[Fault, ...] = ()
    random_faults: tuple[Fault, ...] = ()
    random_fraction: float = 0.0
    seed: int = 0
    paging: str = ""
    lifetime_s: float = 0.0
    preroll_s: float = 60.0
    text: str = ""
    logins: frozenset[str] = frozenset({"good"})
    reasons: frozenset[str] = frozenset()
    error: type[ToolkitError] | None = None
    message: str = ""
    at_least_s: float = 0.0
    seconds: float = 8.0

    @property
    def world(self) -> World:
        """The channels; all play one clip."""
        clip = World.load(CLIPS).only([_CLIP]).channels[0]
        return World(
            tuple(
                dataclasses.replace(
                    clip,
                    login=login,
                    behaviour=behaviour,
                    viewers=1000 - index,
                    title=clip.title + self.text,
                    game=clip.game + self.text,
                    user_name=clip.user_name + self.text,
                )
                for index, (login, behaviour) in enumerate(self.channels.items())
            )
        )


@dataclass(frozen=True)
class Outcome:
    """Result of a run.

    Args:
        fault_counts: number of times that each fault occurred.
        repairs: dbSync's lines after the run.
        wrong: files that are no complete image of the stream itself, and names that are not safe to print.
        left_running: threads and processes that outlived the run.
    """

    logins: frozenset[str]
    frames: int
    streams: int
    failures: Mapping[str, int]
    error: ToolkitError | None
    warnings: tuple[str, ...]
    seconds: float
    fault_counts: Mapping[str, int]
    repairs: tuple[str, ...]
    rows_are_files: bool
    wrong: tuple[str, ...]
    left_running: tuple[str, ...]

    @property
    def messages(self) -> tuple[str, ...]:
        """The lines that the user sees: the error that ended the run, or the warnings."""
        return (str(self.error),) if self.error else self.warnings


def run_scenario(scenario: Scenario, catalog: Catalog, folder: FrameFolder) -> Outcome:
    """Run the scenario on an empty catalog and an empty folder."""
    threads, processes = set(threading.enumerate()), set(_children())
    with standin_for(scenario) as standin, _warnings() as warnings:
        values = settings(**_QUICK, **standin.environment, download_path=folder.root.parent)
        begun = time.monotonic()
        stats, error = _run(scenario, values, catalog, folder)
        seconds = time.monotonic() - begun
    plan = synchronise(folder, catalog)
    files = list(folder.frames())
    return Outcome(
        logins=frozenset(frame.login for frame in files),
        frames=stats.total,
        streams=stats.streams,
        failures=dict(stats.failures),
        error=error,
        warnings=tuple(warnings),
        seconds=seconds,
        fault_counts=dict(standin.fault_counts),
        repairs=tuple(dbSync.report_lines(plan)[:-1]),
        rows_are_files=catalog.snapshot().paths == {frame.path for frame in files} and len(files) == stats.total,
        wrong=tuple(_wrong(plan.scan, folder, catalog)),
        left_running=(*_threads_left(threads), *(str(process) for process in set(_children()) - processes)),
    )


@contextmanager
def standin_for(scenario: Scenario) -> Iterator[Standin]:
    """Yield the stand-in with the scenario's faults. Encode its segments first: the timeouts are too short for it."""
    options: dict[str, Any] = {"preroll_s": scenario.preroll_s, "lifetime_s": scenario.lifetime_s, "source": _SOURCE}
    world, random_faults = scenario.world, RandomFaults(scenario.random_fraction, scenario.seed, scenario.random_faults)
    options |= {"faults": scenario.faults, "random_faults": random_faults, "paging": scenario.paging}
    with Standin(world, **options) as standin:
        _encode_segments(standin.transcoder, world.channels[0].file, set(scenario.channels.values()))
        yield standin


def _encode_segments(media: Media, file: Path, behaviours: set[str]) -> None:
    """Encode what channels of these behaviours send; a short run would end before an encoder that starts in it."""
    media.prepare(file, TRANSCODES[0])
    if "source_only" in behaviours:
        media.prepare(file, _SOURCE)
    if "fmp4" in behaviours:
        media.prepare(file, TRANSCODES[0], fmp4=True)
    for still in sorted(STILLS & behaviours):
        media.prepare(file, TRANSCODES[0], still=still)
    if "bomb" in behaviours:
        media.bomb()


def _run(scenario: Scenario, settings: Any, catalog: Catalog, folder: FrameFolder) -> tuple[Any, ToolkitError | None]:
    """Collect until the expected outcome or the end of the time; return the stats and the error that ended the run."""
    stop = StopEvent()
    begun = time.monotonic()
    with ExitStack() as stack:
        collector = stack.enter_context(download.open_collector(settings, folder, catalog, stop))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        run = pool.submit(collector.run)
        while (ran := time.monotonic() - begun) < scenario.seconds and not wait([run], _POLL_S).done:
            if ran > scenario.at_least_s and not scenario.error and _all_seen(scenario, collector.stats, folder):
                break
        stop.set()
        try:
            return run.result(), None
        except ToolkitError as error:
            return collector.stats, error


def _all_seen(scenario: Scenario, stats: Any, folder: FrameFolder) -> bool:
    logins = {frame.login for frame in folder.frames()}
    return bool(scenario.logins) and scenario.logins <= logins and scenario.reasons <= set(stats.failures)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Yield a list that fills with the warnings of the toolkit's own modules."""
    messages: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    recorder, logger = Recorder(logging.WARNING), logging.getLogger("data")
    logger.addHandler(recorder)
    try:
        yield messages
    finally:
        logger.removeHandler(recorder)


def clear_dataset(catalog: Catalog, folder: FrameFolder) -> None:
    """Remove all files and rows, so that the next run starts with nothing."""
    folder.delete(list(folder.frames()))
    synchronise(folder, catalog)


def _wrong(scan: FolderScan, folder: FrameFolder, catalog: Catalog) -> Iterator[str]:
    """Yield whatever should not be there."""
    yield from (frame.path for frame in scan.frames if not _is_picture(folder.read(frame)))
    yield from scan.unrecognised
    names = {*folder.game_names().values(), *(game.name for game in catalog.snapshot().games.values())}
    yield from (repr(name) for name in names if not name.isprintable())


def _is_picture(jpeg: bytes) -> bool:
    """Return whether this is a complete JPEG of 240 x 240 pixels that shows no ad."""
    whole = jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")
    try:
        image: np.ndarray = decode_jpeg(jpeg)
    except UndecodableVideo:
        return False
    return whole and image.shape == (240, 240, 3) and not looks_like_ad(image)


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _threads_left(before: set[threading.Thread]) -> list[str]:
    """Return the names of new threads that outlive the stand-in's own by `_LEAVE_S`."""
    end = time.monotonic() + _LEAVE_S
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return [thread.name for thread in left]


# --- the table ----------------------------------------------------------------------------------------------------

_GOOD = {"good": "live"}
_PAGES = {**{f"over_{number}": "offline" for number in range(6)}, **_GOOD}  # the good channel is on the last page
_UNAVAILABLE = frozenset({"unavailable"})
_BOTH = frozenset({"good", "sick"})


def _fault(
    name: str, does: FaultKind, host: str, path: str = "*", *, times: int | None = 2, **expected: Any
) -> Scenario:
    """Return a scenario in which the first `times` requests of one host fail; None: all."""
    return Scenario(name, faults=(Fault(name, does, host, path, times=times),), **expected)


def _sick(name: str, behaviour: str, *reasons: str, logins: frozenset[str] | None = None, **options: Any) -> Scenario:
    """Return a scenario with a channel of this behaviour beside a good one."""
    given = logins or (frozenset({"good"}) if reasons else _BOTH)
    return Scenario(
        name,
        {"sick": behaviour, **_GOOD},
        logins=given,
        reasons=frozenset(reasons),
        **options,
    )


_HELIX = (
    _fault("Helix: 429, reset in the past", faults.rate_limited(-30), HELIX),
    _fault("Helix: 429, reset in two seconds", faults.rate_limited(2), HELIX, times=1),
    _fault("Helix: 429, no reset", faults.rate_limited(None), HELIX),
    _fault(
        *("Helix: 429, reset in a day", faults.rate_limited(86_400), HELIX),
        logins=frozenset(),
        message=r"rate limit is exhausted; it resets in (59|60) s; waiting",
        seconds=1.0,
    ),
    _fault("Helix: 401 once", faults.api_error(401, "Invalid OAuth token"), HELIX, times=1),
    _fault(
        *("Helix: 401 on every request", faults.api_error(401, "Invalid OAuth token"), HELIX),
        times=None,
        logins=frozenset(),
        error=DirectoryUnauthorized,
        message=r"^Twitch rejected the credentials \(HTTP 401: Invalid OAuth token\); check CLIENT_ID and the token$",
    ),
    _fault("Helix: a burst of 500", faults.status(500), HELIX, times=4, message=r"^Twitch returned HTTP 500; waiting"),
    _fault("Helix: a burst of 503", faults.status(503), HELIX, times=4, message=r"^Twitch returned HTTP 503; waiting"),
    _fault("Helix: HTML", faults.html(), HELIX),
    _fault("Helix: cut-off JSON", faults.truncated(), HELIX),
    _fault("Helix: a response that breaks off", faults.cut_off(), HELIX),
    _fault("Helix: connection reset", faults.reset(), HELIX),
    _fault("Helix: silence", faults.silence(), HELIX, times=1),
    _fault("Helix: a byte a second", faults.trickle(), HELIX, times=1),
    _fault("tokens: 500", faults.status(500), TOKENS),
    _fault(
        *("tokens: refused", faults.api_error(403, "invalid client secret"), TOKENS),
        logins=frozenset(),
        error=DirectoryUnauthorized,
        message=r"^Twitch rejected CLIENT_ID and CLIENT_SECRET \(HTTP 403: invalid client secret\); check them$",
    ),
    Scenario("Helix: short pages", _PAGES, paging="short", reasons=frozenset({"offline"})),
    Scenario("Helix: an empty page with a cursor", _PAGES, paging="empty", reasons=frozenset({"offline"})),
    Scenario("Helix: a cursor that repeats", _PAGES, paging="loop", reasons=frozenset({"offline"})),
    Scenario("Helix: invalid cursor", {**_GOOD, **_PAGES}, paging="invalid", reasons=frozenset({"offline"})),
    Scenario(
        "Helix: malicious logins, titles and names",
        {"../../../tmp/x": "live", "a'; DROP TABLE frames; --": "live", "\x1b[2Jx": "live", "a\nb": "live", **_GOOD},
        text="\x1b]0;owned\x07\r\n\t'; DROP TABLE games; --\x00../../x\u202e",
    ),
)

_WAY_TO_THE_PLAYLIST = (
    _fault("playback token: 500", faults.status(500), GQL, reasons=_UNAVAILABLE),
    _fault("playback token: HTML", faults.html(), GQL, reasons=_UNAVAILABLE),
    _fault("playback token: cut-off JSON", faults.truncated(), GQL, reasons=_UNAVAILABLE),
    _fault("playback token: silence", faults.silence(), GQL, times=1, reasons=_UNAVAILABLE),
    _fault("playback token: a byte a second", faults.trickle(), GQL, times=1, reasons=_UNAVAILABLE),
    _fault("usher: 403", faults.status(403), USHER, reasons=_UNAVAILABLE),
    _fault("usher: 404", faults.status(404), USHER, reasons=frozenset({"offline"})),
    _fault("usher: 503", faults.status(503), USHER, reasons=_UNAVAILABLE),
    _fault("usher: silence", faults.silence(), USHER, times=1, reasons=_UNAVAILABLE),
    _fault("playlist: 503", faults.status(503), MEDIA_HOST, PLAYLISTS, reasons=_UNAVAILABLE),
    _fault("playlist: HTML", faults.html(), MEDIA_HOST, PLAYLISTS, reasons=_UNAVAILABLE),
    _fault("playlist: silence", faults.silence(), MEDIA_HOST, PLAYLISTS, times=1, reasons=_UNAVAILABLE),
    _fault("playlist: a byte a second", faults.trickle(), MEDIA_HOST, PLAYLISTS, times=1, reasons=_UNAVAILABLE),
)

_SEGMENTS = (
    _fault(
        "segments: the first three 404",
        faults.status(404),
        MEDIA_HOST,
        SEGMENTS,
        times=3,
        reasons=_UNAVAILABLE,
    ),
    _fault("segments: connection reset", faults.reset(), MEDIA_HOST, SEGMENTS),
    _fault("segments: silence", faults.silence(), MEDIA_HOST, SEGMENTS, times=3, reasons=_UNAVAILABLE),
    _fault("segments: a byte a second", faults.trickle(), MEDIA_HOST, SEGMENTS, times=1),
    _sick("segments: 404", "segment_404", "unavailable"),
    _sick("segments: cut off", "cut_off", "unavailable"),
    _sick("segments: empty", "empty", "no picture"),
    _sick("segments: not video", "not_video", "no picture"),
    _sick("segments: some are not video", "broken"),
    _sick("segments: no key frame", "no_key_frame", "no picture"),
    _sick("segments: 8K video", "bomb", "no picture"),
)

_STREAMS = (
    _sick("ads: a pre-roll of a minute", "preroll", "only ads"),
    _sick("ads: mid-roll", "midroll"),
    _sick("ads: only ads", "only_ads", "only ads"),
    _sick("ads: marked by their titles only", "hidden_ad"),
    _sick("stream: discontinuities without ads", "discontinuity"),
    _sick("stream: segments missing", "skipping"),
    _sick("stream: ended between list and grab", "offline", "offline"),
    _sick("stream: ended", "ended"),
    _sick("stream: silent, no ENDLIST", "silent"),
    _sick("stream: playlist 404", "gone", "offline"),
    _sick("stream: playlist 404 after half a second", "gone", logins=_BOTH, lifetime_s=0.5, at_least_s=2.0),
    _sick("stream: playlist 403", "expired", "offline"),
    _sick("stream: playlist 403 after half a second", "expired", logins=_BOTH, lifetime_s=0.5, at_least_s=2.0),
    _sick("stream: the encoder restarts", "rewound"),
)

TABLE = (*_HELIX, *_WAY_TO_THE_PLAYLIST, *_SEGMENTS, *_STREAMS)

_SLOW = ("silence", "a byte a second")
_QUICK_ONES = tuple(
    fault
    for scenario in TABLE
    if not scenario.error and scenario.logins
    for fault in scenario.faults
    if not fault.name.endswith(_SLOW)
)
_OF_HELIX = tuple(fault for fault in _QUICK_ONES if fault.host in (HELIX, TOKENS))
_OF_STREAMS = tuple(dataclasses.replace(fault, times=None) for fault in _QUICK_ONES if fault not in _OF_HELIX)
MEMORY_FAULTS = {fault.name for fault in (*_OF_HELIX, *_OF_STREAMS)}


def everything_at_once(number: int) -> Scenario:
    """Return a scenario with all fast faults: a channel of each behaviour, random faults of the streams' requests.

    The `number`-th of Helix's faults occurs once; random ones would leave no streams to try.
    """
    return Scenario(
        f"everything_at_once, {number}",
        {**_GOOD, **{behaviour: behaviour for behaviour in sorted(BEHAVIOURS)}},
        faults=(dataclasses.replace(_OF_HELIX[number % len(_OF_HELIX)], times=1),),
        random_faults=_OF_STREAMS,
        random_fraction=0.15,
        seed=number,
        lifetime_s=0.5,
        logins=frozenset(),
        seconds=1.5,
    )
