"""The file: safetensors (arrays behind a JSON header) named by their hashes, and a document of canonical JSON."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Document = dict[str, Any]

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4"}


class Rejected(Exception):
    """The certificate is not accepted; the text says why."""


def require(condition: object, why: str) -> None:
    """Raise Rejected unless the condition holds."""
    if not condition:
        raise Rejected(why)


def read(path: Path) -> tuple[Document, dict[str, NDArray[Any]]]:
    """The document and the tensors of a certificate file, which must be exactly in the format."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    require(8 <= start <= len(data), "the file is shorter than its header")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__")
    document = json.loads(metadata["certificate"])
    require(metadata == {"certificate": canonical(document)}, "the document is not canonical JSON, or not alone")
    return document, _tensors(header, memoryview(data)[start:])


def canonical(value: Any) -> str:
    """Keys sorted, no spaces, shortest digits."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _tensors(header: Document, data: memoryview) -> dict[str, NDArray[Any]]:
    """The arrays, which must fill the rest of the file in order, without gaps."""
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0])):
        require(set(entry) == {"dtype", "shape", "data_offsets"}, f"tensor {name}: unknown fields")
        kind, shape = np.dtype(DTYPES[entry["dtype"]]), shape_of(entry["shape"])
        start, stop = entry["data_offsets"]
        require(start == end and stop - start == kind.itemsize * math.prod(shape), f"tensor {name}: wrong extent")
        array = np.frombuffer(data[start:stop], kind).reshape(shape)
        require(kind.kind == "i" or np.isfinite(array).all(), f"tensor {name} holds infinite or undefined numbers")
        require(name == content(array), f"tensor {name} is not what its name says")
        tensors[name], end = array, stop
    require(end == len(data), "bytes are left over after the tensors")
    return tensors


def shape_of(value: Any) -> tuple[int, ...]:
    """A shape: a list of integers >= 0."""
    require(isinstance(value, list) and all(type(n) is int and n >= 0 for n in value), f"{value} is not a shape")
    return tuple(value)


def number(value: Any) -> float:
    """A finite number."""
    require(type(value) in (int, float) and math.isfinite(value), f"{value!r} is not a finite number")
    return float(value)


def content(tensor: NDArray[Any]) -> str:
    """The name of a tensor: a hash of its type, shape and bytes."""
    head = f"{tensor.dtype.str} {list(tensor.shape)} ".encode()
    return hashlib.sha256(head + tensor.tobytes()).hexdigest()[:40]
