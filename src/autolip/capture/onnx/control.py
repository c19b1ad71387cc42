"""ONNX control flow whose conditions and trip counts no value of the input reaches: the branch that
is taken stands in the place of an If, the iterations one after the other in that of a Loop."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from onnx import GraphProto, NodeProto
from torch import Tensor

from autolip.capture.onnx.graph import PLACE, OnnxNode, Step, Value
from autolip.errors import UnsupportedOperation

if TYPE_CHECKING:
    from autolip.capture.onnx.translation import Walk

Scope = dict[str, Value]

LONGEST = 1000
"""Chosen: iterations of a loop that are written out, at most."""


def branch(walk: "Walk", node: NodeProto, scope: Scope) -> None:
    """Puts the branch that a known condition chooses in the place of the If."""
    taken = "then_branch" if _truth(scope[node.input[0]], "its condition") else "else_branch"
    body = _body(node, taken)
    inner = dict(scope)
    walk.graph(body, inner)
    for name, result in zip(node.output, body.output, strict=False):
        walk.enter(name, inner.get(result.name), scope)


def loop(walk: "Walk", node: NodeProto, scope: Scope) -> None:
    """Puts all iterations in the place of the Loop: what is carried goes from one to the next, what
    is scanned is stacked at the end."""
    trips, condition, *carried = [scope.get(name) for name in node.input] + [None, None]
    carried = carried[: max(len(node.input) - 2, 0)]
    body = _body(node, "body")
    scanned: list[list[Value]] = [[] for _ in body.output[1 + len(carried) :]]
    problems = len(walk.problems)
    count = 0
    while _goes_on(trips, condition, count):
        number = Value("iteration", torch.tensor(count), known=True)
        truth = condition or Value("condition", torch.tensor(True), known=True)
        given = zip(body.input, (number, truth, *carried), strict=True)
        inner = dict(scope) | {to.name: value for to, value in given if value is not None}
        walk.graph(body, inner)
        if len(walk.problems) > problems:
            walk.skip(node)
            return
        condition, *results = [inner.get(result.name) for result in body.output]
        carried = results[: len(carried)]
        for rows, value in zip(scanned, results[len(carried) :], strict=True):
            rows += [] if value is None else [value]
        count += 1
    for name, value in zip(node.output, carried, strict=False):
        walk.enter(name, value, scope)
    for name, rows in zip(node.output[len(carried) :], scanned, strict=False):
        walk.enter(name, _stacked(walk, name, rows), scope)


def _goes_on(trips: Value | None, condition: Value | None, count: int) -> bool:
    if count >= LONGEST:
        raise UnsupportedOperation(f"it runs more than {LONGEST} times")
    if trips is not None and count >= _number(trips):
        return False
    return condition is None or _truth(condition, "whether it goes on")


def _number(value: Value) -> int:
    if not value.known:
        raise UnsupportedOperation("its trip count depends on the values of the network's input")
    return int(value.tensor.item())


def _truth(value: Value, what: str) -> bool:
    if not value.known:
        raise UnsupportedOperation(f"{what} depends on the values of the network's input")
    return bool(value.tensor.item())


def _body(node: NodeProto, name: str) -> GraphProto:
    return next((one.g for one in node.attribute if one.name == name), GraphProto())


def _stacked(walk: "Walk", name: str, rows: Sequence[Value]) -> Value:
    if not rows:
        raise UnsupportedOperation(f"its scanned output '{name}' has no rows")
    result = Value(name, torch.stack([row.tensor for row in rows]), all(r.known for r in rows))
    module = OnnxNode(_stack, [PLACE] * len(rows), {})
    walk.steps.append(Step(name, module, rows, [result]))
    return result


def _stack(*rows: Tensor) -> Tensor:
    return torch.stack(rows)


CONTROL: Mapping[str, Callable[["Walk", NodeProto, Scope], None]] = {"If": branch, "Loop": loop}
"""By operator: what takes its place."""
