"""Normalisation."""

from collections.abc import Callable
from decimal import Decimal, getcontext
from typing import Any

import pytest
import torch
from scipy.optimize import minimize_scalar

from autolip.errors import InputError, UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.diagonal import Diagonal
from autolip.rules.normalisation import greatest_spread, least_spread
from autolip.rules.rule import Action
from autolip.slopes import Exact, Gain

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def gains(action: Action) -> dict[Norm, float]:
    ((_, gain),) = action.slopes
    assert isinstance(gain, Gain)
    return {norm: bound.value for norm, bound in gain.norms.items()}


def box(n: int, width: float, seed: int) -> Interval:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(1, n, dtype=torch.float64, generator=generator)
    radius = width * torch.rand(1, n, dtype=torch.float64, generator=generator)
    return Interval(centre - radius, centre + radius)


@pytest.mark.parametrize("width", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_least_variance_on_a_box_is_found_from_below(width: float, seed: int) -> None:
    x = box(7, width, seed)

    def spread(c: float) -> float:
        return float(((x.lo - c).clamp(min=0) ** 2 + (c - x.hi).clamp(min=0) ** 2).mean())

    best = minimize_scalar(spread, bounds=(-5, 5), method="bounded", options={"xatol": 1e-12}).fun
    found = least_spread(x, centred=True).item()
    assert found <= best + 1e-15 and found >= best * (1 - 1e-9) - 1e-9
    points = x.lo + torch.rand(2000, 7, dtype=torch.float64) * (x.hi - x.lo)
    assert found <= points.var(1, unbiased=False).min()
    assert greatest_spread(x, centred=True).item() >= points.var(1, unbiased=False).max()


def test_spreads_on_unbounded_boxes() -> None:
    everywhere = Interval.everywhere((2, 4))
    for centred in (True, False):
        assert least_spread(everywhere, centred).tolist() == [0.0, 0.0]
        assert greatest_spread(everywhere, centred).tolist() == [torch.inf, torch.inf]
    halves = Interval(
        torch.tensor([[-torch.inf, 5.0, 0.0]]).double(),
        torch.tensor([[1.0, torch.inf, torch.inf]]).double(),
    )
    assert 0 < least_spread(halves, True).item() <= (2 * 2.0**2) / 3 + 1e-12


OPERATIONS = [
    pytest.param(
        lambda t, n: aten.layer_norm.default(t, [n], None, None, 1e-2),
        aten.layer_norm.default,
        id="layer",
    ),
    pytest.param(
        lambda t, n: aten.rms_norm.default(t, [n], None, 1e-2), aten.rms_norm.default, id="rms"
    ),
]


@pytest.mark.parametrize(("function", "target"), OPERATIONS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 25])
@pytest.mark.parametrize("width", [0.05, torch.inf])
def test_no_jacobian_exceeds_the_gains(
    act: Act, function: Any, target: Any, n: int, width: float
) -> None:
    """Random points, and the worst cases of the proof: one entry against the others, two levels."""
    x = (
        Interval.everywhere((n,))
        if width == torch.inf
        else Interval(*(e[0] for e in _ends(box(n, width, n))))
    )
    parameters = (None, None, 1e-2) if target is aten.layer_norm.default else (None, 1e-2)
    allowed = gains(act(target, x, [n], *parameters))
    points = [x.lo + torch.rand(n).double() * (x.hi - x.lo) for _ in range(40)]
    if width == torch.inf:
        tilts = [
            torch.linspace(-1, 1, n).double(),
            torch.eye(n)[0].double(),
            torch.ones(n).double(),
        ]
        tilts += [(torch.arange(n) < k).double() for k in range(n)]
        points = [scale * tilt for scale in (0.0, 1e-3, 0.03, 0.1, 0.3, 1.0) for tilt in tilts]
        points += [0.2 * torch.randn(n).double() for _ in range(20)]
    worst = dict.fromkeys(Norm, 0.0)
    for point in points:
        jacobian = torch.autograd.functional.jacobian(lambda t: function(t, n), point)
        for norm in Norm:
            worst[norm] = max(worst[norm], torch.linalg.matrix_norm(jacobian, norm.p).item())
    for norm in Norm:
        assert worst[norm] <= allowed[norm] * (1 + 1e-9) + 1e-9
    if width == torch.inf and n > 2:
        assert worst[Norm.L2] >= 0.99 * allowed[Norm.L2]
        assert worst[Norm.L1] >= 0.35 * allowed[Norm.L1]


def _ends(x: Interval) -> tuple[torch.Tensor, torch.Tensor]:
    return x.lo, x.hi


def test_a_region_makes_the_gain_smaller_and_weights_scale_it(act: Act) -> None:
    x = Interval(
        torch.tensor([[-1.1, -0.1, 0.9]]).double(), torch.tensor([[-0.9, 0.1, 1.1]]).double()
    )
    weight = torch.tensor([1.0, -3.0, 2.0]).double()
    everywhere = gains(
        act(aten.layer_norm.default, Interval.everywhere((1, 3)), [3], weight, None, 1e-5)
    )
    near = gains(act(aten.layer_norm.default, x, [3], weight, None, 1e-5))
    assert everywhere[Norm.L2] == pytest.approx(3 / 1e-5**0.5)
    assert 3 / 0.8**0.5 <= near[Norm.L2] <= 3 / 0.5**0.5


def test_the_image_is_at_most_the_root_and_near_a_point_the_point(act: Act) -> None:
    wide = act(aten.layer_norm.default, Interval.everywhere((5,)), [5], None, None, 1e-5).image
    assert wide.hi.max().item() == pytest.approx(2.0) and wide.hi.max() >= 2.0
    x = torch.randn(2, 5, dtype=torch.float64)
    close = act(
        aten.layer_norm.default,
        Interval(x - 1e-6, x + 1e-6),
        [5],
        torch.full((5,), 2.0).double(),
        None,
        1e-5,
    ).image
    value = 2 * aten.layer_norm.default(x, [5])
    assert close.contains(value) and (close.hi - close.lo).max() < 1e-4
    one = act(
        aten.layer_norm.default,
        Interval.everywhere((2, 1)),
        [1],
        None,
        torch.tensor([0.7], dtype=torch.float64),
    ).image
    assert (
        one.contains(torch.full((2, 1), 0.7, dtype=torch.float64))
        and (one.hi - one.lo).max() < 1e-12
    )


def test_blocks_of_one_entry_are_constant(act: Act) -> None:
    assert set(gains(act(aten.layer_norm.default, Interval.everywhere((2, 1)), [1])).values()) == {
        0.0
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_scale_of_batch_norm_is_known_up_to_its_relative_error(act: Act, seed: int) -> None:
    """Against fifty decimal digits."""
    getcontext().prec = 50
    eps, at = 1e-3, 0.3
    generator = torch.Generator().manual_seed(seed)
    weight, mean, variance = torch.rand(3, 40, dtype=torch.float64, generator=generator)
    x = Interval.uniform(at, at, (1, 40))
    action = act(
        aten._native_batch_norm_legit_no_training.default, x, weight, None, mean, variance, 0.1, eps
    )
    ((_, slope),) = action.slopes
    assert isinstance(slope, Exact) and isinstance(slope.operator, Diagonal)
    columns = (weight, mean, variance, slope.operator.scale, action.image.lo[0], action.image.hi[0])
    for w, m, v, scale, lo, hi in zip(*(column.tolist() for column in columns), strict=True):
        exact = Decimal(w) / (Decimal(v) + Decimal(eps)).sqrt()
        assert abs(Decimal(scale) - exact) <= Decimal(slope.operator.relative_error) * abs(exact)
        assert Decimal(lo) <= exact * (Decimal(at) - Decimal(m)) <= Decimal(hi)


def test_groups_and_channels_are_normalised_apart(act: Act) -> None:
    """Group 0 varies little and group 1 is far from constant: the gain is that of group 0."""
    lo = torch.tensor([[[0.0], [0.0], [-4.0], [4.0]]]).double()
    x = Interval(lo, lo + 0.1)
    found = gains(act(aten.group_norm.default, x, 2, None, None, 1e-2))
    assert found[Norm.L2] == pytest.approx(10.0)
    far = gains(
        act(aten.group_norm.default, x, 2, torch.tensor([0.0, 0.0, 1.0, 1.0]).double(), None, 1e-2)
    )
    assert far[Norm.L2] < 0.26
    assert torch.equal(
        act(aten.group_norm.default, x, 4, None, None, 1e-2).image.hi,
        act(aten.instance_norm.default, x, None, None, None, None, True, 0.1, 1e-2, True).image.hi,
    )


def test_statistics_of_the_batch_and_varying_weights_are_refused(act: Act) -> None:
    x, c = Interval.uniform(-1.0, 1.0, (2, 3)), torch.ones(3).double()
    with pytest.raises(InputError, match="couples the samples"):
        act(aten.batch_norm.default, x, None, None, c, c, True, 0.1, 1e-5, True)
    with pytest.raises(InputError, match="couples the samples"):
        act(aten.batch_norm.default, x, None, None, None, None, False, 0.1, 1e-5, True)
    with pytest.raises(UnsupportedOperation, match="weight"):
        act(aten.layer_norm.default, x, [3], Interval.uniform(0.0, 1.0, (3,)), None, 1e-5)
    with pytest.raises(InputError, match="not positive"):
        act(aten._native_batch_norm_legit_no_training.default, x, None, None, c, -c, 0.1, 1e-5)
    with pytest.raises(InputError, match="give eps"):
        act(aten.rms_norm.default, x, [3], None, None)


def test_a_zero_eps_is_infinite_unless_the_region_is_away_from_constants(act: Act) -> None:
    assert (
        gains(act(aten.layer_norm.default, Interval.everywhere((3,)), [3], None, None, 0.0))[
            Norm.L2
        ]
        == torch.inf
    )
    x = Interval(torch.tensor([1.0, 2.0, 5.0]).double(), torch.tensor([1.1, 2.1, 5.1]).double())
    assert gains(act(aten.layer_norm.default, x, [3], None, None, 0.0))[Norm.L2] < 1
