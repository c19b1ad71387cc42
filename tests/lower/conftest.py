"""What the tests of lower bounds share: posing a problem, and re-evaluating a witness."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from autolip.capture.torch.export import Capture, capture_model
from autolip.lower import LowerProblem
from autolip.norms import Norm
from autolip.regions import Everywhere, Region
from autolip.values import Lower

Pose = Callable[..., LowerProblem]
Check = Callable[[LowerProblem, Any, Callable[[Tensor], Tensor]], float]


@cache
def _captured(
    model: Any, numbers: tuple[float, ...], shape: torch.Size, dtype: torch.dtype
) -> Capture:
    return capture_model(model, (torch.tensor(numbers, dtype=dtype).reshape(shape),))


@pytest.fixture
def pose() -> Pose:
    """A function that captures a model and poses the search for it."""

    def posed(
        model: Any,
        example: Tensor,
        region: Region | None = None,
        p: Norm = Norm.L2,
        q: Norm = Norm.L2,
        **options: Any,
    ) -> LowerProblem:
        capture = _captured(model, tuple(example.flatten().tolist()), example.shape, example.dtype)
        return LowerProblem.of(capture, region or Everywhere(), p, q, **options)

    return posed


@pytest.fixture
def check() -> Check:
    """A function that evaluates a witness with nothing of autolip, compares, and returns the
    bound's value."""

    def checked(problem: LowerProblem, found: Any, function: Callable[[Tensor], Tensor]) -> float:
        assert isinstance(found, Lower), found
        x, y, shape = found.witness.x, found.witness.y, problem.graph.input_shape
        with torch.no_grad():
            rise = torch.linalg.vector_norm(
                (function(x.reshape(shape)) - function(y.reshape(shape))).flatten(), problem.q.p
            ).item()
        run = torch.linalg.vector_norm((x - y).flatten(), problem.p.p).item()
        assert found.value <= rise / run * (1 + 1e-15)
        assert found.value >= rise / run * (1 - 1e-4)
        assert (
            problem.region.project(torch.stack([x, y])) - torch.stack([x, y])
        ).abs().max() < 1e-11
        return found.value

    return checked
