"""Likeness: what resembles none of the games scores low, even where the logits are certain."""

from __future__ import annotations

import numpy as np
import pytest

from data.errors import ModelError
from model.evaluation.metrics import auroc
from model.inference import feature_similarity
from model.inference.feature_similarity import Likeness

CLASSES, WIDTH = 4, 40


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(5)


def features(chance: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of games that differ in the first four directions; in the next ten each game's own pictures differ widely."""
    labels = np.arange(count) % CLASSES
    values = chance.normal(scale=0.3, size=(count, WIDTH))
    values[:, :CLASSES] += 3 * np.eye(CLASSES)[labels]
    values[:, 10:20] += chance.normal(scale=6, size=(count, 10))
    return values.astype(np.float32), labels


def strangers(chance: np.random.Generator, count: int) -> np.ndarray:
    """Of a game that goes in a direction of its own, and varies as the others do."""
    values, _ = features(chance, count)
    values[:, :CLASSES] = 1
    values[:, 30] += 3
    return values


def test_strangers_score_lower(chance):
    """They are told apart, which cosines of plain features cannot: what differs within a game drowns the rest."""
    seen = feature_similarity.fit(*features(chance, 400), CLASSES)
    known, _ = features(chance, 200)
    others = strangers(chance, 200)
    assert auroc(seen.scores(known), seen.scores(others)) > 0.99

    def plain(values: np.ndarray) -> np.ndarray:
        moved, means = (part - seen.means.astype(np.float64).mean(axis=0) for part in (values, seen.means))
        return (moved @ means.T / np.linalg.norm(moved, axis=1, keepdims=True)).max(axis=1)

    assert auroc(plain(known), plain(others)) < 0.95


def test_a_class_is_like_itself(chance):
    """Its mean scores 1, the mean of all nothing at all, and everything lies between -1 and 1."""
    seen = feature_similarity.fit(*features(chance, 400), CLASSES)
    assert seen.scores(seen.means) == pytest.approx([1.0] * CLASSES)
    scores = seen.scores(1000 * chance.normal(size=(500, WIDTH)))
    assert np.abs(scores).max() <= 1 + 1e-9
    centre = seen.means.astype(np.float64).mean(axis=0, keepdims=True)
    assert seen.scores(centre) == pytest.approx([0.0])


def test_text_and_back(chance):
    """As text it is for a model's metadata; the scores are the same to the last bit."""
    seen = feature_similarity.fit(*features(chance, 100), CLASSES)
    again = Likeness.parse(seen.word())
    values, _ = features(chance, 50)
    assert (again.scores(values) == seen.scores(values)).all()


@pytest.mark.parametrize("word", ["", "no base64!", "AAAA", "UEsDBAo="])
def test_other_text_is_refused(word):
    """Cut off or foreign: one line."""
    with pytest.raises(ModelError, match="likeness cannot be read"):
        Likeness.parse(word)


@pytest.mark.parametrize("count", [4, 5, 8])
def test_a_frame_or_two_of_each_game_are_enough(chance, count):
    """Few frames say little of how they differ; the scores are numbers all the same."""
    seen = feature_similarity.fit(*features(chance, count), CLASSES)
    assert np.isfinite(seen.scores(strangers(chance, 20))).all()


def test_features_that_never_vary(chance):
    """Units that are dead for all pictures divide by nothing."""
    values, labels = features(chance, 100)
    values[:] = values[:, :1] * 0 + np.eye(CLASSES)[labels] @ np.ones((CLASSES, WIDTH))
    assert np.isfinite(feature_similarity.fit(values, labels, CLASSES).scores(values)).all()
