"""Screen head: margins, its place in a model's metadata, its fit to drawn screens, and models without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data.errors import ModelError
from data.video.images import resize_image
from model.augmentation.pipeline import Augmentation
from model.augmentation.screens import SCREENS, draw_screens
from model.evaluation.metrics import auroc
from model.inference.calibration import Calibration, ScoredLogits
from model.inference.classifier import Classifier
from model.inference.screens import SCREEN_KINDS, ScreenHead
from tests.model.conftest import GAMES, SIZE, Painted, picture
from tests.model.lazily import ImageDataset, ValidationPredictions, screen_head, validation

HEAD = ScreenHead(np.eye(4, dtype=np.float32)[:3], np.array([0, 0, 0, -1], np.float32))


def test_kinds_are_those_that_are_drawn():
    """The head has a margin for each kind of drawn screens, in their order."""
    assert tuple(SCREENS) == SCREEN_KINDS


def test_margins_survive_the_metadata():
    """What a model's metadata holds gives the same margins, bit by bit; a shift moves each of them."""
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    restored = Calibration.from_metadata(Calibration(screens=HEAD.shifted(0.25)).to_metadata())
    assert restored.screens
    assert np.array_equal(restored.score(features, features).screens, HEAD.margins(features) + 0.25)


def test_model_without_a_head_has_no_margins():
    """An older model's calibration gives None, and so do its parts and joined results."""
    scored = Calibration.from_metadata({}).score(np.zeros((3, 2)), np.zeros((3, 2)))
    assert scored.screens is None
    assert scored.take([1]).screens is None
    with_margins = replace(scored, screens=np.ones((3, 4)))
    assert ScoredLogits.joined([scored, with_margins]).screens is None
    joined = ScoredLogits.joined([with_margins, with_margins.take(slice(1, 2))]).screens
    assert joined is not None
    assert joined.shape == (4, 4)


@pytest.mark.parametrize(
    "head",
    [
        ScreenHead(np.zeros((3, 2), np.float32), np.zeros(2, np.float32)),  # other kinds
        ScreenHead(np.zeros((3, 4), np.float32), np.zeros(3, np.float32)),
        ScreenHead(np.full((3, 4), np.nan, np.float32), np.zeros(4, np.float32)),
        ScreenHead(np.zeros(4, np.float32), np.zeros(4, np.float32)),
    ],
)
def test_invalid_head_is_rejected(head):
    """A head whose arrays do not fit, or with numbers that are none, raises the error that says what to do."""
    with pytest.raises(ModelError, match="screen head cannot be read"):
        ScreenHead.from_text(head.to_text())


@pytest.mark.parametrize("text", ["", "x", "UEsDBA==", "é"])
def test_damaged_text_is_rejected(text):
    """Any other text than an archive of arrays raises ModelError."""
    with pytest.raises(ModelError, match="Train the model again"):
        ScreenHead.from_text(text)


def test_threshold_leaves_one_frame_in_a_hundred_above():
    """Frames and frames with overlays count together."""
    margins = np.tile(np.arange(100.0)[:, None], (1, 4))
    cut = screen_head.threshold([margins, margins])
    assert cut == 99


def test_portraits_depend_on_the_seed_only():
    """The same seed gives the same people, another seed others; all are images of the size of frames."""
    people, again, others = (draw_screens("talking", 6, seed, realistic=True) for seed in (1, 1, 2))
    assert (people.shape, people.dtype) == ((6, 240, 240, 3), np.uint8)
    assert np.array_equal(people, again)
    assert not np.array_equal(people, others)
    assert people.std(axis=(1, 2, 3)).min() > 5


class _Means:
    """A network whose features are an image's mean colours and deviations, on a grid of 4 x 4 cells."""

    input_shape = (None, SIZE, SIZE, 3)

    def predict(self, images: Any, **_options: Any) -> tuple[None, np.ndarray]:
        if not isinstance(images, np.ndarray):
            images = np.concatenate([batch for batch, _labels in images.as_numpy_iterator()])
        cells = images.reshape(-1, 4, SIZE // 4, 4, SIZE // 4, 3) / 255.0
        features = [cells.mean(axis=(2, 4)), cells.std(axis=(2, 4))]
        return None, np.concatenate([part.reshape(len(images), -1) for part in features], axis=1)


def test_fitted_head_tells_other_drawings_from_other_frames(tmp_path):
    """Fitted to drawings and to painted frames, drawings of another seed have larger margins than frames."""
    painted = Painted(tmp_path)
    frames = [frame for game in GAMES for frame in painted.paint(game, f"{game.name}_ann", count=20)]
    images = ImageDataset(painted.root, frames, GAMES, SIZE)
    head = screen_head.fit(_Means(), images, Augmentation())
    others = np.stack([picture(game, 9_000 + seed) for game in GAMES for seed in range(20)])
    gameplay = head.margins(_Means().predict(others)[1]).max(axis=1)
    measured = screen_head.measure(_Means(), head, images)
    assert auroc(measured.ravel(), gameplay) > 0.7
    assert measured.shape == (8, 4)  # of a small dataset; 32 of each kind from 200 frames on


def test_head_of_the_predictions_is_saved_and_that_of_joined_ones_is_not():
    """A model that was trained once keeps the head that gave its margins; folds join those of several networks."""
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    one = ValidationPredictions(np.zeros((5, 2)), np.zeros(5), screens=HEAD.margins(features), head=HEAD)
    saved = validation.with_screens(Calibration(), None, None, Augmentation(), one).screens
    assert saved
    assert saved.margins(features).max() == pytest.approx(0, abs=1e-6)
    assert ValidationPredictions.joined([one, one], np.arange(10)).head is None


def test_trained_model_has_a_head(trained):
    """model.create stores the head in model.onnx: drawings of another seed have larger margins than new frames."""
    classifier = Classifier.load(trained.path)
    frames = np.stack([picture(game, 8_000 + seed) for game in GAMES for seed in range(20)])
    drawn = np.stack([resize_image(image, SIZE) for kind in SCREENS for image in draw_screens(kind, 15, 9)])
    gameplay, screens = (classifier.predict(images).screens for images in (frames, drawn))
    assert gameplay is not None
    assert screens is not None
    assert np.median(gameplay.max(axis=1)) < np.median(screens.max(axis=1))


def test_head_for_other_features_does_not_fit_the_model(trained):
    """A head whose width is not that of the model's features is an error of the model's file."""
    widths = Calibration(screens=HEAD).feature_widths
    assert widths == {3}
    assert Classifier.load(trained.path).calibration.feature_widths != widths
