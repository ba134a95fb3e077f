"""Frame quality filter: real H.264 of all gameplay clips, and of frames that no dataset needs."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections import Counter
from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest

from data.capture.grabber import Grabber
from data.errors import UndecodableVideo
from data.filters import frame_filter
from data.filters.frame_filter import BLACK, DUPLICATE, FROZEN, ONE_COLOUR, TEST_CARD, AcceptAll, FrameQualityFilter
from data.video.decoder import first_frame, generate_test_pattern
from data.video.images import decode_jpeg, decode_thumbnail, encode_jpeg
from tests.sample_images import BLUE, flat, resize_by_area, segment
from tests.standin import Standin, World
from tests.standin.world import STILLS

IMG_SIZE = 240
EBU = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))


def frame(image: np.ndarray, img_size: int = IMG_SIZE) -> bytes:
    """Return the image as the grabber would: encoded as H.264, decoded, scaled, as JPEG."""
    return first_frame(io.BytesIO(segment(image)), img_size, 95)


def scene(seed: int = 1) -> np.ndarray:
    """Return an image without repeated parts, uint8 RGB (360, 640, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC)


def at_1080p(draw: Callable[[np.ndarray], object]) -> np.ndarray:
    """Return the scene after `draw` changed it at 1920 x 1080, where cursors and letters have their usual size."""
    large = cv2.resize(scene(), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    draw(large)
    return cv2.resize(large, (640, 360), interpolation=cv2.INTER_AREA)


def with_cursor(image: np.ndarray) -> None:
    """Draw an arrow of 12 x 19 pixels."""
    outline = [(0, 0), (0, 17), (4, 13), (7, 19), (9, 18), (6, 12), (12, 12)]
    arrow = np.array([(x + 800, y + 500) for x, y in outline])
    cv2.fillPoly(image, [arrow], (255, 255, 255), cv2.LINE_AA)
    cv2.polylines(image, [arrow], True, (0, 0, 0), 1, cv2.LINE_AA)


def with_chat(image: np.ndarray, line: str = "someone: gg wp") -> None:
    """Draw a line of letters of 14 pixels."""
    cv2.putText(image, line, (40, 1000), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (255,) * 3, 1, cv2.LINE_AA)


def text(image: np.ndarray, left: int, top: int, size: int, colour: int = 255) -> np.ndarray:
    """Return the image with a row of bars like letters, `size` pixels high."""
    image = image.copy()
    for letter in range(12):
        x = left + letter * size * 3 // 4
        image[top : top + size : 2, x : x + size // 2] = colour
    return image


def first_frames(file) -> list[bytes]:
    """Return the first frame of each two seconds of a clip."""
    with av.open(str(file)) as clip:
        rate = clip.streams.video[0].average_rate
        clip.streams.video[0].codec_context.skip_frame = "NONREF"  # none of the first frames
        pictures = [frame for frame in clip.decode(video=0) if round(frame.time * rate) % (2 * rate) == 0]
    return [encode_jpeg(resize_by_area(p.to_ndarray(format="rgb24"), IMG_SIZE), 95) for p in pictures]


def darker(jpeg: bytes, light: float) -> bytes:
    return encode_jpeg((decode_jpeg(jpeg) * light).astype(np.uint8), 95)


@pytest.fixture(scope="module")
def gameplay(world) -> dict[str, list[bytes]]:
    """Return the first frame of each segment, by clip."""
    files = sorted({channel.file for channel in world.channels})
    return {file.stem: first_frames(file) for file in files}


# --- what must be accepted ------------------------------------------------------------------------


@pytest.mark.parametrize(("light", "most"), [(1, 0.02), (0.5, 0.02), (0.25, 0.03)])
def test_gameplay_is_accepted(gameplay, light, most):
    """Of all clips, also at reduced brightness, at most 3 % are rejected, and none as a test card."""
    quality_filter, reasons = FrameQualityFilter(), Counter()
    for clip, jpegs in gameplay.items():
        reasons.update(
            quality_filter.reject_reason(clip, jpeg if light == 1 else darker(jpeg, light)) for jpeg in jpegs
        )
    print(light, dict(reasons))
    assert reasons[TEST_CARD] == reasons[ONE_COLOUR] == 0
    assert reasons[""] >= (1 - most) * reasons.total()
    assert reasons[BLACK] <= 3  # SuperTux fades from black between levels


def test_gameplay_with_a_moving_camera_is_accepted_completely(gameplay):
    """Races and first-person games, also in the dark."""
    quality_filter = FrameQualityFilter()
    for clip, jpegs in gameplay.items():
        if clip.split("-")[0] in ("9000002", "9000004", "9000005", "9000008", "9000010", "9000014", "9000015"):
            for light in (1, 0.25):
                assert {quality_filter.reject_reason(f"{clip} {light}", darker(jpeg, light)) for jpeg in jpegs} == {
                    ""
                }, (clip, light)


def test_turn_based_gameplay_is_mostly_accepted(gameplay):
    """Dungeon Crawl and Wesnoth change little in two seconds."""
    quality_filter, reasons = FrameQualityFilter(), Counter()
    for clip, jpegs in gameplay.items():
        if clip.startswith(("9000003", "9000016")):
            reasons.update(quality_filter.reject_reason(clip, jpeg) for jpeg in jpegs)
    print(dict(reasons))
    assert reasons[""] >= 0.95 * reasons.total()


def test_small_moving_figure_is_accepted():
    """A sprite of 1/40 of the width on a still background, bright or dim."""
    for light in (1.0, 0.3):
        quality_filter = FrameQualityFilter()
        for step in range(10):
            image = (scene() * light * 0.6).astype(np.uint8)
            image[180:204, 40 + 30 * step : 56 + 30 * step] = int(255 * light)
            assert quality_filter.reject_reason("walker", frame(image)) == "", (light, step)


# --- what must be rejected ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (flat((0, 0, 0)), BLACK),
        (flat((9, 9, 12)), BLACK),
        (flat((255, 255, 255)), ONE_COLOUR),
        (flat(BLUE), ONE_COLOUR),
        (np.random.default_rng(1).integers(0, 9, (360, 640, 3), dtype=np.uint8), BLACK),
        (text(flat((0, 0, 0), 640, 360), 500, 330, 10), BLACK),
    ],
    ids=["black", "nearly black", "white", "blue", "noise in the dark", "black with small letters"],
)
def test_flat_frames_are_rejected(image, reason):
    """Frames of one color with almost nothing in them; dark ones are called black."""
    assert FrameQualityFilter().reject_reason("someone", frame(image)) == reason


def test_dark_scene_is_accepted():
    """At a sixth of its brightness."""
    assert FrameQualityFilter().reject_reason("someone", frame((scene() / 6).astype(np.uint8))) == ""


def cards() -> dict[str, np.ndarray]:
    """Return each test card of FFmpeg, and EBU color bars at 100 % and at 75 % (with white at 100 %)."""
    found = {source: generate_test_pattern(source) for source in frame_filter.TEST_CARDS}
    for name, level in (("ebu100", 255), ("ebu75", 191)):
        colours = np.array([[255] * 3, *([level * c for c in bar] for bar in EBU[1:])], np.uint8)
        found[name] = colours[None].repeat(40, axis=1).repeat(180, axis=0)
    return found


@pytest.mark.parametrize("name", cards())
def test_test_cards_are_rejected(name):
    """Plain, with a logo, with a clock and a line of text, with a webcam, and slightly dimmed."""
    card, quality_filter = cards()[name], FrameQualityFilter()
    with_logo = card.copy()
    with_logo[20:60, 30:100] = (120, 40, 200)
    with_clock = card.copy()
    with_clock[60:110, 90:230] = 0
    with_clock = text(text(with_clock, 100, 70, 14), 60, 150, 10)
    with_webcam = card.copy()
    with_webcam[110:, :110] = resize_by_area(scene(), 110)[:70]
    dimmed = (card * 0.9).astype(np.uint8)
    for number, image in enumerate((card, with_logo, with_clock, with_webcam, dimmed)):
        assert quality_filter.reject_reason(f"{name} {number}", frame(image)) == TEST_CARD, number


def test_repeated_frame_is_rejected_as_frozen():
    """Also after another encoding, with a cursor, or with another line of chat."""
    quality_filter = FrameQualityFilter()
    assert quality_filter.reject_reason("someone", frame(scene())) == ""
    assert quality_filter.reject_reason("someone", frame(scene())) == FROZEN
    assert quality_filter.reject_reason("someone", frame(at_1080p(with_cursor))) == FROZEN
    assert quality_filter.reject_reason("someone", frame(scene(2))) == ""
    assert quality_filter.reject_reason("chatter", frame(at_1080p(with_chat))) == ""
    assert (
        quality_filter.reject_reason("chatter", frame(at_1080p(lambda image: with_chat(image, "another: no, lag"))))
        == FROZEN
    )


def test_frames_of_an_earlier_grab_are_rejected_as_duplicates(gameplay):
    """Only frames that are new in the playlist are accepted."""
    quality_filter, jpegs = FrameQualityFilter(), gameplay["9000014-hacienda"]
    assert [quality_filter.reject_reason("someone", jpeg) for jpeg in jpegs[:11]] == [""] * 11
    again = [quality_filter.reject_reason("someone", jpeg) for jpeg in jpegs[4:15]]
    assert again == [DUPLICATE] * 6 + [FROZEN] + [""] * 4


def test_streams_have_separate_histories():
    """Two streams may show the same image."""
    quality_filter, jpeg = FrameQualityFilter(), frame(scene())
    assert [quality_filter.reject_reason(login, jpeg) for login in ("ann", "bob", "ann")] == ["", "", FROZEN]


def test_histories_are_limited():
    """The streams used last are remembered, and the last fifteen frames of each."""
    quality_filter, jpegs = FrameQualityFilter(max_streams=2), [frame(scene(seed)) for seed in range(16)]
    for login in ("ann", "bob", "ann", "eve"):
        quality_filter.reject_reason(login, jpegs[0])
    assert [quality_filter.reject_reason(login, jpegs[0]) for login in ("ann", "eve", "bob")] == [FROZEN, FROZEN, ""]
    assert [quality_filter.reject_reason("bob", jpeg) for jpeg in jpegs[1:]] == [""] * 15
    assert quality_filter.reject_reason("bob", jpegs[1]) == DUPLICATE
    assert quality_filter.reject_reason("bob", jpegs[0]) == ""


def test_threads_share_a_filter():
    """Eight threads, each with its own stream and a common one: each image is accepted once."""
    quality_filter, jpegs, kept = FrameQualityFilter(), [frame(scene(seed)) for seed in range(10)], []

    def work(login: str) -> None:
        for jpeg in jpegs:
            kept.extend(name for name in (login, "shared") if not quality_filter.reject_reason(name, jpeg))

    threads = [threading.Thread(target=work, args=(f"login{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(kept) == {"shared": 10, **{f"login{number}": 10 for number in range(8)}}


@pytest.mark.parametrize("img_size", [32, 101, 240, 480])
def test_decision_does_not_depend_on_the_image_size(img_size):
    """Thumbnails always have 30 x 30 cells."""
    quality_filter, moved = FrameQualityFilter(), scene()
    moved[160:200, 300:340] = 255
    images = (scene(), scene(), moved, flat((0, 0, 0)), generate_test_pattern("pal75bars"))
    found = [quality_filter.reject_reason("someone", frame(image, img_size)) for image in images]
    assert found == ["", FROZEN, "", BLACK, TEST_CARD]
    assert decode_thumbnail(frame(scene(), img_size)).shape == (30, 30, 3)


def test_accept_all_rejects_nothing():
    """FILTER_FRAMES=false accepts a black frame twice."""
    jpeg = frame(flat((0, 0, 0)))
    assert [AcceptAll().reject_reason("someone", jpeg) for _ in range(2)] == ["", ""]


@pytest.mark.parametrize("jpeg", [b"", b"no JPEG"])
def test_invalid_jpeg_raises(jpeg):
    """It is an error and not a reason for a rejection."""
    with pytest.raises(UndecodableVideo):
        FrameQualityFilter().reject_reason("someone", jpeg)


# --- through the grabber --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twitch(world):
    """Run a stand-in with a live channel and one of each still image, all of one clip."""
    clip = world.channel("stk_hacienda")
    names = ["live", *sorted(STILLS)]
    with Standin(World(tuple(dataclasses.replace(clip, login=name, behaviour=name) for name in names))) as running:
        yield running
    assert not running.unknown


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("live", {"": 15}),
        ("black", {BLACK: 15}),
        ("frozen", {"": 1, FROZEN: 14}),
        ("test_card", {TEST_CARD: 15}),
    ],
)
def test_grabbed_channels_are_filtered(twitch, login, expected):
    """Fifteen frames of a real stream each, H.264 at 630 kbit/s."""
    quality_filter = FrameQualityFilter()
    with Grabber(img_size=IMG_SIZE, jpeg_quality=95, timeout_s=30, standin=twitch.url) as grabber:
        assert Counter(quality_filter.reject_reason(login, f.jpeg) for f in grabber.frames(login, 15)) == expected


@pytest.mark.parametrize(
    ("picture", "expected"), [(flat((0, 0, 0)), True), (flat(BLUE), True), (scene(), False), (scene() // 8, False)]
)
def test_is_flat(picture, expected):
    """Black and one color are flat; a scene is not, not even in the dark."""
    assert frame_filter.is_flat(frame(picture)) == expected
