"""Units of the entries of inputs and outputs: lengths are those of x / s and y / t.

An input in other units, u = x / s, is the same network before which entries are multiplied by s;
an output y / t the same network after which they are divided by t.  So a weighted norm is the plain
one of another network: the slope graph begins with diag(s) and ends with diag(1 / t), of entries
that are known up to a rounding.
Regions, ranges, centres and witnesses stay in the user's own numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolip.arguments import array, shown
from autolip.errors import InputError
from autolip.norms import Norm
from autolip.roundoff import relative_error

LEAST, LARGEST = 1e-30, 1e30
"""Chosen: units between these leave floating point alone."""

Scale = Tensor | Mapping[str, Tensor] | None


@dataclass(frozen=True, eq=False)
class Units:
    """||(x - y) / input||_p and ||(f(x) - f(y)) / output||_q, entry by entry; None: as they are.

    Numbers above 0 in the shape of what they divide, or such as broadcast to it; of several inputs
    that vary together also by name.
    """

    input: Scale = None
    output: Tensor | None = None

    @classmethod
    def asked(cls, input_scale: Any = None, output_scale: Any = None) -> "Units":
        """What a person means; InputError, in one sentence, where nothing can be meant."""
        if isinstance(input_scale, Mapping):
            named = {
                str(key): checked_units(one, f"input_scale of {key}")
                for key, one in input_scale.items()
            }
            return cls(named, _given(output_scale, "output_scale"))
        return cls(_given(input_scale, "input_scale"), _given(output_scale, "output_scale"))

    def over(
        self, inputs: Mapping[str, torch.Size], before: torch.Size, after: torch.Size
    ) -> "Units":
        """The same for inputs of these names and shapes, `before` together, and an output of the
        shape `after`; InputError where they do not fit."""
        return Units(
            _over(self.input, inputs, before),
            None if self.output is None else _fitted(self.output, after, "output_scale"),
        )

    @property
    def of_input(self) -> Tensor | None:
        """The units of the input where its shape is known."""
        assert not isinstance(self.input, Mapping)
        return self.input

    def shares(self) -> tuple[Tensor, float] | None:
        """1 / output, which an output is multiplied by, and at least its relative error; None for
        1."""
        if self.output is None:
            return None
        is_exact = bool((torch.frexp(self.output).mantissa == 0.5).all())
        return 1 / self.output, 0.0 if is_exact else relative_error(1)

    def named(self, p: Norm, q: Norm) -> tuple[str, str]:
        """The norms in words."""
        before = p.value if self.input is None else f"{p.value} of x / input_scale"
        after = q.value if self.output is None else f"{q.value} of y / output_scale"
        return before, after

    def to_dict(self) -> dict[str, Any]:
        """Plain data: of each a number, a flat list, or None."""
        return {"input_scale": _plain(self.of_input), "output_scale": _plain(self.output)}

    def said(self) -> list[str]:
        """A sentence on each."""
        each = (("input_scale", self.of_input), ("output_scale", self.output))
        return [f"{name}: {_extent(scale)}" for name, scale in each if scale is not None]


UNITS = Units()
"""The user's own numbers."""


def _given(scale: Any, what: str) -> Tensor | None:
    return None if scale is None else checked_units(scale, what)


def checked_units(scale: Any, what: str) -> Tensor:
    """Numbers above 0 that leave floating point alone."""
    found = array(scale, what)
    if not found.numel() or not bool(((found >= LEAST) & (found <= LARGEST)).all()):
        raise InputError(
            f"{what} is {shown(scale)}: give numbers between {LEAST:g} and {LARGEST:g}, the units "
            "of the entries"
        )
    return found


def _over(scale: Scale, inputs: Mapping[str, torch.Size], shape: torch.Size) -> Tensor | None:
    if scale is None:
        return None
    if not isinstance(scale, Mapping):
        return _fitted(scale, shape, "input_scale")
    unknown = [name for name in scale if name not in inputs]
    if unknown:
        raise InputError(
            f"input_scale has units of {unknown[0]!r}: those that vary are {', '.join(inputs)}"
        )
    one = torch.ones((), dtype=torch.float64)
    parts = [_fitted(scale.get(name, one), own, name) for name, own in inputs.items()]
    return torch.cat([part.reshape(-1) for part in parts]).reshape(shape)


def _fitted(scale: Tensor, shape: torch.Size, what: str) -> Tensor:
    """The units of every entry."""
    if scale.numel() == shape.numel():
        return scale.reshape(shape)
    try:
        return scale.expand(shape).contiguous()
    except RuntimeError as error:
        raise InputError(
            f"{what} has shape {tuple(scale.shape)}, which does not fit {tuple(shape)}: give a "
            "number, one for each entry, or one along an axis, such as (3, 1, 1) for channels"
        ) from error


def _plain(scale: Tensor | None) -> float | list[float] | None:
    if scale is None:
        return None
    entries: list[float] = scale.flatten().tolist()
    return entries[0] if len(set(entries)) == 1 else entries


def _extent(scale: Tensor) -> str:
    plain = _plain(scale)
    if isinstance(plain, list):
        return f"{len(plain)} numbers from {min(plain):.4g} to {max(plain):.4g}"
    return f"{plain!r} in every entry"
