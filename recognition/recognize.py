"""python -m recognition.recognize source: what is this live stream showing?"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from data import command
from data.entities import is_login

if TYPE_CHECKING:
    from config import Settings
    from data.entities import Frame
    from data.grabber import Grabber
    from model.classifier import Classifier


def main(argv: list[str] | None = None) -> int:
    """Parse, wire, recognise, print; returns the exit code."""
    parser = command.parser(
        "recognition.recognize",
        "Say which game a live stream shows: a line for each frame, then the verdict.",
        "exit codes: 0 answered, 1 no model or other trouble, 2 settings, 3 offline, 4 only ads,\n"
        "            5 unknown login, 6 no picture, 7 video servers unavailable",
    )
    parser.add_argument(
        "source",
        help="the channel's login, the last part of its address; or the address of a stream, a recording or a clip, "
        "on Twitch or wherever Streamlink finds HLS; or a video file",
    )
    return command.run(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data import wiring
    from recognition.ahead import ahead

    over = threading.Event()
    with ExitStack() as stack:
        stack.callback(over.set)  # ads are waited for in another thread, which would outlive Ctrl-C
        with _undisturbed():
            grabber = stack.enter_context(wiring.grabber(settings, over.wait))
            frames = stack.enter_context(ahead(_frames(grabber, args.source, settings)))
            classifier = _classifier(settings)  # while the first frames travel
        for line in lines(frames, classifier):
            print(line, flush=True)
    return 0


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the block's end: in the middle of a C library's import they may be lost.

    Threads that start meanwhile leave them to this one for ever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _classifier(settings: Settings) -> Classifier:
    """The model in MODEL_PATH. Raises ModelError."""
    from data.errors import ModelError
    from model.classifier import Classifier, file_of

    classifier = Classifier.load(settings.model_path, file=file_of(settings.model_path, settings.int8))
    if classifier.img_size != settings.img_size:
        raise ModelError(f"IMG_SIZE: the model takes images of {classifier.img_size} pixels, so set it to that")
    return classifier


def _frames(grabber: Grabber, source: str, settings: Settings) -> Iterator[Frame]:
    login = source.strip().lower()  # as people write it: with a capital letter
    return grabber.frames(login if is_login(login) else source, settings.frames_per_stream, settings.ad_wait_s)


def lines(frames: Iterable[Frame], classifier: Classifier) -> Iterator[str]:
    """The lines to print, each as soon as its frame has come; the verdict last.

    Raises the frames' own error when there was no frame; later ones end the stream, and the verdict stands.
    """
    from data.errors import StreamError
    from data.video import decode
    from recognition.verdict import Jury

    jury = Jury(classifier.classes)
    heard = False
    try:
        for frame in frames:
            judged = classifier.judge(decode(frame.jpeg)[None])
            yield jury.hear(judged.logits[0], bool(judged.known[0])).line(frame.number)
            heard = True
    except StreamError as error:
        if not heard:
            raise
        command.log.warning("%s; the verdict is of the frames so far", error)
    yield jury.verdict().line()


if __name__ == "__main__":
    sys.exit(main())
