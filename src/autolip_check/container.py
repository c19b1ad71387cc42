"""The file: safetensors (arrays behind a JSON header) named by their hashes, and a document of
canonical JSON.

What is not such a file, or cannot be read, is `NotACertificate`; a certificate that does not hold
is `Rejected`. Every size that the file declares is compared with the bytes that are there before
memory is taken.
"""

import hashlib
import json
import math
import stat
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Document = dict[str, Any]

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4"}
"""Defined by safetensors: its names of types, and numpy's."""

LARGEST_FILE = 2**33
"""Tuned: bytes, a limit on memory (8 GiB)."""

LARGEST_HEADER = 2**26
"""Tuned: bytes, a limit on memory (64 MiB)."""

FORMAT, VERSION = "autolip certificate", 1


class Rejected(Exception):
    """The certificate is not accepted; the text says why."""


class NotACertificate(Rejected):
    """There is no certificate to judge: the file cannot be read, or is something else."""


def require(condition: object, why: str) -> None:
    """Raise Rejected unless the condition holds."""
    if not condition:
        raise Rejected(why)


def understood(condition: object, why: str) -> None:
    """Raise NotACertificate unless the condition holds."""
    if not condition:
        raise NotACertificate(why)


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """The content of a regular file that is not too large."""
    try:
        status = path.stat()
        understood(stat.S_ISREG(status.st_mode), f"{path} cannot be read: it is not a regular file")
        understood(
            status.st_size <= largest, f"{path} cannot be read: it is larger than {largest} bytes"
        )
        return path.read_bytes()
    except OSError as error:
        raise NotACertificate(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte in the name
        raise NotACertificate(f"{path} cannot be read: {error}") from error


def read(path: Path) -> tuple[Document, dict[str, NDArray[Any]]]:
    """The document and the tensors of a certificate file, which must be exactly in the format."""
    data = read_bytes(path)
    length = int.from_bytes(data[:8], "little")
    understood(
        len(data) >= 8 and length <= len(data) - 8,
        "not a certificate: the file is shorter than its header",
    )
    understood(
        length <= LARGEST_HEADER,
        f"not a certificate: its header is longer than {LARGEST_HEADER} bytes",
    )
    header = _json(data[8 : 8 + length])
    metadata = header.pop("__metadata__", None)
    understood(
        isinstance(metadata, dict) and list(metadata) == ["certificate"],
        "not a certificate: no document",
    )
    document = _json(metadata["certificate"])
    understood(
        metadata["certificate"] == canonical(document),
        "not a certificate: its document is not canonical JSON",
    )
    said = (document.get("format"), document.get("version"))
    understood(
        said == (FORMAT, VERSION), "not a certificate, or one of a version that is not known"
    )
    return document, _tensors(header, memoryview(data)[8 + length :])


def _json(text: Any) -> Document:
    """An object of JSON; numbers that are not finite, names that come twice, and nesting without
    end, are refused."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number of JSON")

    def once(pairs: list[tuple[str, Any]]) -> Document:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name comes twice")
        return found

    try:
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise NotACertificate(
            f"not a certificate: no JSON where it should be ({type(error).__name__})"
        ) from error
    understood(isinstance(value, dict), "not a certificate: its JSON is no object")
    return dict(value)


def canonical(value: Any) -> str:
    """Keys sorted, no spaces, shortest digits."""
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except (ValueError, RecursionError) as error:  # a number like 1e999 is read as infinite
        raise NotACertificate("not a certificate: it holds numbers without a value") from error


def _tensors(header: Document, data: memoryview) -> dict[str, NDArray[Any]]:
    """The arrays, which must fill the rest of the file in order, without gaps."""
    tensors = dict[str, NDArray[Any]]()
    end = 0
    entries = _entries(header)
    in_order = sorted(entries.items(), key=lambda item: item[1][2:])
    for name, (kind, shape, start, stop) in in_order:
        extent = kind.itemsize * math.prod(shape)
        understood(
            start == end and stop - start == extent,
            "not a certificate: a tensor has a wrong extent",
        )
        understood(stop <= len(data), "not a certificate: the file is shorter than its tensors")
        numbers = np.frombuffer(data[start:stop], kind)
        array = numbers.reshape(shape)
        require(
            kind.kind == "i" or np.isfinite(array).all(),
            "a tensor holds infinite or undefined numbers",
        )
        require(name == content(array), "a tensor is not what its name says")
        tensors[name] = array
        end = stop
    understood(end == len(data), "not a certificate: bytes are left over after the tensors")
    return tensors


def _entries(header: Document) -> dict[str, tuple[np.dtype[Any], tuple[int, ...], int, int]]:
    """Type, shape, start and end of every tensor, as declared."""
    found = {}
    for name, entry in header.items():
        whole = isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}
        understood(whole, "not a certificate: a tensor has unknown fields")
        kind = entry["dtype"]
        shape = entry["shape"]
        ends = entry["data_offsets"]
        understood(
            isinstance(kind, str) and kind in DTYPES,
            "not a certificate: a tensor is of an unknown type",
        )
        understood(
            _is_shape(shape) and len(shape) <= 32, "not a certificate: a tensor has no shape"
        )
        understood(_is_shape(ends) and len(ends) == 2, "not a certificate: a tensor has no place")
        start, stop = ends
        found[name] = (np.dtype(DTYPES[kind]), tuple(shape), start, stop)
    return found


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**40 for n in value)


def content(tensor: NDArray[Any]) -> str:
    """The name of a tensor: a hash of its type, shape and bytes."""
    whole = hashlib.sha256(f"{tensor.dtype.str} {list(tensor.shape)} ".encode())
    whole.update(np.ascontiguousarray(tensor).data)
    return whole.hexdigest()[:40]
