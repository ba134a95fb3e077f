"""The recogniser's way of 2021: TensorFlow, the whole live window as whole segments, then a prediction a frame.

    python -m benchmarks._recognizer STANDIN LOGIN MODEL_PATH

Prints the lines that recognition.recognize prints.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> int:
    """Load, download, predict, print."""
    standin, login, model_path = sys.argv[1:]
    from benchmarks import _original

    model = _original.network(Path(model_path))
    from data.video.decoder import decode
    from model.inference import classes
    from recognition.decision.verdict import Jury

    jury = Jury(classes.read(Path(model_path) / classes.FILE))
    jpegs = list(_original.frames(_original.new_session(standin), standin, login))
    for number, jpeg in enumerate(jpegs, start=1):
        logits = model.predict(decode(jpeg)[None], verbose=0)
        print(jury.hear(logits[0]).line(number))
    print(jury.verdict().line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
