"""The module an ONNX file becomes: one submodule of plain torch functions per ONNX node."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from autolip.capture.onnx.operators import Function


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph, as it is on the example; `known` if no value of the input reaches
    it."""

    name: str
    tensor: Tensor
    known: bool


@dataclass(frozen=True, eq=False)
class Step:
    """One node that remains: its module, what goes in, and what comes out (None: folded away)."""

    name: str
    module: nn.Module
    inputs: Sequence[Value]
    outputs: Sequence[Value | None]


# Stands in an argument list where the next tensor goes.
PLACE = object()


class OnnxNode(nn.Module):
    """An operator's function with everything but the tensors bound; `PLACE` marks where they go."""

    def __init__(
        self, function: Function, positional: Sequence[object], keyword: Mapping[str, object]
    ) -> None:
        super().__init__()
        self.function = function
        self.positional = tuple(positional)
        self.keyword = dict(keyword)

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        places = iter(tensors)
        positional = [next(places) if value is PLACE else value for value in self.positional]
        keyword = {
            name: next(places) if value is PLACE else value for name, value in self.keyword.items()
        }
        return self.function(*positional, **keyword)


class OnnxGraph(nn.Module):
    """The network `(inputs) -> outputs`: weights are buffers, nodes are submodules named as in the
    file."""

    def __init__(
        self, inputs: Sequence[Value], steps: Sequence[Step], outputs: Sequence[Value]
    ) -> None:
        super().__init__()
        slots = {value: slot for slot, value in enumerate(_all_values(inputs, steps, outputs))}
        produced = {*inputs, *(value for step in steps for value in step.outputs)}
        self._inputs = [slots[value] for value in inputs]
        self._outputs = [slots[value] for value in outputs]
        self._schedule = [
            (
                _add(self, step),
                [slots[v] for v in step.inputs],
                [None if v is None else slots[v] for v in step.outputs],
            )
            for step in steps
        ]
        self._constants = {
            slot: _keep(self, value) for value, slot in slots.items() if value not in produced
        }

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        values: dict[int | None, Tensor] = dict(zip(self._inputs, inputs, strict=True))
        values |= {slot: getattr(self, name) for slot, name in self._constants.items()}
        for name, arguments, results in self._schedule:
            computed = getattr(self, name)(*(values[slot] for slot in arguments))
            values.update(
                zip(results, computed if isinstance(computed, tuple) else (computed,), strict=False)
            )
        outputs = tuple(values[slot] for slot in self._outputs)
        return outputs if len(outputs) > 1 else outputs[0]


def _all_values(
    inputs: Sequence[Value], steps: Sequence[Step], outputs: Sequence[Value]
) -> dict[Value, None]:
    """Every value once, in order of appearance."""
    passing = (
        value for step in steps for value in (*step.inputs, *step.outputs) if value is not None
    )
    return dict.fromkeys((*inputs, *passing, *outputs))


def _add(module: nn.Module, step: Step) -> str:
    name = _free_name(module, step.name, "node")
    module.add_module(name, step.module)
    return name


def _keep(module: nn.Module, value: Value) -> str:
    name = _free_name(module, value.name, "constant")
    module.register_buffer(name, value.tensor)
    return name


def _free_name(module: nn.Module, wanted: str, prefix: str) -> str:
    """`wanted` (bytes if the file is not valid UTF-8) as an identifier that the module does not
    have yet."""
    name = re.sub(r"\W+", "_", str(wanted)).strip("_")
    name = name if name and not name[0].isdigit() else f"{prefix}_{name}"
    candidates = itertools.chain([name], (f"{name}_{count}" for count in itertools.count(2)))
    return next(candidate for candidate in candidates if not hasattr(module, candidate))
