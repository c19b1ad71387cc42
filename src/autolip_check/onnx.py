"""The initialisers of an ONNX file, read from the bytes of its protocol buffer and of the files it
keeps beside it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import quoted
from autolip_check.container import Document, NotACertificate, content, read_bytes, understood

TYPES = {1: "<f4", 11: "<f8"}
"""Defined by ONNX, TensorProto.DataType: FLOAT and DOUBLE."""

ELSEWHERE = 1
"""Defined by ONNX, TensorProto.DataLocation: EXTERNAL."""

WIDTHS = {1: 8, 5: 4}
"""Defined by protocol buffers: bytes of a field of fixed width, by its wire type."""

Fields = dict[int, list[Any]]


@dataclass(frozen=True)
class Stored:
    """An initialiser, or its transpose."""

    name: str
    values: NDArray[Any]


def initializers(path: Path) -> dict[str, Stored]:
    """The floating initialisers (ModelProto.graph.initializer) and their transposes, by content."""
    data = memoryview(read_bytes(path))
    try:
        graphs = [value for number, value in _fields(data) if number == 7]
        found = [
            _tensor(value, path)
            for graph in graphs
            for number, value in _fields(graph)
            if number == 5
        ]
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        MemoryError,
    ) as error:
        raise NotACertificate(f"{path} is not an ONNX file that can be read: {error}") from error
    understood(graphs, f"{path} holds no ONNX graph")
    both = [
        Stored(one.name, np.ascontiguousarray(way))
        for one in found
        for way in (one.values.T, one.values)
    ]
    return {content(stored.values): stored for stored in both}


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An integer of at most ten bytes, seven bits in each, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value = value | (byte & 127) << shift
        at = at + 1
        if byte < 128:
            return value, at
    raise ValueError("an integer is too long")


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of every field: integers, and the bytes of everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        wire = key & 7
        size, at = _varint(data, at) if wire == 2 else (WIDTHS[wire], at)
        if size > len(data) - at:
            raise ValueError("a field is longer than the file")
        yield key >> 3, data[at : at + size]
        at += size


def _gathered(data: memoryview) -> Fields:
    fields: Fields = {}
    for number, value in _fields(data):
        fields.setdefault(number, []).append(value)
    return fields


def _tensor(data: memoryview, path: Path) -> Stored:
    """TensorProto: dims 1, data_type 2, float_data 4, name 8, raw_data 9, double_data 10,
    external_data 13, 14."""
    fields = _gathered(data)
    dims = list[int]()
    for value in fields.get(1, []):
        dims += [value] if isinstance(value, int) else _packed(value)
    kind = fields[2][-1]
    name = _text(fields.get(8, [b""]))
    if kind not in TYPES:
        return Stored(name, np.zeros(0))
    width = np.dtype(TYPES[kind]).itemsize
    size = width * math.prod(dims)
    if fields.get(14, [0])[-1] == ELSEWHERE:
        entries = fields.get(13, [])
        raw = _external(entries, path, size)
    else:
        pieces = fields.get(9) or fields.get(4) or fields.get(10) or []
        raw = b"".join(map(bytes, pieces))
    if len(raw) != size:
        raise ValueError(f"the initialiser {quoted(name)} is not of the size it says")
    return Stored(name, np.frombuffer(raw, TYPES[kind]).reshape(dims))


def _external(entries: list[memoryview], path: Path, size: int) -> bytes:
    """Bytes of a file in the model's own folder: StringStringEntryProto, key 1, value 2."""
    pairs = [_gathered(entry) for entry in entries]
    told = {_text(pair[1]): _text(pair[2]) for pair in pairs}
    folder = path.resolve().parent
    place = (folder / told["location"]).resolve()
    if not place.is_relative_to(folder):
        raise ValueError(f"it keeps weights in {quoted(told['location'])}, outside its own folder")
    start = int(told.get("offset", "0"))
    length = int(told.get("length", str(size)))
    held = place.stat().st_size if place.is_file() else 0
    if not (start >= 0 and length == size and start + length <= held):
        raise ValueError(
            f"its weights in {quoted(told['location'])} are not there, or not of their size"
        )
    with place.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _text(values: list[Any]) -> str:
    """The last of a field's values, which is the one that counts."""
    return bytes(values[-1]).decode()


def _packed(data: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def numbers_of(graph: Document, known: dict[str, Stored]) -> list[str]:
    """One sentence for every number of a linear map, and for every constant: which initialiser it
    is, bit for bit, or that it is none."""
    sentences = []
    for vertex in graph["vertices"]:
        for edge in vertex["edges"]:
            if edge["kind"] == "exact" and "weight" in edge["map"]:
                sentences += _number(quoted(vertex["name"]), edge["map"]["weight"], known)
    for name, constant in graph.get("constants", {}).items():
        sentences += _number(f"{quoted(name)}, its operand at 0,", constant["value"], known)
    return sentences


def _number(name: str, weight: Any, known: dict[str, Stored]) -> list[str]:
    if weight == 1:
        return []
    if not isinstance(weight, str):
        return [f"the number {weight!r} of {name} is not stored in the model file"]
    if weight in known:
        initializer = quoted(known[weight].name)
        return [f"the weight of {name} is {initializer} of the model file, bit for bit"]
    return [f"the weight of {name} is not stored in the model file"]
