"""ONNX header: what a model file says of itself, read in milliseconds, without ONNX Runtime and without its weights.

The file is a message of Protocol Buffers: fields of a number, a wire type and a value. Those that are not wanted are
skipped. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.errors import ModelError
from model.inference.classifier import read_onnx

_GRAPH, _METADATA = 7, 14  # of ModelProto
_INPUT = 11  # of GraphProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_SHAPE_PATH = (2, 1, 2)  # ValueInfoProto.type, TypeProto.tensor_type, TypeProto.Tensor.shape
_DIMENSION, _SIZE = 1, 1  # of TensorShapeProto, and of its Dimension
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """Return a model's metadata, and the height of the images that it takes, pixels; 0 if the file does not say it.

    Raises ModelError: the file is missing, unreadable or no such message.
    """
    content = memoryview(read_onnx(path))
    metadata, height = {}, 0
    try:
        for number, value in _fields(content):
            if number == _METADATA:
                entry = {key: bytes(text).decode() for key, text in _fields(value)}
                metadata[entry[_KEY]] = entry.get(_VALUE, "")
            elif number == _GRAPH:
                height = _input_height(value)
    except (ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{path} is no ONNX model. Train the model again: python -m model.create") from error
    return metadata, height


def _input_height(graph: memoryview) -> int:
    """Return the second size of the graph's first input, which is (n, height, width, 3)."""
    for number, value in _fields(graph):
        if number == _INPUT:
            for wanted in _SHAPE_PATH:
                value = next((part for key, part in _fields(value) if key == wanted), memoryview(b""))  # noqa: PLW2901
            sizes = [dict(_fields(part)).get(_SIZE) for key, part in _fields(value) if key == _DIMENSION]
            return _number(sizes[1]) if len(sizes) == 4 and sizes[1] is not None else 0
    return 0


def _number(value: memoryview) -> int:
    return _varint(value, 0)[0]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and value of each field of a message; a number is given as its bytes. Raises ValueError."""
    at = 0
    while at < len(message):
        tag, start = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, start = _varint(message, start)
            at = start + size
        elif kind == _VARINT:
            at = _varint(message, start)[1]
        elif kind in (_FIXED64, _FIXED32):
            at = start + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError("unknown wire type")
        if at > len(message):
            raise ValueError("a field ends behind its message")
        yield tag >> 3, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number at this place, seven bits a byte, and where it ends. Raises ValueError, IndexError."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number of more than 64 bits")
