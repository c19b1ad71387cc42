"""The network that a command is about, captured as its options say."""

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolip.files import check_readable

if TYPE_CHECKING:
    from autolip.capture.load import Network

FILES = (".onnx", ".pt2")
"""A model with such a name is a file; others are shipped networks or module:factory."""


@dataclass(frozen=True)
class AskedNetwork:
    """MODEL and `network_options`."""

    model: str
    input_shape: tuple[tuple[str | None, tuple[int, ...]], ...]
    varying: tuple[str, ...]
    fix: tuple[tuple[str, Path | float], ...]
    weights: Path | None
    evaluation: bool
    outputs: str | None
    layer: str | None

    @staticmethod
    def taken(options: dict[str, Any]) -> "AskedNetwork":
        """From all of a command's options; InputError where the model's file cannot be read."""
        if Path(options["model"]).suffix in FILES:
            check_readable(options["model"])
        fields = AskedNetwork.__dataclass_fields__
        return AskedNetwork(**{name: options.pop(name) for name in fields})

    def origin(self) -> dict[str, Any]:
        """The command that is running, and the hashes of the files that the network came from."""
        said = click.get_current_context().find_root().obj
        files = [Path(self.model)] if Path(self.model).suffix in FILES else []
        files += [] if self.weights is None else [self.weights]
        hashes = {"files": {file.name: _sha256(file) for file in files}} if files else {}
        return ({"command": shlex.join(["autolip", *said])} if said else {}) | hashes

    def load(self, layer: str | None = None) -> "Network":
        """Capture it, or what a layer of it returns; PyTorch is imported here."""
        from autolip.capture.inputs import Request
        from autolip.capture.load import load_network
        from autolip.cli.arrays import read_array

        values = {
            name: read_array(value) if isinstance(value, Path) else value
            for name, value in self.fix
        }
        asked = Request(
            self.weights,
            self.input_shape,
            self.varying,
            values,
            self.evaluation,
            self.outputs,
            layer or self.layer,
        )
        return load_network(self.model, asked)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
