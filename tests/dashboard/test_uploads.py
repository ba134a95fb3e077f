"""Recognitions of the API: uploads, sources and frames, hostile ones among them."""

from __future__ import annotations

import base64
import contextlib
import io
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import psutil
import pytest

from config import Settings
from dashboard.uploads import worker
from dashboard.uploads.service import TooManyUploads, UploadService
from data.errors import UndecodableVideo
from data.storage.frame_folder import FrameFolder
from data.video.images import encode_jpeg
from data.video.recording import sample_recording
from tests import sample_videos
from tests.dashboard.conftest import make_settings
from tests.recognition.commands import ROOT
from tests.recognition.schema import valid
from tests.sample_images import RED, flat
from tests.standin import CLIPS, Standin

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in with a live channel and one that has ended."""
    with Standin(world.only({"etr_bumpy_ride", "already_over"})) as running:
        yield running


@pytest.fixture
def settings(tmp_path, twitch) -> Settings:
    """Return settings with the shipped model and the stand-in."""
    return make_settings(tmp_path, **twitch.environment, model_path=ROOT / "model", ad_wait_s=1)


def upload(client, data: bytes, **headers: str):
    return client.post("/api/v1/recognitions/upload", content=data, headers=OCTETS | headers)


def encoded(kind: str, image: np.ndarray) -> bytes:
    return cv2.imencode(f".{kind}", image)[1].tobytes()


def decode(service: UploadService, data: bytes) -> list[bytes]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return service.decode(file)


def test_clip_is_recognised_as_the_command_recognises_it(client):
    """The events are those of the command for this file, and match the schema; each frame has its picture."""
    clip = CLIPS / "9000011-arctic.mp4"
    answer = upload(client, clip.read_bytes())
    assert answer.status_code == 200, answer.text
    *frames, verdict = map(valid, answer.json()["events"])
    assert (verdict["game"]["name"], verdict["frames"]) == ("OpenTTD", 15)
    pictures = [base64.b64decode(picture) for picture in answer.json()["pictures"]]
    with clip.open("rb") as file:
        assert pictures == [*sample_recording(file, 0.0, 15, 240, 95, spread_first=False)]
    assert len(frames) == 15


def test_picture_becomes_one_frame():
    """A picture of any size becomes a frame of 240 × 240 pixels."""
    (frame,) = decode(UploadService(Settings(_env_file=None)), encoded("avif", flat(RED, 320, 200)))
    assert cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR).shape == (240, 240, 3)


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libx264"), ("avi", "mpeg4")])
def test_clip_becomes_frames_spread_over_it(container, codec):
    """A clip gives FRAMES_PER_STREAM frames, whatever its container."""
    frames = decode(UploadService(Settings(_env_file=None)), sample_videos.recording(container, 5.0, codec=codec))
    times = [sample_videos.time_of(frame) for frame in frames]
    assert times == pytest.approx([5 / 15 * number for number in range(15)], abs=0.5)


def png(width: int, height: int) -> bytes:
    """Return a black PNG of one bit a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + -(-width // 8)) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def hostile() -> dict[str, bytes]:
    jpeg, mp4 = encoded("jpg", flat(RED, 320, 200)), sample_videos.recording("mp4", 4.0)
    return {
        "png of 100 megapixels": png(10_000, 10_000)[:5000],
        "cut jpeg": jpeg[: len(jpeg) // 3],
        "cut mp4": mp4[: len(mp4) // 2],
        "sound": sample_videos.sound("mp4"),
        "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/passwd\n#EXTINF:2,\nhttp://127.0.0.1/a\n",
        "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    }


def test_hostile_uploads_are_refused_and_the_server_lives(client):
    """Bombs, cut files and playlists that name other files: a problem each, in bounded time; no memory is kept."""
    assert upload(client, encoded("png", flat(RED, 320, 200))).status_code == 200
    process = psutil.Process()
    before = process.memory_info().rss
    for name, data in hostile().items():
        start = time.monotonic()
        answer = upload(client, data)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), name
        assert time.monotonic() - start < 60, name
        assert "root:" not in answer.text
    assert upload(client, b"").status_code == 422
    assert upload(client, png(8_000, 7_500) + bytes(16 << 20)).status_code == 200
    assert process.memory_info().rss - before < 100 << 20
    assert not workers(worker.__name__)


PROBE = """
import socket, sys
from dashboard.uploads import worker
def errors(*_):
    for attempt in (lambda: open("/etc/passwd"), socket.socket, lambda: bytearray(3 << 30)):
        try:
            attempt()
        except (OSError, MemoryError) as error:
            yield repr(error).encode()
worker._decode = errors
sys.exit(worker.main(sys.argv[1:]))
"""


def test_worker_can_open_nothing_and_has_little_memory():
    """With its libraries loaded, the worker has no descriptor left for a file or a connection, and no more memory."""
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-c", PROBE, "15", "240", "95", "20"]
        subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, check=True)
        output.seek(0)
        written = output.read()
    assert written.count(b"Too many open files") == 2
    assert written.endswith(b"MemoryError()")


def test_worker_that_works_too_long_is_killed_by_its_limit():
    """An upload that costs more CPU than the worker may use ends with the worker."""
    endless = "import sys; from dashboard.uploads import worker; worker._decode = lambda *_: filter(None, iter(int, 1))"
    command = [sys.executable, "-c", f"{endless}; worker.main(sys.argv[1:])", "15", "240", "95", "1"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False, timeout=120)
    assert done.returncode < 0


class SlowUploads(UploadService):
    """Runs a worker that sleeps instead of decoding."""

    CODE = "import time; time.sleep(60)"

    def _command(self) -> list[str]:
        return [sys.executable, "-c", self.CODE]


def workers(argument: str = SlowUploads.CODE) -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # also a process that has ended and waits for its parent
            if argument in child.cmdline():
                found.append(child)
    return found


def until(condition, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_killed_worker_is_a_refused_upload_and_few_run_at_a_time(monkeypatch):
    """Of four uploads two are decoded at a time; a killed worker is an error of its upload; `close` ends the rest."""
    monkeypatch.setenv("CLIENT_SECRET", "hidden")
    service = SlowUploads(Settings(_env_file=None))
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(decode, service, b"x") for _ in range(4)]
        first = until(lambda: len(workers()) == 2 and workers())
        assert not any("hidden" in " ".join(process.environ().values()) for process in first)
        first[0].kill()
        until(lambda: any(result.done() for result in results))
        until(lambda: len(workers()) == 2)
        service.close()
        errors = [result.exception(timeout=20) for result in results]
    assert {type(error) for error in errors} == {UndecodableVideo, TooManyUploads}
    assert not workers()


def test_upload_whose_client_leaves_ends_its_worker(server, monkeypatch):
    """A closed page costs no more decoding."""
    monkeypatch.setattr(UploadService, "_command", SlowUploads._command)
    monkeypatch.setattr(UploadService, "CODE", SlowUploads.CODE, raising=False)
    address = server.url.removeprefix("http://")
    host, _, port = address.partition(":")
    head = f"POST /api/v1/recognitions/upload HTTP/1.1\r\nHost: {address}\r\nContent-Type: image/png\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"{head}Content-Length: 1\r\n\r\nx".encode())
        until(workers)
    until(lambda: not workers())


def test_what_a_worker_writes_is_checked():
    """Frames of another size, of another format, of endless scans, or none: none of it gets further."""
    service = UploadService(Settings(_env_file=None))
    good = encode_jpeg(flat(RED, 240, 240), 90)
    frames = (encode_jpeg(flat(RED, 100, 240), 90), encoded("png", flat(RED, 240, 240)), good + b"\xff\xda" * 200, b"")
    for frame in frames:
        with pytest.raises(UndecodableVideo):
            service._read_frames(io.BytesIO(len(frame).to_bytes(4, "big") + frame))
    assert service._read_frames(io.BytesIO((len(good).to_bytes(4, "big") + good) * 99)) == [good] * 15


def test_source_is_recognised_and_others_are_refused(client, twitch):
    """A channel has its verdict; an offline one is a problem; files and addresses on this machine are refused."""
    answer = client.post("/api/v1/recognitions", json={"source": "ETR_bumpy_ride", "frames": 2})
    assert answer.status_code == 200, answer.text
    *frames, verdict = map(valid, answer.json()["events"])
    assert (verdict["source"], verdict["game"]["name"]) == ("etr_bumpy_ride", "Extreme Tux Racer")
    assert len(frames) == len(answer.json()["pictures"]) == 2
    assert client.post("/api/v1/recognitions", json={"source": "already_over"}).status_code == 409
    for source in (
        "/etc/passwd",
        "./a.mp4",
        "file:///etc/passwd",
        "http://127.0.0.1/a.m3u8",
        "http://169.254.169.254/",
    ):
        assert client.post("/api/v1/recognitions", json={"source": source}).status_code == 422, source
    assert client.post("/api/v1/recognitions", json={"source": "a", "frames": 10**9}).status_code == 422


def test_frame_of_the_dataset_is_recognised_by_its_path(client, settings):
    """Only the path of a frame is read, whatever its size; all other paths are refused."""
    folder = FrameFolder(settings.download_path / "frames")
    (frame,) = folder.save(9000011, "ann", [encode_jpeg(np.full((480, 480, 3), 90, np.uint8), 90)])
    answer = client.post("/api/v1/recognitions/frame", json={"path": frame.path})
    assert answer.status_code == 200, answer.text
    assert [valid(event)["event"] for event in answer.json()["events"]] == ["frame", "verdict"]
    assert client.post("/api/v1/recognitions/frame", json={"path": "1/gone-1.jpg"}).status_code == 404
    for path in ("../games.tsv", "games.tsv", "/etc/passwd", "1/../../x-1.jpg", "1/ann-01.jpg", ""):
        assert client.post("/api/v1/recognitions/frame", json={"path": path}).status_code == 422, path
