"""What a program computes by sums and products with constants, as forms."""

import torch
from torch import Tensor, fx, nn

from autolip.capture.torch import sines
from autolip.capture.torch.linear_forms import WIDEST, Forms, plus, times


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c = torch.cos(self.t / 2)
        first = -(x * c) + 3 * y / 4 - 1.5
        return first, x * y, first + x.sum()


def test_forms_of_sums() -> None:
    program = torch.export.export(Summed(), (torch.ones(3), torch.ones(3)))
    nodes: list[fx.Node] = list(program.graph.nodes)
    x, y = (node for node in nodes if node.name in ("x", "y"))
    varying = {node for node in nodes if node in (x, y) or (node.args and node.name != "output")}
    constant = {node for node in nodes if "cos" in node.name or node.args == (nodes[0], 2)}
    forms = Forms(program.graph, varying - constant)
    first, product, shifted = nodes[-1].args[0]  # type: ignore[misc]
    half = sines.cosine(((nodes[0].name, sines.HALF),))
    assert forms.of(first) == {
        x: -half,
        y: sines.number(0.75),
        None: sines.number(-1.5),
    }
    assert set(forms.of(product)) == {product}, "no form beyond sums: a value of its own"
    assert set(forms.of(shifted)) == {shifted}, "not entry by entry: a value of its own"


def test_what_cancels_is_left_out() -> None:
    graph = fx.Graph()
    values = [graph.placeholder(f"x{k}") for k in range(WIDEST)]
    form = {value: sines.symbol("c") for value in values}
    assert plus(form, form, -1) == {}
    assert plus(form, times(form, sines.number(-1))) == {}
    assert times(form, sines.number(0)) == {}
