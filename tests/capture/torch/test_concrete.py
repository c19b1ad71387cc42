"""Shapes and branches that depend on constants are those of a run; on data: refused."""

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.replay import replay
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError
from autolip.graph.evaluate import evaluate


class Kept(nn.Module):
    """A function of x and of stored constants."""

    def __init__(self, function, **stored: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, value in stored.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


MASK = torch.tensor([True, False, True, True])
EDGES = torch.tensor([[0, 1, 2, 3, 3], [1, 2, 3, 0, 1]])


def message_passing(self: Kept, x: Tensor) -> Tensor:
    edges = self.adjacency.nonzero()
    out = torch.zeros(4, 4)
    return torch.relu(out.index_add(0, edges[:, 0], x[edges[:, 1]]))


def counted(self: Kept, x: Tensor) -> Tensor:
    out = torch.zeros(int(self.edges.max()) + 1, 4, dtype=x.dtype)
    return out.scatter_add(0, self.edges[1].unsqueeze(1).expand(-1, 4), x[self.edges[0]])


def looped(self: Kept, x: Tensor) -> Tensor:
    for _ in range(self.count.item()):
        x = torch.tanh(x)
    return x


def written(self: Kept, x: Tensor) -> Tensor:
    y = 2 * x
    y[:, self.mask] = 0.0
    return y


ADJACENCY = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]])

KNOWN = {
    "a mask": Kept(lambda self, x: x[:, self.mask], mask=MASK),
    "a mask of rows and columns": Kept(lambda self, x: x[self.mask.expand(4, 4)], mask=MASK),
    "a mask from weights": Kept(
        lambda self, x: x[:, self.weight > 0], weight=torch.tensor([0.5, -1.0, 2.0, -0.1])
    ),
    "a mask written to": Kept(written, mask=MASK),
    "masked_select": Kept(lambda self, x: torch.masked_select(x, self.mask), mask=MASK),
    "nonzero": Kept(message_passing, adjacency=ADJACENCY),
    "a size from indices": Kept(counted, edges=EDGES),
    "unique": Kept(
        lambda self, x: x[:, torch.unique(self.index)], index=torch.tensor([3, 0, 3, 1])
    ),
    "repeat_interleave": Kept(
        lambda self, x: x.repeat_interleave(self.times, 1), times=torch.tensor([2, 0, 1, 3])
    ),
    "a loop": Kept(looped, count=torch.tensor(3)),
    "a list": Kept(lambda self, x: x[:, self.index.tolist()], index=torch.tensor([3, 0])),
    "a mask of numpy": Kept(lambda self, x: x[:, self.mask.numpy()], mask=MASK),
    "a mask in a list": Kept(lambda self, x: x[:, self.mask.tolist()], mask=MASK),
    "a branch": Kept(lambda self, x: x if self.gain > 0 else -x, gain=torch.tensor(-2.0)),
    "a number": Kept(lambda self, x: x * self.gain.item(), gain=torch.tensor(-2.0)),
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_depends_on_constants_is_known(name: str) -> None:
    model, x = KNOWN[name], torch.randn(4, 4)
    capture = capture_model(model, (x,))
    assert replay(capture) <= 1e-12
    torch.testing.assert_close(evaluate(capture.graph, x.double()).float(), model(x))


@pytest.mark.parametrize(
    ("function", "fixed"),
    [
        (lambda x, mask: x[:, mask], MASK),
        (lambda x, size: x[:, : int(size)], torch.tensor(3)),
        (lambda x, flag: x if flag else -x, torch.tensor(False)),
    ],
)
def test_an_input_that_is_held_fixed_is_a_constant(function, fixed: Tensor) -> None:
    x = torch.randn(4, 4)
    for varying in (0, "x"):
        assert replay(capture_model(function, (x, fixed), varying)) == 0.0
    with pytest.raises(InputError, match=r"depends on the data|needs a floating-point input"):
        capture_model(function, (x, fixed), 1)


def test_numbers_from_weights_are_those_of_float64() -> None:
    weight = torch.tensor([1.0, 3.0, 7.0])
    model = Kept(lambda self, x: x * self.weight.norm().item(), weight=weight)
    (node,) = capture_model(model, (torch.randn(3),)).graph.nodes
    assert node.args[1] == pytest.approx(weight.double().norm().item(), rel=1e-15)


def through_memory(self: Kept, x: Tensor) -> Tensor:
    kept = torch.zeros(4, 4)
    kept[0].copy_(x[0])
    return x if bool(kept.sum() > 0) else -x


def listed(self: Kept, x: Tensor) -> Tensor:
    return x * self.gain * sum(x[0].tolist())


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x if x.sum() > self.gain else -x,
        lambda self, x: x * self.gain if (x > 0).any() else x,
        lambda self, x: x[x > self.gain],
        through_memory,
        listed,
    ],
)
def test_what_depends_on_the_data_is_refused(function) -> None:
    with pytest.raises(InputError, match="depends on the data"):
        capture_model(Kept(function, gain=torch.tensor(2.0)), (torch.randn(4, 4),))


CALLS = list[int]()


class Changing(nn.Module):
    """Every call asks once more than the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("flag", torch.tensor(True))

    def forward(self, x: Tensor) -> Tensor:
        CALLS.append(1)
        return x.tanh() if all(bool(self.flag) for _ in CALLS) else x


def test_a_model_that_changes_from_call_to_call_is_refused() -> None:
    with pytest.raises(InputError, match="did not make the same calls"):
        capture_model(Changing(), (torch.randn(3),))
