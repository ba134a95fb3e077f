"""Post-training static quantisation: a model.onnx with 8-bit weights and activations for ONNX Runtime.

Method: Nagel et al., A White Paper on Neural Network Quantization, arXiv 2106.08295. Format: QDQ, U8S8,
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.

Every convolution, residual sum and pooling computes in integers. The standardisation of features and the last layer
stay in float32: they are cheap, and rounding them would change the logits directly.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from model.inference.classifier import OUTPUTS, SOURCE_KEY, read_onnx, sha256

# Without VNNI instructions, x86 adds the products of two neighbours in 16 bits: 255 * (127 + 1 of rounding) fits.
_MAX_PAIR_SUM = 127
_PIXEL_SCALE, _PIXEL_ZERO = "pixel_scale", "pixel_zero_point"


class _CalibrationFrames(CalibrationDataReader):
    """Frames one by one, for ONNX Runtime's quantizer."""

    def __init__(self, input_name: str, images: np.ndarray) -> None:
        self._feeds = ({input_name: image[None].astype(np.float32)} for image in images)  # (1, H, W, 3)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next frame's feed, None at the end."""
        return next(self._feeds, None)


def write_int8(source: Path, target: Path, images: np.ndarray) -> None:
    """Quantise a model.onnx; write `target`, whose input is uint8 and whose metadata holds the hash of `source`.

    images: frames that show the range of each activation, uint8 RGB (n, img_size, img_size, 3).
    Raises OSError. Raises ModelError: damaged source.
    """
    content = read_onnx(source)
    root_logger = logging.getLogger()
    level = root_logger.level
    with tempfile.TemporaryDirectory() as folder:
        # The quantizer would read tensors from other files; this is a copy of what `read_onnx` accepted.
        copy, prepared, small = (Path(folder) / name for name in ("copy.onnx", "prepared.onnx", "int8.onnx"))
        copy.write_bytes(content)
        root_logger.setLevel(logging.ERROR)  # the quantizer warns that the model needs the preparation done here
        try:
            quant_pre_process(copy, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            quantize_static(
                prepared,
                small,
                _CalibrationFrames(graph.input[0].name, images),
                per_channel=True,
                reduce_range=True,  # weights of 7 bits, except those of `_weight_scales`
                activation_type=QuantType.QUInt8,  # x86 multiplies unsigned by signed
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_float_nodes(graph),
                extra_options={"TensorQuantOverrides": _weight_scales(graph)},
            )
        finally:
            root_logger.setLevel(level)
        model = onnx.load(small)
    _take_bytes(model.graph)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, metadata | {SOURCE_KEY: sha256(content)})
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString())


def _float_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes to leave in float32: arithmetic with constants, and what makes the logits."""
    constants = _constants(graph)
    names = []
    for node in graph.node:
        has_constant = node.op_type in ("Add", "Mul") and not constants.keys().isdisjoint(node.input)
        if has_constant or OUTPUTS[0] in node.output:
            names.append(node.name)
    return names


def _weight_scales(graph: onnx.GraphProto) -> dict[str, list[dict[str, Any]]]:
    """Return finer scales than `reduce_range` gives, by the name of a convolution's weights (O, I, h, w).

    7 bits keep any two products from overflowing 16 bits. Depthwise kernels never add products in 16 bits: their
    weights may have 8 bits. For 1x1 kernels it suffices that each pair of inputs that is added stays below the limit,
    which makes the steps of usual weights 1.6 times finer and halves the error of the logits.
    """
    constants = _constants(graph)
    scales: dict[str, list[dict[str, Any]]] = {}
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants:
            continue
        weights = constants[node.input[1]]
        if weights.shape[1] == 1 < weights.shape[0]:  # depthwise
            scales[node.input[1]] = [{"axis": 0, "quant_type": QuantType.QInt8, "reduce_range": False}]
        elif weights.shape[2:] == (1, 1):
            fixed = {"axis": 0, "quant_type": QuantType.QInt8, "zero_point": np.int8(0)}
            scales[node.input[1]] = [fixed | {"scale": scale} for scale in _pair_scales(weights[:, :, 0, 0])]
    return scales


def _pair_scales(weights: np.ndarray) -> np.ndarray:
    """Return the quantisation step of each output's weights, float32 (O,), for `weights` (O, I).

    The products of two neighbouring inputs are added in 16 bits.
    """
    pairs = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2))).reshape(len(weights), -1, 2)  # (O, I / 2, 2)
    sums = [np.maximum(sign * pairs, 0).sum(axis=2).max(axis=1) for sign in (1, -1)]  # (O,) each
    return np.maximum(np.maximum(*sums) / _MAX_PAIR_SUM, np.finfo(np.float32).tiny).astype(np.float32)


def _take_bytes(graph: onnx.GraphProto) -> None:
    """Make the input uint8: the pixels become the first quantised tensor, and their rescaling its scale and zero point.

    That saves three passes over the image. A zero point is whole: 127.5, that of MobileNetV2, becomes 128, which
    darkens images by half a level. A graph that does not begin with rescaling by single numbers keeps its float input.
    """
    path, constants = _path_to_quantizer(graph), _constants(graph)
    rescaling = [node for node in path if node.op_type in ("Mul", "Add")]
    numbers = [constants[name] for node in rescaling for name in node.input if name in constants]
    if not path or len(numbers) != len(rescaling) or any(number.size != 1 for number in numbers):
        return
    scale, offset = 1.0, 0.0
    for node, number in zip(rescaling, (number.item() for number in numbers), strict=True):
        scale, offset = (scale * number, offset * number) if node.op_type == "Mul" else (scale, offset + number)
    if not (scale > 0 and 0 <= round(-offset / scale) <= 255):
        return
    image, *_, quantizer = graph.input[0], *path
    next(node for node in path if node not in rescaling).input[0] = image.name
    for node in _readers(graph, quantizer.output[0]):
        node.input[:] = [quantizer.input[0], _PIXEL_SCALE, _PIXEL_ZERO]
    graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), _PIXEL_SCALE))
    graph.initializer.append(numpy_helper.from_array(np.array(round(-offset / scale), np.uint8), _PIXEL_ZERO))
    for node in (*rescaling, quantizer):
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    del graph.value_info[:]  # it contains the former types
    image.type.tensor_type.elem_type = onnx.TensorProto.UINT8


def _path_to_quantizer(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes from the image to its QuantizeLinear, [] unless these only rescale and transpose it."""
    path: list[onnx.NodeProto] = []
    tensor = graph.input[0].name
    while not path or path[-1].op_type in ("Mul", "Add", "Transpose"):
        readers = _readers(graph, tensor)
        if len(readers) != 1:
            return []
        path += readers
        tensor = path[-1].output[0]
    return path if path[-1].op_type == "QuantizeLinear" else []


def _readers(graph: onnx.GraphProto, tensor: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if tensor in node.input]


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
