"""First and last layers by QR: the same relaxation, for less."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from autolip.methods import LipSDP
from autolip.methods.lipsdp.proof.prove import prove
from autolip.methods.lipsdp.relaxation import qr_reduction as reduction
from autolip.methods.lipsdp.relaxation.qr_reduction import reduced
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.vector_power_method import Ascent
from autolip.methods.lipsdp.statement import Proved
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from tests.methods.lipsdp.conftest import mlp, pose, relaxed, stated


def climbed(relaxation: Relaxation) -> Ascent:
    ascent = Ascent(relaxation, 16, torch.float64, margin=1e-4)
    for _ in range(300):
        ascent.step()
    return ascent


CASES = {
    "wide input": (mlp(60, 9, 8, 3, seed=0), (1, 60), (9,), (1, 3)),
    "wide output": (mlp(5, 9, 8, 70, seed=1), (1, 5), (1, 5), (8,)),
    "both": (mlp(40, 9, 8, 70, seed=2), (1, 40), (9,), (8,)),
    "an image": (
        nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ELU(), nn.Linear(6, 2)).double(),
        (1, 3, 4, 4),
        (6,),
        (1, 2),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_relaxation_stays_what_it_is(case: str) -> None:
    model, shape, before, after = CASES[case]
    relaxation = relaxed(pose(model, shape))
    graph, small = relaxation.graph, relaxation.reduced.graph
    assert small.work < graph.work and (small.input_shape, small.output_shape) == (before, after)
    whole, part = climbed(relaxation), climbed(relaxation.reduced)
    assert part.primal == pytest.approx(whole.primal, rel=1e-4)
    proved = prove(replace(part.statement(), relaxation=relaxation), 1e-4, NormOptions())
    assert isinstance(proved, Proved)
    assert part.primal * (1 - 1e-4) <= proved.bound.value <= part.primal * 1.01


def test_what_is_not_exact_or_not_cheaper_is_left_alone() -> None:
    wide = stated(pose(mlp(60, 9, 8, 70, seed=0), (1, 60)))
    assert reduced(wide, Norm.LINF, Norm.L2).input_shape == (1, 60)
    assert reduced(wide, Norm.L2, Norm.L1).output_shape == (1, 70)
    assert reduced(wide, Norm.LINF, Norm.L1) is wide
    narrow = stated(pose(mlp(5, 9, 8, 3, seed=0), (1, 5)))
    assert reduced(narrow, Norm.L2, Norm.L2) is narrow
    conv = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(98, 2))
    image = stated(pose(conv.double(), (1, 3, 16, 16)))
    assert reduced(image, Norm.L2, Norm.L2) is image


def test_a_factor_that_costs_more_than_a_second_is_not_sought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = stated(pose(mlp(60, 9, 8, 3, seed=0), (1, 60)))
    monkeypatch.setattr(reduction, "DEAREST", 9 * 9 * 60)
    assert reduced(wide, Norm.L2, Norm.L2).input_shape == (9,)
    monkeypatch.setattr(reduction, "DEAREST", 9 * 9 * 60 - 1)
    assert reduced(wide, Norm.L2, Norm.L2) is wide


def test_an_input_that_is_read_twice_is_left_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.past, self.last = nn.Linear(30, 5), nn.Linear(30, 3), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.last(torch.relu(self.first(x))) + self.past(x)
            return y

    torch.manual_seed(0)
    graph = stated(pose(Twice().double(), (1, 30)))
    assert reduced(graph, Norm.L2, Norm.L2).input_shape == (1, 30)


def test_the_method_reports_the_network_itself() -> None:
    bound = LipSDP(seconds=20).bound(pose(mlp(300, 9, 8, 3, seed=0), (1, 300)))
    assert bound.proof is not None  # type: ignore[union-attr]
    proof = bound.proof()  # type: ignore[union-attr, misc]
    assert proof.graph.input_shape == (1, 300)
