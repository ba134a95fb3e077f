"""Test images: frames with stream overlays, and synthetic negatives. Drawn with Pillow.

They differ on purpose from the images of model.augmentation, which the training sees: real letters, other layouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CHAT = """gg wp nice shot what is this map hello from germany first time here no way clip that haha follow raid
thanks all in the chat lol go left again who plays tomorrow same time"""
_TITLES = ("Starting soon", "BE RIGHT BACK", "Stream ending", "Pause", "thanks for watching")
_Box = tuple[int, int, int, int]  # x, y, width, height, pixels


def layout(chance: np.random.Generator, size: int) -> dict[str, _Box]:
    """Return boxes of a webcam, a chat column and an alert, which cover 23 to 27 % of the image with little overlap."""
    while True:
        wide, chat = chance.uniform(0.13, 0.22), chance.uniform(0.09, 0.13)
        high = min(1.0, chat / wide)
        area, aspect = chance.uniform(0.08, 0.12), chance.choice([1.0, 1.33, 0.75])
        across, down = (area * aspect) ** 0.5, (area / aspect) ** 0.5
        alert = chance.uniform(0.25, 0.45)
        tall = chance.uniform(0.03, 0.05) / alert
        shares = {
            "chat": (chance.choice([0, 1 - wide]), chance.choice([0, 1 - high, (1 - high) / 2]), wide, high),
            "webcam": (chance.choice([0, 1 - across]), chance.choice([0, 1 - down]), across, down),
            "alert": (chance.choice([0.5 - alert / 2, 0, 1 - alert]), chance.choice([0, 0.02, 1 - tall]), alert, tall),
        }
        boxes = {name: tuple(round(part * size) for part in share) for name, share in shares.items()}
        covered = np.zeros((size, size), bool)
        for x, y, width, height in boxes.values():
            covered[y : y + height, x : x + width] = True
        total = sum(width * height for _x, _y, width, height in boxes.values())
        if 0.23 <= covered.mean() <= 0.27 and covered.sum() > 0.97 * total:
            return boxes


def overlaid(frames: np.ndarray, strangers: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Return a session's `frames`, uint8 (n, h, h, 3), with overlays at one place, as a streamer has them.

    The webcam shows a part of one of `strangers` (m, h, h, 3), or blobs.
    """
    chance = np.random.default_rng(seed)
    size = frames.shape[1]
    boxes = layout(chance, size)
    camera = _camera(chance, strangers)
    font = _font(chance, int(chance.integers(8, 13)) * size // 240)
    ground, opaque = int(chance.choice([18, 35, 240])), chance.random() < 0.6
    color = tuple(int(value) for value in chance.permutation([250, 60, int(chance.integers(0, 256))]))
    made = []
    for frame in frames:
        picture = Image.fromarray(frame)
        _paste(picture, boxes["webcam"], _jittered(camera, chance))
        _chat(picture, boxes["chat"], chance, font, (ground, opaque))
        x, y, width, height = boxes["alert"]
        draw = ImageDraw.Draw(picture)
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
        draw.text((x + 4, y + 2), _words(chance, 3), font=font, fill=(255, 255, 255))
        made.append(np.asarray(picture))
    return np.stack(made)


def synthetic_negatives(count: int, size: int, seed: int) -> np.ndarray:
    """Return web pages, editors, waiting screens, black, bars and static, uint8 (count, size, size, 3)."""
    made = []
    for number in range(count):
        chance = np.random.default_rng((seed, number))
        picture = _SCREENS[number % len(_SCREENS)](chance)
        made.append(np.asarray(picture.resize((size, size), Image.Resampling.BOX)))
    return np.stack(made)


def _camera(chance: np.random.Generator, strangers: np.ndarray) -> Image.Image:
    if chance.random() < 0.5:
        return Image.fromarray(strangers[chance.integers(len(strangers))])
    side = int(chance.integers(3, 40))
    return Image.fromarray(chance.integers(0, 256, (side, side, 3), np.uint8)).resize((240, 240))


def _jittered(camera: Image.Image, chance: np.random.Generator) -> Image.Image:
    """Return a part of the image, moved a little each time, as a person moves."""
    width, height = camera.size
    x, y = (int(value) for value in chance.integers(0, 17, 2))
    return camera.crop((x, y, x + width - 16, y + height - 16))


def _paste(picture: Image.Image, box: _Box, patch: Image.Image) -> None:
    x, y, width, height = box
    picture.paste(patch.resize((width, height), Image.Resampling.BOX), (x, y))


def _chat(
    picture: Image.Image, box: _Box, chance: np.random.Generator, font: ImageFont.FreeTypeFont, ground: tuple[int, bool]
) -> None:
    x, y, width, height = box
    shade, opaque = ground
    column = Image.new("RGB", (width, height), (shade,) * 3)
    if not opaque:
        column = Image.blend(picture.crop((x, y, x + width, y + height)), column, 0.6)
    draw = ImageDraw.Draw(column)
    for top in range(2, height - int(font.size), int(font.size) + 3):
        name = str(chance.choice(_CHAT.split()))
        draw.text((2, top), name, font=font, fill=_color(chance, 80))
        ink = (235,) * 3 if shade < 100 else (20,) * 3
        draw.text((4 + draw.textlength(name, font=font), top), _words(chance, 5), font=font, fill=ink)
    picture.paste(column, (x, y))


def _page(chance: np.random.Generator) -> Image.Image:
    picture, draw = _canvas((250, 250, 252))
    draw.rectangle((0, 0, 640, 34), fill=_color(chance, 150))
    draw.rectangle((40, 10, 420, 26), fill=(255, 255, 255))
    left = int(chance.integers(40, 160))
    draw.text((left, 50), _words(chance, 4), font=_font(chance, 22), fill=(20, 20, 20))
    font = _font(chance, 12)
    for y in range(90, 350, 16):
        draw.text((left, y), _words(chance, int(chance.integers(5, 14))), font=font, fill=(50, 50, 50))
    return picture


def _editor(chance: np.random.Generator) -> Image.Image:
    picture, draw = _canvas(_color(chance, 20, 50))
    draw.rectangle((0, 0, 110, 360), fill=_color(chance, 15, 40))
    font = _font(chance, 11)
    for y in range(10, 350, 14):
        x = 130 + 16 * int(chance.integers(0, 4))
        for _ in range(int(chance.integers(0, 5))):
            word = str(chance.choice(_CHAT.split()))
            draw.text((x, y), word, font=font, fill=_color(chance, 90))
            x += int(draw.textlength(word, font=font)) + 6
    return picture


def _waiting(chance: np.random.Generator) -> Image.Image:
    first, second = chance.integers(0, 256, (2, 3))
    rows = first + (second - first) * np.linspace(0, 1, 360)[:, None, None]
    picture = Image.fromarray(np.broadcast_to(rows, (360, 640, 3)).astype(np.uint8).copy())
    draw, title = ImageDraw.Draw(picture), str(chance.choice(_TITLES))
    font = _font(chance, int(chance.integers(30, 70)))
    draw.text((320 - draw.textlength(title, font=font) / 2, int(chance.integers(80, 220))), title, font=font)
    for _ in range(int(chance.integers(0, 30))):
        x, y, radius = (int(chance.integers(0, high)) for high in (640, 360, 40))
        draw.ellipse((x, y, x + radius, y + radius), outline=_color(chance))
    return picture


def _bars(chance: np.random.Generator) -> Image.Image:
    picture, draw = _canvas((0, 0, 0))
    count = int(chance.integers(3, 9))
    for number in range(count):
        draw.rectangle((640 * number // count, 0, 640 * (number + 1) // count, 360), fill=_color(chance))
    return picture


def _static(chance: np.random.Generator) -> Image.Image:
    return Image.fromarray(chance.integers(0, 256, (180, 320), np.uint8)).convert("RGB").resize((640, 360))


def _black(chance: np.random.Generator) -> Image.Image:
    picture, draw = _canvas((0, 0, 0))
    if chance.random() < 0.5:
        draw.text((20, 320), _words(chance, 2), font=_font(chance, 14), fill=(200, 200, 200))
    return picture


_SCREENS = (_page, _editor, _waiting, _bars, _static, _black)


def _canvas(color: tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (640, 360), color)
    return picture, ImageDraw.Draw(picture)


def _words(chance: np.random.Generator, count: int) -> str:
    return " ".join(chance.choice(_CHAT.split(), count))


def _color(chance: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in chance.integers(low, high, 3))
    return red, green, blue


def _font(chance: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    """Return one of matplotlib's fonts."""
    files = sorted((Path(mpl.get_data_path()) / "fonts" / "ttf").glob("DejaVu*.ttf"))
    return ImageFont.truetype(str(files[chance.integers(len(files))]), max(size, 6))
