"""Planted label noise: a dataset with known faults, drawn from a clean one. numpy, Pillow and OpenCV only.

The pool is a folder with the dataset's frames, a menu over each and an altered copy of each, and intermissions.
A planting picks from it: it relabels streams, puts menus and intermissions in place of runs of frames, adds copies.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import _screens
from data.entities import Game, StoredFrame
from data.storage.frame_folder import FrameFolder
from data.video.images import decode_jpeg, encode_jpeg, resize_image

CLEAN, RELABELLED, MENU, INTERMISSION, COPY = "clean", "relabelled", "menu", "intermission", "copy"
_POOL_GAMES = {MENU: 1, INTERMISSION: 2, COPY: 3}  # ids of folders of the pool; the dataset's are larger
_INTERMISSIONS = 300
_STREAMS_WITH_SCREENS = 0.3  # fraction of the streams
_RUN = 4, 8  # frames of a menu or an intermission
_COPIES = 0.02  # fraction of the frames


@dataclass(frozen=True)
class Pool:
    """Files of a scratch dataset: what a planting consists of. Altered ones have the number of their frame."""

    folder: FrameFolder
    games: tuple[Game, ...]
    frames: tuple[StoredFrame, ...]  # the clean dataset, sorted, with hashes
    altered: dict[str, tuple[StoredFrame, ...]]  # by kind; menus and copies in the order of `frames`


def make_pool(source: Path, scratch: Path, menus: Path | None, every: int) -> Pool:
    """Write the pool of the frames below `source` into `scratch`, in place of an earlier one. menus: real ones."""
    for game in scratch.glob("[0-9]*"):
        shutil.rmtree(game)
    old, folder = FrameFolder(source), FrameFolder(scratch)
    rng, names = np.random.default_rng(77), old.game_names()
    frames = sorted((f for f in old.frames() if f.number % every == 0), key=lambda f: (f.game_id, f.login, f.number))
    originals: list[StoredFrame] = []
    made: dict[str, list[bytes]] = {MENU: [], INTERMISSION: [], COPY: []}
    real = [resize_image(decode_jpeg(path.read_bytes()), 240) for path in sorted(menus.rglob("*.jpg"))] if menus else []
    for frame in frames:
        jpeg = old.read(frame)
        image = resize_image(decode_jpeg(jpeg), 240)
        originals += folder.save(frame.game_id, frame.login, [jpeg])
        is_real = bool(real) and rng.random() < 0.5
        made[MENU].append(_jpeg(real[int(rng.integers(len(real)))] if is_real else _screens.menu(image, rng), rng))
        made[COPY].append(_jpeg(_altered(image, rng), rng))
    made[INTERMISSION] = [_jpeg(_screens.intermission(rng), rng) for _ in range(_INTERMISSIONS)]
    altered = {kind: tuple(folder.save(_POOL_GAMES[kind], kind, jpegs)) for kind, jpegs in made.items()}
    games = tuple(Game(key, names.get(key, str(key))) for key in sorted({frame.game_id for frame in frames}))
    return Pool(folder, games, tuple(originals), altered)


def _altered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture with another exposure, or scaled there and back."""
    if rng.random() < 0.5:
        return np.clip(image * rng.uniform(0.85, 1.1) + rng.uniform(-8, 8), 0, 255).astype(np.uint8)
    return resize_image(resize_image(image, 360), 240)


def _jpeg(image: np.ndarray, rng: np.random.Generator) -> bytes:
    return encode_jpeg(np.ascontiguousarray(image), int(rng.integers(60, 95)))


@dataclass(frozen=True)
class Planting:
    """A noisy dataset: n frames, as their folder says, with what they really are."""

    frames: tuple[StoredFrame, ...]  # with the hashes of the pictures
    truth: np.ndarray  # one of CLEAN, RELABELLED, … for each frame, (n,)
    games: np.ndarray  # id of the game that each frame's stream really shows, int64 (n,)
    moved: frozenset[tuple[int, str]]  # the relabelled streams, by their new game
    copied: np.ndarray  # the row that each COPY repeats, otherwise -1, int64 (n,)


def plant(pool: Pool, share: float, seed: int) -> Planting:
    """Relabel `share` of the streams, and mix in screens and copies."""
    rng = np.random.default_rng(seed)
    streams: dict[tuple[int, str], list[int]] = {}
    for row, frame in enumerate(pool.frames):
        streams.setdefault((frame.game_id, frame.login), []).append(row)
    keys = list(streams)
    new = dict(zip(keys, keys, strict=True))
    for number in rng.permutation(len(keys))[: round(share * len(keys))].tolist():
        game_id, login = keys[number]
        free = [game.id for game in pool.games if game.id != game_id and (game.id, login) not in new.values()]
        new[keys[number]] = int(rng.choice(free)), login
    planted: list[tuple[StoredFrame, str, int]] = []
    for key, rows in streams.items():
        kinds = _screens_in(len(rows), rng)
        for row, kind in zip(rows, kinds, strict=True):
            shown = pool.frames[row] if kind == CLEAN else _picture(pool, kind, row, rng)
            fault = kind if kind != CLEAN or new[key] == key else RELABELLED
            planted.append((_placed(pool.frames[row].number, shown, new[key]), fault, key[0]))
    copied = [-1] * len(planted)
    clean = [row for row, one in enumerate(planted) if one[1] in (CLEAN, RELABELLED)]
    for row in rng.permutation(clean)[: round(_COPIES * len(clean))].tolist():
        original = pool.frames[row].game_id
        key = keys[int(rng.choice([number for number, one in enumerate(keys) if one[0] == original]))]
        planted.append((_placed(10_000 + row, pool.altered[COPY][row], new[key]), COPY, original))
        copied.append(row)
    frames, truth, games = zip(*planted, strict=True)
    moved = frozenset(target for key, target in new.items() if key != target)
    return Planting(frames, np.array(truth), np.array(games), moved, np.array(copied))


def _screens_in(count: int, rng: np.random.Generator) -> list[str]:
    """Return the kind of each frame of a stream: all CLEAN, or a run of a screen among them."""
    kinds = [CLEAN] * count
    length = int(rng.integers(*_RUN, endpoint=True))
    if rng.random() < _STREAMS_WITH_SCREENS and count >= 4 * length:
        start = int(rng.integers(count - length))
        kinds[start : start + length] = [MENU if rng.random() < 0.5 else INTERMISSION] * length
    return kinds


def _picture(pool: Pool, kind: str, row: int, rng: np.random.Generator) -> StoredFrame:
    made = pool.altered[kind]
    return made[row] if kind == MENU else made[int(rng.integers(len(made)))]


def _placed(number: int, shown: StoredFrame, key: tuple[int, str]) -> StoredFrame:
    return replace(shown, game_id=key[0], login=key[1], number=number)


def hashes(frames: Sequence[StoredFrame]) -> list[bytes]:
    """Return the hashes of the frames' pictures."""
    return [frame.sha256 for frame in frames]
