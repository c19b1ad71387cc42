"""The initialisers of an ONNX file, read from the bytes of its protocol buffer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.container import Document, Rejected, content, require
from autolip_check.maps import Tensors

TYPES = {1: "<f4", 11: "<f8"}


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of every field: integers, and the bytes of everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size, at = _varint(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
        yield key >> 3, data[at : at + size]
        at += size


def initializers(path: Path) -> dict[str, NDArray[Any]]:
    """Name and value of the floating tensors among the initialisers (ModelProto.graph.initializer)."""
    try:
        data = memoryview(path.read_bytes())
        graphs = [value for number, value in _fields(data) if number == 7]
        found = [_tensor(value) for graph in graphs for number, value in _fields(graph) if number == 5]
    except (OSError, IndexError, KeyError, ValueError, TypeError) as error:
        raise Rejected(f"{path} is not an ONNX file that can be read: {error}") from error
    require(graphs, f"{path} holds no ONNX graph")
    return {name: tensor for name, tensor in found if tensor is not None}


def _tensor(data: memoryview) -> tuple[str, NDArray[Any] | None]:
    """TensorProto: dims 1, data_type 2, float_data 4, name 8, raw_data 9, double_data 10."""
    fields = dict[int, list[Any]]()
    for number, value in _fields(data):
        fields.setdefault(number, []).append(value)
    dims = [n for value in fields.get(1, []) for n in ([value] if isinstance(value, int) else _packed(value))]
    kind, name = fields.get(2, [0])[0], bytes(fields.get(8, [b""])[0]).decode()
    parts = fields.get(9) or fields.get(4) or fields.get(10)
    if kind not in TYPES or parts is None:
        return name, None
    return name, np.frombuffer(b"".join(map(bytes, parts)), TYPES[kind]).reshape(dims)


def _packed(data: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def offered(known: dict[str, NDArray[Any]]) -> Tensors:
    """The initialisers, and the matrices among them transposed, by the names that a certificate gives them."""
    both = [array for one in known.values() for array in (one, one.T if one.ndim == 2 else one)]
    return {content(np.ascontiguousarray(array)): array for array in both}


def places_of(graph: Document, tensors: Tensors, known: dict[str, NDArray[Any]]) -> list[str]:
    """One sentence for every weight of the graph: which initialiser it is, bit for bit, or that it is none."""
    values = {array.astype(np.float64).tobytes(): name for name, array in known.items()}
    values |= {array.T.astype(np.float64).tobytes(): name for name, array in known.items() if array.ndim == 2}
    sentences = []
    for vertex in graph["vertices"]:
        for weight in (edge["map"].get("weight") for edge in vertex["edges"] if edge["kind"] == "exact"):
            if isinstance(weight, str):
                name = values.get(tensors[weight].astype(np.float64).tobytes())
                which = (
                    f"is {name} of the model file, bit for bit" if name else "is not stored in the model file as such"
                )
                sentences.append(f"the weight of {vertex['name']} {which}")
    return sentences
