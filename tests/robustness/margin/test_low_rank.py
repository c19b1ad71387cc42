"""Low-rank steps: what their multipliers prove beside an interior point method, and why.

Covers autolip.robustness.margin.low_rank and its place in autolip.robustness.margin.branching.
"""

import pytest
import torch

from autolip.budget import UNLIMITED
from autolip.robustness.margin import branching
from autolip.robustness.margin.branching import least_margin
from autolip.robustness.margin.form import ON, Form
from autolip.robustness.margin.hinges import hinges_of
from autolip.robustness.margin.interior_point import Ascent
from autolip.robustness.margin.low_rank import Descent, _layers, multipliers

from .test_margin import last_bound, least_nearby, network, trial_of


def form_of(seed: int, sizes: tuple[int, ...], radius: float) -> tuple[Form, float]:
    """The form of the first margin, and about the least margin."""
    trial = trial_of(network(seed, sizes), radius)
    hinges = hinges_of(trial.classifier.lowered, trial.prefix, trial.rows, 100)
    assert hinges is not None and hinges.count > 5
    return Form.of(hinges, 0), least_nearby(trial)


@pytest.mark.parametrize("seed", range(4))
def test_multipliers_prove_nearly_what_an_interior_point_method_does(seed: int) -> None:
    form, near = form_of(seed, (16, 30, 20, 3), 0.5)
    ascent, descent = Ascent(form), Descent.of(form)
    for steps, eta in branching.LOOKS:
        *_, last = descent.passes(steps, eta)
    bound = ascent.bound(multipliers(form, last))
    best = last_bound(form)
    assert best - 0.05 * ascent.scale < bound <= best + 1e-3 * ascent.scale
    below = bound - 1e-6 * (1 + abs(bound))
    assert form.proves(multipliers(form, last), below) and below <= near


def test_half_spaces_follow_from_ranges() -> None:
    """The identity that turns multipliers of half-spaces into those of ranges."""
    generator = torch.Generator().manual_seed(0)
    v, z = torch.randn(2, 50, generator=generator).double()
    alpha, mu, nu, hi, below = torch.rand(5, 50, generator=generator).double() + 0.1
    lo = -below
    b, c = mu / -lo, nu / hi
    a = alpha + b
    ranges = a * z * (v - z) + b * (v - lo) * (z - v) + c * z * (hi - z)
    half_spaces = alpha * z * (v - z) + mu * (z - v) + nu * z
    assert torch.allclose(ranges, half_spaces - b * (z - v) ** 2 - c * z**2, atol=1e-12)


def test_wherever_it_is_asked_the_bound_is_below_the_margin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(branching, "FEW", 0)
    monkeypatch.setattr(branching, "MANY", 0)
    proved = 0
    for seed in range(6):
        form, near = form_of(seed, (6, 12, 10, 3), 0.6)
        size = Ascent(form).scale
        assert least_margin(form, near + 0.01 * size, UNLIMITED, 1) == -float("inf")
        found = least_margin(form, near - 0.2 * size, UNLIMITED, 1)
        assert found <= near
        proved += found > -float("inf")
    assert proved >= 4


def test_layers_are_found_from_links() -> None:
    links = torch.zeros(6, 6)
    links[2, 0] = links[3, 1] = links[5, 3] = 1.0
    assert [(layer.start, layer.stop) for layer in _layers(links)] == [(0, 2), (2, 5), (5, 6)]
    assert [(layer.start, layer.stop) for layer in _layers(torch.zeros(3, 3))] == [(0, 3)]


def test_fixed_signs_are_refused() -> None:
    form, _ = form_of(0, (6, 12, 10, 3), 0.6)
    with pytest.raises(ValueError, match="all open"):
        Descent.of(form.fixed(0, ON))
