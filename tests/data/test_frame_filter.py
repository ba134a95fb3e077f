"""data.filters.frame_filter: frames of real H.264, of every clip there is and of what should never get into a dataset."""

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
from tests.sample_images import BLUE, by_area, flat, segment
from tests.standin import Standin, World
from tests.standin.world import STILLS

IMG_SIZE = 240
EBU = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))


def frame(image: np.ndarray, img_size: int = IMG_SIZE) -> bytes:
    """The image as the grabber would hand it over: encoded as H.264, decoded, scaled, as JPEG."""
    return first_frame(io.BytesIO(segment(image)), img_size, 95)


def scene(seed: int = 1) -> np.ndarray:
    """A picture in which every place looks different: uint8 RGB (360, 640, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC)


def at_1080p(draw: Callable[[np.ndarray], object]) -> np.ndarray:
    """The scene after `draw` has changed it at 1920 x 1080, where cursors and letters have their size."""
    large = cv2.resize(scene(), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    draw(large)
    return cv2.resize(large, (640, 360), interpolation=cv2.INTER_AREA)


def with_cursor(image: np.ndarray) -> None:
    """An arrow of 12 x 19 pixels."""
    outline = [(0, 0), (0, 17), (4, 13), (7, 19), (9, 18), (6, 12), (12, 12)]
    arrow = np.array([(x + 800, y + 500) for x, y in outline])
    cv2.fillPoly(image, [arrow], (255, 255, 255), cv2.LINE_AA)
    cv2.polylines(image, [arrow], True, (0, 0, 0), 1, cv2.LINE_AA)


def with_chat(image: np.ndarray, line: str = "someone: gg wp") -> None:
    """A line of letters of 14 pixels."""
    cv2.putText(image, line, (40, 1000), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (255,) * 3, 1, cv2.LINE_AA)


def text(image: np.ndarray, left: int, top: int, size: int, colour: int = 255) -> np.ndarray:
    """The image with a row of letters: `size` pixels high, half of their place is ink."""
    image = image.copy()
    for letter in range(12):
        x = left + letter * size * 3 // 4
        image[top : top + size : 2, x : x + size // 2] = colour
    return image


def first_frames(file) -> list[bytes]:
    """The first frame of each two seconds of a clip."""
    with av.open(str(file)) as clip:
        every = round(2 * clip.streams.video[0].average_rate)
        pictures = [f for number, f in enumerate(clip.decode(video=0)) if number % every == 0]
    return [encode_jpeg(by_area(p.to_ndarray(format="rgb24"), IMG_SIZE), 95) for p in pictures]


def darker(jpeg: bytes, light: float) -> bytes:
    return encode_jpeg((decode_jpeg(jpeg) * light).astype(np.uint8), 95)


@pytest.fixture(scope="module")
def gameplay(world) -> dict[str, list[bytes]]:
    """By clip, the first frame of each segment: 44 sessions of 14 games."""
    files = sorted({channel.file for channel in world.channels})
    return {file.stem: first_frames(file) for file in files}


# --- what must not be left out --------------------------------------------------------------------


@pytest.mark.parametrize(("light", "most"), [(1, 0.02), (0.5, 0.02), (0.25, 0.03)])
def test_gameplay_is_kept(gameplay, light, most):
    """Of all clips, and of their darker selves, next to nothing is left out, and nothing for a test card."""
    judge, reasons = FrameQualityFilter(), Counter()
    for clip, jpegs in gameplay.items():
        reasons.update(judge.reject_reason(clip, jpeg if light == 1 else darker(jpeg, light)) for jpeg in jpegs)
    print(light, dict(reasons))
    assert reasons[TEST_CARD] == reasons[ONE_COLOUR] == 0
    assert reasons[""] >= (1 - most) * reasons.total()
    assert reasons[BLACK] <= 3  # SuperTux fades from black between levels


def test_gameplay_with_a_moving_camera_is_kept_whole(gameplay):
    """Races and first-person games: not one frame is left out, not even in the dark."""
    judge = FrameQualityFilter()
    for clip, jpegs in gameplay.items():
        if clip.split("-")[0] in ("9000002", "9000004", "9000005", "9000008", "9000010", "9000014", "9000015"):
            for light in (1, 0.25):
                assert {judge.reject_reason(f"{clip} {light}", darker(jpeg, light)) for jpeg in jpegs} == {""}, (clip, light)


def test_turn_based_gameplay_is_mostly_kept(gameplay):
    """Dungeon Crawl and Wesnoth change little in two seconds, and are kept as long as a unit moves."""
    judge, reasons = FrameQualityFilter(), Counter()
    for clip, jpegs in gameplay.items():
        if clip.startswith(("9000003", "9000016")):
            reasons.update(judge.reject_reason(clip, jpeg) for jpeg in jpegs)
    print(dict(reasons))
    assert reasons[""] >= 0.95 * reasons.total()


def test_a_figure_that_walks_over_a_still_background_moves():
    """A sprite of an eightieth of the width is a movement, in bright and in dim scenes alike."""
    for light in (1.0, 0.3):
        judge = FrameQualityFilter()
        for step in range(10):
            image = (scene() * light * 0.6).astype(np.uint8)
            image[180:204, 40 + 30 * step : 56 + 30 * step] = int(255 * light)
            assert judge.reject_reason("walker", frame(image)) == "", (light, step)


# --- what must be ---------------------------------------------------------------------------------


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
def test_flat_frames_are_left_out(image, reason):
    """One colour and next to nothing in it; the dark ones are called black."""
    assert FrameQualityFilter().reject_reason("someone", frame(image)) == reason


def test_a_dark_scene_is_not_flat():
    """A sixth of the light is a scene still."""
    assert FrameQualityFilter().reject_reason("someone", frame((scene() / 6).astype(np.uint8))) == ""


def cards() -> dict[str, np.ndarray]:
    """Every card of FFmpeg's, and bars that are drawn here: EBU at 100 %, and at 75 % with the white at 100 %."""
    found = {source: generate_test_pattern(source) for source in frame_filter.TEST_CARD_SOURCES}
    for name, level in (("ebu100", 255), ("ebu75", 191)):
        colours = np.array([[255] * 3, *([level * c for c in bar] for bar in EBU[1:])], np.uint8)
        found[name] = colours[None].repeat(40, axis=1).repeat(180, axis=0)
    return found


@pytest.mark.parametrize("name", cards())
def test_test_cards_are_left_out(name):
    """Bare, with a logo, a clock in a box and a line of text, a webcam in the corner, and a little dimmed."""
    card, judge = cards()[name], FrameQualityFilter()
    with_logo = card.copy()
    with_logo[20:60, 30:100] = (120, 40, 200)
    with_clock = card.copy()
    with_clock[60:110, 90:230] = 0
    with_clock = text(text(with_clock, 100, 70, 14), 60, 150, 10)
    with_webcam = card.copy()
    with_webcam[110:, :110] = by_area(scene(), 110)[:70]
    dimmed = (card * 0.9).astype(np.uint8)
    for number, image in enumerate((card, with_logo, with_clock, with_webcam, dimmed)):
        assert judge.reject_reason(f"{name} {number}", frame(image)) == TEST_CARD, number


def test_a_picture_that_stands_still_is_frozen():
    """The first is kept; encoded anew, with a cursor on it, or another line of chat, it is the same one."""
    judge = FrameQualityFilter()
    assert judge.reject_reason("someone", frame(scene())) == ""
    assert judge.reject_reason("someone", frame(scene())) == FROZEN
    assert judge.reject_reason("someone", frame(at_1080p(with_cursor))) == FROZEN
    assert judge.reject_reason("someone", frame(scene(2))) == ""
    assert judge.reject_reason("chatter", frame(at_1080p(with_chat))) == ""
    assert judge.reject_reason("chatter", frame(at_1080p(lambda image: with_chat(image, "another: no, lag")))) == FROZEN


def test_segments_that_were_taken_before_are_not_taken_again(gameplay):
    """A stream grabbed again a little later: what its live window shows a second time is left out, the rest kept."""
    judge, jpegs = FrameQualityFilter(), gameplay["9000014-hacienda"]
    assert [judge.reject_reason("someone", jpeg) for jpeg in jpegs[:11]] == [""] * 11
    again = [judge.reject_reason("someone", jpeg) for jpeg in jpegs[4:15]]
    assert again == [DUPLICATE] * 6 + [FROZEN] + [""] * 4


def test_streams_are_judged_apart():
    """Two streams may show the same picture."""
    judge, jpeg = FrameQualityFilter(), frame(scene())
    assert [judge.reject_reason(login, jpeg) for login in ("ann", "bob", "ann")] == ["", "", FROZEN]


def test_what_is_remembered_is_bounded():
    """Of two streams at most, the one looked at last stays; of a stream, the fifteen pictures kept last."""
    judge, jpegs = FrameQualityFilter(streams=2), [frame(scene(seed)) for seed in range(16)]
    for login in ("ann", "bob", "ann", "eve"):
        judge.reject_reason(login, jpegs[0])
    assert [judge.reject_reason(login, jpegs[0]) for login in ("ann", "eve", "bob")] == [FROZEN, FROZEN, ""]
    assert [judge.reject_reason("bob", jpeg) for jpeg in jpegs[1:]] == [""] * 15
    assert judge.reject_reason("bob", jpegs[1]) == DUPLICATE
    assert judge.reject_reason("bob", jpegs[0]) == ""


def test_threads_may_share_it():
    """Eight threads, each with a stream of its own and one that all share: each picture is let through once."""
    judge, jpegs, kept = FrameQualityFilter(), [frame(scene(seed)) for seed in range(10)], []

    def work(login: str) -> None:
        for jpeg in jpegs:
            kept.extend(name for name in (login, "shared") if not judge.reject_reason(name, jpeg))

    threads = [threading.Thread(target=work, args=(f"login{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(kept) == {"shared": 10, **{f"login{number}": 10 for number in range(8)}}


@pytest.mark.parametrize("img_size", [32, 101, 240, 480])
def test_every_size_of_frames_is_judged_alike(img_size):
    """Thumbnails have 30 x 30 cells, whatever IMG_SIZE is."""
    judge, moved = FrameQualityFilter(), scene()
    moved[160:200, 300:340] = 255
    images = (scene(), scene(), moved, flat((0, 0, 0)), generate_test_pattern("pal75bars"))
    found = [judge.reject_reason("someone", frame(image, img_size)) for image in images]
    assert found == ["", FROZEN, "", BLACK, TEST_CARD]
    assert decode_thumbnail(frame(scene(), img_size)).shape == (30, 30, 3)


def test_the_open_sieve_lets_everything_through():
    """FILTER_FRAMES=false: black, twice."""
    jpeg = frame(flat((0, 0, 0)))
    assert [AcceptAll().reject_reason("someone", jpeg) for _ in range(2)] == ["", ""]


@pytest.mark.parametrize("jpeg", [b"", b"no JPEG"])
def test_what_is_no_jpeg_is_no_picture(jpeg):
    """As everywhere in data.video.decoder, it is an error, and no reason to leave a frame out."""
    with pytest.raises(UndecodableVideo):
        FrameQualityFilter().reject_reason("someone", jpeg)


# --- through the grabber --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twitch(world):
    """A stand-in with a live channel and one of each still, all of one clip."""
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
def test_channels_as_they_are_grabbed(twitch, login, expected):
    """Fifteen frames of a real stream each, H.264 at 630 kbit/s: what moves is kept, what does not is not."""
    judge = FrameQualityFilter()
    with Grabber(img_size=IMG_SIZE, jpeg_quality=95, timeout_s=30, standin=twitch.url) as grabber:
        assert Counter(judge.reject_reason(login, f.jpeg) for f in grabber.frames(login, 15)) == expected


@pytest.mark.parametrize(
    ("picture", "expected"), [(flat((0, 0, 0)), True), (flat(BLUE), True), (scene(), False), (scene() // 8, False)]
)
def test_what_is_flat(picture, expected):
    """Black and one colour are; a scene is not, nor in the dark."""
    assert frame_filter.is_flat(frame(picture)) == expected
