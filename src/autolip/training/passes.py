"""One pass of columns forwards through a live network and one backwards, and what they say of the
weights.

Every linear step v = sum_i A_i(w) z_i is linear in its operands, and so is its derivative in the
weights, once the columns z and the columns q that come back to v are known:

    d <q, v> / d w = sum_i <q, dA_i / dw z_i>.

The columns go backwards once, when the state of an estimate improves; the derivatives in the
weights are taken later, of all columns times what the user's loss gives each of them.  Frequent
operations are transposed by hand, which takes a third of what autograd needs for small layers; any
other is traced by autograd on its own.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from autolip.training.calls import LinearCall, Weights

aten = torch.ops.aten

Linear = Callable[[Mapping[str, Tensor], Weights], Tensor]
"""From the columns of some operands and the weights to the columns of the result."""

Adjoint = Callable[[Tensor], Tensor]
"""From columns of a result to those of its operand."""

Bend = Callable[[str, Tensor], tuple[Tensor, Adjoint]]
"""From the name of a nonlinear part and its operand's columns to its result's, and the way back."""


class Transpose(Protocol):
    """A step that was applied to columns, transposed."""

    @property
    def learned(self) -> Collection[str]:
        """The names of the weights that learn."""

    def operands(self, q: Tensor) -> dict[str, Tensor]:
        """The columns that come back to each operand."""

    def weights(self, q: Tensor) -> dict[str, Tensor]:
        """The derivative of <q, result> in each of these weights, by its name."""


@dataclass
class Matrix:
    """v = z W^T."""

    operand: str
    z: Tensor
    weight: str
    w: Tensor

    @property
    def learned(self) -> Collection[str]:
        return (self.weight,) if self.w.requires_grad else ()

    def operands(self, q: Tensor) -> dict[str, Tensor]:
        return {self.operand: _product(q, self.w)}

    def weights(self, q: Tensor) -> dict[str, Tensor]:
        return {self.weight: torch.mm(_rows(q).t(), _rows(self.z))}


def _product(x: Tensor, w: Tensor) -> Tensor:
    """x w along the last axis; of matrices by `mm`: small ones take a third less time."""
    return torch.mm(x, w) if x.dim() == 2 else x @ w


def _rows(x: Tensor) -> Tensor:
    """A matrix of all the rows."""
    return x if x.dim() == 2 else x.flatten(0, -2)


@dataclass
class Reshaped:
    """v is z in another shape."""

    operand: str
    shape: torch.Size
    learned: Collection[str] = ()

    def operands(self, q: Tensor) -> dict[str, Tensor]:
        return {self.operand: q.reshape(self.shape)}

    def weights(self, q: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass
class Summed:
    """v is the sum of operands, or of their negatives."""

    signs: Sequence[tuple[str, int]]
    learned: Collection[str] = ()

    def operands(self, q: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, sign in self.signs:
            add(found, name, q if sign > 0 else -q)
        return found

    def weights(self, q: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass
class Traced:
    """v, with the operands and weights that autograd traced it from."""

    result: Tensor
    known: dict[str, Tensor]
    leaves: dict[str, Tensor]

    @property
    def learned(self) -> Collection[str]:
        return self.leaves.keys()

    def operands(self, q: Tensor) -> dict[str, Tensor]:
        return self._gradients(self.known, q)

    def weights(self, q: Tensor) -> dict[str, Tensor]:
        return self._gradients(self.leaves, q)

    def _gradients(self, leaves: dict[str, Tensor], q: Tensor) -> dict[str, Tensor]:
        if not leaves or not self.result.requires_grad:
            return {}
        found = torch.autograd.grad(
            self.result, list(leaves.values()), q, retain_graph=True, allow_unused=True
        )
        return {name: g for name, g in zip(leaves, found, strict=True) if g is not None}


@dataclass
class Bent:
    """A nonlinear step: an adjoint for each operand."""

    adjoints: list[tuple[str, Adjoint]]
    learned: Collection[str] = ()

    def operands(self, q: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, adjoint in self.adjoints:
            add(found, name, adjoint(q))
        return found

    def weights(self, q: Tensor) -> dict[str, Tensor]:
        return {}


Step = Callable[[Mapping[str, Tensor], Weights], tuple[Tensor, Transpose]]
"""From the columns of what is known so far to those of a result, and the step transposed."""


def step_of(linear: Linear, operands: Sequence[str]) -> Step:
    """A linear step, with the best transpose that is known of it."""
    if isinstance(linear, LinearCall) and linear.is_unary and linear.node.target in BY_HAND:
        return BY_HAND[linear.node.target](linear)
    return traced(linear, operands, linear.weights if isinstance(linear, LinearCall) else ())


def traced(linear: Linear, operands: Sequence[str], names: Collection[str]) -> Step:
    """Any linear step, by autograd: in its operands, and in the weights of these names that
    learn."""

    def step(values: Mapping[str, Tensor], weights: Weights) -> tuple[Tensor, Transpose]:
        known = {n: values[n].detach().requires_grad_() for n in operands if n in values}
        learned = {n: weights[n].detach().requires_grad_() for n in names if learns(weights[n])}
        with torch.enable_grad():
            result = linear(known, {**weights, **learned} if learned else weights)
        return result.detach(), Traced(result, known, learned)

    return step


def summed(signs: Sequence[tuple[str, int]]) -> Step:
    """A sum of operands of one shape, each plus or minus."""

    def step(values: Mapping[str, Tensor], weights: Weights) -> tuple[Tensor, Transpose]:
        known = [(name, sign) for name, sign in signs if name in values]
        terms = [values[name] if sign > 0 else -values[name] for name, sign in known]
        return sum(terms[1:], terms[0]), Summed(known)

    return step


def learns(weight: Any) -> bool:
    """Whether a gradient in it is wanted."""
    return isinstance(weight, Tensor) and weight.requires_grad


def _matrix(call: LinearCall) -> Step:
    (operand,) = call.operands
    (weight,) = call.weights

    def step(values: Mapping[str, Tensor], weights: Weights) -> tuple[Tensor, Transpose]:
        z = values[operand]
        w = weights[weight]
        return _product(z, w.t()), Matrix(operand, z, weight, w)

    return step


def _reshaped(call: LinearCall) -> Step:
    (operand,) = call.operands

    def step(values: Mapping[str, Tensor], weights: Weights) -> tuple[Tensor, Transpose]:
        return call(values, weights), Reshaped(operand, values[operand].shape)

    return step


BY_HAND: dict[object, Callable[[LinearCall], Step]] = {
    aten.linear.default: _matrix,
    aten.view.default: _reshaped,
    aten.reshape.default: _reshaped,
    aten.flatten.using_ints: _reshaped,
    aten.unflatten.int: _reshaped,
    aten.squeeze.dim: _reshaped,
    aten.unsqueeze.default: _reshaped,
}
"""Operations whose only operand is their first argument."""


@dataclass
class Sweep:
    """The steps that columns took, in order, and the columns that came back to them."""

    wanted: str
    result: Tensor
    steps: list[tuple[str, Transpose]]
    _returned: list[tuple[Transpose, Tensor]] = field(default_factory=list)

    def back(self, q: Tensor) -> dict[str, Tensor]:
        """The columns that come back to the values that were given, from q at the result."""
        found = {self.wanted: q}
        self._returned = []
        for name, transpose in reversed(self.steps):
            here = found.pop(name, None)
            if here is None:
                continue
            self._returned.append((transpose, here))
            for operand, gradient in transpose.operands(here).items():
                add(found, operand, gradient)
        return found

    def weights(self, scale: Tensor) -> dict[str, Tensor]:
        """The derivatives in the weights of the sum over questions of scale x <q, v>, by name;
        scale is of shape (questions,), or () for one; a question's columns are side by side."""
        found: dict[str, Tensor] = {}
        for transpose, q in self._returned:
            if transpose.learned:
                for name, gradient in transpose.weights(q * by_column(scale, q)).items():
                    add(found, name, gradient)
        return found


def by_column(each: Tensor, columns: Tensor) -> Tensor:
    """A number for each question, as a factor of its columns."""
    if each.numel() == 1:
        return each
    rank = len(columns) // len(each)
    return each.repeat_interleave(rank).view(-1, *[1] * (columns.dim() - 1))


def add(found: dict[str, Tensor], name: str, gradient: Tensor) -> None:
    """One more term of a gradient."""
    found[name] = found[name] + gradient if name in found else gradient
