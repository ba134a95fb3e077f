"""Drawing primitives of the augmentations: boxes, text lines, textures and webcam pictures.

Images and patches are uint8 RGB (height, width, 3). A `region` is a view of an image, so drawing there changes it.
"""

from __future__ import annotations

import cv2
import numpy as np

MAX_TEXT_ROWS, _TEXT_CELLS = 23, 40  # a row of text is cells that are inked or not
TEXTURE_SIZE = 96  # pixels along a side of a patch: what is pasted large is as soft as a scaled stream
TEXTURE_SHAPE = (TEXTURE_SIZE, TEXTURE_SIZE)
_BLOBS, _MAX_PATTERN_CELLS = 6, 24  # along a side
_MIN_BOX = 4  # pixels along a side: a border on either side and something between
_SKIN = np.array([214.0, 166.0, 130.0])  # RGB of a light skin; darker ones are fractions of it


def region_of(image: np.ndarray, top: float, left: float, height: float, width: float) -> np.ndarray:
    """Return the view of a box of `image`, given in fractions of its sides; at least 4 pixels a side."""
    rows, columns = image.shape[:2]
    high, wide = max(_MIN_BOX, int(height * rows)), max(_MIN_BOX, int(width * columns))
    down, right = min(int(top * rows + 0.5), rows - high), min(int(left * columns + 0.5), columns - wide)
    return image[down : down + high, right : right + wide]  # (high, wide, 3)


def stretch(patch: np.ndarray, shape: tuple[int, ...], interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Return `patch` resized to the height and width that `shape` begins with."""
    return cv2.resize(patch, (shape[1], shape[0]), interpolation=interpolation)


def paste(region: np.ndarray, patch: np.ndarray, opacity: float | np.ndarray = 1.0) -> None:
    """Blend `patch`, stretched, over `region`. opacity: 0 to 1, one for all pixels or float32 (height, width)."""
    cover = np.full(region.shape[:2], opacity, np.float32)  # (height, width)
    cv2.blendLinear(stretch(patch, region.shape), region, cover, 1 - cover, dst=region)


def feathered_mask(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return an opacity, float32 (height, width): 1 inside; 60 % of them fade at the edges over 1 to 15 pixels."""
    fade = rng.uniform(1, 15) if rng.random() < 0.6 else 1.0
    down, across = (np.minimum(np.arange(size) + 1, size - np.arange(size)) for size in shape[:2])
    return np.minimum(np.minimum(down[:, None], across) / fade, 1)  # (height, width)


def draw_text_lines(region: np.ndarray, rng: np.random.Generator, *, rows: tuple[int, int], ink: float) -> None:
    """Draw rows of strokes, as small text looks: in each a coloured name, then words in `ink`, a grey level, 0 to 1.

    rows: the fewest and the most.
    """
    count, across = int(rng.integers(*rows, endpoint=True)), np.arange(_TEXT_CELLS) / _TEXT_CELLS  # (cells,)
    inked = (rng.random((count, _TEXT_CELLS)) < 0.72) & (across > 0.04) & (across < rng.uniform(0.3, 1, (count, 1)))
    is_name = across < rng.uniform(0.15, 0.3, (count, 1))  # (rows, cells)
    strokes = np.zeros((2 * count + 1, _TEXT_CELLS, 4), np.uint8)  # empty rows before, between and after the text
    strokes[1::2, :, :3] = np.where(is_name[..., None], random_colors(rng, count, 1), np.uint8(255 * ink))
    strokes[1::2, :, 3] = inked
    letters = stretch(strokes, region.shape, cv2.INTER_NEAREST)  # (height, width, 4)
    np.copyto(region, letters[..., :3], where=letters[..., 3:] > 0)


def random_colors(rng: np.random.Generator, rows: int, columns: int, high: int = 255) -> np.ndarray:
    """Return uint8 (rows, columns, 3), uniform from 0 to `high`."""
    return rng.integers(0, high, (rows, columns, 3), np.uint8, endpoint=True)


def solid_color(rng: np.random.Generator, *, dark: bool = False) -> np.ndarray:
    """Return a patch (2, 1, 3) of one colour; 33 % fade into another one at the bottom."""
    colors = random_colors(rng, 2, 1, high=63 if dark else 255)
    return colors if rng.random() < 0.33 else colors[[0, 0]]


def texture(rng: np.random.Generator) -> np.ndarray:
    """Return a patch (96, 96, 3) of soft blobs around one colour, like a dim room out of focus."""
    light = rng.uniform(-77, 77, (_BLOBS, _BLOBS, 1)) + rng.uniform(25, 204, 3)  # (6, 6, 3)
    return stretch(to_uint8(light + rng.uniform(-20, 20, light.shape)), TEXTURE_SHAPE, cv2.INTER_CUBIC)


def pattern(rng: np.random.Generator) -> np.ndarray:
    """Return a patch (96, 96, 3) of 2 to 24 coloured cells a side, mixed with one colour; 33 % have hard edges."""
    cells, strength = int(rng.integers(2, _MAX_PATTERN_CELLS, endpoint=True)), rng.uniform(0.2, 1)
    colors = strength * random_colors(rng, cells, cells) + (1 - strength) * random_colors(rng, 1, 1)
    return stretch(to_uint8(colors), TEXTURE_SHAPE, cv2.INTER_NEAREST if rng.random() < 0.33 else cv2.INTER_CUBIC)


def gradient(rng: np.random.Generator) -> np.ndarray:
    """Return a patch (96, 96, 3) with a colour in each corner."""
    return stretch(random_colors(rng, 2, 2), TEXTURE_SHAPE)


def random_crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a window of 30 to 60 % of either side of `image` as a patch (96, 96, 3)."""
    top, left, size = rng.uniform((0, 0, 0.3), (0.4, 0.4, 0.6))
    return stretch(region_of(image, top, left, size, size), TEXTURE_SHAPE)


def webcam_background(rng: np.random.Generator) -> np.ndarray:
    """Return a patch (96, 96, 3) of a room out of focus; 60 % have a person in it."""
    room = texture(rng)
    return webcam_person(room, rng) if rng.random() < 0.6 else room


def webcam_person(room: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw shoulders, hair and a face as ellipses into `room`, (96, 96, 3), and return it."""
    x, y, size = TEXTURE_SIZE * rng.uniform((0.35, 0.35, 0.12), (0.65, 0.6, 0.25))
    skin = np.minimum(_SKIN * rng.uniform(0.35, 1.1), 255)
    clothes, hair = rng.uniform(0, 255, 3), skin * rng.uniform(0.1, 0.6)
    # Center downwards from the face's and half axes across and down, in multiples of the size.
    for below, across, down, color in ((2.4, 1.9, 1.4, clothes), (-0.25, 1, 1.25, hair), (0, 0.82, 1.1, skin)):
        center, axes = (int(x), int(y + below * size)), (int(across * size), int(down * size))
        cv2.ellipse(room, center, axes, 0, 0, 360, color.tolist(), cv2.FILLED)
    return room


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Return `values`, in levels of 0 to 255, rounded and clipped to uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
