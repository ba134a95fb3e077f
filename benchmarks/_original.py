"""The original's method, the baseline: whole segments of the best rendition, through files.

The steps are those of its downloadFrames: Streamlink's `best`, the playlist's addresses, `requests.get` of a whole
segment, a temporary file, OpenCV's VideoCapture, the first frame, INTER_AREA, JPEG; one stream at a time.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
from streamlink import Streamlink

from data.http.session import configure_session, new_session


def new_streamlink(standin: str) -> Streamlink:
    """Return a Streamlink session that talks to the stand-in; one session serves a whole run."""
    session = Streamlink()
    configure_session(session.http, 30.0, standin)
    return session


def network(model_path: Path) -> Any:
    """Return the Keras model in the folder; if there is only an ONNX file, an untrained network of the same size."""
    import keras

    from model.inference import classes
    from model.networks import network

    file = model_path / "model.h5"
    if file.is_file():
        return keras.models.load_model(file, compile=False)
    games = classes.read_classes(model_path / classes.CLASSES_FILE)
    return network.build("efficientnet_lite0", 240, len(games), dropout=0.5, initial_weights="none")


def frames(session: Streamlink, standin: str, login: str, img_size: int = 240) -> Iterator[bytes]:
    """Yield a JPEG for each segment in the channel's playlist."""
    with new_session(30.0, standin) as http, tempfile.TemporaryDirectory() as folder:
        playlist = http.get(session.streams(f"https://www.twitch.tv/{login}")["best"].url).text
        for number, link in enumerate(re.findall(r"^(https?://\S+)", playlist, re.M)):
            file = Path(folder) / f"segment{number}.ts"
            file.write_bytes(http.get(link).content)
            video = cv2.VideoCapture(str(file))
            read, image = video.read()
            video.release()
            file.unlink()
            if read:
                small = cv2.resize(image, (img_size, img_size), interpolation=cv2.INTER_AREA)
                jpeg = Path(folder) / "frame.jpg"
                cv2.imwrite(str(jpeg), small)
                yield jpeg.read_bytes()
