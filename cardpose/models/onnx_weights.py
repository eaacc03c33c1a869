"""The weights inside an ONNX file, read without the library `onnx`, which is an extra.

An ONNX file is a protobuf message: fields, each with a number, a wire type and a value. Only those that lead to the
weights are followed: ModelProto.graph, GraphProto.initializer, and the values of a TensorProto.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

_GRAPH, _INITIALIZER = 7, 5
_DATA_TYPE, _HALVES, _NAME, _VALUES = 2, 5, 8, (9, 4, 10)
"""In TensorProto; values are raw bytes, floats or doubles, or half floats stored as whole numbers."""
_FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
"""By TensorProto.DataType."""
_FIXED = {1: 8, 5: 4}
"""Bytes of a value, by wire types of a fixed size."""


def not_finite(model: bytes) -> str | None:
    """The name of a weight with a value that is NaN or infinite, None if there is none.

    A constant of a single value is no weight: a graph may compare with infinity, or answer NaN.

    Args:
        model: a file that the runtime opens.
    """
    for number, graph in _fields(memoryview(model)):
        for part, tensor in _fields(graph) if number == _GRAPH else ():
            if part == _INITIALIZER and not _is_finite(fields := dict(_fields(tensor))):
                return bytes(fields.get(_NAME, b"")).decode(errors="replace")
    return None


def _is_finite(tensor: dict[int, Any]) -> bool:
    values = next((tensor[key] for key in _VALUES if key in tensor), b"")
    kind = _FLOATS.get(tensor.get(_DATA_TYPE, 0))
    if kind == np.float16 and _HALVES in tensor:
        values = np.array(list(_numbers(tensor[_HALVES])), "<u2").tobytes()
    if kind is None or len(values) <= kind.itemsize:
        return True
    return bool(np.isfinite(np.frombuffer(values, kind)).all())


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        if key & 7 == 0:
            value, place = _number(message, place)
            yield key >> 3, value
            continue
        size, place = _number(message, place) if key & 7 == 2 else (_FIXED[key & 7], place)
        yield key >> 3, message[place : place + size]
        place += size


def _numbers(packed: memoryview) -> Iterator[int]:
    place = 0
    while place < len(packed):
        value, place = _number(packed, place)
        yield value


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """A whole number, stored in groups of seven bits, and the place behind it."""
    number = shift = 0
    while True:
        byte = message[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place
