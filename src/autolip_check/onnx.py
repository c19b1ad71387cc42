"""The initialisers of an ONNX file, read from the bytes of its protocol buffer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.container import Document, Rejected, content, require

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


def initializers(path: Path) -> dict[str, tuple[str, NDArray[Any]]]:
    """Name and value of the floating initialisers (ModelProto.graph.initializer) and their transposes, by content."""
    data = memoryview(path.read_bytes())
    try:
        graphs = [value for number, value in _fields(data) if number == 7]
        found = [_tensor(value) for graph in graphs for number, value in _fields(graph) if number == 5]
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise Rejected(f"{path} is not an ONNX file that can be read: {error}") from error
    require(graphs, f"{path} holds no ONNX graph")
    both = [(name, np.ascontiguousarray(turned)) for name, array in found for turned in (array.T, array)]
    return {content(array): (name, array) for name, array in both}


def _tensor(data: memoryview) -> tuple[str, NDArray[Any]]:
    """TensorProto: dims 1, data_type 2, float_data 4, name 8, raw_data 9, double_data 10; of other types none."""
    fields = dict[int, list[Any]]()
    for number, value in _fields(data):
        fields.setdefault(number, []).append(value)
    dims = [n for value in fields.get(1, []) for n in ([value] if isinstance(value, int) else _packed(value))]
    kind, name = fields[2][0], bytes(fields.get(8, [b""])[0]).decode()
    parts = fields.get(9) or fields.get(4) or fields.get(10) or []
    if kind not in TYPES:
        return name, np.zeros(0)
    return name, np.frombuffer(b"".join(map(bytes, parts)), TYPES[kind]).reshape(dims)


def _packed(data: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def places_of(graph: Document, known: dict[str, tuple[str, NDArray[Any]]]) -> list[str]:
    """One sentence for every weight of the graph: which initialiser it is, bit for bit, or that it is none."""
    maps = [(v["name"], edge["map"]) for v in graph["vertices"] for edge in v["edges"] if edge["kind"] == "exact"]
    weights = [(name, entry["weight"]) for name, entry in maps if isinstance(entry.get("weight"), str)]
    found = [(name, f"is {known[w][0]} of" if w in known else "is not stored in") for name, w in weights]
    return [f"the weight of {name} {which} the model file, bit for bit" for name, which in found]
