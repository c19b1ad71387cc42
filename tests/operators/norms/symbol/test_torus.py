"""Circular convolutions against dense singular values."""

from dataclasses import dataclass, replace

import pytest
import torch

from autolip.errors import InputError, Refusal
from autolip.operators import Composition, Convolution, Geometry, Incidence
from autolip.operators.norms.engine import NormOptions
from autolip.operators.norms.symbol import torus as symbol_torus
from autolip.operators.norms.symbol.bound import symbol_norm
from autolip.operators.norms.symbol.torus import circular_norm, torus_norm, wrapped_norm
from autolip.values import Certainty, Upper

OPTIONS = NormOptions()


@dataclass(frozen=True)
class Case:
    """A convolution with circular padding: channels, kernel, image; the rest is the same for every
    axis."""

    out: int
    inp: int
    kernel: tuple[int, ...]
    image: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    def operator(self) -> Convolution:
        """The convolution alone, without padding, on the unpadded image."""
        generator = torch.Generator().manual_seed(self.out + sum(self.kernel))
        shape = (self.out, self.inp // self.groups, *self.kernel)
        weight = torch.randn(shape, dtype=torch.float64, generator=generator)
        axes = len(self.kernel)
        geometry = Geometry(
            (self.stride,) * axes, (0,) * axes, (self.dilation,) * axes, groups=self.groups
        )
        return Convolution(
            weight, (self.inp, *(n + 2 * self.padding for n in self.image)), geometry
        )


def circular(case: Case) -> Composition:
    """Circular padding on both sides, then a convolution without padding."""
    pads = [case.padding] * (2 * len(case.kernel))

    def pad(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(x[None], pads, mode="circular")[0]

    return Composition((case.operator(), Incidence(pad, (case.inp, *case.image))))


CIRCULAR = [
    Case(3, 2, (3, 3), (6, 5), padding=1),
    Case(2, 3, (5, 5), (4, 6), padding=2),
    Case(2, 3, (3, 3), (6, 6), padding=2, dilation=2),
    Case(2, 3, (3, 3), (6, 9), padding=3, dilation=3),
    Case(3, 3, (3, 3), (6, 8), padding=1, stride=2),
    Case(3, 3, (4, 4), (8, 8), padding=1, stride=2),
    Case(3, 3, (3, 3), (8, 8), padding=2, stride=2, dilation=2),
    Case(3, 3, (3, 3), (12, 12), padding=3, stride=2, dilation=3),
    Case(6, 6, (3, 3), (4, 4), padding=1, groups=6),
    Case(2, 2, (5,), (9,), padding=2),
    Case(2, 2, (3, 3, 3), (3, 4, 2), padding=1),
    Case(3, 3, (1, 1), (4, 4)),
]


@pytest.mark.parametrize("case", CIRCULAR, ids=str)
def test_circular_padding_is_exact(case: Case) -> None:
    operator = circular(case)
    exact = torch.linalg.matrix_norm(operator.matrix(), 2).item()
    upper = torus_norm(operator, OPTIONS)
    assert isinstance(upper, Upper) and upper.certainty is Certainty.PROVED
    assert exact * (1 - 1e-14) <= upper.value <= exact * (1 + 1e-8)


def test_fewer_outputs_than_the_torus_has_keep_the_bound() -> None:
    operator = circular(Case(2, 2, (5, 5), (6, 6), padding=1))
    upper = torus_norm(operator, OPTIONS)
    assert isinstance(upper, Upper)
    assert torch.linalg.matrix_norm(operator.matrix(), 2).item() <= upper.value


@pytest.mark.parametrize(
    "case",
    [Case(2, 2, (3, 3), (6, 6), padding=3), Case(2, 2, (3, 3), (5, 5), padding=1, stride=2)],
    ids=str,
)
def test_maps_that_are_none_of_a_torus_are_refused(case: Case) -> None:
    assert isinstance(torus_norm(circular(case), OPTIONS), Refusal)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
def test_other_paddings_are_not_taken_for_circular(mode: str) -> None:
    operator = Case(2, 2, (3, 3), (6, 6)).operator()
    pad = Incidence(
        lambda x: torch.nn.functional.pad(x[None], [1, 1, 1, 1], mode=mode)[0], (2, 4, 4)
    )
    assert isinstance(torus_norm(Composition((operator, pad)), OPTIONS), Refusal)


def test_weights_in_single_precision_are_taken_as_they_are() -> None:
    weight = Case(3, 2, (3, 3), (6, 6)).operator().weight.float().requires_grad_()
    upper = circular_norm(weight, (5, 7), (1, 1), (1, 1))
    exact = circular_norm(weight.detach().double(), (5, 7), (1, 1), (1, 1))
    assert upper == exact


def test_circular_norm_wants_one_size_per_axis() -> None:
    with pytest.raises(InputError, match="acts on 2 axes"):
        circular_norm(torch.ones(1, 1, 3, 3, dtype=torch.float64), (6,), (1,), (1,))


# Zero padding on small images: the least of some shifted tori

PADDED = [
    Case(3, 2, (3, 3), (5, 5), padding=1),
    Case(4, 4, (3, 3), (7, 7), padding=1),
    Case(2, 3, (3,), (4,), padding=1),
    Case(2, 2, (5, 3), (6, 4), padding=2),
    Case(3, 3, (3, 3), (6, 7)),
    Case(2, 2, (3, 3), (5, 6), padding=3),
    Case(2, 2, (3, 3), (7, 6), padding=2, dilation=2),
    Case(4, 4, (3, 3), (4, 4), padding=1, groups=2),
    Case(3, 3, (2, 4), (5, 5), padding=1),
    Case(2, 2, (3, 3), (1, 1), padding=1),
    Case(2, 2, (3, 2, 3), (3, 3, 2), padding=1),
    Case(5, 3, (1, 1), (4, 4)),
    Case(3, 3, (1, 3), (4, 5), padding=1),
]


def padded(case: Case) -> Convolution:
    """The same kernel with zeros around the image."""
    bare = case.operator()
    geometry = replace(bare.geometry, padding=(case.padding,) * len(case.kernel))
    return Convolution(bare.weight, (case.inp, *case.image), geometry)


def norm(operator: Convolution) -> float:
    return torch.linalg.matrix_norm(operator.matrix(), 2).item()


def wrapped(operator: Convolution) -> float:
    found = wrapped_norm(operator, OPTIONS)
    assert isinstance(found, Upper) and found.certainty is Certainty.PROVED
    return found.value


@pytest.mark.parametrize("case", PADDED, ids=str)
def test_a_small_padded_image_is_between_its_norm_and_the_symbol(case: Case) -> None:
    operator = padded(case)
    symbol = symbol_norm(operator, OPTIONS)
    assert isinstance(symbol, Upper)
    assert norm(operator) <= wrapped(operator) <= symbol.value * (1 + 1e-3)


def test_a_small_image_is_seen() -> None:
    """Where the symbol has one sharp summit, the shifted torus misses it."""
    operator = Convolution(
        torch.ones(1, 1, 3, 3).double(), (1, 4, 4), Geometry((1, 1), (1, 1), (1, 1))
    )
    assert norm(operator) <= wrapped(operator) < 0.87 * 9


def test_the_shape_of_what_is_wrapped() -> None:
    strided = Convolution(
        torch.ones(1, 1, 3, 3).double(), (1, 4, 4), Geometry((2, 2), (1, 1), (1, 1))
    )
    large = Convolution(
        torch.ones(1, 1, 3, 3).double(), (1, 20, 20), Geometry((1, 1), (1, 1), (1, 1))
    )
    assert "stride 1" in str(wrapped_norm(strided, OPTIONS)) and "frequencies" in str(
        wrapped_norm(large, OPTIONS)
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_a_torus_that_is_one_point_too_small_is_noticed(
    monkeypatch: pytest.MonkeyPatch, axis: int
) -> None:
    honest = symbol_torus._smallest_torus
    monkeypatch.setattr(
        symbol_torus,
        "_smallest_torus",
        lambda a: [n - (i == axis) for i, n in enumerate(honest(a))],
    )
    kernels = [
        torch.ones(1, 1, 3, 3),
        *(torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(i)) for i in range(20)),
    ]
    geometry = Geometry((1, 1), (1, 1), (1, 1))
    operators = [
        Convolution(kernel.double(), (1, n, n), geometry) for kernel in kernels for n in (2, 3, 4)
    ]
    assert any(wrapped(operator) < norm(operator) * (1 - 1e-9) for operator in operators)
