"""ONNX RNN, GRU and LSTM, unrolled over the example's sequence.

Shapes: `x` (time, batch, features); weights (directions, gates * hidden, features or hidden);
outputs (time, directions, batch, hidden) and the last states (directions, batch, hidden). With
`layout = 1` the batch comes first in all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

Activation = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]

ACTIVATIONS: dict[str, Activation] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Tanh": torch.tanh,
}


class Cell(Protocol):
    """One step in time; the first entry of the state is the output."""

    def __call__(self, x: Tensor, state: State) -> State: ...


@dataclass(frozen=True)
class Weights:
    """One direction's parameters: the gates' rows stacked."""

    inputs: Tensor
    states: Tensor
    input_bias: Tensor | None
    state_bias: Tensor | None

    @property
    def hidden(self) -> int:
        return self.states.shape[1]

    def of_input(self, x: Tensor) -> Tensor:
        return F.linear(x, self.inputs, self.input_bias)

    def of_state(self, h: Tensor, rows: slice = slice(None)) -> Tensor:
        return F.linear(
            h, self.states[rows], None if self.state_bias is None else self.state_bias[rows]
        )


@dataclass(frozen=True)
class RnnCell:
    """`h = f(W x + R h + b)`."""

    weights: Weights
    f: Activation

    def __call__(self, x: Tensor, state: State) -> State:
        return (self.f(self.weights.of_input(x) + self.weights.of_state(state[0])),)


@dataclass(frozen=True)
class GruCell:
    """`z, r = f(W x + R h + b)`, `n = g(...)`, `h = (1 - z) n + z h`; `r` before or after `R`."""

    weights: Weights
    f: Activation
    g: Activation
    linear_before_reset: bool

    def __call__(self, x: Tensor, state: State) -> State:
        (h,) = state
        cut = 2 * self.weights.hidden
        from_x = self.weights.of_input(x)
        rest = slice(cut, None)
        from_state = self.weights.of_state(h, slice(cut))
        entered = from_x[:, :cut]
        gates = self.f(entered + from_state)
        update, reset = gates.chunk(2, 1)
        if self.linear_before_reset:
            seen = self.weights.of_state(h, rest)
            from_h = reset * seen
        else:
            from_h = self.weights.of_state(reset * h, rest)
        entered = from_x[:, cut:]
        new = self.g(entered + from_h)
        return ((1 - update) * new + update * h,)


@dataclass(frozen=True)
class LstmCell:
    """`c = f c + i g(...)`, `h = o h(c)` with the gates `i, o, f`; peepholes let the gates see
    `c`."""

    weights: Weights
    f: Activation
    g: Activation
    h: Activation
    peepholes: tuple[Tensor, ...] | None
    input_forget: bool

    def __call__(self, x: Tensor, state: State) -> State:
        h, c = state
        entered = self.weights.of_input(x)
        gates = entered + self.weights.of_state(h)
        i, o, f, new = gates.chunk(4, 1)
        if self.peepholes is not None:
            seen_by_i = self.peepholes[0] * c
            i = i + seen_by_i
            seen_by_f = self.peepholes[2] * c
            f = f + seen_by_f
        entering = self.f(i)
        kept = 1 - entering if self.input_forget else self.f(f)
        added = entering * self.g(new)
        c = kept * c + added
        if self.peepholes is not None:
            seen_by_o = self.peepholes[1] * c
            o = o + seen_by_o
        return self.f(o) * self.h(c), c


def _check_shapes(
    gates: int, hidden_size: int | None, weight: Tensor, recurrence: Tensor, **others: Tensor | None
) -> None:
    """ValueError where the parameters do not have the shapes that so many gates ask for: sizes of
    1 would be broadcast in silence."""
    count, _, features = weight.shape
    hidden = recurrence.shape[2]
    if hidden_size not in (None, hidden):
        raise ValueError(f"its hidden_size is {hidden_size}, its states have {hidden} entries")
    wanted = {
        "weight": (gates * hidden, features),
        "recurrence": (gates * hidden, hidden),
        "bias": (2 * gates * hidden,),
        "peepholes": (3 * hidden,),
    }
    given = {"weight": weight, "recurrence": recurrence, **others}
    for name, value in given.items():
        if value is not None and tuple(value.shape) != (count, *wanted[name]):
            raise ValueError(
                f"its {name} has shape {tuple(value.shape)}, not {(count, *wanted[name])}"
            )


def _directions(weight: Tensor, recurrence: Tensor, bias: Tensor | None) -> list[Weights]:
    """The parameters of every direction; `bias` holds those of the input, then those of the
    state."""
    if bias is None:
        return [
            Weights(w, r, None, None)
            for w, r in zip(weight.unbind(0), recurrence.unbind(0), strict=True)
        ]
    pairs = [half.unbind(0) for half in bias.chunk(2, 1)]
    halves = zip(*pairs, strict=True)
    parts = zip(weight.unbind(0), recurrence.unbind(0), halves, strict=True)
    return [Weights(w, r, b, c) for w, r, (b, c) in parts]


def _activations(
    names: list[str] | None, default: list[str], directions: int
) -> list[list[Activation]]:
    """The activations of every direction."""
    names = names or default * directions
    unknown = sorted(set(names) - set(ACTIVATIONS))
    if unknown:
        raise UnsupportedOperation(
            f"the activation {unknown[0]}; supported are {', '.join(ACTIVATIONS)}"
        )
    functions = [ACTIVATIONS[name] for name in names]
    return [
        functions[start : start + len(default)] for start in range(0, len(functions), len(default))
    ]


def _run(
    x: Tensor,
    cells: list[Cell],
    hidden: int,
    given: list[Tensor | None],
    lengths: list[int] | None,
    direction: str,
    layout: int,
) -> tuple[Tensor, ...]:
    """All outputs, then the last states, of one cell per direction; a state not given starts at
    zero."""
    x = x.transpose(0, 1) if layout else x
    if lengths is not None and set(lengths) != {x.shape[0]}:
        raise UnsupportedOperation(
            "sequences of different lengths; give every sequence its full length"
        )
    zeros = torch.zeros(len(cells), x.shape[1], hidden, dtype=x.dtype, device=x.device)
    turned = [s.transpose(0, 1) if s is not None and layout else s for s in given]
    starts = [zeros if s is None else s for s in turned]
    if any(start.shape != zeros.shape for start in starts):
        raise ValueError(f"its states do not start in the shape {tuple(zeros.shape)}")
    of_directions = [start.unbind(0) for start in starts]
    states = zip(*of_directions, strict=True)
    orders = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}[direction]
    runs = [_unroll(x, *run) for run in zip(cells, states, orders, strict=True)]
    of_runs = [output for output, _ in runs]
    outputs = torch.stack(of_runs, 1)
    last = [torch.stack(ends) for ends in zip(*(state for _, state in runs), strict=True)]
    if layout:
        return outputs.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in last)
    return outputs, *last


def _unroll(x: Tensor, cell: Cell, state: State, order: int) -> tuple[Tensor, State]:
    outputs = []
    for step in x.unbind(0)[::order]:
        state = cell(step, state)
        outputs.append(state[0])
    return torch.stack(outputs[::order]), state


@onnx_operator("RNN")
def rnn(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None = None,
    lengths: list[int] | None = None,
    initial_h: Tensor | None = None,
    *,
    activations: list[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[Tensor, ...]:
    _check_shapes(1, hidden_size, weight, recurrence, bias=bias)
    functions = _activations(activations, ["Tanh"], weight.shape[0])
    directions = _directions(weight, recurrence, bias)
    cells: list[Cell] = [RnnCell(w, f) for w, (f,) in zip(directions, functions, strict=True)]
    return _run(x, cells, recurrence.shape[2], [initial_h], lengths, direction, layout)


@onnx_operator("GRU")
def gru(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None = None,
    lengths: list[int] | None = None,
    initial_h: Tensor | None = None,
    *,
    activations: list[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Tensor, ...]:
    _check_shapes(3, hidden_size, weight, recurrence, bias=bias)
    functions = _activations(activations, ["Sigmoid", "Tanh"], weight.shape[0])
    of_weights = _directions(weight, recurrence, bias)
    directions = zip(of_weights, functions, strict=True)
    cells: list[Cell] = [GruCell(w, f, g, bool(linear_before_reset)) for w, (f, g) in directions]
    return _run(x, cells, recurrence.shape[2], [initial_h], lengths, direction, layout)


@onnx_operator("LSTM")
def lstm(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None = None,
    lengths: list[int] | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    peepholes: Tensor | None = None,
    *,
    activations: list[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Tensor, ...]:
    _check_shapes(4, hidden_size, weight, recurrence, bias=bias, peepholes=peepholes)
    functions = _activations(activations, ["Sigmoid", "Tanh", "Tanh"], weight.shape[0])
    seen = (
        [None] * weight.shape[0] if peepholes is None else [p.chunk(3) for p in peepholes.unbind(0)]
    )
    of_weights = _directions(weight, recurrence, bias)
    directions = zip(of_weights, functions, seen, strict=True)
    cells: list[Cell] = [
        LstmCell(w, f, g, h, p, bool(input_forget)) for w, (f, g, h), p in directions
    ]
    return _run(x, cells, recurrence.shape[2], [initial_h, initial_c], lengths, direction, layout)
