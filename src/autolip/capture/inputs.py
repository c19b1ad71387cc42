"""The inputs of a network: which of them vary, and what the others are held at."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autolip.capture.checks import LARGEST
from autolip.errors import InputError

Shape = tuple[int, ...]
Shapes = Sequence[tuple[str | None, Shape]]
"""Shapes of inputs, with the input's name or (in the order of the inputs) without."""


@dataclass(frozen=True)
class Request:
    """What was said about a network besides its name.

    `varying` names the input that varies, or several (default: the first); `values` gives the
    others' values (default: what the network's file holds, else zeros); `evaluation` calls
    `model.eval()` first; `outputs` chooses among several returned tensors, by name or number;
    `layer` is the one whose output is meant, by its path or its name in the file.
    """

    weights: Path | None = None
    shapes: Shapes = ()
    varying: str | Sequence[str] | None = None
    values: Mapping[str, Tensor | float] = field(default_factory=dict)
    evaluation: bool = False
    outputs: int | str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class Inputs:
    """The inputs a network takes, in order, and what is known of them: examples, or shapes and
    types."""

    names: Sequence[str]
    examples: Mapping[str, Any]
    dtype: torch.dtype = torch.float32
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    dtypes: Mapping[str, torch.dtype] = field(default_factory=dict)

    def indices(self, asked: Request) -> list[int]:
        """Positions of the inputs that vary, by default the first; InputError lists the names."""
        if not self.names:
            raise InputError("the network takes no input: nothing varies")
        if not asked.varying:
            return [0]
        chosen = [asked.varying] if isinstance(asked.varying, str) else list(asked.varying)
        self._require_known(chosen)
        return [self.names.index(name) for name in chosen]

    def _moving(self, asked: Request) -> list[str]:
        """The names of those that vary."""
        return [self.names[place] for place in self.indices(asked)]

    def arguments(self, asked: Request) -> list[Any]:
        """A value for every input: given, an example, zeros; random in [0, 1) for those that
        vary."""
        moving = self._moving(asked)
        for varying in moving:
            if varying in asked.values:
                raise InputError(f"input {varying} varies: it cannot be held fixed as well")
        self._require_known(asked.values)
        shapes = self._shapes(asked)
        return [
            self._argument(name, shapes, asked.values.get(name), name in moving)
            for name in self.names
        ]

    def fixed(self, arguments: Sequence[Any], asked: Request) -> dict[str, str]:
        """In words, what the inputs that do not vary are held at."""
        moving = self._moving(asked)

        def origin(name: str) -> str:
            if name in asked.values:
                return "the given values"
            return "the stored example" if name in self.examples else "zeros"

        pairs = zip(self.names, arguments, strict=True)
        return {name: _in_words(x, origin(name)) for name, x in pairs if name not in moving}

    def _require_known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.names:
                raise InputError(
                    f"there is no input {name!r}: the network has {', '.join(self.names)}"
                )

    def _shapes(self, asked: Request) -> dict[str, Shape]:
        """The shape of every input that has one; a contradiction is an InputError."""
        tensors = {
            name: value for name, value in self.examples.items() if isinstance(value, Tensor)
        }
        known = {name: tuple(value.shape) for name, value in tensors.items()} | dict(self.shapes)
        given = named(asked.shapes, self.names)
        self._require_known(given)
        for name, shape in given.items():
            if known.get(name, shape) != shape:
                raise InputError(f"input {name} has shape {known[name]}, not {shape}")
        for name, shape in (known | given).items():
            if math.prod(shape) > LARGEST:
                raise InputError(
                    f"input {name} of shape {shape} is too large: at most {LARGEST:.3g} entries"
                )
        return known | given

    def _argument(
        self, name: str, shapes: Mapping[str, Shape], value: Tensor | float | None, varies: bool
    ) -> Any:
        if value is not None and not isinstance(value, Tensor):
            return (
                torch.full(shapes[name], value, dtype=self.dtypes[name])
                if name in self.dtypes
                else value
            )
        example = self.examples.get(name)
        dtype = example.dtype if isinstance(example, Tensor) else self.dtypes.get(name, self.dtype)
        if value is not None:
            if shapes.get(name, tuple(value.shape)) != tuple(value.shape):
                raise InputError(
                    f"the values for input {name} have shape {tuple(value.shape)}, not "
                    f"{shapes[name]}"
                )
            known = name in self.examples or name in self.dtypes or value.is_floating_point()
            return value.to(dtype) if known else value
        if name in self.examples:
            return example
        if name not in shapes:
            raise InputError(
                f"the shape of input {name} is not known: give it with --input-shape "
                f"{name}=1,3,32,32"
            )
        if varies and dtype.is_floating_point:
            return torch.rand(shapes[name], generator=torch.Generator().manual_seed(0), dtype=dtype)
        return torch.zeros(shapes[name], dtype=dtype)


def _in_words(value: Any, origin: str) -> str:
    return f"{origin}, shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r}"


def named(shapes: Shapes, names: Sequence[str]) -> dict[str, Shape]:
    """Every shape under its input's name: unnamed ones go, in order, to the inputs that are not
    named."""
    given = {name: shape for name, shape in shapes if name is not None}
    unnamed = [shape for name, shape in shapes if name is None]
    if not unnamed:
        return given
    free = [name for name in names if name not in given]
    if len(unnamed) > len(free):
        raise InputError(
            f"{len(shapes)} input shapes for a network with {len(names)} inputs "
            f"({', '.join(names)})"
        )
    return given | dict(zip(free, unnamed, strict=False))
