"""Augmentation pipeline: frames as other streams might show them, with overlays, other colours, a worse encoder.

    for each image of a batch:
        for each transform, in the order of TRANSFORM_NAMES:
            with its probability: image = transform(image, another image of the batch, rng)

Random numbers are a pure function of (seed, sample id, transform): equal in any order, process and resumed training,
whatever other transforms are on. No transform mirrors an image, because a game's HUD is not symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np

from model.augmentation import drawing, overlays

Transform = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""(image, other, rng) → image, all uint8 RGB (H, W, 3). It may draw into `image`, never into `other`."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The probability, 0 to 1, that each transform applies to an image, and the `seed` of all of them."""

    center: float = 0.0
    crop: float = 0.0
    color: float = 0.0
    webcam: float = 0.0
    chat: float = 0.0
    alert: float = 0.0
    banner: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0
    seed: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in TRANSFORM_NAMES)


TRANSFORM_NAMES = tuple(field.name for field in fields(Augmentation) if field.name != "seed")  # in order of application


def augment_batch(images: np.ndarray, sample_ids: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Return augmented copies of `images`, uint8 RGB (B, H, W, 3).

    sample_ids: int64 (B,), at least 0; equal ids get equal random numbers.
    Webcams and replaced centers show the previous image of the batch, or a texture.
    """
    augmented = images.copy()  # (B, H, W, 3)
    for index, sample_id in enumerate(sample_ids.tolist()):
        augmented[index] = _augment(augmented[index], images[index - 1], sample_id, augmentation)
    return augmented


def _augment(image: np.ndarray, other: np.ndarray, sample_id: int, augmentation: Augmentation) -> np.ndarray:
    for stream, name in enumerate(TRANSFORM_NAMES):
        if probability := getattr(augmentation, name):
            rng = np.random.default_rng((augmentation.seed, sample_id, stream))
            if rng.random() < probability:
                image = _TRANSFORMS[name](image, other, rng)
    return image  # (H, W, 3)


def _replace_center(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace the middle, so that the model learns the HUD around it: all that two maps of a game may share.

    The middle begins at 5 to 25 % and ends at 75 to 95 % of either side. It becomes part of `other`, a pattern, a
    gradient, or itself mirrored; half of them are darker or brighter.
    """
    top, left, bottom, right = rng.uniform((0.05, 0.05, 0.75, 0.75), (0.25, 0.25, 0.95, 0.95))
    center = drawing.region_of(image, top, left, bottom - top, right - left)
    sources: tuple[Callable[[], np.ndarray], ...] = (
        lambda: drawing.random_crop(other, rng),
        lambda: drawing.pattern(rng),
        lambda: drawing.gradient(rng),
        lambda: drawing.stretch(center[:, ::-1], drawing.TEXTURE_SHAPE),
    )
    source = sources[rng.choice(len(sources), p=_CENTER_SOURCES)]()
    patch = cv2.convertScaleAbs(source, alpha=rng.choice((1.0, rng.uniform(0.3, 1.3))))  # scale the brightness
    drawing.paste(center, patch, drawing.feathered_mask(center.shape, rng))
    return image


def _crop(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Enlarge a window of 80 to 100 % of either side; the height or the width has up to 5 % less."""
    scale, narrowing = rng.uniform((0.8, -0.05), (1, 0.05))
    height, width = scale * (1 - max(narrowing, 0)), scale * (1 + min(narrowing, 0))
    window = drawing.region_of(image, rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width)
    return drawing.stretch(window, image.shape)


def _jitter_color(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, saturation and a little hue: game settings, capture cards and encoders differ."""
    brightness, contrast, saturation, hue = rng.uniform((-38, 0.7, 0.6, -8), (38, 1.3, 1.4, 8))
    levels, mean = np.arange(256)[:, None], np.array(cv2.mean(image)[:3])  # (256, 1), (3,)
    image = cv2.LUT(image, drawing.to_uint8(mean + contrast * (levels - mean) + brightness)[None])
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    table = np.hstack([(levels + round(hue)) % 256, saturation * levels, levels])  # (256, 3): the hue is a circle
    return cv2.cvtColor(cv2.LUT(hsv, drawing.to_uint8(table)[None]), cv2.COLOR_HSV2RGB_FULL)


def _blur(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale down to 33 to 90 % and up again, as a player does with a smaller rendition."""
    scale = rng.uniform(0.33, 0.9)
    smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return drawing.stretch(smaller, image.shape)


def _compress(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compress with a JPEG quality of 15 to 70: the blocks and ringing of a starved encoder."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70, endpoint=True))]
    _done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB))


_CENTER_SOURCES = (0.35, 0.3, 0.2, 0.15)  # probabilities of: other, pattern, gradient, mirrored
_TRANSFORMS: dict[str, Transform] = {
    "center": _replace_center,
    "crop": _crop,
    "color": _jitter_color,
    "webcam": overlays.webcam,
    "chat": overlays.chat,
    "alert": overlays.alert,
    "banner": overlays.banner,
    "blur": _blur,
    "jpeg": _compress,
}
