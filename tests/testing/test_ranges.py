"""The law of ranges notices one that is too small."""

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.intervals import Interval
from autolip.ranges import ranges
from autolip.regions import Ball
from autolip.testing import LawViolation
from autolip.testing.ranges import check_ranges


def test_a_range_that_is_too_small_is_noticed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double().eval()
    graph, region = capture_model(model, (torch.zeros(3).double(),), 0).graph, Ball([0, 0, 0], 1.0)
    known = ranges(graph, region)
    check_ranges(graph, region, known=known)
    name = graph.nodes[0].name
    whole = known[name]
    part = Interval(whole.lo * 0.5 + whole.hi * 0.5, whole.hi)
    with pytest.raises(LawViolation, match="its range"):
        check_ranges(graph, region, known=known | {name: part})
