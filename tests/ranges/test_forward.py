"""Ranges of whole networks: nothing lies outside, and they are closer than interval arithmetic."""

import itertools
import random
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.errors import AutolipError
from autolip.graph.graph import Graph, Node, Ref
from autolip.norms import Norm
from autolip.ranges import ENGINES, ranges
from autolip.ranges.engine import Engine
from autolip.regions import Ball, Box, Everywhere, Region
from autolip.rules import RULES, Rule, slopes_on
from autolip.rules.rule import Constant, Example, Variable
from autolip.slopes import Between
from autolip.testing.ranges import check_ranges
from tests.fuzz.drawing import network
from tests.fuzz.trials import captured

aten = torch.ops.aten


def regions(shape: torch.Size, seed: int, width: float) -> list[Region]:
    """Of every kind, a point and one with entries that cannot move among them."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(shape, generator=generator).double()
    wide = width * torch.rand(shape, generator=generator).double()
    some = torch.where(torch.rand(shape, generator=generator) < 0.5, 0.0, wide)
    return [
        Box(middle - wide, middle + 2 * wide),
        Box(middle, middle + some),
        Box(middle, middle),
        Ball(middle, width, Norm.L2),
        Ball(middle, width, Norm.LINF),
        Ball(middle, 0.0, Norm.L2),
    ]


def engines(number: int) -> list[Engine] | None:
    """All together mostly; in turn, as searches are dear, every engine alone."""
    alone = [[engine] for engine in ENGINES.values()]
    return None if number % 2 else alone[number // 2 % len(alone)]


class Written:
    """A captured graph written by hand."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.nodes = torch.Size(shape), list[Node]()

    def call(self, target: Callable[..., object], *args: object, shape: torch.Size) -> Ref:
        name = f"n{len(self.nodes)}"
        self.nodes.append(Node(name, target, args, shape))
        return Ref(name)

    def graph(self) -> Graph:
        return Graph("x", self.shape, tuple(self.nodes), self.nodes[-1].name)


def around(rule: Rule, example: Example, generator: torch.Generator) -> Graph:
    """A small network with one operation of the rule between two dense layers with a relu."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    made = Written(3)

    def fill(leaf: object) -> object:
        if isinstance(leaf, Constant):
            return normal(*leaf.shape).abs() if leaf.positive else normal(*leaf.shape)
        if not isinstance(leaf, Variable):
            return leaf
        size = torch.Size(leaf.shape).numel()
        weight, middle = normal(size, 3), (leaf.lo + leaf.hi) / 2 + 0.2 * normal(size)
        flat = torch.Size([size])
        read = made.call(aten.linear.default, Ref("x"), weight, 0.1 * normal(size), shape=flat)
        bent = made.call(aten.tanh.default, read, shape=flat)
        half = torch.tensor((leaf.hi - leaf.lo) / 2 * 0.8, dtype=torch.float64)
        moved = made.call(aten.mul.Tensor, bent, half, shape=flat)
        moved = made.call(aten.add.Tensor, moved, middle.clamp(leaf.lo, leaf.hi), shape=flat)
        shape = torch.Size(leaf.shape)
        return made.call(aten.reshape.default, moved, list(leaf.shape), shape=shape)

    args = tuple(fill(leaf) for leaf in example.args)
    kwargs = {key: fill(leaf) for key, leaf in example.kwargs.items()}
    node = Node("op", rule.target, args, torch.Size(), kwargs, example.pick)
    values: dict[str, Tensor] = {"x": torch.zeros(3, dtype=torch.float64)}
    for one in made.nodes:
        values[one.name] = one.call(values.__getitem__)
    result = node.call(values.__getitem__)
    pick = example.pick if isinstance(result, Tensor) else example.pick or 0
    result = result if isinstance(result, Tensor) else result[0]
    shape, size = result.shape, result.numel()
    made.nodes.append(Node("op", rule.target, args, shape, kwargs, pick))
    if result.dtype != torch.float64:
        return made.graph()
    flat = made.call(aten.reshape.default, Ref("op"), [size], shape=torch.Size([size]))
    read = made.call(aten.linear.default, flat, normal(4, size), normal(4), shape=torch.Size([4]))
    bent = made.call(aten.relu.default, read, shape=torch.Size([4]))
    made.call(aten.linear.default, bent, normal(2, 4), normal(2), shape=torch.Size([2]))
    return made.graph()


def plain(rule: Rule) -> bool:
    """Examples without masks."""
    leaves = [
        leaf for example in rule.examples for leaf in (*example.args, *example.kwargs.values())
    ]
    return not any(isinstance(leaf, Variable) and leaf.boolean for leaf in leaves) and any(
        isinstance(leaf, Variable) for leaf in leaves
    )


@pytest.mark.parametrize("rule", list(filter(plain, RULES.values())), ids=lambda rule: rule.name)
@pytest.mark.filterwarnings("ignore")
def test_no_value_lies_outside_whatever_the_operation(rule: Rule) -> None:
    for number, example in enumerate(rule.examples):
        generator = torch.Generator().manual_seed(number)
        graph = around(rule, example, generator)
        kinds = regions(graph.input_shape, number, 0.3)
        region = kinds[(number + len(rule.name)) % len(kinds)]
        asked = engines(len(rule.name)) if number == 0 else None
        check_ranges(graph, region, engines=asked, points=5, seed=number)


@pytest.mark.parametrize("seed", range(24))
def test_no_value_lies_outside_in_random_networks(seed: int) -> None:
    try:
        capture = captured(network(random.Random(seed)), False)
    except AutolipError:
        pytest.skip("not captured")
    if capture.graph.constant is None:
        kinds = regions(capture.graph.input_shape, seed, 10.0 ** -(seed % 3))
        for number, region in enumerate(kinds):
            asked = engines(seed) if number == seed % len(kinds) else None
            check_ranges(capture.graph, region, engines=asked, points=15, seed=seed)


def test_engines_of_methods_are_among_those_that_the_law_asks() -> None:
    """`rows` searches, and lives beside its search."""
    assert {"relaxation", "rows"} <= set(ENGINES)
    alone = [asked for number in range(2 * len(ENGINES)) if (asked := engines(number))]
    assert alone == [[engine] for engine in ENGINES.values()]


def dense(seed: int, *sizes: int) -> Graph:
    torch.manual_seed(seed)
    widths = sizes or (4, 6, 6, 2)
    layers = [
        layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())
    ]
    model = nn.Sequential(*layers[:-1]).double().eval()
    return capture_model(model, (torch.zeros(widths[0]).double(),), 0).graph


def test_the_first_affine_block_is_exact_on_balls() -> None:
    graph = dense(0, 5, 7, 2)
    weight, bias = graph.nodes[0].args[1], graph.nodes[0].args[2]
    c = torch.randn(5, generator=torch.Generator().manual_seed(3)).double()
    for norm, dual in ((Norm.L2, 2.0), (Norm.LINF, 1.0)):
        found = ranges(graph, Ball(c, 2.0, norm))[graph.nodes[0].name]
        middle, radius = weight @ c + bias, 2.0 * weight.norm(dual, dim=1)
        unsettled = middle.abs() < radius
        assert unsettled.any()
        ends = (found.lo, middle - radius), (found.hi, middle + radius)
        for end, meant in ends:
            assert torch.allclose(end[unsettled], meant[unsettled], rtol=1e-12, atol=1e-12)


def test_on_a_small_ball_every_neuron_is_settled() -> None:
    graph = dense(0, 3, 4, 4, 2)
    region = Ball(torch.tensor([0.5, -1.0, 2.0]).double(), 1e-9)
    slopes = slopes_on(graph, region, ranges(graph, region))
    ends = [e.slope for v in slopes for e in v.edges if isinstance(e.slope, Between)]
    assert ends and all(bool((slope.lo == slope.hi).all()) for slope in ends)


@pytest.mark.parametrize("seed", range(6))
def test_tiny_networks_in_rational_arithmetic(seed: int) -> None:
    """The exact value at every corner of a box, and at many exact points of it, is inside."""
    graph = dense(seed, 2, 3, 3, 1)
    c = torch.randn(2, generator=torch.Generator().manual_seed(seed)).double()
    box = Box(c - 0.5, c + 0.25)
    known = ranges(graph, box)
    steps = [Fraction(k, 8) for k in range(9)]
    for share in itertools.product(steps, repeat=2):
        ends = zip(box.lo.tolist(), box.hi.tolist(), share, strict=True)
        values = {"input": [Fraction(a) + t * (Fraction(b) - Fraction(a)) for a, b, t in ends]}
        values[graph.input] = values.pop("input")
        for node in graph:
            x = values[node.args[0].name]
            if node.target is aten.relu.default:
                values[node.name] = [max(v, Fraction(0)) for v in x]
            else:
                assert node.target is aten.linear.default
                values[node.name] = [
                    sum((Fraction(w) * v for w, v in zip(row, x, strict=True)), Fraction(b))
                    for row, b in zip(node.args[1].tolist(), node.args[2].tolist(), strict=True)
                ]
            ends = known[node.name].lo.tolist(), known[node.name].hi.tolist()
            for low, v, high in zip(ends[0], values[node.name], ends[1], strict=True):
                assert Fraction(low) <= v <= Fraction(high)


def test_unsettled_neurons_of_a_trained_size() -> None:
    """16-64-64-64-10 at radius .1: interval arithmetic leaves most neurons open, this few."""
    graph = dense(1, 16, 64, 64, 64, 10)
    region = Ball(torch.randn(16, generator=torch.Generator().manual_seed(0)).double(), 0.1)

    def open_neurons(known: dict[str, object]) -> int:
        slopes = slopes_on(graph, region, known)  # type: ignore[arg-type]
        ends = [e.slope for v in slopes for e in v.edges if isinstance(e.slope, Between)]
        return sum(int((slope.lo != slope.hi).sum()) for slope in ends)

    few, many = open_neurons(ranges(graph, region)), open_neurons({})  # type: ignore[arg-type]
    assert few <= 20 and many > 120


def test_everywhere_nothing_is_looked_for() -> None:
    assert ranges(dense(0), Everywhere()) == {}
