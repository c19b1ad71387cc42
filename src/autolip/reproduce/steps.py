"""Finished steps on disk: a run that was interrupted goes on where it stopped."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from autolip.errors import OutputError
from autolip.files import write

Facts = dict[str, Any]
"""Plain data: what JSON holds."""

DIGEST = 16
"""Chosen: characters of a hash in the name of a kept result."""


@dataclass(frozen=True)
class Steps:
    """Results of finished steps in a folder, each found by the settings it came from.

    Numbers are JSON, weights are safetensors with the settings and facts as metadata; nothing is
    unpickled.  A file whose settings differ, or that is damaged, counts as absent and is written
    anew.
    """

    folder: Path

    def numbers(
        self, name: str, settings: Mapping[str, Any], compute: Callable[[], Facts]
    ) -> Facts:
        """The result of `compute`, from disk if it was computed with these settings before."""
        key = _key(settings)
        path = self._path(name, key, ".json")
        found = _stored_numbers(path, key)
        if found is None:
            found = compute()
            content = json.dumps(
                {"settings": json.loads(key), "result": found}, indent=1, allow_nan=False
            )
            written(path, content.encode())
        return found

    def weights(
        self, name: str, settings: Mapping[str, Any], model: nn.Module, train: Callable[[], Facts]
    ) -> Facts:
        """Fill `model` with weights trained with these settings before, or by `train`; the facts
        that it returned."""
        key = _key(settings)
        path = self._path(name, key, ".safetensors")
        found = _stored_weights(path, key)
        if found is None:
            facts = train()
            tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
            written(
                path, save(tensors, {"settings": key, "facts": json.dumps(facts, allow_nan=False)})
            )
            return facts
        weights, facts = found
        model.load_state_dict(weights)
        return facts

    def _path(self, name: str, key: str, suffix: str) -> Path:
        digest = hashlib.sha256(key.encode()).hexdigest()[:DIGEST]
        return self.folder / f"{re.sub('[^a-z0-9.]+', '-', name.lower())}-{digest}{suffix}"


def written(path: Path, content: bytes) -> None:
    """The whole file or nothing, whatever interrupts, in a folder made for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): choose another folder with --out"
        ) from error
    write(path, content)


def _key(settings: Mapping[str, Any]) -> str:
    return json.dumps({**settings, "autolip": _version()}, sort_keys=True, allow_nan=False)


def _version() -> str:
    try:
        return version("autolip")
    except PackageNotFoundError:
        return "unknown"


def _stored_numbers(path: Path, key: str) -> Facts | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or json.dumps(stored.get("settings"), sort_keys=True) != key:
        return None
    result = stored.get("result")
    return result if isinstance(result, dict) else None


def _stored_weights(path: Path, key: str) -> tuple[dict[str, Tensor], Facts] | None:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("settings") != key:
                return None
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return weights, json.loads(metadata["facts"])
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
