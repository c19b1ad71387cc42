"""Random networks as data: steps that can be run, written down as a runnable module, or evaluated
to 80 digits."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import mpmath
import numpy as np
import torch
from torch import Tensor, nn

from tests.fuzz.kinds import KINDS

mpmath.mp.dps = 80


@dataclass(frozen=True)
class Step:
    """One operation: its kind, the values it reads (0 is the input, k the result of step k),
    settings and weights."""

    kind: str
    of: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def code(self, number: int) -> str:
        """The step as an expression of PyTorch."""
        operands = [f"v{i}" for i in self.of]
        names = {name: f"self.{name}{number}" for name in self.weights}
        return KINDS[self.kind].torch.format(*operands, **(self.settings | names))


@dataclass(frozen=True)
class Network:
    """Steps in order; the last one is the output."""

    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    dtype: torch.dtype = torch.float32

    @property
    def lines(self) -> list[str]:
        return [f"v{k} = {step.code(k)}" for k, step in enumerate(self.steps, 1)]

    def module(self, dtype: torch.dtype | None = None) -> nn.Module:
        """The network in PyTorch."""
        body = "\n        ".join([*self.lines, f"return v{len(self.steps)}"])
        scope: dict[str, Any] = {}
        exec(HEADER + f"class Net(nn.Module):\n    def forward(self, v0):\n        {body}\n", scope)
        module: nn.Module = scope["Net"]()
        for k, step in enumerate(self.steps, 1):
            for name, weight in step.weights.items():
                module.register_buffer(f"{name}{k}", weight.to(self.dtype).to(dtype or self.dtype))
        return module.eval()

    @cached_property
    def double(self) -> nn.Module:
        return self.module(torch.float64)

    def __call__(self, x: Tensor) -> Tensor:
        """f(x) in float64."""
        result: Tensor = self.double(x)
        return result

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of every value."""
        body = ", ".join(f"v{k}" for k in range(len(self.steps) + 1))
        module = replace(self, steps=(*self.steps, Step("tuple", (), {"body": body}))).double
        return [
            tuple(value.shape) for value in module(torch.zeros(self.shape, dtype=torch.float64))
        ]

    def exact(self, x: np.ndarray) -> np.ndarray:
        """f(x) to 80 digits, for an array of mpmath numbers."""
        values = [x]
        for step in self.steps:
            weights = {name: digits(weight.to(self.dtype)) for name, weight in step.weights.items()}
            value = KINDS[step.kind].exact(step, [values[i] for i in step.of], weights)
            values.append(np.asarray(value, dtype=object))
        return values[-1]

    def pruned(self) -> "Network":
        """Without the steps that the output does not need."""
        needed = {len(self.steps)}
        for k in range(len(self.steps), 0, -1):
            needed |= set(self.steps[k - 1].of) if k in needed else set()
        kept = sorted(needed - {0})
        new = {0: 0} | {old: number for number, old in enumerate(kept, 1)}
        steps = [
            replace(self.steps[k - 1], of=tuple(new[i] for i in self.steps[k - 1].of)) for k in kept
        ]
        return replace(self, steps=tuple(steps))

    def single(self) -> "Network":
        """With settings that single precision holds: those of an ONNX file are."""
        rounded = [
            {
                name: float(np.float32(v)) if isinstance(v, float) else v
                for name, v in step.settings.items()
            }
            for step in self.steps
        ]
        return replace(
            self,
            steps=tuple(replace(a, settings=b) for a, b in zip(self.steps, rounded, strict=True)),
        )

    def source(self) -> str:
        """The definition of `model` as text."""
        stored = [
            f"        self.register_buffer({f'{name}{k}'!r}, {literal(weight.to(self.dtype))})"
            for k, step in enumerate(self.steps, 1)
            for name, weight in step.weights.items()
        ]
        body = [f"        {line}" for line in (*self.lines, f"return v{len(self.steps)}")]
        head = ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        return "\n".join(
            [*head, *stored, "    def forward(self, v0):", *body, "model = Net().eval()"]
        )


HEADER = """import math
import torch
from torch import nn
from torch.nn import functional as F
"""


def literal(x: Tensor) -> str:
    """A tensor as an expression, every digit kept."""
    return f"torch.tensor({x.tolist()}, dtype={x.dtype})"


def digits(x: Tensor) -> np.ndarray:
    """The very numbers of a tensor, as mpmath numbers."""
    flat = [mpmath.mpf(value) for value in x.double().flatten().tolist()]
    return filled(flat, tuple(x.shape))


def filled(values: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)
