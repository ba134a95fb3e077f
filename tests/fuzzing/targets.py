"""Fuzz targets: each feeds damaged inputs to one entry of the toolkit, with real libraries and real sockets.

A target passes if the toolkit returns, or raises an error of its own: any other exception fails it.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

from data.errors import ToolkitError
from tests.fuzzing.dataset_targets import DATASET_TARGETS
from tests.fuzzing.fuzz_server import FuzzServer, response
from tests.fuzzing.strategies import damaged_bytes, damaged_json, damaged_lines
from tests.fuzzing.target import Feed, Target, in_folder, plain
from tests.sample_images import GREEN, RED, flat, segment

_TOKEN = {"data": {"streamPlaybackAccessToken": {"value": json.dumps({"chansub": {}}), "signature": "s"}}}
_MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="chunked",NAME="1080p60",AUTOSELECT=NO,DEFAULT=NO
#EXT-X-STREAM-INF:BANDWIDTH=9100000,RESOLUTION=1920x1080,CODECS="avc1.64002A,mp4a.40.2",VIDEO="chunked",FRAME-RATE=60.000
https://video.example/chunked.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=630000,RESOLUTION=640x360,FRAME-RATE=30.000,STABLE-VARIANT-ID="360p30"
https://video.example/360p.m3u8"""
_MEDIA = b"""#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DATERANGE:ID="x",CLASS="twitch-session",START-DATE="2026-01-01T00:00:00.000Z",END-ON-NEXT=YES
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:2.000,live
https://video.example/100.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z
#EXTINF:2.000,Amazon|1
https://video.example/101.ts
#EXT-X-MAP:URI="https://video.example/init.mp4",BYTERANGE="600@0"
#EXT-X-BYTERANGE:5000@0
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z
#EXTINF:2.000,live
https://video.example/102.mp4
#EXT-X-TWITCH-PREFETCH:https://video.example/103.ts"""
_GAME = {"id": "33214", "name": "Fortnite", "box_art_url": "https://x/{width}x{height}.jpg", "igdb_id": "1905"}
_STREAM = {
    "id": "1",
    "user_id": "2",
    "user_login": "ninja",
    "user_name": "Ninja",
    "game_id": "33214",
    "game_name": "Fortnite",
    "type": "live",
    "title": "hi",
    "viewer_count": 5,
    "started_at": "2026-01-01T00:00:00Z",
    "language": "en",
    "thumbnail_url": "https://x/{width}x{height}.jpg",
}
_HEADERS: list[Mapping[str, str | bytes]] = [
    {"Content-Range": f"bytes 0-{'9' * 5000}/*"},
    {"Content-Range": "bytes 5-1/0"},
    {"Content-Range": "bytes -1--1/-1"},
    {"Content-Range": "x"},
    {"Content-Length": "x"},
    {"Content-Length": "-1"},
    {"Content-Length": "9" * 5000},
    {"Content-Length": "1, 2"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "x, gzip, deflate"},
    {"Content-Encoding": "gzip, " * 200 + "gzip"},
    {"Transfer-Encoding": "chunked"},
    {"Content-Type": "text/html; charset=no-such-charset"},
    {"Content-Type": b"\xff\xfe"},
    {"Location": b"\xff\xfe"},
    {"Location": "http://["},
    {"Location": "https://a:99999/x"},
    {"Location": "file:///etc/passwd"},
    {"Location": "//"},
    {"Location": ""},
    {"Set-Cookie": "a=" + "b" * 5000},
    {"Set-Cookie": "expires=x; max-age=" + "9" * 500},
    {"Retry-After": "9" * 500},
    {"Retry-After": "Wed, 99 Foo 9999 99:99:99 GMT"},
    {"Ratelimit-Reset": "9" * 500},
    {"Ratelimit-Reset": "nan"},
    {"Ratelimit-Remaining": "-1"},
]


@cache
def _segments(container: str) -> list[bytes]:
    return [segment(*[flat(RED), flat(GREEN)] * 4, container=container), segment(flat(GREEN), container=container)]


@cache
def _recordings() -> list[bytes]:
    """Return a short recording in each container."""
    import av

    found = []
    for name, codec in [
        ("mp4", "libx264"),
        ("matroska", "libx264"),
        ("flv", "flv1"),
        ("avi", "mpeg4"),
        ("webm", "libvpx"),
    ]:
        output = io.BytesIO()
        with av.open(output, "w", format=name) as file:
            stream = file.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(30):
                file.mux(
                    stream.encode(
                        av.VideoFrame.from_ndarray(flat(RED, 64, 48), "rgb24").reformat(format="yuv420p", threads=1)
                    )
                )
            file.mux(stream.encode(None))
        found.append(output.getvalue())
    return found


@cache
def _pictures() -> list[bytes]:
    image = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    return [
        cv2.imencode(f".{kind}", image)[1].tobytes() for kind in ("jpg", "png", "webp", "bmp", "tiff", "ppm", "gif")
    ]


def _feed_segment(data: bytes) -> None:
    from data.video.decoder import first_frame, frames_at

    with suppress(ToolkitError):
        first_frame(io.BytesIO(data), 32, 90)
    with suppress(ToolkitError):
        list(frames_at(io.BytesIO(data), [0.0, 0.1, 0.25], 32, 90))


def _feed_recording(data: bytes) -> None:
    from data.video.recording import sample_recording

    for options in ({"spread_first": False}, {"spread_first": True}, {"spread_first": True, "read_all_bytes": 0}):
        with suppress(ToolkitError):
            list(sample_recording(io.BytesIO(data), 0.0, 5, 32, 90, **options))
    with suppress(ToolkitError):
        list(islice(sample_recording(io.BytesIO(data), 0.5, None, 32, 90, spread_first=False), 50))


def _feed_picture(data: bytes) -> None:
    from data.video import images

    for decode in (images.decode_jpeg, partial(images.decode_resized, img_size=32), images.decode_thumbnail):
        with suppress(ToolkitError):
            decode(data)


@contextmanager
def _grabbing(respond: Callable[[Any, str], bytes], follow: bool = False) -> Iterator[Feed]:
    """Yield a function that lets a real Streamlink session grab from a server that sends `respond(input, path)`."""
    from tests.data.hls_server import grabber

    with FuzzServer() as server, grabber(server.url, timeout_s=1, deadline_s=1.5, img_size=32) as grabs:

        def feed(data: Any) -> None:
            server.respond = partial(respond, data)
            with suppress(ToolkitError):
                list(grabs.frames("someone", 4))
            if follow:
                with suppress(ToolkitError):
                    list(grabs.open_follower("someone", 2, 2).poll())

        yield feed


def _respond(path: str, *, token: bytes = b"", master: bytes = b"", media: bytes = b"") -> bytes:
    """Return the proper response of Twitch's video hosts to this path, except for what is given."""
    if "gql" in path:
        return response(token or json.dumps(_TOKEN).encode())
    if "usher" in path or "/channel/hls" in path:
        return response(master or _MASTER)
    if path.partition("?")[0].endswith(".m3u8"):
        return response(media or _MEDIA)
    return response(_segments("mp4" if ".mp4" in path else "mpegts")[1])


def _respond_with_headers(data: tuple[int, Mapping[str, str | bytes], int], path: str) -> bytes:
    """Return the proper response; the `data[0]`-th kind of resource gets odd headers and maybe another status."""
    kinds = ("gql", "/channel/hls", ".m3u8", ".ts")
    kind = next((number for number, part in enumerate(kinds) if part in path), 3)
    proper = _respond(path)
    if kind != data[0]:
        return proper
    return response(proper.partition(b"\r\n\r\n")[2], data[2], data[1])


@contextmanager
def _asking_helix() -> Iterator[Feed]:
    from data.http.session import new_session
    from data.twitch.helix import Helix

    with FuzzServer() as server, new_session(1, server.url, deadline_s=1.5) as session:
        helix = Helix(session, "client", access_token="token", deadline_s=1, retry_budget_s=0.05, sleep=lambda _: True)

        def feed(body: bytes) -> None:
            server.respond = lambda _: response(body)
            for call in (helix.top_games, partial(helix.streams_by_game, 33214, 20), partial(helix.iter_streams, None)):
                with suppress(ToolkitError):
                    list(islice(call(), 300))
            for ask in (partial(helix.game_by_name, "x"), partial(helix.streams_by_login, ["ninja"])):
                with suppress(ToolkitError):
                    ask()

        yield feed


@cache
def _checkpoint() -> bytes:
    from model.training.checkpoint import CheckpointStore, StageProgress, TrainingState

    with tempfile.TemporaryDirectory() as folder:
        store = CheckpointStore(Path(folder) / "x")
        store.open({}, resume=False)
        weights = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)]
        store.save("run", TrainingState([StageProgress(best_weights=weights)], weights, 1.0))
        return (Path(folder) / "x" / "run.npz").read_bytes()


@contextmanager
def _loading_checkpoints() -> Iterator[Feed]:
    from model.training.checkpoint import CheckpointStore

    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name) / "x"
        CheckpointStore(folder).open({}, resume=False)

        def feed(data: bytes) -> None:
            (folder / "run.npz").write_bytes(data)
            store = CheckpointStore(folder, write=False)
            with suppress(ToolkitError):
                store.open({}, resume=True)
                store.load("run")

        yield feed


@cache
def _onnx_model() -> bytes:
    """Return a model of two classes that ONNX Runtime loads, with the metadata of a trained one."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["features"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["features", "w"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 32, 32, 3])
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", w]) for n, w in [("logits", 2), ("features", 3)]
    ]
    graph = helper.make_graph(nodes, "g", [images], outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"classes": "1,2", "temperature": "0.5"})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _load_model(folder: Path) -> None:
    from model.inference.classifier import Classifier
    from model.inference.onnx_header import read_header

    with suppress(ToolkitError):
        read_header(folder / "model.onnx")
    if not (folder / "classes.txt").exists():
        (folder / "classes.txt").write_text("1\tOne\n2\tTwo\n")
    Classifier.load(folder, threads=1).predict(np.zeros((1, 32, 32, 3), np.uint8))


def _read_report(folder: Path) -> None:
    from dashboard.models.reports import read_report

    read_report(folder, "training")


def _read_classes(folder: Path) -> None:
    from model.inference.classes import read_classes

    read_classes(folder / "classes.txt")


def _read_calibration(folder: Path) -> None:
    from model.inference.calibration import Calibration

    with suppress(ValueError, RecursionError):  # the file holds what ONNX Runtime would hand over: texts by names
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8", errors="replace"))
        if isinstance(metadata, dict):
            Calibration.from_metadata({str(key): str(value) for key, value in metadata.items()})


def _read_sources(folder: Path) -> None:
    from recognition.sources import read_sources

    read_sources([], str(folder / "list.txt"))


def _read_settings(folder: Path) -> None:
    from config import Settings

    Settings(folder / ".env")


def _understand(data: bytes) -> None:
    from data.twitch.addresses import canonical

    form = canonical(data.decode("utf-8", "surrogateescape"))
    assert canonical(form) == form, form


def _responses(key: str) -> Callable[[bytes, str], bytes]:
    return lambda data, path: _respond(path, **{key: data or b"\n"})


_PAGE = {"data": [_GAME | _STREAM] * 3, "pagination": {"cursor": "abc"}}
_METADATA = {"temperature": "0.5", "unknown_score": "max_logit", "unknown_threshold": "1.5", "unknown_share": "0.1"}
_REPORT = {
    "date": "2026-11-26T09:26:08+00:00",
    **dict.fromkeys(("accuracy_by_frame", "accuracy_by_stream", "top3_by_frame", "nll", "ece"), 0.5),
    "unknown": {"by_stream": {"false_unknown": 0.1, "missed_unknown": None}},
    "validation": {"frames": 6, "streams": 2},
    "games": [
        {"id": number, "name": f"Game {number}", "accuracy_by_frame": 0.5, "validation": {"frames": 3, "streamers": 1}}
        for number in (1, 2)
    ],
    "confusion": [[2, 1], [0, 3]],
    "worst": [
        {
            "path": "1/ann-1.jpg",
            "game": {"id": 1, "name": "Game 1"},
            "predicted": {"id": 2, "name": "Game 2"},
            "confidence": 0.9,
            "probability": 0.1,
        }
    ],
}
_ODD_HEADERS = st.tuples(
    st.integers(0, 3), st.sampled_from(_HEADERS), st.sampled_from([200, 206, 302, 307, 404, 429, 503])
)

TARGETS: dict[str, Target] = {
    "ts": Target(st.deferred(lambda: damaged_bytes(_segments("mpegts"))), partial(plain, _feed_segment)),
    "fmp4": Target(st.deferred(lambda: damaged_bytes(_segments("mp4"))), partial(plain, _feed_segment)),
    "recordings": Target(st.deferred(lambda: damaged_bytes(_recordings())), partial(plain, _feed_recording)),
    "pictures": Target(st.deferred(lambda: damaged_bytes(_pictures())), partial(plain, _feed_picture)),
    "playback_token": Target(damaged_json([_TOKEN]), partial(_grabbing, _responses("token"))),
    "multivariant_playlist": Target(damaged_lines([_MASTER]), partial(_grabbing, _responses("master"))),
    "media_playlist": Target(damaged_lines([_MEDIA]), partial(_grabbing, _responses("media"), follow=True)),
    "headers": Target(_ODD_HEADERS, partial(_grabbing, _respond_with_headers)),
    "helix": Target(damaged_json([_PAGE]), _asking_helix),
    "checkpoint": Target(st.deferred(lambda: damaged_bytes([_checkpoint()])), _loading_checkpoints),
    "model": Target(st.deferred(lambda: damaged_bytes([_onnx_model()])), partial(in_folder, "model.onnx", _load_model)),
    "classes": Target(
        damaged_bytes([b"1\tOne\n2\tTwo\n", "33214\tÉté\n".encode()]), partial(in_folder, "classes.txt", _read_classes)
    ),
    "calibration": Target(damaged_json([_METADATA]), partial(in_folder, "metadata.json", _read_calibration)),
    "report": Target(damaged_json([_REPORT]), partial(in_folder, "metrics.json", _read_report)),
    "source_list": Target(
        damaged_bytes(
            [b"ninja\n# x\nhttps://twitch.tv/x\n", "\ufeffa.mp4\r\nb\r\n".encode(), "a\nb\n".encode("utf-16")]
        ),
        partial(in_folder, "list.txt", _read_sources),
    ),
    "dotenv": Target(
        damaged_bytes(
            [
                b"CLIENT_ID=abc\nACCESS_TOKEN='oauth:x'\nIMG_SIZE=240 # pixels\nNON_GAMES=[1, 2]\nEPOCH=3\n",
                "\ufeffLANGUAGES=en,de\r\nDOWNLOAD_PATH=~/${HOME}/a\r\nTIMEOUT_S=1e3\r\nDB_HOST=::1\r\n".encode(),
            ]
        ),
        partial(in_folder, ".env", _read_settings),
    ),
    "addresses": Target(
        damaged_bytes(
            [
                b"https://www.twitch.tv/Some_One/videos?filter=all&t=1h#x",
                b"player.twitch.tv/?video=v1&channel=a",
                b"https://clips.twitch.tv/embed?clip=A-b",
                b"file://localhost/a%20b.mp4",
                b"HLS://HTTPS://u:p@Example.com:1/A.m3u8?x",
            ]
        ),
        partial(plain, _understand),
    ),
} | DATASET_TARGETS
