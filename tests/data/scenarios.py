"""Downloads from a Twitch in trouble: a table of what goes wrong and of what must come of it, and how a line is run.

Each line is a real run: collector, Helix client, grabber, folder and catalogue as data.download wires them, against
the stand-in. tests/data/test_faults.py holds the table; benchmarks/faults.py prints what happened.
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
from typing import Any

import numpy as np
import psutil

from data import dbSync, download
from data.collection.grab_pool import Stop
from data.errors import DirectoryUnauthorized, UndecodableVideo, ToolkitError
from data.storage.catalog import Catalog
from data.storage.frame_folder import Contents, Folder
from data.video.decoder import decode
from tests.data.conftest import settings
from tests.standin import CLIPS, Fault, Standin, Weather, World, faults, looks_like_ad
from tests.standin.faults import GQL, HELIX, PLAYLISTS, SEGMENTS, TOKENS, USHER, Harm
from tests.standin.media import TRANSCODES
from tests.standin.playlist import MEDIA_HOST
from tests.standin.world import BEHAVIOURS

_CLIP = "stk_hacienda"
_POLL_S = 0.02
_LEAVE_S = 5.0  # for the stand-in's threads to see that their viewers left

# Short times, so that what a day brings happens in seconds.
_QUICK = {
    "timeout_s": 1.0,
    "deadline_s": 1.5,
    "helix_budget_s": 2.5,
    "stream_tries": 30,
    "helix_pause_s": 0.2,
    "games_interval_s": 60,
    "rest_s": 0.2,
    "min_streamers": 1,
    "streams_per_game": 10,
    "frames_per_stream": 3,
    "parallel_streams": 4,
}


@dataclass(frozen=True)
class Scenario:
    """What goes wrong, and what is expected.

    `channels`: login → behaviour, most viewers first, all of one game, with `text` in every text that Helix gives.
    `weather`: what `share` of the requests meets by chance, besides the `faults`.
    `gives`: the logins that frames must be of, and no other. `reasons`: why streams must have failed, others may come.
    `error`: what ends the run, if anything does; `says`: a pattern for its message, or for a warning.
    The run is stopped when it has shown all this, after `at_least_s` seconds, or else after `seconds`.
    """

    name: str
    channels: Mapping[str, str] = field(default_factory=lambda: {"good": "live"})
    faults: tuple[Fault, ...] = ()
    weather: tuple[Fault, ...] = ()
    share: float = 0.0
    seed: int = 0
    paging: str = ""
    lives_s: float = 0.0
    preroll_s: float = 60.0
    text: str = ""
    gives: frozenset[str] = frozenset({"good"})
    reasons: frozenset[str] = frozenset()
    error: type[ToolkitError] | None = None
    says: str = ""
    at_least_s: float = 0.0
    seconds: float = 8.0

    @property
    def world(self) -> World:
        """Its channels, all playing one clip."""
        clip = World.load(CLIPS).only([_CLIP]).channels[0]
        return World(
            tuple(
                dataclasses.replace(
                    clip,
                    login=login,
                    behaviour=behaviour,
                    viewers=1000 - place,
                    title=clip.title + self.text,
                    game=clip.game + self.text,
                    user_name=clip.user_name + self.text,
                )
                for place, (login, behaviour) in enumerate(self.channels.items())
            )
        )


@dataclass(frozen=True)
class Outcome:
    """What happened. `met`: how often which fault did. `repairs`: what dbSync had to do.

    `wrong`: files that are no whole picture of the stream itself, and names that no terminal should be given.
    `left`: threads and processes that outlived the run.
    """

    logins: frozenset[str]
    frames: int
    streams: int
    failures: Mapping[str, int]
    error: ToolkitError | None
    warnings: tuple[str, ...]
    seconds: float
    met: Mapping[str, int]
    repairs: tuple[str, ...]
    rows_are_files: bool
    wrong: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def said(self) -> tuple[str, ...]:
        """What the user was told: the error that ended it, or the warnings."""
        return (str(self.error),) if self.error else self.warnings


def played(scenario: Scenario, catalog: Catalog, folder: Folder) -> Outcome:
    """Run it on an empty catalogue and an empty folder."""
    threads, processes = set(threading.enumerate()), set(_children())
    with twitch_of(scenario) as standin, _warnings() as warnings:
        values = settings(**_QUICK, **standin.environment, download_path=folder.root.parent)
        begun = time.monotonic()
        tally, error = _run(scenario, values, catalog, folder)
        seconds = time.monotonic() - begun
    plan = dbSync.compare(catalog.rows(), folder.scan(), folder.names())
    dbSync.carry_out(plan, folder, catalog)
    files = list(folder.frames())
    return Outcome(
        logins=frozenset(frame.login for frame in files),
        frames=tally.total,
        streams=tally.streams,
        failures=dict(tally.failures),
        error=error,
        warnings=tuple(warnings),
        seconds=seconds,
        met=dict(standin.faults_met),
        repairs=tuple(dbSync.lines(plan)[:-1]),
        rows_are_files=catalog.rows().paths == {frame.path for frame in files} and len(files) == tally.total,
        wrong=tuple(_wrong(plan.contents, folder, catalog)),
        left=(*_threads_left(threads), *(str(process) for process in set(_children()) - processes)),
    )


@contextmanager
def twitch_of(scenario: Scenario) -> Iterator[Standin]:
    """The stand-in in that trouble; its segments made beforehand: nobody waits for an encoder with such timeouts."""
    options = {"preroll_s": scenario.preroll_s, "lives_s": scenario.lives_s, "paging": scenario.paging}
    world, weather = scenario.world, Weather(scenario.share, scenario.seed, scenario.weather)
    with Standin(world, faults=scenario.faults, weather=weather, **options) as standin:  # type: ignore[arg-type]  # by name
        standin.transcoder.prepare(world.channels[0].file, TRANSCODES[0])
        if "bomb" in scenario.channels.values():
            standin.transcoder.bomb()
        yield standin


def _run(scenario: Scenario, settings: Any, catalog: Catalog, folder: Folder) -> tuple[Any, ToolkitError | None]:
    """Collect until all is seen that is expected, or the time is over; the tally, and the error that ended it."""
    stop = Stop()
    begun = time.monotonic()
    with ExitStack() as stack:
        collector = stack.enter_context(download._collector(settings, folder, catalog, stop, None))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        run = pool.submit(collector.run)
        while (ran := time.monotonic() - begun) < scenario.seconds and not wait([run], _POLL_S).done:
            if ran > scenario.at_least_s and not scenario.error and _all_seen(scenario, collector.tally, folder):
                break
        stop.set()
        try:
            return run.result(), None
        except ToolkitError as error:
            return collector.tally, error


def _all_seen(scenario: Scenario, tally: Any, folder: Folder) -> bool:
    logins = {frame.login for frame in folder.frames()}
    return bool(scenario.gives) and scenario.gives <= logins and scenario.reasons <= set(tally.failures)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the toolkit's own modules warn of meanwhile."""
    said: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    keeper, logger = Keeper(logging.WARNING), logging.getLogger("data")
    logger.addHandler(keeper)
    try:
        yield said
    finally:
        logger.removeHandler(keeper)


def emptied(catalog: Catalog, folder: Folder) -> None:
    """Remove all frames, files and rows: the next run begins with nothing."""
    folder.delete(list(folder.frames()))
    dbSync.carry_out(dbSync.compare(catalog.rows(), folder.scan(), folder.names()), folder, catalog)


def _wrong(contents: Contents, folder: Folder, catalog: Catalog) -> Iterator[str]:
    """What should not be there."""
    yield from (frame.path for frame in contents.frames if not _is_picture((folder.root / frame.path).read_bytes()))
    yield from contents.foreign
    names = {*folder.names().values(), *(game.name for game in catalog.rows().games.values())}
    yield from (repr(name) for name in names if not name.isprintable())


def _is_picture(jpeg: bytes) -> bool:
    """Whether it is a whole JPEG of 240 x 240 pixels that shows no ad."""
    whole = jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")
    try:
        image: np.ndarray = decode(jpeg)
    except UndecodableVideo:
        return False
    return whole and image.shape == (240, 240, 3) and not looks_like_ad(image)


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _threads_left(before: set[threading.Thread]) -> list[str]:
    """The names of threads that were not there before, after a while for the stand-in's own to end."""
    end = time.monotonic() + _LEAVE_S
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return [thread.name for thread in left]


# --- the table ----------------------------------------------------------------------------------------------------

_GOOD = {"good": "live"}
_PAGES = {**{f"over_{number}": "offline" for number in range(6)}, **_GOOD}  # the good one on the last page
_UNAVAILABLE = frozenset({"unavailable"})
_BOTH = frozenset({"good", "sick"})


def _asked(name: str, does: Harm, host: str, path: str = "*", *, times: int | None = 2, **expected: Any) -> Scenario:
    """Requests of one host go wrong, the first `times`."""
    return Scenario(name, faults=(Fault(name, does, host, path, times=times),), **expected)


def _sick(name: str, behaviour: str, *reasons: str, gives: frozenset[str] | None = None, **options: Any) -> Scenario:
    """A channel of this behaviour beside a good one."""
    given = gives or (frozenset({"good"}) if reasons else _BOTH)
    return Scenario(name, {"sick": behaviour, **_GOOD}, gives=given, reasons=frozenset(reasons), **options)


_HELIX = (
    _asked("Helix: 429, reset in the past", faults.limited(-30), HELIX),
    _asked("Helix: 429, reset in two seconds", faults.limited(2), HELIX, times=1),
    _asked("Helix: 429, no reset", faults.limited(None), HELIX),
    _asked(
        *("Helix: 429, reset in a day", faults.limited(86_400), HELIX),
        gives=frozenset(),
        says=r"rate limit is used up for another (59|60) s; waiting",
        seconds=1.0,
    ),
    _asked("Helix: 401 once", faults.refused(401, "Invalid OAuth token"), HELIX, times=1),
    _asked(
        *("Helix: 401 for ever", faults.refused(401, "Invalid OAuth token"), HELIX),
        times=None,
        gives=frozenset(),
        error=DirectoryUnauthorized,
        says=r"^Twitch refuses CLIENT_ID with this access token: Invalid OAuth token; renew them$",
    ),
    _asked("Helix: a burst of 500", faults.status(500), HELIX, times=4, says=r"^Twitch answers 500; waiting"),
    _asked("Helix: a burst of 503", faults.status(503), HELIX, times=4, says=r"^Twitch answers 503; waiting"),
    _asked("Helix: HTML", faults.html(), HELIX),
    _asked("Helix: cut-off JSON", faults.shortened(), HELIX),
    _asked("Helix: an answer that breaks off", faults.cut_off(), HELIX),
    _asked("Helix: connection reset", faults.reset(), HELIX),
    _asked("Helix: silence", faults.silence(), HELIX, times=1),
    _asked("Helix: a byte a second", faults.trickle(), HELIX, times=1),
    _asked("tokens: 500", faults.status(500), TOKENS),
    _asked(
        *("tokens: refused", faults.refused(403, "invalid client secret"), TOKENS),
        gives=frozenset(),
        error=DirectoryUnauthorized,
        says=r"^Twitch refuses CLIENT_ID and CLIENT_SECRET: invalid client secret$",
    ),
    Scenario("Helix: short pages", _PAGES, paging="short", reasons=frozenset({"offline"})),
    Scenario("Helix: an empty page with a cursor", _PAGES, paging="empty", reasons=frozenset({"offline"})),
    Scenario("Helix: a cursor that leads back", _PAGES, paging="loop", reasons=frozenset({"offline"})),
    Scenario("Helix: invalid cursor", {**_GOOD, **_PAGES}, paging="invalid", reasons=frozenset({"offline"})),
    Scenario(
        "Helix: hostile logins, titles, names",
        {"../../../tmp/x": "live", "a'; DROP TABLE frames; --": "live", "\x1b[2Jx": "live", "a\nb": "live", **_GOOD},
        text="\x1b]0;owned\x07\r\n\t'; DROP TABLE games; --\x00../../x\u202e",
    ),
)

_WAY_TO_THE_PLAYLIST = (
    _asked("playback token: 500", faults.status(500), GQL, reasons=_UNAVAILABLE),
    _asked("playback token: HTML", faults.html(), GQL, reasons=_UNAVAILABLE),
    _asked("playback token: cut-off JSON", faults.shortened(), GQL, reasons=_UNAVAILABLE),
    _asked("playback token: silence", faults.silence(), GQL, times=1, reasons=_UNAVAILABLE),
    _asked("playback token: a byte a second", faults.trickle(), GQL, times=1, reasons=_UNAVAILABLE),
    _asked("usher: 403", faults.status(403), USHER, reasons=_UNAVAILABLE),
    _asked("usher: 404", faults.status(404), USHER, reasons=frozenset({"offline"})),
    _asked("usher: 503", faults.status(503), USHER, reasons=_UNAVAILABLE),
    _asked("usher: silence", faults.silence(), USHER, times=1, reasons=_UNAVAILABLE),
    _asked("playlist: 503", faults.status(503), MEDIA_HOST, PLAYLISTS, reasons=_UNAVAILABLE),
    _asked("playlist: HTML", faults.html(), MEDIA_HOST, PLAYLISTS, reasons=_UNAVAILABLE),
    _asked("playlist: silence", faults.silence(), MEDIA_HOST, PLAYLISTS, times=1, reasons=_UNAVAILABLE),
    _asked("playlist: a byte a second", faults.trickle(), MEDIA_HOST, PLAYLISTS, times=1, reasons=_UNAVAILABLE),
)

_SEGMENTS = (
    _asked("segments: the first three 404", faults.status(404), MEDIA_HOST, SEGMENTS, times=3, reasons=_UNAVAILABLE),
    _asked("segments: connection reset", faults.reset(), MEDIA_HOST, SEGMENTS),
    _asked("segments: silence", faults.silence(), MEDIA_HOST, SEGMENTS, times=3, reasons=_UNAVAILABLE),
    _asked("segments: a byte a second", faults.trickle(), MEDIA_HOST, SEGMENTS, times=1),
    _sick("segments: 404", "segment_404", "unavailable"),
    _sick("segments: cut off", "cut_off", "unavailable"),
    _sick("segments: empty", "empty", "no picture"),
    _sick("segments: not video", "not_video", "no picture"),
    _sick("segments: some are not video", "broken"),
    _sick("segments: no key frame", "no_key_frame", "no picture"),
    _sick("segments: 8K bomb", "bomb", "no picture"),
)

_STREAMS = (
    _sick("ads: a pre-roll of a minute", "preroll", "only ads"),
    _sick("ads: mid-roll", "midroll"),
    _sick("ads: nothing else", "only_ads", "only ads"),
    _sick("ads: told by their titles alone", "hidden_ad"),
    _sick("stream: discontinuities without ads", "discontinuity"),
    _sick("stream: segments missing", "skipping"),
    _sick("stream: over between list and grab", "offline", "offline"),
    _sick("stream: ended", "ended"),
    _sick("stream: silent, no ENDLIST", "silent"),
    _sick("stream: playlist 404", "gone", "offline"),
    _sick("stream: playlist 404, half a second on", "gone", gives=_BOTH, lives_s=0.5, at_least_s=2.0),
    _sick("stream: playlist 403", "expired", "offline"),
    _sick("stream: playlist 403, half a second on", "expired", gives=_BOTH, lives_s=0.5, at_least_s=2.0),
    _sick("stream: the encoder begins again", "rewound"),
)

TABLE = (*_HELIX, *_WAY_TO_THE_PLAYLIST, *_SEGMENTS, *_STREAMS)

_SLOW = ("silence", "a byte a second")
_QUICK_ONES = tuple(
    fault
    for scenario in TABLE
    if not scenario.error and scenario.gives
    for fault in scenario.faults
    if not fault.name.endswith(_SLOW)
)
_OF_HELIX = tuple(fault for fault in _QUICK_ONES if fault.host in (HELIX, TOKENS))
_OF_STREAMS = tuple(dataclasses.replace(fault, times=None) for fault in _QUICK_ONES if fault not in _OF_HELIX)
MEMORY_FAULTS = {fault.name for fault in (*_OF_HELIX, *_OF_STREAMS)}


def everything(number: int) -> Scenario:
    """All that goes wrong quickly, at once: a channel of each behaviour, each stream's requests in bad weather.

    Besides, the `number`-th of Helix's faults, once: there would be no streams to try if they came by chance, too.
    """
    return Scenario(
        f"everything, {number}",
        {**_GOOD, **{behaviour: behaviour for behaviour in sorted(BEHAVIOURS)}},
        faults=(dataclasses.replace(_OF_HELIX[number % len(_OF_HELIX)], times=1),),
        weather=_OF_STREAMS,
        share=0.15,
        seed=number,
        lives_s=0.5,
        gives=frozenset(),
        seconds=1.5,
    )
