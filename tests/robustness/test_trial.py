"""Margins on a region: every rung on networks whose margins are known exactly, and on others below
what is attained.

Covers autolip.robustness.trial, autolip.robustness.rungs.*, autolip.robustness.attack and
autolip.robustness.classifier.
"""

import math
from itertools import combinations, pairwise

import pytest
import torch
from torch import Tensor, nn

from autolip import InputError, zoo
from autolip.budget import UNLIMITED, Budget
from autolip.capture.torch.export import capture_model
from autolip.norms import Norm
from autolip.regions import Ball, Region
from autolip.regions.clipped import Clipped
from autolip.robustness.attack import attacked
from autolip.robustness.classifier import Classifier
from autolip.robustness.rungs import LADDER, ladder
from autolip.robustness.rungs.pairs import constants
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial, margins_at
from autolip.training import Penalty

RUNGS = list(LADDER)
NORMS = list(Norm)


def silent(text: str) -> None:
    """Nobody is told."""


def affine(classes: int = 4, size: int = 5) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, classes)).eval()


def classifier_of(model: nn.Module, shape: tuple[int, ...], **normalised: float) -> Classifier:
    return Classifier.of(capture_model(model, (torch.zeros(shape),)), "a network", **normalised)


def trial_of(
    classifier: Classifier,
    region: Region,
    label: int,
    norm: Norm,
    budget: Budget = UNLIMITED,
) -> Trial:
    rivals = tuple(j for j in range(classifier.classes) if j != label)
    known = constants(classifier, norm, [label], 0.0, silent)
    return Trial(classifier, region, label, rivals, norm, constants=known, budget=budget)


@pytest.mark.parametrize("name", RUNGS)
@pytest.mark.parametrize("norm", NORMS)
def test_margins_of_an_affine_network_are_exact(name: str, norm: Norm) -> None:
    """The margin at the centre less the radius times the dual norm of a difference of two rows, in
    rational arithmetic but for that norm."""
    model = affine()
    classifier = classifier_of(model, (1, 5))
    centre = torch.linspace(-1, 1, 5).double().reshape(1, 5)
    weight, bias = (part.detach().double() for part in (model[1].weight, model[1].bias))
    values = weight @ centre[0] + bias
    label = int(values.argmax())
    trial = trial_of(classifier, Ball(centre, 0.25, norm), label, norm, Budget.of(60.0))
    LADDER[name].prove(trial)
    rows = weight[label] - weight[list(trial.rivals)]
    exact = values[label] - values[list(trial.rivals)] - 0.25 * norm.dual.of_rows(rows)
    if norm is Norm.L1 and name.startswith("lipsdp"):
        assert bool(trial.least.isinf().all())
        return
    assert bool((trial.least <= exact + 1e-15).all())
    decided = trial.least > -math.inf
    if name.startswith("margin form"):  # nothing is proved after a rival that may win
        assert norm is Norm.L2 or not bool(decided.any())
        return
    assert bool(decided.any())
    if name.startswith("lipsdp"):  # it proves what is enough, and no more
        assert trial.open == [
            rival for rival, m in zip(trial.rivals, exact, strict=True) if m <= 1e-5
        ]
    elif norm is not Norm.LINF or name == "linear relaxation":
        assert bool((trial.least[decided] >= exact[decided] - 1e-6).all())


NETWORKS = ["digits-mlp", "digits-tanh", pytest.param("digits-conv", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", RUNGS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
def test_no_margin_of_a_region_is_below(name: str, network: str, norm: Norm) -> None:
    model, _ = zoo.load(network)
    images, labels = zoo.held_out()
    classifier = classifier_of(model, (1, 1, 8, 8))
    for index, clip in ((1, False), (3, True)):
        x, label = images[index : index + 1].double(), int(labels[index])
        share = 0.3 if network == "digits-conv" else 1.0
        ball = Ball(x, share * (0.3 if norm is Norm.L2 else 0.04), norm)
        region = Clipped(ball, 0, 1) if clip else ball
        budget = Budget.of(5.0) if network == "digits-conv" else UNLIMITED
        trial = trial_of(classifier, region, label, norm, budget)
        LADDER[name].prove(trial)
        near = least_found(classifier, region, label, trial.rivals, norm)
        assert bool((trial.least <= near).all())
        if not name.startswith("margin form") and network != "digits-conv":
            assert bool((trial.least > -math.inf).any())


def least_found(
    classifier: Classifier, region: Region, label: int, rivals: tuple[int, ...], norm: Norm
) -> Tensor:
    """The least margins at random points of a region and along each rival's gradient."""
    generator = torch.Generator().manual_seed(0)
    centre = region.origin(classifier.shape)
    points = [centre.unsqueeze(0), region.sample(40, centre, generator)]
    for rival in rivals:
        x = centre.unsqueeze(0)
        for _ in range(10):
            x = x.detach().requires_grad_()
            values = classifier.values(x)[0]
            (gradient,) = torch.autograd.grad(values[label] - values[rival], x)
            length = gradient.abs().max() if norm is Norm.LINF else gradient.norm()
            direction = gradient.sign() if norm is Norm.LINF else gradient / length
            x = region.inward(x.detach() - 0.1 * direction)
        points.append(x.detach())
    values = classifier.values(torch.cat(points)).detach()
    return (values[:, label : label + 1] - values[:, list(rivals)]).amin(0)


class Bending(nn.Module):
    """Squares and a softmax: what they do to entries is known within a region alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.last = nn.Linear(5, 6), nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).relu()
        y: Tensor = self.last(self.second(h * h + h).softmax(1))
        return y


@pytest.mark.parametrize("name", RUNGS)
@pytest.mark.parametrize("norm", NORMS)
def test_no_margin_is_below_where_what_bends_bends_within_the_region_alone(
    name: str, norm: Norm
) -> None:
    classifier = classifier_of(Bending().eval(), (1, 5))
    centre = torch.linspace(-1, 1, 5).double().reshape(1, 5)
    label = int(classifier.values(centre.unsqueeze(0))[0].argmax())
    for radius in (0.02, 0.5):
        trial = trial_of(classifier, Ball(centre, radius, norm), label, norm)
        LADDER[name].prove(trial)
        near = least_found(classifier, trial.region, label, trial.rivals, norm)
        assert bool((trial.least <= near).all())


def test_rungs_are_found_by_themselves_and_ordered() -> None:
    @rung("of a test", place=5)
    def of_a_test(trial: Trial) -> None:
        """Nothing."""

    try:
        assert ladder()[0].name == "of a test"
        places = [one.place for one in ladder()]
        assert places == sorted(places)
    finally:
        del LADDER["of a test"]


def test_a_margin_must_exceed_what_is_needed() -> None:
    classifier = classifier_of(affine(), (1, 5))
    trial = trial_of(classifier, Ball(torch.zeros(1, 5), 0.0, "l2"), 0, Norm.L2)
    trial.least = trial.needed.clone()
    assert not trial.is_certified and len(trial.open) == 3
    trial.least = trial.needed.nextafter(torch.full_like(trial.needed, math.inf))
    assert trial.is_certified and not trial.open
    trial.least[1] = -math.inf
    assert trial.open == [trial.rivals[1]] and not trial.is_certified


def test_what_is_needed_counts_both_outputs() -> None:
    """Each of two outputs is off by 1 at x = 1, one up and one down."""
    layers = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2))
    layers[0].weight.data = torch.tensor([[1.0], [-1.0]])
    layers[0].bias.data = torch.tensor([2.0**24, 2.0**24 + 2])
    layers[1].weight.data = torch.eye(2)
    layers[1].bias.data = torch.tensor([-(2.0**24), -(2.0**24)])
    classifier = classifier_of(layers.eval(), (1, 1))
    x = torch.ones(1, 1)
    apart = classifier.computed(x)[0] - classifier.values(x.double())[0]
    off = float((apart[0] - apart[1]).abs())
    trial = trial_of(classifier, Ball(x.double(), 0.0, "l2"), 0, Norm.L2)
    assert off <= float(trial.needed[0])
    single = trial_of(classifier, Ball(x.double(), 0.0, "l2"), 0, Norm.L2)
    single.rounding = False
    assert not bool(single.needed.any())


def test_constants_are_those_of_pairs_with_a_label() -> None:
    classifier = classifier_of(affine(), (1, 5))
    found = constants(classifier, Norm.L2, [0], 100.0, silent)
    assert set(found) == set(combinations(range(4), 2))
    units = torch.eye(5).double().unsqueeze(1)
    weight = classifier.values(units) - classifier.values(torch.zeros_like(units))
    for (i, j), bound in found.items():
        exact = float((weight[:, i] - weight[:, j]).norm())
        assert exact * (1 - 1e-9) <= bound.value <= exact * 1.001


def test_constants_of_a_deep_network_are_what_the_relaxation_attains() -> None:
    """At few columns multipliers of eight layers are no proof as they are: 2% above."""
    torch.manual_seed(0)
    layers = list[nn.Module]()
    for before, after in pairwise([8, *[32] * 8, 4]):
        linear = nn.Linear(before, after)
        nn.init.orthogonal_(linear.weight)
        layers += [linear, nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).eval()
    found = constants(classifier_of(model, (1, 8)), Norm.L2, range(4), 100.0, silent)
    penalty = Penalty(model, torch.zeros(1, 8), output="pairs", columns=8)
    penalty.settle(800, 1e-8)
    for pair, estimate in zip(penalty.pairs, penalty.constants().tolist(), strict=True):
        assert estimate * (1 - 1e-5) <= found[pair].value <= estimate * 1.004


def test_attacks_find_what_is_beyond_the_boundary_and_nothing_else() -> None:
    """An affine network's nearest other class is at a known distance."""
    model = affine()
    classifier = classifier_of(model, (1, 5))
    centre = torch.linspace(-1, 1, 5).double().reshape(1, 5)
    weight, bias = (part.detach().double() for part in (model[1].weight, model[1].bias))
    values = weight @ centre[0] + bias
    label = int(values.argmax())
    rivals = tuple(j for j in range(4) if j != label)
    for norm in Norm:
        rows = weight[label] - weight[list(rivals)]
        distance = float(((values[label] - values[list(rivals)]) / norm.dual.of_rows(rows)).min())
        near = Ball(centre, 0.999 * distance, norm)
        far = Ball(centre, 1.05 * distance, norm)
        assert attacked(classifier, near, label, rivals, norm, 5) is None
        witness = attacked(classifier, far, label, rivals, norm, 5)
        assert witness is not None and far.contains(witness.x)
        above = margins_at(classifier, witness.x, label, rivals).hi
        assert float(above.min()) <= 0 and witness.rival == rivals[int(above.argmin())]
        assert witness.by == "function"


def test_the_program_alone_may_be_attacked() -> None:
    """1 + 2^24 - 2^24 is 0 in float32, and below 1/4."""
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2))
    model[0].weight.data, model[0].bias.data = (
        torch.tensor([[1.0], [0.0]]),
        torch.tensor([2.0**24, 0.25]),
    )
    model[1].weight.data, model[1].bias.data = torch.eye(2), torch.tensor([-(2.0**24), 0.0])
    classifier = classifier_of(model.eval(), (1, 1))
    region = Ball(torch.ones(1, 1).double(), 0.0, "l2")
    assert attacked(classifier, region, 0, (1,), Norm.L2, 2, rounding=False) is None
    trial = trial_of(classifier, region, 0, Norm.L2)
    for one in ladder():
        one.prove(trial)
    assert not trial.is_certified
    trial.rounding = False
    del trial.needed
    assert trial.is_certified


def test_normalisation_is_part_of_the_map() -> None:
    model = affine(3, 12)
    torch.manual_seed(0)
    x = torch.rand(4, 3, 2, 2).double()
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    classifier = Classifier.of(capture_model(model, (torch.zeros(1, 3, 2, 2),)), "n", mean, std)
    column = [torch.tensor(part).reshape(3, 1, 1).double() for part in (mean, std)]
    wanted = model.double()((x - column[0]) / column[1])
    found = torch.cat([classifier.values(one[None, None])[0:1] for one in x])
    assert torch.allclose(found, wanted, rtol=1e-6)
    for bad, said in (([1.0, 2.0], "give one, or one for each channel"), (math.inf, "finite")):
        with pytest.raises(InputError, match=said):
            Classifier.of(capture_model(affine(3, 12), (torch.zeros(1, 3, 2, 2),)), "n", mean=bad)
    with pytest.raises(InputError, match="numbers > 0"):
        classifier_of(affine(), (1, 5), std=0.0)


def test_what_is_no_classifier_is_refused() -> None:
    with pytest.raises(InputError, match="one output"):
        classifier_of(nn.Linear(3, 1).eval(), (1, 3))
