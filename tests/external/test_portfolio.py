"""The portfolio on networks of the external zoo: published columns reproduced, exact constants respected."""

import pytest
import torch

from autolip.capture.torch_export import capture_model
from autolip.methods import Bound, Problem, method_named
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Upper

from .zoo_networks import NETWORKS, ZOO

pytestmark = pytest.mark.skipif(not ZOO.is_dir(), reason=f"the external zoo {ZOO} is not here")

PUBLISHED = {
    ("iris", "liplt"): 14.3299,
    ("iris", "eclipse-fast"): 13.0148,
    ("wine", "liplt"): 3.3755,
    ("wine", "eclipse-fast"): 3.6651,
}
"""Published values, to the printed digits."""

AT_MOST = {
    ("mlp_L65_W16", "layerwise"): 1.16e-5,
    ("cnn_C9_CH8", "layerwise"): 167.9,
    ("cnn_C9_CH8", "liplt"): 242.0,
    ("cnn_C17_CH16", "layerwise"): 2978.0,
    ("cnn_C17_CH16", "liplt"): 5615.0,
    ("wine", "rescaled"): 3.8,
}
"""Published values for images of any size; ours are for 12 x 12, or better."""

EXACT = {"iris": 11.634355135, "wine": 1.743370}


def bound(name: str, method: str) -> float:
    factory, shape = NETWORKS[name]
    model = factory()
    x = torch.zeros(shape).to(next(model.parameters()).dtype)
    problem = Problem.pose(capture_model(model, (x,)).graph, Everywhere(), Norm.L2, Norm.L2, NormOptions(delta=1e-11))
    found = method_named(method).bound(problem)
    assert isinstance(found, Bound) and isinstance(found.value, Upper)
    return found.value.value


@pytest.mark.parametrize(("name", "method"), PUBLISHED)
def test_published_columns(name: str, method: str) -> None:
    assert bound(name, method) == pytest.approx(PUBLISHED[name, method], abs=5.01e-5)


@pytest.mark.parametrize(("name", "method"), AT_MOST)
def test_at_or_below_what_is_published(name: str, method: str) -> None:
    assert 0 < bound(name, method) <= AT_MOST[name, method]


@pytest.mark.parametrize("name", EXACT)
def test_exact_constants_are_respected(name: str) -> None:
    for method in ("autolip", "layerwise", "rescaled", "liplt", "nonnegative"):
        found = bound(name, method)
        assert EXACT[name] * (1 - 1e-6) <= found
        assert found <= bound(name, "autolip") * (1 + 1e-9) or method == "nonnegative"
