"""A new class of operators that says what it knows gets the bounds of a built-in one, from the same
engines."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators import (
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Geometry,
    Incidence,
    Operator,
    Traced,
    compose,
)
from autolip.operators.kernel import Kernel
from autolip.operators.norms import NormOptions, candidates, operator_norm
from autolip.operators.operator import largest
from autolip.testing import check_operator

from .conftest import CONVOLUTIONS, random

V = TypeVar("V")
OPTIONS = NormOptions(seed=1)


class Stripes(Operator):
    """Entrywise scaling, like `Diagonal`."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__(scale.shape, scale.shape)
        self.scale = scale

    def _mv(self, x: Tensor) -> Tensor:
        return self.scale * x

    def _rmv(self, y: Tensor) -> Tensor:
        return self.scale * y

    @property
    def terms(self) -> int:
        return 1

    @property
    def diagonal(self) -> Tensor:
        return self.scale

    @property
    def is_isometry(self) -> bool:
        return bool((self.scale.abs() == 1).all())

    @property
    def knows_entries(self) -> bool:
        return True

    @property
    def magnitude(self) -> float:
        return largest(self.scale)

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return Stripes(function(self.scale))


class Table(Operator):
    """A matrix along the last axis, like `Dense`."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__((weight.shape[1],), (weight.shape[0],))
        self.weight = weight

    def _mv(self, x: Tensor) -> Tensor:
        return x @ self.weight.T

    def _rmv(self, y: Tensor) -> Tensor:
        return y @ self.weight

    @property
    def terms(self) -> int:
        return max(self.weight.shape)

    @property
    def matrices(self) -> Tensor:
        return self.weight

    @property
    def knows_entries(self) -> bool:
        return True

    @property
    def magnitude(self) -> float:
        return largest(self.weight)

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return Table(function(self.weight))


class Blur(Operator):
    """A zero-padded convolution, like `Convolution`."""

    def __init__(self, conv: Convolution) -> None:
        super().__init__(conv.in_shape, conv.out_shape)
        self.conv = conv

    def _mv(self, x: Tensor) -> Tensor:
        return self.conv.mv(x)

    def _rmv(self, y: Tensor) -> Tensor:
        return self.conv.rmv(y)

    @property
    def terms(self) -> int:
        return self.conv.terms

    @property
    def kernel(self) -> Kernel:
        return Kernel(self.conv.weight, self.conv.geometry)

    @property
    def knows_entries(self) -> bool:
        return True

    @property
    def magnitude(self) -> float:
        return self.conv.magnitude

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return self.conv.entrywise(function)

    def scaled_outputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        return self.conv.scaled_outputs(scale, relative_error)

    def rmv_units(self, units: Tensor) -> Tensor:
        return self.conv.rmv_units(units)


class Turned(Operator):
    """The entries in the opposite order, like an `Incidence`."""

    def __init__(self, size: int) -> None:
        super().__init__((size,), (size,))

    def _mv(self, x: Tensor) -> Tensor:
        return x.flip(1)

    def _rmv(self, y: Tensor) -> Tensor:
        return y.flip(1)

    @property
    def terms(self) -> int:
        return 1

    @property
    def is_wiring(self) -> bool:
        return True

    @property
    def is_isometry(self) -> bool:
        return True

    @property
    def knows_entries(self) -> bool:
        return True

    @property
    def magnitude(self) -> float:
        return 1.0

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return compose(Diagonal(function(torch.ones(()).double()), self.out_shape), self)


class Sums(Operator):
    """The sum of all entries: nothing is known but that none is negative, like a `Traced`."""

    def __init__(self, size: int) -> None:
        super().__init__((size,), (1,))

    def _mv(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True)

    def _rmv(self, y: Tensor) -> Tensor:
        return y.expand(-1, self.in_size)

    @property
    def terms(self) -> int:
        return self.in_size

    @property
    def is_nonnegative(self) -> bool:
        return True


class Chain(Operator):
    """One operator after another, like a `Composition`."""

    def __init__(self, after: Operator, before: Operator) -> None:
        super().__init__(before.in_shape, after.out_shape)
        self.after, self.before = after, before

    def _mv(self, x: Tensor) -> Tensor:
        return self.after.mv(self.before.mv(x))

    def _rmv(self, y: Tensor) -> Tensor:
        return self.before.rmv(self.after.rmv(y))

    @property
    def terms(self) -> int:
        return self.after.terms + self.before.terms

    @property
    def is_composite(self) -> bool:
        return True

    def fold(self, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]) -> V:
        return self.after.fold(self.before.fold(x, leaf, add), leaf, add)

    @property
    def T(self) -> Operator:
        return Chain(self.before.T, self.after.T)

    def majorant(self) -> Operator | None:
        return Composition((self.after, self.before)).majorant()


def convolution(name: str) -> Convolution:
    weight, in_shape, geometry = CONVOLUTIONS[name]
    return Convolution(random(*weight), in_shape, geometry)


LARGE = Convolution(random(3, 3, 3, 3), (3, 30, 30), Geometry((1, 1), (1, 1), (1, 1)))
"""Too large for its matrix to be formed."""

PAIRS: dict[str, tuple[Operator, Operator]] = {
    "diagonal": (Stripes(random(3, 4)), Diagonal(random(3, 4), (3, 4))),
    "dense": (Table(random(5, 7)), Dense(random(5, 7))),
    "wiring": (Turned(5), Incidence(lambda x: x.flip(0), (5,))),
    "sums": (
        Sums(5),
        Traced(lambda x: x.sum(0, keepdim=True), (5,), terms=5, nonnegative=True),
    ),
    "composition": (
        Chain(Dense(random(4, 6)), Dense(random(6, 5))),
        Composition((Dense(random(4, 6)), Dense(random(6, 5)))),
    ),
    "large convolution": (Blur(LARGE), LARGE),
    **{
        f"convolution, {name}": (Blur(convolution(name)), convolution(name))
        for name in ("strided", "grouped", "transposed", "one dimension")
    },
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_new_class_has_the_norms_of_a_built_in_one(name: str) -> None:
    new, known = PAIRS[name]
    for p in Norm:
        for q in Norm:
            found, wanted = (operator_norm(one, p, q, OPTIONS) for one in (new, known))
            assert not isinstance(wanted, Refusal)
            assert not isinstance(found, Refusal)
            assert (found.value, found.certainty) == (wanted.value, wanted.certainty), (p, q)


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "large convolution"])
def test_the_same_engines_say_the_same_of_it(name: str) -> None:
    for p, q in ((Norm.L2, Norm.L2), (Norm.L1, Norm.L1), (Norm.L1, Norm.LINF)):
        new, known = (
            {said.engine: _value(said.bound) for said in candidates(one, p, q, OPTIONS)}
            for one in PAIRS[name]
        )
        assert new == known


def _value(bound: object) -> object:
    """What an engine found; reasons name the operator, and differ."""
    return getattr(bound, "value", None)


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "large convolution"])
def test_it_obeys_the_law(name: str) -> None:
    check_operator(PAIRS[name][0])


def test_a_diagonal_is_absorbed_by_what_can_be_scaled() -> None:
    blur = Blur(convolution("grouped"))
    scaled = compose(Stripes(random(*blur.out_shape)), blur)
    assert isinstance(scaled, Composition), "one scale for every entry is no kernel's"
    along = Diagonal(random(6, 1, 1), blur.out_shape)
    assert isinstance(compose(along, blur), Convolution)
    assert compose(Stripes(torch.ones(blur.out_shape, dtype=torch.float64)), blur) is blur
