"""Signs that make every operation non-negative: found where there are some, refused elsewhere."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.signs import _mapped, consistent_signs
from autolip.graph.views import SlopeGraph, fused
from autolip.operators import Dense, add, compose
from autolip.regions import Everywhere
from autolip.rules import slopes_on


def graph_of(*weights: Tensor) -> SlopeGraph:
    """A chain of linear layers with relu between."""
    modules: list[nn.Module] = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
        layer.weight.data = weight.double()
        modules += [layer, nn.ReLU()]
    model = nn.Sequential(*modules[:-1])
    inputs = (torch.zeros(1, weights[0].shape[1]).double(),)
    return fused(slopes_on(capture_model(model, inputs).graph, Everywhere()))


def exist(a: Tensor, b: Tensor) -> bool:
    """Whether signs of input and output fit, by trying all; relu fixes those of the neurons: a
    neuron's slope is not negative, so that it keeps its sign."""
    inputs, width, outputs = a.shape[1], a.shape[0], b.shape[0]
    for signs in itertools.product((-1.0, 1.0), repeat=inputs + width + outputs):
        s = torch.tensor(signs)
        x, z, y = s[:inputs], s[inputs : inputs + width], s[inputs + width :]
        if bool((z[:, None] * a * x >= 0).all()) and bool((y[:, None] * b * z >= 0).all()):
            return True
    return False


@pytest.mark.parametrize("seed", range(12))
def test_they_are_found_where_there_are_some(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(3, 2, generator=generator)
    b = torch.randn(2, 3, generator=generator)
    if seed % 2:  # of one sign, but for signs of inputs, neurons and outputs
        x, z, y = (torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1 for n in (2, 3, 2))
        a = z[:, None] * a.abs() * x
        b = y[:, None] * b.abs() * z
    found = consistent_signs(graph_of(a, b))
    assert (found is not None) == exist(a, b)


def test_what_is_found_fits() -> None:
    a = torch.tensor([[1.0, -2.0], [-3.0, 4.0]])
    b = torch.tensor([[1.0, -1.0]])
    graph = graph_of(a, b)
    signs = consistent_signs(graph)
    assert signs is not None
    (relu,) = [vertex.name for vertex in graph if vertex.operation == "aten.relu.default"]
    x, z, y = (signs[name].flatten() for name in (graph.input, relu, graph.output))
    assert bool((z[:, None] * a * x >= 0).all()) and bool((y[:, None] * b * z >= 0).all())


def test_sums_of_operators_keep_positive_and_negative_apart() -> None:
    """Of sums, and of what goes through one operator after another, the entries are both parts'."""
    generator = torch.Generator().manual_seed(0)
    a, b, c = (Dense(torch.randn(3, 3, generator=generator).double()) for _ in range(3))
    operator = add(compose(a, b), c)
    x = torch.randn(3, generator=generator).double()
    found = _mapped(operator, x)
    assert found is not None
    positive, negative = found
    torch.testing.assert_close(positive - negative, operator.mv(x[None])[0])
    sizes = abs(a.matrix()) @ abs(b.matrix()) + abs(c.matrix())
    torch.testing.assert_close(positive + negative, sizes @ x.abs())
