"""Networks: layers, initial weights, what trains, and standardisation."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data.errors import SettingsError
from tests.model.lazily import keras, layers, network
from tests.model.tiny_backbone import tiny_backbone, tiny_weights

__all__ = ["tiny_backbone", "tiny_weights"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "model" / "weights" / "efficientnet_lite0_games.weights.h5"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def build(*shape: Any, **options: Any) -> keras.Model:
    """Return a network with random weights, unless the options say otherwise."""
    defaults: dict[str, Any] = {"dropout": 0.5, "initial_weights": "none"}
    return network.build(*shape, **(defaults | options))


@pytest.fixture(scope="module")
def random_network():
    """Return a network whose backbone has no initial weights. `weights` reads it before a test trains it."""
    keras.utils.set_random_seed(4)
    return build("mobilenet_v2", 32, 2)


@pytest.fixture(scope="module")
def weights(random_network, tmp_path_factory):
    """Return a backbone's weights file: random, but with other statistics than a new one has."""
    backbone = random_network.get_layer("backbone")
    rng = np.random.default_rng(4)
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.05, layer.moving_mean.shape))
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    backbone.save_weights(path)
    return path


@pytest.fixture(scope="module")
def built(weights):
    """Return a frozen network with these weights, which takes a second to build."""
    return build("mobilenet_v2", 32, 2, initial_weights=str(weights))


@pytest.fixture
def model(built):
    """Return the network as it was built: what trains and all weights are restored after each test."""
    before = built.get_weights()
    yield built
    network.unfreeze_from(built, network.HEAD_ONLY)
    built.set_weights(before)


@pytest.fixture(scope="module")
def shipped():
    """Return a network with the weights that come with the project."""
    return build("efficientnet_lite0", 32, 2, initial_weights="shipped")


@pytest.fixture(scope="module")
def efficientnet_v2():
    """Return a network with the backbone that takes longest to build."""
    return build("efficientnet_v2_b0", 32, 2)


@pytest.fixture(scope="module")
def cnn():
    """Return the original's network."""
    return build("cnn", 32, 2)


def normalisations(model: keras.Model) -> list[np.ndarray]:
    """Return the moving means and variances of all batch normalisations in the backbone."""
    found = [layer for layer in model.get_layer("backbone").layers if isinstance(layer, layers.BatchNormalization)]
    assert len(found) == 52
    return [value for layer in found for value in values(layer)[2:]]


def logits_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the model's outputs without compiling a graph, which takes longer than three images do."""
    return keras.ops.convert_to_numpy(model(images, training=False))


def values(layer: keras.Layer) -> list[np.ndarray]:
    """Return copies of all variables of a layer, in order."""
    return [keras.ops.convert_to_numpy(weight).copy() for weight in layer.weights]


def same(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def fit(model: keras.Model) -> None:
    network.compile_model(model, 1e-3)
    model.run_eagerly = True  # one step does not pay for a graph
    model.fit(IMAGES, np.array([0, 1, 1]), epochs=1, verbose=0)


def test_cnn_has_the_layers_of_the_original():
    """Scaling, four times convolution and pooling, a hidden layer, dropout, logits, and nothing else."""
    model = build("cnn", 240, 50, dropout=0.3)
    pairs = [layers.Conv2D, layers.MaxPooling2D] * 4
    types = [layers.InputLayer, layers.Rescaling, *pairs, layers.Flatten, layers.Dense, layers.Dropout, layers.Dense]
    assert [type(layer) for layer in model.layers] == types
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert [(c.filters, c.kernel_size, c.padding, c.activation.__name__) for c in convolutions] == [
        (filters, (3, 3), "same", "relu") for filters in (128, 64, 32, 16)
    ]
    assert [layer.units for layer in model.layers if isinstance(layer, layers.Dense)] == [256, 50]
    assert model.get_layer("dropout").rate == 0.3
    assert model.get_layer("logits").activation.__name__ == "linear"
    assert model.output_shape == (None, 50)


@pytest.mark.parametrize("built_network", ["cnn", "shipped", "built", "efficientnet_v2"])
def test_scaling_is_part_of_the_model(request, built_network):
    """Pixels go in unscaled, as bytes or floats of 0 to 255, and float32 logits come out; for each architecture."""
    model = request.getfixturevalue(built_network)
    from_bytes, from_floats = (logits_of(model, images) for images in (IMAGES, IMAGES.astype(np.float32)))
    assert from_bytes.dtype == np.float32
    assert from_bytes.shape == (3, 2)
    assert np.allclose(from_bytes, from_floats, atol=1e-6)


def test_efficientnet_scaling_equals_its_own_preprocessing(efficientnet_v2):
    """Three means and deviations of ImageNet, by channel."""
    ours = next(each for each in efficientnet_v2.layers if isinstance(each, layers.Rescaling))
    theirs = keras.applications.EfficientNetV2B0(input_shape=(32, 32, 3), include_top=False, weights=None)
    scaled = theirs.layers[2](theirs.layers[1](IMAGES.astype(np.float32)))
    assert isinstance(theirs.layers[2], layers.Normalization)
    assert np.allclose(keras.ops.convert_to_numpy(ours(IMAGES)), keras.ops.convert_to_numpy(scaled), atol=1e-4)


def test_backbone_with_initial_weights_is_frozen(model):
    """Two variables train: the kernel and bias of the head."""
    before, head = values(model.get_layer("backbone")), values(model.get_layer("logits"))
    fit(model)
    assert len(model.trainable_weights) == 2
    assert same(before, values(model.get_layer("backbone")))
    assert not same(head, values(model.get_layer("logits")))


def test_fine_tuning_keeps_batch_normalisation_frozen(model):
    """Its statistics stay bit for bit while the convolutions change."""
    network.unfreeze_from(model, network.ALL_LAYERS)
    convolution = model.get_layer("backbone").get_layer("Conv1")
    before, kernel = normalisations(model), values(convolution)
    fit(model)
    assert same(before, normalisations(model))
    assert not same(kernel, values(convolution))
    assert network.split_head(model) is None


@pytest.mark.parametrize(("first_layer", "first"), [("upper", "block_13_expand"), ("block_16", "block_16_expand")])
def test_unfreeze_from_trains_the_named_layer_and_those_after_it(model, first_layer, first):
    """No layer before it trains; with HEAD_ONLY only the head trains again."""
    network.unfreeze_from(model, first_layer)
    backbone = model.get_layer("backbone")
    index = [layer.name for layer in backbone.layers].index(first)
    assert not [layer.name for layer in backbone.layers[:index] if layer.trainable_weights]
    assert backbone.layers[index].trainable_weights
    before, kernel, lower = normalisations(model), values(backbone.layers[index]), values(backbone.get_layer("Conv1"))
    fit(model)
    assert same(before + lower, normalisations(model) + values(backbone.get_layer("Conv1")))
    assert not same(kernel, values(backbone.layers[index]))
    network.unfreeze_from(model, network.HEAD_ONLY)
    assert len(model.trainable_weights) == 2


def test_unknown_layer_names_the_setting(model):
    """Only the network knows the valid values of FINE_TUNE."""
    with pytest.raises(SettingsError, match=r"^FINE_TUNE: mobilenet_v2 has no layer .* block_99\.$"):
        network.unfreeze_from(model, "block_99")


def test_shipped_weights_are_loaded_and_frozen(shipped):
    """They are those of the file. The CNN, which has none, starts from random weights that train."""
    assert network.split_head(shipped) is not None
    backbone = shipped.get_layer("backbone")
    before = values(backbone)
    backbone.set_weights([np.zeros_like(value) for value in before])
    backbone.load_weights(SHIPPED)
    assert same(before, values(backbone))
    assert network.split_head(build("cnn", 32, 2, initial_weights="shipped")) is None


def test_label_smoothing_equals_soft_targets():
    """With a tenth spread over three classes the loss is that of Keras for rows of 1/30, 1/30 and 28/30."""
    logits = np.array([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]], np.float32)
    model = build("cnn", 32, 3)
    network.compile_model(model, 1e-3, label_smoothing=0.1)
    rows = np.array([[1, 1, 28], [28, 1, 1]], np.float32) / 30
    expected = keras.losses.categorical_crossentropy(rows, logits, from_logits=True)
    assert np.allclose(model.compute_loss(y=np.array([2, 0]), y_pred=logits), np.mean(expected), atol=1e-6)


@pytest.mark.usefixtures("weights")
def test_random_weights_train_with_batch_normalisation(random_network):
    """There are no pretrained statistics to protect."""
    before = normalisations(random_network)
    fit(random_network)
    assert not same(before, normalisations(random_network))


def test_training_the_head_trains_the_model(model, cnn):
    """Features through the backbone and then the head equal the whole model."""
    parts = network.split_head(model)
    assert parts is not None
    backbone, head = parts
    features = logits_of(backbone, IMAGES)
    assert features.shape == (3, 1280 + 2 * 2 * 96)
    network.compile_model(head, 0.01)
    head.run_eagerly = True  # three steps do not pay for a graph
    head.fit(features, np.array([0, 1, 1]), epochs=3, verbose=0)
    assert np.allclose(logits_of(head, features), logits_of(model, IMAGES), atol=1e-5)
    assert network.split_head(cnn) is None


def test_grid_features_depend_on_positions(tiny_backbone, tiny_weights):
    """An image and its mirror image differ much more in the grid's cells than in the averages."""
    model = build(tiny_backbone, 160, 2, initial_weights=tiny_weights)
    picture = np.random.default_rng(1).integers(0, 60, (1, 160, 160, 3), dtype=np.uint8)
    picture[:, :40, :40] += 190
    backbone, _head = network.split_head(model) or (None, None)
    one, other = (logits_of(backbone, each)[0] for each in (picture, picture[:, ::-1, ::-1]))
    apart = np.abs(one - other) / np.abs(np.concatenate([one, other])).mean()
    assert one.shape == (16 + 5 * 5 * 16,)
    assert apart[16:].mean() > 3 * apart[:16].mean()


def test_standardisation_brings_features_to_one_scale(model):
    """Both kinds are centred and count alike, and training does not change that."""
    features = np.random.default_rng(2).normal(3, 1, (50, 1664)).astype(np.float32)
    features[:, 1280:] *= 40
    network.fit_standardisation(model, features)
    standardised = model.get_layer("standardised")
    scaled_features = logits_of(standardised, features)
    assert np.allclose(scaled_features.mean(axis=0), 0, atol=1e-3)
    sums = [float((part**2).sum()) for part in (scaled_features[:, :1280], scaled_features[:, 1280:])]
    assert 0.3 < sums[0] / sums[1] < 3
    before = values(standardised)
    fit(model)
    assert same(before, values(standardised))


def test_non_game_label_means_a_uniform_target():
    """The loss is lowest for equal logits, and accuracy ignores these images."""
    model = build("cnn", 32, 3)
    network.compile_model(model, 1e-3, label_smoothing=0.1)
    equal, sure = np.zeros((1, 3), np.float32), np.array([[5.0, 0, 0]], np.float32)
    loss = [float(model.compute_loss(y=np.array([3]), y_pred=logits)) for logits in (equal, sure)]
    assert loss[0] == pytest.approx(np.log(3), rel=1e-5)
    assert loss[1] > loss[0]
    metric = network._Accuracy(name="accuracy")
    metric.update_state(np.array([0, 1, 3]), np.concatenate([sure, sure, sure]))
    assert float(metric.result()) == 0.5


def test_networks_run_on_jax():
    """They use Keras operations only: with another backend one is built, learns and predicts."""
    if not importlib.util.find_spec("jax"):
        pytest.skip("jax is not installed: pip install jax, which the project itself does not need")
    code = (
        "import keras, numpy as np\n"
        "from model.networks import network\n"
        "keras.utils.set_random_seed(1)\n"
        "images, labels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)), np.array([0, 1, 1, 0])\n"
        "for name in ('cnn', 'efficientnet_lite0'):\n"
        "    model = network.build(name, 32, 2, dropout=0.0, initial_weights='shipped')\n"
        "    network.compile_model(model, 1e-3, label_smoothing=0.1)\n"
        "    losses = model.fit(images, labels, epochs=3, verbose=0).history['loss']\n"
        "    print(keras.backend.backend(), losses[-1] < losses[0], model.predict(images, verbose=0).shape)"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["jax True (4, 2)"] * 2, done.stderr


def test_float16_weights_load_as_float32(weights, built, tmp_path):
    """The file has half the size and gives the same variables within its precision."""
    half = tmp_path / "half.weights.h5"
    with h5py.File(weights) as source, h5py.File(half, "w") as target:
        source.visititems(lambda name, item: _copy_in_half(target, name, item))
    assert half.stat().st_size < 0.6 * weights.stat().st_size
    halved = build("mobilenet_v2", 32, 2, initial_weights=str(half))
    for a, b in zip(values(built.get_layer("backbone")), values(halved.get_layer("backbone")), strict=True):
        assert b.dtype == np.float32
        assert np.allclose(a, b, rtol=1e-3, atol=1e-4)


def _copy_in_half(target: h5py.File, name: str, item: h5py.Group | h5py.Dataset) -> None:
    if isinstance(item, h5py.Dataset):
        # In numpy: HDF5 1.14 converts a value that rounds up to a power of two to half of it.
        target.create_dataset(name, data=item[()].astype(np.float16))
    else:
        target.require_group(name).attrs.update(item.attrs)


def test_unusable_initial_weights_name_the_setting(tmp_path):
    """A missing file, an invalid one, another network's, or a network without a backbone: one line each."""
    nothing, foreign = tmp_path / "nothing.weights.h5", tmp_path / "cnn.weights.h5"
    nothing.write_bytes(b"nothing")
    build("cnn", 32, 2).save_weights(foreign)
    for path in (tmp_path / "missing.weights.h5", nothing, foreign, tmp_path):
        with pytest.raises(SettingsError, match=r"^INITIAL_WEIGHTS: [^\n]+$"):
            build("mobilenet_v2", 32, 2, initial_weights=str(path))
    with pytest.raises(SettingsError, match=r"^INITIAL_WEIGHTS: "):
        build("cnn", 32, 2, initial_weights="imagenet")


def test_as_float32_copies_a_mixed_float16_model():
    """The logits are float32 already, and the copy has the same weights and outputs."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = build("cnn", 32, 3)
        assert mixed.layers[2].compute_dtype == "float16"
        assert mixed.get_layer("logits").compute_dtype == "float32"
        fit(mixed)
        single = network.as_float32(mixed)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in single.layers} == {"float32"}
    assert network.as_float32(single) is single
    assert np.allclose(logits_of(mixed, IMAGES), logits_of(single, IMAGES), atol=0.02)
