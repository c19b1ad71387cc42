"""Networks with known constants: weights are small integers and powers of two, so that Jacobians
are exact."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from autolip.norms import Norm
from autolip.regions import Ball, Box
from autolip.testing.tight import Tight, pieces
from autolip.testing.tight_functions import tight_functions
from autolip.testing.tight_ratios import stated

Function = Callable[[Tensor], Tensor]
Rows = Sequence[Sequence[float]]


class _Written(nn.Module):
    """A function with its layers, so that the capture sees them as parameters."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def tight_networks() -> tuple[Tight, ...]:
    """Every network of the zoo, in a fixed order."""
    return (*tight_compositions(), *tight_functions())


def tight_compositions() -> tuple[Tight, ...]:
    """The networks that are more than one activation."""
    makers = (
        _neurons,
        _one_sign,
        _two_layers,
        _pools,
        _orders,
        _residuals,
        _degenerate,
        _scales,
        _products,
        _balls,
    )
    return tuple(
        replace(network, within=stated(network.name)) for make in makers for network in make()
    )


def linear(rows: Rows, bias: Sequence[float] | float = 0.0) -> nn.Linear:
    """x -> A x + b in float64."""
    weight = torch.tensor(rows, dtype=torch.float64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    layer.weight.data = weight
    layer.bias.data = torch.as_tensor(bias, dtype=torch.float64).expand(len(weight)).clone()
    return layer


def chain(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers).double().eval()


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def orthants(size: int) -> Tensor:
    """One point in each orthant."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=size)), dtype=torch.float64)


def orders(size: int) -> Tensor:
    """One point for each order of the entries."""
    return torch.tensor(list(itertools.permutations(range(1, size + 1))), dtype=torch.float64)


def diagonal(*entries: float) -> Tensor:
    return torch.diag(torch.tensor(entries, dtype=torch.float64))


def _neurons() -> Iterator[Tight]:
    """Chains of one neuron: a product of numbers, exact for whatever multiplies or adds them up."""
    both = torch.tensor([[-8.0], [8.0]], dtype=torch.float64)
    for name, layers in {
        "one neuron": (linear([[3.0]], 1.0), nn.ReLU(), linear([[-2.0]])),
        "one leaky neuron of slope -3": (linear([[1.0]]), nn.LeakyReLU(-3.0), linear([[1.0]])),
        "one leaky neuron of slope 1/4": (
            linear([[-2.0]], 1.0),
            nn.LeakyReLU(0.25),
            linear([[1.5]]),
        ),
        "five neurons in a row": [
            layer for _ in range(5) for layer in (linear([[-1.5]]), nn.LeakyReLU(-2.0))
        ],
        "alternating neurons": (
            linear([[2.0]]),
            nn.LeakyReLU(-2.0),
            linear([[-1.0]]),
            nn.LeakyReLU(-0.5),
        ),
    }.items():
        model = chain(*layers)
        yield Tight(name, model, zeros(1, 1), pieces(model, both[:, None]))


def _one_sign() -> Iterator[Tight]:
    """Weights of one sign, up to signs of the neurons: all neurons at their steepest are the
    steepest pattern."""
    a = [[1.0, 2.0], [3.0, 1.0], [0.5, 0.0]]
    b = [[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]]
    c = [[2.0, 1.0]]
    ones = chain(linear(a), nn.ReLU(), linear(b), nn.ReLU(), linear(c))
    point = torch.ones(1, 1, 2)
    yield Tight("one sign", ones, zeros(1, 2), pieces(ones, point))
    layers = linear([[1.0, -2.0], [3.0, -1.0]]), nn.ReLU(), linear([[-1.0, -2.0], [2.0, 1.0]])
    signed = chain(*layers)
    yield Tight(
        "one sign behind signs", signed, zeros(1, 2), pieces(signed, torch.tensor([[[2.0, -2.0]]]))
    )
    leaky = chain(
        linear([[1.0, 2.0], [3.0, 1.0]]), nn.LeakyReLU(-3.0), linear([[1.0, 1.0], [2.0, 1.0]])
    )
    yield Tight("one sign, steepest below 0", leaky, zeros(1, 2), pieces(leaky, -point))


def _two_layers() -> Iterator[Tight]:
    """One hidden layer with independent rows: every pattern of its neurons is some orthant's."""
    rows = [[2.0, 1.0, 0.0], [-1.0, 2.0, 1.0], [1.0, 0.0, 3.0]]
    inverse = torch.linalg.inv(torch.tensor(rows, dtype=torch.float64))
    points = (orthants(3) @ inverse.T)[:, None]
    last = [[1.0, -2.0, 1.0], [1.0, 1.0, -1.0]]
    prelu = nn.PReLU(3, dtype=torch.float64)
    prelu.weight.data = torch.tensor([-3.0, 0.5, 1.5], dtype=torch.float64)
    for name, activation in {
        "relu": nn.ReLU(),
        "leaky relu of slope -3": nn.LeakyReLU(-3.0),
        "leaky relu of slope -1/2": nn.LeakyReLU(-0.5),
        "prelu by channel": prelu,
    }.items():
        model = chain(linear(rows), activation, linear(last))
        yield Tight(f"two layers, {name}", model, zeros(1, 3), pieces(model, points))
    diagonals = chain(
        linear(diagonal(4.0, 1.0).tolist()), nn.LeakyReLU(-3.0), linear(diagonal(0.5, 2.0).tolist())
    )
    yield Tight(
        "diagonal layers, slope -3", diagonals, zeros(1, 2), pieces(diagonals, orthants(2)[:, None])
    )
    turn = [[3.0, -4.0], [4.0, 3.0]]
    turns = chain(linear(turn), nn.LeakyReLU(-1.0), linear([[0.0, 2.0], [-2.0, 0.0]]))
    yield Tight("turns and reflections", turns, zeros(1, 2), pieces(turns, orthants(2)[:, None]))


def _pools() -> Iterator[Tight]:
    """Max-pools whose windows overlap: an entry that is the largest of several windows counts in
    each."""
    line = orders(5)[:, None, None]
    for name, pool in {
        "pool 3/1": nn.MaxPool1d(3, 1),
        "pool 2/1": nn.MaxPool1d(2, 1),
        "pool 3/2, padded": nn.MaxPool1d(3, 2, 1),
        "pool 3/1, dilated": nn.MaxPool1d(2, 1, dilation=2),
        "pool 2/2, rounded up": nn.MaxPool1d(2, 2, ceil_mode=True),
    }.items():
        yield Tight(name, pool, zeros(1, 1, 5), pieces(pool, line))
    peaks = torch.eye(25, dtype=torch.float64).reshape(25, 1, 1, 5, 5)
    kernel = nn.Conv2d(1, 1, 1, bias=False)
    kernel.weight.data.fill_(-0.5)
    square = chain(kernel, nn.MaxPool2d(3, 1))
    noise = torch.linspace(0, 0.25, 25, dtype=torch.float64).reshape(1, 1, 5, 5)
    at_peaks = pieces(square, noise - peaks)
    yield Tight(
        "convolution, pool 3/1", square, zeros(1, 1, 5, 5), at_peaks, norms=("l2", "l1", "linf")
    )
    doubled = chain(nn.MaxPool1d(2, 1), nn.MaxPool1d(2, 1))
    yield Tight("two pools", doubled, zeros(1, 1, 5), pieces(doubled, line))


def _orders() -> Iterator[Tight]:
    """Functions of the order of their entries."""
    four = orders(4)[:, None]
    for name, function in {
        "sort": lambda x: x.sort(-1).values,
        "largest entry": lambda x: x.amax(-1, keepdim=True),
        "largest less smallest": lambda x: x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True),
        "max of pairs": lambda x: torch.maximum(x[:, :2], x[:, 2:]),
        "min of pairs, doubled": lambda x: -2 * torch.minimum(x[:, :2], x[:, 2:]),
        "max of shifted copies": lambda x: torch.maximum(x[:, 1:], x[:, :-1]),
    }.items():
        yield Tight(name, function, zeros(1, 4), pieces(function, four))


def _residuals() -> Iterator[Tight]:
    """Sums over branches: some cancel, some share their source."""
    a = linear([[2.0, 1.0], [1.0, -1.0]])
    b = linear([[1.0, -1.0], [0.0, 2.0]])
    zero = linear([[0.0, 0.0], [0.0, 0.0]], 1.0)
    relu = torch.relu
    signs = orthants(2)[:, None]
    inner = (orthants(2) @ torch.linalg.inv(a.weight.data).T)[:, None]
    for name, function, layers, points in (
        ("x - x + relu(a x)", lambda x, a: x - x + relu(a(x)), (a,), inner),
        ("x + relu(a x) - x", lambda x, a: x + relu(a(x)) - x, (a,), inner),
        ("x - relu(x)", lambda x: x - relu(x), (), signs),
        ("x - 2 relu(x)", lambda x: x - 2 * relu(x), (), signs),
        ("relu(x) - relu(x)", lambda x: relu(x) - relu(x), (), signs),
        ("2 relu(x) - relu(2 x)", lambda x: 2 * relu(x) - relu(2 * x), (), signs),
        ("a x - a relu(x)", lambda x, a: a(x) - a(relu(x)), (a,), signs),
        ("a x + b relu(a x)", lambda x, a, b: a(x) + b(relu(a(x))), (a, b), inner),
        ("x + zero(relu(a x))", lambda x, a, z: x + z(relu(a(x))), (a, zero), inner),
        ("zero x + relu(x)", lambda x, z: z(x) + relu(x), (zero,), signs),
        ("relu(x) twice", lambda x: torch.cat([relu(x), relu(x)], -1), (), signs),
        ("h, 2 h, h + h of one relu", lambda x: _thrice(relu(x)), (), signs),
        ("relu(x) + relu(-x)", lambda x: relu(x) + relu(-x), (), signs),
        ("relu(x) - relu(-x)", lambda x: relu(x) - relu(-x), (), signs),
        ("relu(x), relu(-x)", lambda x: torch.cat([relu(x), relu(-x)], -1), (), signs),
    ):
        model = _Written(function, *layers).double().eval()
        yield Tight(name, model, zeros(1, 2), pieces(model, points))


def _thrice(h: Tensor) -> Tensor:
    return torch.cat([h, 2 * h, h + h], -1)


def _degenerate() -> Iterator[Tight]:
    """No layer at all, layers of small rank, neurons that are there twice, neurons without input or
    output."""
    nothing = chain()
    yield Tight("x alone", nothing, zeros(1, 2), pieces(nothing, orthants(2)[:, None]))
    last = linear([[1.0, -1.0, 2.0], [0.0, 1.0, 1.0]])
    line = torch.tensor([[[1.0, -1.0]], [[-1.0, 1.0]]], dtype=torch.float64)
    rank_one = chain(linear([[1.0, -2.0], [2.0, -4.0], [-1.0, 2.0]]), nn.ReLU(), last)
    yield Tight("hidden layer of rank one", rank_one, zeros(1, 2), pieces(rank_one, line))
    twice = chain(linear([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]]), nn.ReLU(), last)
    points = torch.tensor(
        [[[a, b]] for a, b in ((3, 1), (-3, 1), (3, -1), (-3, -1))], dtype=torch.float64
    )
    yield Tight("a neuron twice", twice, zeros(1, 2), pieces(twice, points))
    dead = chain(linear([[1.0, 0.0], [0.0, 0.0], [0.0, 3.0]], [0.0, -1.0, 0.0]), nn.ReLU(), last)
    yield Tight("a neuron without input", dead, zeros(1, 2), pieces(dead, orthants(2)[:, None]))
    unread = chain(linear([[1.0, 0.0], [0.0, 9.0]]), nn.ReLU(), linear([[2.0, 0.0], [1.0, 0.0]]))
    yield Tight(
        "a neuron that nothing reads", unread, zeros(1, 2), pieces(unread, orthants(2)[:, None])
    )
    bottleneck = chain(linear([[1.0, 2.0, -1.0]]), nn.LeakyReLU(-2.0), linear([[1.0], [-3.0]]))
    yield Tight(
        "a bottleneck of one neuron",
        bottleneck,
        zeros(1, 3),
        pieces(bottleneck, orthants(3)[:, None]),
    )
    scalar = chain(
        linear([[2.0, -1.0], [1.0, 3.0]]), nn.ReLU(), linear([[1.0, -2.0]]), nn.Flatten(0)
    )
    rows = torch.linalg.inv(torch.tensor([[2.0, -1.0], [1.0, 3.0]], dtype=torch.float64))
    yield Tight("one output", scalar, zeros(1, 2), pieces(scalar, (orthants(2) @ rows.T)[:, None]))


def _scales() -> Iterator[Tight]:
    """Layers that are tiny and huge: products that leave the range of a double, or nearly."""
    rows = [[1.0, 2.0], [-1.0, 1.0]]
    last = [[1.0, -1.0], [1.0, 2.0]]
    points = (orthants(2) @ torch.linalg.inv(torch.tensor(rows, dtype=torch.float64)).T)[:, None]
    for power in (20, -20, 530, -530):
        for other in (-power, power):
            if abs(power + other) > 1000:
                continue
            first, second = (math.ldexp(1.0, e) for e in (power, other))
            layers = (
                [[x * first for x in row] for row in rows],
                [[x * second for x in row] for row in last],
            )
            model = chain(linear(layers[0]), nn.ReLU(), linear(layers[1]))
            small = pieces(model, points * min(1.0, 1 / first))
            yield Tight(f"layers of 2^{power} and 2^{other}", model, zeros(1, 2), small)
    graded = chain(
        linear(diagonal(2.0**400, 1.0).tolist()),
        nn.ReLU(),
        linear(diagonal(2.0**-400, 3.0).tolist()),
    )
    yield Tight("graded layers", graded, zeros(1, 2), pieces(graded, orthants(2)[:, None]))


def _products() -> Iterator[Tight]:
    """Products of variables on boxes: Jacobians are affine in the input, so the corners' are the
    extreme ones."""
    box = Box(torch.tensor([[-1.0, 0.5]]), torch.tensor([[3.0, 2.0]]))
    corners = torch.tensor([[[x, y]] for x in (-1.0, 3.0) for y in (0.5, 2.0)], dtype=torch.float64)
    for name, function in {
        "x^2": lambda x: x * x,
        "x y": lambda x: x[:, :1] * x[:, 1:],
        "x (y + 2) - 2 x": lambda x: x[:, :1] * (x[:, 1:] + 2) - 2 * x[:, :1],
        "3 x - x^2": lambda x: 3 * x - x * x,
    }.items():
        yield Tight(f"{name} on a box", function, zeros(1, 2) + 1, pieces(function, corners), box)


def _balls() -> Iterator[Tight]:
    """Entrywise networks on balls: each entry lies between centre - radius and centre + radius,
    whatever the norm."""
    centre = torch.tensor([[0.5, -2.0]], dtype=torch.float64)
    model = chain(
        linear(diagonal(1.0, 4.0).tolist()), nn.LeakyReLU(-3.0), linear(diagonal(2.0, 1.0).tolist())
    )
    for radius, norm in ((0.25, Norm.L2), (0.25, Norm.LINF), (1.0, Norm.L2), (1.0, Norm.LINF)):
        points = centre + torch.tensor([[[0.0, 0.0]], [[-0.9 * radius, 0.0]]], dtype=torch.float64)
        yield Tight(
            f"diagonal layers on an {norm.value} ball of radius {radius}",
            model,
            centre,
            pieces(model, points),
            Ball(centre, radius, norm),
        )
