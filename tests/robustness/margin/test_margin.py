"""The margin form: its rows on networks in rational arithmetic, its constraints on true values, its
bounds against margins that are known.

Covers autolip.robustness.margin.* and autolip.robustness.rungs.margin.
"""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from autolip.budget import UNLIMITED, Budget
from autolip.capture.torch.export import capture_model
from autolip.norms import Norm
from autolip.regions import Ball
from autolip.robustness.classifier import Classifier
from autolip.robustness.margin.branching import least_margin
from autolip.robustness.margin.form import OFF, ON, OPEN, Form, Multipliers
from autolip.robustness.margin.hinges import Walk, _units, bends_of, hinges_of
from autolip.robustness.margin.interior_point import Ascent
from autolip.robustness.rungs import LADDER
from autolip.robustness.trial import Trial
from autolip.rounded import Rounded


def network(seed: int, sizes: tuple[int, ...] = (4, 6, 5, 3), gain: float = 1.5) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for layer in layers:
        layer.weight.data *= gain
    between = [part for layer in layers for part in (layer, nn.ReLU())]
    return nn.Sequential(*between[:-1]).double().eval()


def trial_of(model: nn.Module, radius: float, rounding: bool = False) -> Trial:
    size = next(model.parameters()).shape[1]
    classifier = Classifier.of(capture_model(model, (torch.zeros(1, size).double(),)), "a network")
    centre = torch.linspace(-1, 1, size, dtype=torch.float64).unsqueeze(0)
    label = int(classifier.values(centre.unsqueeze(0))[0].argmax())
    rivals = tuple(j for j in range(classifier.classes) if j != label)
    region = Ball(centre, radius, Norm.L2)
    return Trial(classifier, region, label, rivals, Norm.L2, rounding, Budget.of(30.0))


def exactly(model: nn.Sequential, x: list[Fraction]) -> list[list[Fraction]]:
    """The values of all linear layers, in rational arithmetic."""
    found = list[list[Fraction]]()
    for layer in model:
        if isinstance(layer, nn.Linear):
            rows = layer.weight.tolist(), layer.bias.tolist()
            x = [
                sum((Fraction(w) * v for w, v in zip(row, x, strict=True)), Fraction(b))
                for row, b in zip(*rows, strict=True)
            ]
            found.append(x)
        else:
            x = [max(v, Fraction(0)) for v in x]
    return found


@pytest.mark.parametrize("offset", [0.0, 2.0**40])
def test_rows_hold_in_rational_arithmetic_and_not_without_their_errors(offset: float) -> None:
    """With 2^40 added to a layer and taken away by the next one, rounding is large."""
    model = network(3)
    first, second = (part for part in list(model)[:3] if isinstance(part, nn.Linear))
    first.bias.data += offset
    second.bias.data -= offset * second.weight.data.sum(1)
    trial = trial_of(model, 0.75)
    prefix, graph = trial.prefix, trial.classifier.lowered
    bends = tuple(bends_of(graph, prefix))
    walk = Walk(prefix, bends, bends[-1].places.stop)
    generator = torch.Generator().manual_seed(0)
    centre = trial.region.origin(trial.classifier.shape)
    worst, names = Fraction(0), {bend.operand: number for number, bend in enumerate(bends)}
    for x in trial.region.sample(5, centre, generator):
        values = exactly(model, [Fraction(v) for v in x.flatten().tolist()])
        layers = [node.name for node in graph if "linear" in str(node.target)]
        at = dict(zip(layers, values, strict=True))
        z = [max(at[b.operand][i], Fraction(0)) for b in bends for i in b.entries.tolist()]
        d = [
            Fraction(a) - Fraction(b)
            for a, b in zip(x.flatten().tolist(), centre.flatten().tolist(), strict=True)
        ]
        for bend in bends:
            part = walk.rows(bend.operand, _units(prefix, bend))
            for row, entry in enumerate(bend.entries.tolist()):
                found = Fraction(part.constant[0][row].item())
                found += dot(part.slopes[row], d) + dot(part.links[row], z)
                off = abs(found - at[bend.operand][entry])
                assert off <= Fraction(part.constant[1][row].item())
                worst = max(worst, off)
    assert names and worst > 0, "without their errors the rows would be wrong"


def dot(row: Tensor, x: list[Fraction]) -> Fraction:
    return sum((Fraction(a) * b for a, b in zip(row.tolist(), x, strict=True)), Fraction(0))


def test_every_constraint_holds_at_true_values_in_every_case() -> None:
    model = network(5)
    trial = trial_of(model, 1.0)
    hinges = hinges_of(trial.classifier.lowered, trial.prefix, trial.rows, 100)
    assert hinges is not None and hinges.count > 5
    form = Form.of(hinges, 0)
    centre = trial.region.origin(trial.classifier.shape)
    points = trial.region.sample(60, centre, torch.Generator().manual_seed(1))
    ys = [truth(trial, form, x) for x in points]
    tried = 0
    for y, v in ys:
        assert torch.allclose(form.rows.value[:-1] @ y, v, atol=1e-9)
        for signs in ([], [0], [3], [0, 3], [2, form.lo.numel() - 1]):
            case, kept = form, y
            for hinge in signs:
                column = 1 + case.free + int((case.open == hinge).nonzero())
                kept = kept[torch.arange(len(kept)) != column]
                case = case.fixed(hinge, ON if v[hinge] >= 0 else OFF)
            assert torch.allclose(case.rows.value @ kept, form.rows.value @ y, atol=1e-9)
            p, q = (part.value @ kept for part in case.constraints)
            k = len(case.open)
            assert k == form.lo.numel() - len(signs) == int((case.signs == OPEN).sum())
            assert float((p * q)[:k].abs().max()) < 1e-9 and float((p * q)[k:].min()) > -1e-9
            assert len(case.units) == len(p)
            tried += 1
    assert tried == 300


def truth(trial: Trial, form: Form, x: Tensor) -> tuple[Tensor, Tensor]:
    """y = (1, Q x, z) and v at an input; Q x from the rows of the first layer."""
    v, z, names = x, list[Tensor](), list[Tensor]()
    for node in trial.classifier.lowered:
        at = v
        v = node.call(dict.fromkeys(node.operands(), at).__getitem__)
        if "relu" in str(node.target):
            known = trial.prefix.ranges[node.operands()[0]]
            moving = ((known.lo < 0) & (known.hi > 0)).reshape(-1)
            z.append(v.reshape(-1)[moving])
            names.append(at.reshape(-1)[moving])
    first = len(names[0])
    rows = form.rows.value[:first]
    free = slice(1, 1 + form.free)
    solved = torch.linalg.lstsq(rows[:, free], (names[0] - rows[:, 0]).unsqueeze(1)).solution
    return torch.cat([torch.ones(1).double(), solved[:, 0], *z]), torch.cat(names)


def test_one_hinge_is_exact() -> None:
    """|x + a| - b against 0 on [-r, r]: the least margin is that of the kink, or of an end."""
    for a, b, r in ((0.25, -0.125, 1.0), (0.75, 0.0, 0.5), (-0.5, 0.25, 1.0)):
        first, second = nn.Linear(1, 2), nn.Linear(2, 2)
        first.weight.data = torch.tensor([[1.0], [-1.0]])
        first.bias.data = torch.tensor([a, -a])
        second.weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        second.bias.data = torch.tensor([-b, 0.0])
        model = nn.Sequential(first, nn.ReLU(), second).double().eval()
        classifier = Classifier.of(capture_model(model, (torch.zeros(1, 1).double(),)), "|x|")
        region = Ball(torch.zeros(1, 1).double(), r, Norm.L2)
        trial = Trial(classifier, region, 0, (1,), Norm.L2, False)
        hinges = hinges_of(classifier.lowered, trial.prefix, trial.rows, 10)
        exact = max(0.0, abs(a) - r) - b
        if hinges is None or not hinges.count:
            assert abs(a) > r
            continue
        form = Form.of(hinges, 0)
        assert least_margin(form, exact, UNLIMITED, 1) == -float("inf")
        assert exact - 1e-3 < least_margin(form, exact - 1e-3, UNLIMITED, 1) <= exact


@pytest.mark.parametrize("seed", range(6))
def test_bounds_are_below_the_margin_and_cases_close_the_gap(seed: int) -> None:
    """The least margin of a small network, by its pieces: dense points with gradient steps."""
    trial = trial_of(network(seed, (2, 5, 4, 2)), 1.0)
    hinges = hinges_of(trial.classifier.lowered, trial.prefix, trial.rows, 100)
    assert hinges is not None
    form = Form.of(hinges, 0)
    near = least_nearby(trial)
    one = last_bound(form)
    assert one <= near + 1e-9
    wanted = near - 0.02 * (1 + abs(near))
    many = least_margin(form, wanted, Budget.of(20.0), 400)
    assert wanted < many <= near
    beyond = near + 0.02 * (1 + abs(near))
    assert least_margin(form, beyond, Budget.of(20.0), 400) == -float("inf")


def last_bound(form: Form) -> float:
    """The best bound of one case, proved."""
    ascent, best = Ascent(form), -float("inf")
    for place in ascent.places():
        bound = place.bound - 1e-6 * (1 + abs(place.bound))
        if bound > best and form.proves(ascent.multipliers(place), bound):
            best = bound
    assert best > -float("inf")
    return best


def least_nearby(trial: Trial) -> float:
    centre = trial.region.origin(trial.classifier.shape)
    x = trial.region.sample(4000, centre, torch.Generator().manual_seed(0))
    for _ in range(60):
        x = x.detach().requires_grad_()
        values = trial.classifier.values(x)
        margin = values[:, trial.label] - values[:, trial.rivals[0]]
        (gradient,) = torch.autograd.grad(margin.sum(), x)
        length = gradient.norm(dim=-1, keepdim=True).clamp(1e-9)
        x = trial.region.project(x - 0.02 * gradient / length)
    values = trial.classifier.values(x.detach())
    return float((values[:, trial.label] - values[:, trial.rivals[0]]).min())


def test_what_multipliers_do_not_prove_is_not_proved() -> None:
    """A bound above the margin, a multiplier of the wrong sign, rows that may be off by much."""
    trial = trial_of(network(1, (2, 5, 4, 2)), 0.5)
    hinges = hinges_of(trial.classifier.lowered, trial.prefix, trial.rows, 100)
    assert hinges is not None
    form = Form.of(hinges, 0)
    ascent = Ascent(form)
    place = list(ascent.places())[-1]
    good = ascent.multipliers(place)
    below = place.bound - 1e-6
    assert form.proves(good, below)
    assert not form.proves(good, place.bound + 1e-3)
    flipped = good.hinges.clone()
    flipped[-1] = -abs(flipped[-1])
    assert not form.proves(Multipliers(flipped, good.ball), below - 1e3)
    assert not form.proves(Multipliers(good.hinges, -good.ball), below - 1e3)
    vague = Rounded(form.rows.value, form.rows.error + 1e-2)
    assert not Form(vague, form.lo, form.hi, form.signs, form.free, form.reach).proves(good, below)


def test_what_bends_otherwise_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double().eval()
    trial = trial_of(model, 0.5)
    assert hinges_of(trial.classifier.lowered, trial.prefix, trial.rows, 100) is None
    LADDER["margin form"].prove(trial)
    assert bool(trial.least.isinf().all())
    for other in (nn.LeakyReLU(0.25), nn.Softshrink(0.5), nn.Hardtanh()):
        model = nn.Sequential(nn.Linear(3, 4), other, nn.Linear(4, 2)).double().eval()
        alike = trial_of(model, 0.5)
        assert not list(bends_of(alike.classifier.lowered, alike.prefix))
    many = trial_of(network(5), 1.0)
    assert hinges_of(many.classifier.lowered, many.prefix, many.rows, 3) is None


def test_it_proves_more_than_lipsdp() -> None:
    """On some of twenty networks, and never less."""
    more = 0
    for seed in range(12):
        trial, other = (trial_of(network(seed), 0.5) for _ in range(2))
        LADDER["lipsdp"].prove(trial)
        LADDER["margin form"].prove(other)
        more += other.is_certified and not trial.is_certified
        assert other.is_certified or not trial.is_certified
    assert more > 0
