"""Preview images: how often one is enough for a verdict, and how often this verdict differs from the stream's.

Every two seconds of each game's clip give a preview, encoded as by the stand-in, and the next 13 frames give the
stream's verdict; both use the model in MODEL_PATH. For each minimum confidence of a preview, `enough` is the fraction
of previews that reach it, and `differ` the fraction of these with another verdict than the stream. `held_out`: the
same for the channels that are kept out of the demo's dataset. `streams`: how many times fewer frames a survey
classifies with its own minimum confidence; a preview counts as a frame.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks._grabbing import FRAMES, PRESET
from config import load
from data.video.decoder import Decoder, first_frame
from data.video.images import decode_jpeg, decode_resized, encode_jpeg
from model.inference.classifier import Classifier
from recognition.decision.verdict import Verdict, VerdictAccumulator
from recognition.engine.survey import PREVIEW_CONFIDENCE
from tests.standin import CLIPS, World
from tests.standin.frame_sources import clip_frames
from tests.standin.media import TRANSCODES, Media, default_cache, segment_count
from tests.standin.preview import as_preview
from tests.standin.transcode import SEGMENT_S, Rendition

_ASKED = sorted({0.0, 0.5, 0.8, PREVIEW_CONFIDENCE, 0.95, 0.99})
_PREVIEW = Rendition(440, 248, 1, 0)
_SIZE, _QUALITY = 240, 95


@dataclass(frozen=True)
class Pair:
    """The verdicts on a preview and on its stream."""

    preview: Verdict
    stream: Verdict
    held_out: bool

    def enough(self, confidence: float) -> bool:
        """Return whether the preview's verdict reaches this confidence."""
        return self.preview.known and self.preview.confidence >= confidence

    @property
    def differ(self) -> bool:
        """Return whether the stream's verdict is another one; two unknown verdicts are equal."""
        return not self.stream.known or self.preview.game != self.stream.game


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code; `argv` is empty."""
    del argv
    world, classifier = World.load(CLIPS), Classifier.load(load().model_path)
    media = Media(default_cache(), PRESET)
    channels = [channel for channel in world.channels if channel.igdb_id and channel.has_frames]
    clips = {channel.file: channel.login in world.held_out for channel in reversed(channels)}
    pairs = [pair for file, held_out in clips.items() for pair in _pairs(media, classifier, file, held_out)]
    media.close()
    result = {str(confidence): _shares(pairs, confidence) for confidence in _ASKED}
    taken = np.mean([1 if pair.enough(PREVIEW_CONFIDENCE) else 1 + FRAMES for pair in pairs])
    ratio = {"ours": round(float(taken), 2), "original": FRAMES, "ratio": round(FRAMES / float(taken), 1)}
    print(json.dumps({"name": "preview_first", **ratio, "unit": "frames", "streams": len(pairs), **result}), flush=True)
    return 0


def _pairs(media: Media, classifier: Classifier, file: Path, held_out: bool) -> Iterator[Pair]:
    count = segment_count(file)
    previews = [encode_jpeg(decode_resized(picture, _SIZE), _QUALITY) for picture in _previews(file, count)]
    decoder = Decoder()
    segments = (io.BytesIO(media.segment(file, TRANSCODES[0], index)) for index in range(count))
    frames = [first_frame(segment, _SIZE, _QUALITY, decoder) for segment in segments]
    seen, shown = (_judged(classifier, jpegs) for jpegs in (previews, frames))
    for index in range(count):
        following = [shown[(index + 1 + step) % count] for step in range(FRAMES)]
        yield Pair(_verdict(classifier, [seen[index]]), _verdict(classifier, following), held_out)


def _previews(file: Path, count: int) -> Iterator[bytes]:
    """Yield a preview of each segment's first frame."""
    for number, frame in enumerate(clip_frames(file, _PREVIEW, 0, count)):
        if number % SEGMENT_S == 0:
            yield as_preview(frame)


def _judged(classifier: Classifier, jpegs: Sequence[bytes]) -> list[tuple[np.ndarray, bool]]:
    scored = classifier.predict(np.stack([decode_jpeg(jpeg) for jpeg in jpegs]))
    return list(zip(scored.logits, map(bool, scored.known), strict=True))


def _verdict(classifier: Classifier, scored: Sequence[tuple[np.ndarray, bool]]) -> Verdict:
    accumulator = VerdictAccumulator(classifier.classes)
    for logits, known in scored:
        accumulator.add_frame(logits, known)
    return accumulator.verdict()


def _shares(pairs: Sequence[Pair], confidence: float) -> dict[str, float]:
    """Return both fractions, rounded to four digits."""
    found = {}
    for prefix, some in (("", pairs), ("held_out_", [pair for pair in pairs if pair.held_out])):
        taken = [pair for pair in some if pair.enough(confidence)]
        found[f"{prefix}enough"] = round(len(taken) / len(some), 4)
        found[f"{prefix}differ"] = round(sum(pair.differ for pair in taken) / max(1, len(taken)), 4)
    return found


if __name__ == "__main__":
    sys.exit(main([]))
