"""Certificates on disk, and what a forger may do to them."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from autolip_check.check import check
from autolip_check.container import Rejected, canonical, content, read


@dataclass
class Forgery:
    """A certificate taken apart, to be put together again with something changed."""

    document: dict[str, Any]
    tensors: dict[str, np.ndarray]

    @staticmethod
    def of(path: Path) -> "Forgery":
        document, tensors = read(path)
        return Forgery(
            copy.deepcopy(document), {name: tensor.copy() for name, tensor in tensors.items()}
        )

    def write(self, path: Path, careful: bool) -> Path:
        """Write it; a careful forger renames the tensors, and the network, by their hashes."""
        document, tensors = self.document, self.tensors
        if careful:
            names = {name: content(tensor) for name, tensor in tensors.items()}
            document = renamed(document, names)
            tensors = {names[name]: tensor for name, tensor in tensors.items()}
            document["claim"]["network"] = hashlib.sha256(
                canonical(document["graph"]).encode()
            ).hexdigest()
        path.write_bytes(save(tensors, {"certificate": canonical(document)}))
        return path


def renamed(value: Any, names: dict[str, str]) -> Any:
    """The document with tensors under other names."""
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number, string and empty list of a document, with the way to it."""
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield from leaves(child, (*path, key))
    if not isinstance(value, dict | list) or not value:
        yield path, value


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@pytest.fixture
def verdict(tmp_path: Path) -> Callable[..., str | None]:
    """What a forgery proves, None if it is rejected."""

    def judge(forgery: Forgery, careful: bool = False) -> str | None:
        try:
            return check(forgery.write(tmp_path / "forged.cert", careful)).claim
        except Rejected:
            return None

    return judge
