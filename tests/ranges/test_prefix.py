"""The backward pass of linear bounds: never below what rational arithmetic makes of the same
bounds."""

import itertools
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref
from autolip.norms import Norm
from autolip.ranges.forward import known_of
from autolip.ranges.linear_bounds import Straight
from autolip.ranges.prefix import Prefix
from autolip.regions import Ball, Box, Region, as_region
from autolip.rules.propagate import checked_action

aten = torch.ops.aten


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def residual(seed: int, width: int) -> Graph:
    """x -> W2 relu(W1 x + b) + x, and tanh of it; a product of two values at the end."""
    size = torch.Size([width])

    def node(name: str, target: object, *args: object) -> Node:
        return Node(name, target, args, size)  # type: ignore[arg-type]

    nodes = (
        node("v", aten.linear.default, Ref("x"), draw(seed, width, width), draw(seed + 1, width)),
        node("z", aten.relu.default, Ref("v")),
        node("w", aten.linear.default, Ref("z"), draw(seed + 2, width, width), None),
        node("y", aten.add.Tensor, Ref("w"), Ref("x")),
        node("t", aten.tanh.default, Ref("y")),
        node("p", aten.mul.Tensor, Ref("t"), Ref("z")),
    )
    return Graph("x", size, nodes, "p")


def exact(prefix: Prefix, name: str, form: list[Fraction]) -> list[Fraction]:
    """What the bounds give in rational arithmetic: the constant, and then the form on the input."""
    pending, constant = {name: form}, Fraction(0)
    for step in reversed(list(prefix.bounds)):
        c = pending.pop(step, None)
        if c is None:
            continue
        bounds = prefix.bounds[step]
        for value, lo, hi in zip(c, bounds.lo.tolist(), bounds.hi.tolist(), strict=True):
            constant += value * Fraction(hi if value > 0 else lo)
        for edge in bounds.edges:
            if isinstance(edge, Straight):
                rows = edge.operator.matrix().T.tolist()
                part = [
                    sum((Fraction(a) * v for a, v in zip(row, c, strict=True)), Fraction(0))
                    for row in rows
                ]
            else:
                ends = zip(c, edge.lo.tolist(), edge.hi.tolist(), strict=True)
                part = [v * Fraction(hi if v > 0 else lo) for v, lo, hi in ends]
            before = pending.get(edge.source, [Fraction(0)] * len(part))
            pending[edge.source] = [a + b for a, b in zip(before, part, strict=True)]
    return [constant, *pending[prefix.input]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["v", "w", "y", "t", "p"])
def test_roundings_of_a_backward_pass(seed: int, name: str) -> None:
    graph, c = residual(10 * seed, 6), draw(seed + 5, 6)
    for region in (Box(c - 0.3, c + 0.1), Ball(c, 0.2), Ball(c, 0.2, Norm.LINF)):
        prefix = known_of(graph, region)
        units = torch.cat([torch.eye(6), -torch.eye(6)]).double()
        for form, found in zip(units, prefix.upper(name, units), strict=True):
            constant, *rest = exact(prefix, name, [Fraction(v) for v in form.tolist()])
            assert is_above(Fraction(found.item()) - constant, rest, region)


def cancelling(seed: int, width: int) -> Graph:
    """x -> W2 W1 x: the products of which each entry is the sum are far larger than it."""
    size = torch.Size([width])
    first = draw(seed, width, width) + 1e6
    signs = torch.ones(width).double()
    signs[1::2] = -1.0
    second = signs + 1e-6 * draw(seed + 1, width, width)
    nodes = (
        Node("v", aten.linear.default, (Ref("x"), first), size),
        Node("w", aten.linear.default, (Ref("v"), second), size),
    )
    return Graph("x", size, nodes, "w")


@pytest.mark.parametrize("seed", range(4))
def test_roundings_of_coefficients_that_cancel(seed: int) -> None:
    graph = cancelling(10 * seed, 6)
    region = Box(-torch.ones(6), torch.ones(6))
    prefix, units = known_of(graph, region), torch.eye(6).double()
    for form, found in zip(units, prefix.upper("w", units), strict=True):
        constant, *rest = exact(prefix, "w", [Fraction(v) for v in form.tolist()])
        assert is_above(Fraction(found.item()) - constant, rest, region)


def is_above(value: Fraction, form: list[Fraction], region: Region) -> bool:
    """Whether value >= max <form, x - c> over the region."""
    if isinstance(region, Box):
        ends = zip(form, region.lo.tolist(), region.hi.tolist(), strict=True)
        moved = [(f, *(Fraction(e) - Fraction(a / 2 + b / 2) for e in (a, b))) for f, a, b in ends]
        return value >= sum(max(f * a, f * b) for f, a, b in moved)
    assert isinstance(region, Ball)
    radius = Fraction(region.radius)
    if region.norm is Norm.LINF:
        return value >= radius * sum(map(abs, form))
    return value >= 0 and value**2 >= radius**2 * sum(f * f for f in form)


def test_the_work_of_a_form_counts_every_operation_once() -> None:
    prefix = known_of(residual(0, 6), Box(-torch.ones(6), torch.ones(6)))
    assert prefix.work("y") == prefix.work("v") + 36 + 3 * 8 * 6
    assert prefix.bends("v") == 0 and prefix.bends("w") > 0


@pytest.mark.parametrize("norm", Norm)
def test_forms_that_overflow_on_the_way_bound_nothing(norm: Norm) -> None:
    """1e200 1e200 - 1e200 1e200 / 2 is beyond the largest double, and inf - inf on the way."""
    rows = torch.tensor([[1e200], [0.5e200]], dtype=torch.float64)
    form = torch.tensor([[1e200, -1e200]], dtype=torch.float64)
    nodes = (
        Node("v", aten.linear.default, (Ref("x"), rows), torch.Size([2])),
        Node("w", aten.linear.default, (Ref("v"), form), torch.Size([1])),
    )
    prefix = known_of(Graph("x", torch.Size([1]), nodes, "w"), Ball(0.0, 1e-250, norm))
    assert prefix.upper("w", torch.ones(1, 1).double()).item() >= 0.5e150


def test_a_region_is_asked_for_the_support_of_finite_forms_only() -> None:
    """A region of the user's own may answer anything for others."""

    class Flat(Ball):
        """A ball whose support takes what is no number for 0."""

        def support(self, rows: Tensor) -> Tensor:
            return super().support(rows).nan_to_num(0.0, 0.0)

    rows = torch.tensor([[1e200], [0.5e200]], dtype=torch.float64)
    form = torch.tensor([[1e200, -1e200], [1.0, 0.0]], dtype=torch.float64)
    node = Node("v", aten.linear.default, (Ref("x"), rows), torch.Size([2]))
    region = as_region(Flat(0.0, 1e-250, Norm.L2))
    prefix = known_of(Graph("x", torch.Size([1]), (node,), "v"), region)
    assert prefix.upper("v", form).isfinite().tolist() == [False, True]


def product(width: int) -> Graph:
    """x_i y_i of a vector (x, y)."""
    size = torch.Size([width])
    halves = torch.eye(2 * width).double().split(width)
    nodes = (
        Node("u", aten.linear.default, (Ref("x"), halves[0]), size),
        Node("v", aten.linear.default, (Ref("x"), halves[1]), size),
        Node("p", aten.mul.Tensor, (Ref("u"), Ref("v")), size),
    )
    return Graph("x", torch.Size([2 * width]), nodes, "p")


def test_of_a_product_only_that_of_both_deviations_is_lost() -> None:
    """u v - m n = n (u - m) + m (v - n) + (u - m)(v - n): no linear bound is closer than the last
    term on both sides of the middle (m, n)."""
    middle, reach = draw(0, 10), draw(1, 10).abs()
    prefix = known_of(product(5), Box(middle - reach, middle + reach))
    (m, n), (a, b) = (t.split(5) for t in (middle, reach))
    above = prefix.upper("p", torch.eye(5).double())
    meant = n.abs() * a + m.abs() * b + a * b
    assert bool((above >= meant).all()) and torch.allclose(above, meant, rtol=1e-12)


def test_a_square_is_above_its_tangent() -> None:
    """x x from a to b: below its chord, above the tangent at the middle."""
    size = torch.Size([4])
    graph = Graph("x", size, (Node("p", aten.mul.Tensor, (Ref("x"), Ref("x")), size),), "p")
    middle, reach = draw(0, 4), draw(1, 4).abs()
    prefix = known_of(graph, Box(middle - reach, middle + reach))
    sides = torch.cat([torch.eye(4), -torch.eye(4)]).double()
    above, below = prefix.upper("p", sides).chunk(2)
    moved = 2 * middle.abs() * reach
    assert torch.allclose(above, moved + reach**2, rtol=1e-10)
    assert torch.allclose(below, moved, rtol=1e-10)


def test_a_selection_that_the_range_settles_but_not_with_the_point_of_reference() -> None:
    """The larger one is the first in the range; at a point beside it, it is the second."""
    box = Box(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.5]))
    prefix = Prefix(box, "x", torch.Size([2]))
    prefix.values["x"] = torch.tensor([0.0, 0.4], dtype=torch.float64)
    prefix.narrow("x", box.interval(torch.Size([2])))
    node = Node("y", aten.max.dim, (Ref("x"), 0), torch.Size([]), pick=0)
    outcome = prefix.outcome(node)
    prefix.add(node, outcome, checked_action(node, outcome))
    bounds, value, start = prefix.bounds["y"], prefix.values["y"], prefix.values["x"]
    for x in itertools.product((1.0, 2.0), (0.0, 0.5)):
        moved = torch.tensor(x, dtype=torch.float64) - start
        straight = sum(
            (
                edge.operator.mv(moved[None])[0]
                for edge in bounds.edges
                if isinstance(edge, Straight)
            ),
            torch.zeros((), dtype=torch.float64),
        )
        assert bool(straight + bounds.lo <= x[0] - value)
        assert bool(x[0] - value <= straight + bounds.hi)
