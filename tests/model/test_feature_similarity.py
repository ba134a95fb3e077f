"""Feature similarity: frames that resemble none of the games score low."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from data.errors import ModelError
from model.evaluation.metrics import auroc
from model.inference import feature_similarity, stored_arrays
from model.inference.feature_similarity import FeatureSimilarity

CLASSES, WIDTH = 4, 40


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def features(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels: games differ in four directions, and each game varies widely in ten others."""
    labels = np.arange(count) % CLASSES
    values = rng.normal(scale=0.3, size=(count, WIDTH))
    values[:, :CLASSES] += 3 * np.eye(CLASSES)[labels]
    values[:, 10:20] += rng.normal(scale=6, size=(count, 10))
    return values.astype(np.float32), labels


def unknown_game(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return features of an unknown game: it has a direction of its own, and varies as the others do."""
    values, _ = features(rng, count)
    values[:, :CLASSES] = 1
    values[:, 30] += 3
    return values


def test_unknown_games_score_lower_than_known_games(rng):
    """Whitened cosines separate them. Plain cosines do not: variation within a game hides the difference."""
    similarity = feature_similarity.fit(*features(rng, 400), CLASSES)
    known, _ = features(rng, 200)
    others = unknown_game(rng, 200)
    assert auroc(similarity.scores(known), similarity.scores(others)) > 0.99

    def plain(values: np.ndarray) -> np.ndarray:
        moved, means = (part - similarity.means.astype(np.float64).mean(axis=0) for part in (values, similarity.means))
        return (moved @ means.T / np.linalg.norm(moved, axis=1, keepdims=True)).max(axis=1)

    assert auroc(plain(known), plain(others)) < 0.95


def test_scores_lie_between_minus_one_and_one(rng):
    """A class mean scores 1, the mean of all classes scores 0, and no score leaves the range."""
    similarity = feature_similarity.fit(*features(rng, 400), CLASSES)
    assert similarity.scores(similarity.means) == pytest.approx([1.0] * CLASSES)
    scores = similarity.scores(1000 * rng.normal(size=(500, WIDTH)))
    assert np.abs(scores).max() <= 1 + 1e-9
    centre = similarity.means.astype(np.float64).mean(axis=0, keepdims=True)
    assert similarity.scores(centre) == pytest.approx([0.0])


def test_text_round_trip(rng):
    """Scores are the same to the last bit after the metadata's text form."""
    similarity = feature_similarity.fit(*features(rng, 100), CLASSES)
    again = FeatureSimilarity.from_text(similarity.to_text())
    values, _ = features(rng, 50)
    assert (again.scores(values) == similarity.scores(values)).all()


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", "UEsDBAo="])
def test_invalid_text_raises_model_error(text):
    """Truncated and foreign text give one line."""
    with pytest.raises(ModelError, match="feature similarity cannot be read"):
        FeatureSimilarity.from_text(text)


GOOD = {"means": np.ones((3, 4)), "axes": np.ones((4, 2)), "variances": np.ones(2), "rest": np.array(1.0)}
BAD = {
    "other width": {"axes": np.ones((5, 2))},
    "other rank": {"axes": np.ones(4)},
    "other count": {"variances": np.ones(3)},
    "NaN": {"means": np.full((3, 4), np.nan)},
    "no variance": {"variances": np.zeros(2)},
    "negative": {"rest": np.array(-1.0)},
    "text": {"means": np.array([["a"] * 4] * 3)},
    "bomb": {"means": np.zeros((3, 1 << 20), np.int8)},  # compressed: 3 kB
}


def as_text(arrays: dict[str, np.ndarray]) -> bytes:
    memory = io.BytesIO()
    np.savez_compressed(memory, allow_pickle=True, **arrays)
    return memory.getvalue()


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_arrays_that_do_not_fit_raise_model_error(monkeypatch, changes):
    """They would fail in the first prediction, or fill the memory."""
    monkeypatch.setattr(stored_arrays, "_MAX_BYTES", 1 << 20)
    assert FeatureSimilarity.from_text(base64.b64encode(as_text(GOOD)).decode()).means.shape == (3, 4)
    with pytest.raises(ModelError, match="feature similarity cannot be read"):
        FeatureSimilarity.from_text(base64.b64encode(as_text(GOOD | changes)).decode())


def test_each_flipped_byte_is_found_or_harmless():
    """Damaged archives raise ModelError, whatever the libraries raise."""
    whole, damaged = as_text(GOOD), 0
    for index in range(0, len(whole), 2):
        changed = whole[:index] + bytes([whole[index] ^ 0x55]) + whole[index + 1 :]
        try:
            assert FeatureSimilarity.from_text(base64.b64encode(changed).decode()).means.shape == (3, 4)
        except ModelError:
            damaged += 1
    assert damaged > len(whole) / 5


@pytest.mark.parametrize("count", [4, 5, 8])
def test_scores_with_one_or_two_frames_per_game_are_finite(rng, count):
    """Few frames estimate no directions; the scores are finite all the same."""
    similarity = feature_similarity.fit(*features(rng, count), CLASSES)
    assert np.isfinite(similarity.scores(unknown_game(rng, 20))).all()


def test_scores_of_constant_features_are_finite(rng):
    """Units that never vary do not divide by zero."""
    values, labels = features(rng, 100)
    values[:] = values[:, :1] * 0 + np.eye(CLASSES)[labels] @ np.ones((CLASSES, WIDTH))
    assert np.isfinite(feature_similarity.fit(values, labels, CLASSES).scores(values)).all()
