"""Planted audit: channels of which is known what they declare and what they show, and so what an audit has to say.

Gameplay comes from the stand-in's recordings that the demo keeps out of its dataset. Talk, menus and intermissions are
drawings unlike those that the model's screen head is trained on (model.augmentation.screens), or pictures of a folder.
Drawings are no camera pictures: what the head makes of real people is not measured with them.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks import _screens
from recognition.reports.outcomes import Outcome
from tests.standin import CLIPS, World
from tests.standin.media import TRANSCODES, Media, default_cache
from tests.standin.world import Channel, Switch

OTHER, UNKNOWN, CHANGED, NOT_JUDGED, MATCH = "other game", "unknown game", "changed", "not judged", "match"
SCREENS = ("talking", "menu", "intermission")
# Fraction of the channels of each kind; that of OTHER is drawn between these limits; the rest matches.
_FRACTIONS = {"talking": 0.07, "menu": 0.05, "intermission": 0.05, UNKNOWN: 0.05, NOT_JUDGED: 0.1}
_OTHER = (0.04, 0.2)
_CHANGED = 6  # channels that correct themselves between the looks: they have the most viewers, so are looked at first
_TRUTH = {
    **dict.fromkeys(SCREENS, Outcome.NO_GAME),
    OTHER: Outcome.OTHER_GAME,
    UNKNOWN: Outcome.UNKNOWN,
    CHANGED: Outcome.NOT_CONFIRMED,
    MATCH: Outcome.MATCH,
}
_TALK = ("Just Chatting", 509658)
_LANGUAGES = ("en", "de", "fr", "es", "ja", "ko", "pt", "ru")
_CLIPS_OF_A_KIND = 6
_FPS, _SECONDS, _SIZE = 5, 30, (640, 360)


@dataclass(frozen=True)
class Planted:
    """A channel, whose game is what it declares. shows: its kind. truth: None if its category is not judged."""

    channel: Channel
    shows: str
    truth: Outcome | None


@dataclass(frozen=True)
class Material:
    """What channels can show: known and unknown games, by a channel of each, and screens, by their kind."""

    known: tuple[Channel, ...]
    unknown: tuple[Channel, ...]
    screens: Mapping[str, Sequence[Path]]

    @property
    def files(self) -> set[Path]:
        """Return all clips."""
        games = {channel.file for channel in (*self.known, *self.unknown)}
        return games | {file for files in self.screens.values() for file in files}


def material(classes: set[int], folder: Path, pictures: Path | None = None) -> Material:
    """Draw the screens, write their clips into `folder`, and transcode all clips.

    classes: ids of the games that the model knows. pictures: a folder with a folder of pictures for each kind of
    SCREENS, instead of the drawings.
    """
    world = World.load(CLIPS)
    games = [channel for channel in world.channels if channel.login in world.held_out]
    known, unknown = ([c for c in games if (c.game_id in classes) is is_known] for is_known in (True, False))
    scenes = _photographed(pictures) if pictures else _drawn([channel.file for channel in known])
    screens: dict[str, list[Path]] = {kind: [] for kind in SCREENS}
    for kind, scene in scenes:
        file = folder / f"{kind}-{len(screens[kind])}.mp4"
        _write_clip(file, scene)
        screens[kind].append(file)
    found = Material(tuple(known), tuple(unknown), screens)
    media = Media(default_cache())
    for file in found.files:
        media.prepare(file, TRANSCODES[0])
    media.close()
    return found


def planted(found: Material, count: int, seed: int, corrected_at: float | None = None) -> list[Planted]:
    """Return `count` channels in random order, the same ones for the same seed.

    corrected_at: when some channels begin to show what they declare, epoch seconds; None: there are none of these.
    """
    chance = random.Random(seed)
    fractions = {OTHER: chance.uniform(*_OTHER), **_FRACTIONS}
    kinds = [kind for kind, fraction in fractions.items() for _ in range(round(fraction * count))]
    kinds += [CHANGED] * (_CHANGED if corrected_at else 0)
    kinds += [MATCH] * (count - len(kinds))
    chance.shuffle(kinds)
    return [_planted(found, kind, f"planted_{index:03}", chance, corrected_at) for index, kind in enumerate(kinds)]


def _planted(found: Material, kind: str, login: str, chance: random.Random, corrected_at: float | None) -> Planted:
    own, clip = chance.choice(found.known), chance.randrange(_CLIPS_OF_A_KIND)
    if kind == "menu":
        own = found.known[clip % len(found.known)]  # a drawn menu lies over a picture of its own game
    other = chance.choice([channel for channel in found.known if channel.game_id != own.game_id])
    viewers = min(5_000, 1 + int(chance.lognormvariate(4, 2)))  # most streams have few, few have most
    channel = dataclasses.replace(
        own, login=login, user_name=login, viewers=viewers, language=chance.choice(_LANGUAGES), behaviour="live"
    )
    if kind == OTHER:
        channel = dataclasses.replace(channel, file=other.file)
    elif kind == CHANGED:
        switch = Switch(corrected_at or 0.0, own.game_id, own.game, own.file)
        viewers = chance.randint(5_001, 6_000)
        channel = dataclasses.replace(channel, file=other.file, viewers=viewers, switches=(switch,))
    elif kind == UNKNOWN and found.unknown:
        channel = dataclasses.replace(channel, file=chance.choice(found.unknown).file)
    elif kind in SCREENS:
        files = found.screens[kind]
        channel = dataclasses.replace(channel, file=files[clip % len(files)])
    elif kind == NOT_JUDGED:
        channel = _not_judged(found, channel, chance)
    else:
        kind = MATCH
    return Planted(channel, kind, _TRUTH.get(kind))


def _not_judged(found: Material, channel: Channel, chance: random.Random) -> Channel:
    """Return a channel of a category that the model does not know: it talks, plays a known game, or an unknown one."""
    if found.unknown and chance.random() < 0.5:
        game = chance.choice(found.unknown)
        return dataclasses.replace(channel, game_id=game.game_id, game=game.game, igdb_id=game.igdb_id, file=game.file)
    file = chance.choice([channel.file, *found.screens["talking"]])
    return dataclasses.replace(channel, game=_TALK[0], game_id=_TALK[1], igdb_id="", file=file)


Scene = Callable[[float], np.ndarray]  # seconds → uint8 RGB (height, width, 3)


def _drawn(clips: Sequence[Path]) -> Iterator[tuple[str, Scene]]:
    """Yield drawn scenes of all kinds; menu i lies over a frame of clip i."""
    for index, clip in zip(range(_CLIPS_OF_A_KIND), cycle(clips)):
        with av.open(str(clip)) as video:
            frame = next(video.decode(video=0)).to_ndarray(width=240, height=240, format="rgb24")  # (240, 240, 3)
        yield "menu", _drifting(_screens.menu(frame, np.random.default_rng((1, index))))
        yield "intermission", _drifting(_screens.intermission(np.random.default_rng((2, index))))
        yield "talking", _talker(index)


def _photographed(folder: Path) -> Iterator[tuple[str, Scene]]:
    """Yield a scene for each picture in the folder's folders."""
    for kind in SCREENS:
        for file in sorted((folder / kind).iterdir()):
            yield kind, _drifting(np.asarray(Image.open(file).convert("RGB")))


def _drifting(picture: np.ndarray) -> Scene:
    """Return a scene that shows a part of the picture, which moves slowly."""
    height, width = (int(0.97 * side) for side in picture.shape[:2])

    def draw(seconds: float) -> np.ndarray:
        y, x = (int((0.5 + 0.5 * np.sin(seconds / 7 + phase)) * 0.03 * s) for phase, s in enumerate(picture.shape[:2]))
        return picture[y : y + height, x : x + width]

    return draw


def _talker(seed: int) -> Scene:
    """Return a scene of a person before a shelf, beside a chat: the head moves, the mouth opens, the chat goes on."""
    rng = np.random.default_rng((3, seed))
    wall, shirt, hair, chat = (
        tuple(rng.integers(low, high, 3).tolist()) for low, high in ((40, 140), (20, 230), (10, 120), (15, 45))
    )
    skin = (int(rng.integers(120, 240)), int(rng.integers(80, 180)), int(rng.integers(60, 150)))
    shelf = [
        (*rng.uniform(0, 1, 2), *rng.uniform(0.02, 0.08, 2), tuple(rng.integers(30, 220, 3).tolist()))
        for _ in range(40)
    ]
    centre, head, left_chat = rng.uniform(0.35, 0.6), rng.uniform(0.13, 0.2), rng.random() < 0.3
    lengths = rng.integers(8, 30, 400)

    def draw(seconds: float) -> np.ndarray:
        width, height = _SIZE
        picture = Image.new("RGB", _SIZE, wall)
        pen = ImageDraw.Draw(picture)
        for x, y, w, h, color in shelf:
            pen.rectangle((x * width, y * height, (x + w) * width, (y + 2 * h) * height), color)
        picture = picture.filter(ImageFilter.GaussianBlur(5))
        pen = ImageDraw.Draw(picture)
        x, y, r = (centre + 0.02 * np.sin(seconds)) * width, (0.45 + 0.01 * np.cos(2 * seconds)) * height, head * width
        pen.ellipse((x - 2.2 * r, y + 1.1 * r, x + 2.2 * r, y + 5 * r), shirt)
        pen.rectangle((x - 0.35 * r, y + 0.7 * r, x + 0.35 * r, y + 1.5 * r), skin)
        pen.ellipse((x - 0.85 * r, y - 1.25 * r, x + 0.85 * r, y + 0.6 * r), hair)
        pen.ellipse((x - 0.72 * r, y - r, x + 0.72 * r, y + r), skin)
        for side in (-1, 1):
            pen.ellipse(
                (x + side * 0.3 * r - 5, y - 0.2 * r - 3, x + side * 0.3 * r + 5, y - 0.2 * r + 3), (250, 250, 250)
            )
            pen.ellipse((x + side * 0.3 * r - 2, y - 0.2 * r - 2, x + side * 0.3 * r + 2, y - 0.2 * r + 2), hair)
        mouth = 0.06 * r * (1.5 + np.sin(9 * seconds))
        pen.ellipse((x - 0.25 * r, y + 0.5 * r - mouth, x + 0.25 * r, y + 0.5 * r + mouth), (130, 40, 50))
        start = 0.02 if left_chat else 0.77
        pen.rectangle((start * width, 0, (start + 0.21) * width, height), chat)
        for row in range(18):
            length = int(lengths[(row + int(seconds)) % len(lengths)])
            pen.text(((start + 0.01) * width, 4 + 20 * row), "lorem ipsum dolor sit amet "[:length], (200, 200, 210))
        return np.asarray(picture)

    return draw


def _write_clip(file: Path, scene: Scene) -> None:
    """Write a clip of the scene with a little noise, as cameras and encoders give it."""
    rng = np.random.default_rng(0)
    with av.open(str(file), "w") as output:
        video = output.add_stream("libx264", _FPS, options={"preset": "ultrafast", "crf": "20"})
        video.width, video.height = _SIZE
        video.pix_fmt = "yuv420p"
        for number in range(_FPS * _SECONDS):
            picture = Image.fromarray(scene(number / _FPS)).resize(_SIZE, Image.Resampling.BICUBIC)
            noisy = np.asarray(picture, np.int16) + rng.integers(-3, 4, (_SIZE[1], _SIZE[0], 1))
            frame = av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), "rgb24")
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
