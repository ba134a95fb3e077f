"""The original's recogniser: TensorFlow, whole segments of the whole playlist, then one prediction per frame.

    python -m benchmarks._recognizer STANDIN LOGIN MODEL_PATH

Prints the lines that recognition.recognize prints.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> int:
    """Load, download, predict, print, and return the exit code."""
    standin, login, model_path = sys.argv[1:]
    from benchmarks import _original

    model = _original.network(Path(model_path))
    from data.video.images import decode_jpeg
    from model.inference import classes
    from recognition.decision.verdict import VerdictAccumulator

    accumulator = VerdictAccumulator(classes.read_classes(Path(model_path) / classes.CLASSES_FILE))
    jpegs = list(_original.frames(_original.new_streamlink(standin), standin, login))
    for number, jpeg in enumerate(jpegs, start=1):
        logits = model.predict(decode_jpeg(jpeg)[None], verbose=0)
        print(accumulator.add_frame(logits[0]).to_line(number))
    print(accumulator.verdict().to_line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
