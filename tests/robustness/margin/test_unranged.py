"""The margin form without ranges: what its multipliers prove on balls and boxes, and what not."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.norms import Norm
from autolip.ranges.forward import known_of
from autolip.regions import Ball, Box, Region
from autolip.robustness.classifier import Classifier
from autolip.robustness.margin.unranged import Unranged, reach_of
from autolip.robustness.rungs import LADDER
from autolip.robustness.trial import Trial

from .test_margin import network

CENTRE = torch.linspace(-1, 1, 4, dtype=torch.float64).unsqueeze(0)

REGIONS: dict[str, Region] = {
    "l2": Ball(CENTRE, 0.2, "l2"),
    "linf": Ball(CENTRE, 0.1, "linf"),
    "l1": Ball(CENTRE, 0.2, "l1"),
    "box": Box(CENTRE - 0.05, CENTRE + torch.tensor([0.0, 0.05, 0.1, 0.2]).double()),
}


def classifier_of(model: nn.Module) -> Classifier:
    return Classifier.of(capture_model(model, (CENTRE,)), "a network")


def form_on(region: Region, classifier: Classifier) -> Unranged:
    """The margin of the largest output against the next."""
    label, rival, _ = classifier.values(CENTRE)[0].argsort(descending=True).tolist()
    row = torch.zeros(1, 3, dtype=torch.float64)
    row[0, label], row[0, rival] = 1.0, -1.0
    graph = classifier.lowered
    (form,) = Unranged.all_of(graph, known_of(graph, region), row, 100)
    return form


def least_on(region: Region, classifier: Classifier) -> float:
    x = region.sample(4000, CENTRE, torch.Generator().manual_seed(0))
    values = classifier.values(x).sort(1, descending=True).values
    return float((values[:, 0] - values[:, 1]).min())


@pytest.mark.parametrize("kind", REGIONS)
def test_what_is_found_is_proved_and_nothing_above(kind: str) -> None:
    region, classifier = REGIONS[kind], classifier_of(network(1))
    form, least = form_on(region, classifier), least_on(region, classifier)
    assert len(form.each) == (1 if kind in ("l1", "l2") else 4)
    found = form.searched(0.0)
    assert found is not None
    weights, bound = found
    assert form.proved(weights, bound) and 0 < bound <= least
    best = form.estimated(weights)
    assert form.proved(weights, best - 1e-6) and best <= least
    assert not form.proved(weights, best + 1e-6)
    far = replace(form, each=form.each * 100)
    assert not far.proved(weights, bound)
    for name in ("mu", "nu", "ball"):
        flipped = replace(weights, **{name: -getattr(weights, name) - 1e-3})
        assert not form.proved(flipped, -1e3)
    assert form.searched(least + 0.1) is None


def test_constraints_hold_at_true_values() -> None:
    """In topological order, with entries that ranges have settled."""
    region, classifier = REGIONS["box"], classifier_of(network(1))
    form = form_on(region, classifier)
    origin = region.origin(CENTRE.shape)
    for x in region.sample(20, CENTRE, torch.Generator().manual_seed(1)):
        v, z, values = x, list[torch.Tensor](), list[torch.Tensor]()
        for node in classifier.lowered:
            before = v
            v = node.call(dict.fromkeys(node.operands(), before).__getitem__)
            if "relu" in str(node.target):
                values.append(before.reshape(-1))
                z.append(v.reshape(-1))
        y = torch.cat([torch.ones(1).double(), (x - origin).reshape(-1), *z])
        assert torch.allclose(form.rows.value[:-1] @ y, torch.cat(values), atol=1e-12)
        p, q = (part.value @ y for part in form.constraints)
        count = len(form.lo)
        assert float((p * q)[:count].abs().max()) < 1e-12 and float((p * q).min()) > -1e-12
        assert bool(((x - origin).reshape(-1).abs() <= form.each + 1e-15).all())


def test_what_rounding_leaves_open_is_counted() -> None:
    """With 2^40 added to a layer and taken away by the next one, rounding is large."""
    model = network(1)
    first, second = (part for part in list(model)[:3] if isinstance(part, nn.Linear))
    first.bias.data += 2.0**40
    second.bias.data -= 2.0**40 * second.weight.data.sum(1)
    form = form_on(REGIONS["box"], classifier_of(model))
    assert 1e-6 < float(form.rows.error[:, 0].max()) < 1.0


def test_reach_is_that_of_the_region() -> None:
    shape = CENTRE.shape
    assert reach_of(REGIONS["l1"], shape).tolist() == reach_of(REGIONS["l2"], shape).tolist()
    assert reach_of(REGIONS["l2"], shape).tolist() == pytest.approx([0.2])
    assert reach_of(REGIONS["linf"], shape).tolist() == pytest.approx([0.1] * 4)
    assert bool((reach_of(REGIONS["linf"], shape) >= 0.1).all())


def test_it_proves_more_than_lipsdp_on_boxes() -> None:
    """On some of three networks; nothing where another operation bends, or inputs are many."""
    more = 0
    for seed in range(3):
        classifier = classifier_of(network(seed))
        label = int(classifier.values(CENTRE)[0].argmax())
        rivals = tuple(j for j in range(3) if j != label)
        region = Ball(CENTRE, 0.6, "linf")
        one, other = (Trial(classifier, region, label, rivals, Norm.LINF, False) for _ in range(2))
        LADDER["lipsdp"].prove(one)
        LADDER["margin form without ranges"].prove(other)
        more += other.is_certified and not one.is_certified
        assert not other.is_certified or least_on(region, classifier) > 0
    assert more > 0
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)).double().eval()
    classifier = classifier_of(model)
    graph, rows = classifier.lowered, torch.eye(3, dtype=torch.float64)
    assert not Unranged.all_of(graph, known_of(graph, REGIONS["box"]), rows, 100)
    graph = classifier_of(network(1)).lowered
    assert not Unranged.all_of(graph, known_of(graph, REGIONS["box"]), rows, 12)
