"""What an affine rule says, against the derivative of the operation itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.intervals import Interval
from autolip.rules import RULES
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Constant, Example, Operand, Variable
from autolip.slopes import Exact


@dataclass(frozen=True)
class Call:
    """An example with its constants drawn: the operation as a function of its variables, and the
    rule's answer."""

    function: Callable[..., Tensor]
    operands: tuple[Operand, ...]
    action: Action


def call_of(target: Any, example: Example, seed: int = 0) -> Call:
    """The example on a random box for each of its variables."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
    filled = [0.5 + draw(*leaf.shape) if isinstance(leaf, Constant) else leaf for leaf in leaves]
    operands = []
    for i, leaf in enumerate(filled):
        if isinstance(leaf, Variable):
            lo = leaf.lo + (leaf.hi - leaf.lo) * draw(*leaf.shape) / 2
            hi = torch.minimum(lo + draw(*leaf.shape), torch.tensor(leaf.hi))
            operands.append(Operand(f"x{i}", lo.shape, Interval(lo, hi.double())))

    def bound(values: Iterator[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return pytree.tree_unflatten(
            [next(values) if isinstance(leaf, Variable) else leaf for leaf in filled], spec
        )

    def function(*values: Tensor) -> Tensor:
        args, kwargs = bound(iter(values))
        result = target(*args, **kwargs)
        return result if isinstance(result, Tensor) else result[example.pick or 0]

    args, kwargs = bound(iter(operands))
    outcome = RULES[target](*args, **kwargs)[example.pick or 0]
    shape = function(*(operand.range.lo for operand in operands)).shape
    return Call(function, tuple(operands), action_of(outcome, shape))


def differences(call: Call, number: int) -> Tensor:
    """The matrix of an affine function towards one of its variables, column by column: f(x + e_i) -
    f(x)."""
    middles = [x.range.lo / 2 + x.range.hi / 2 for x in call.operands]
    start, columns = call.function(*middles).flatten(), []
    for i in range(middles[number].numel()):
        moved = middles[number].flatten().clone()
        moved[i] += 1
        others = [*middles[:number], moved.reshape(middles[number].shape), *middles[number + 1 :]]
        columns.append((call.function(*others).flatten() - start).nan_to_num(0.0))
    return torch.stack(columns, 1)


def _check_affine(call: Call) -> None:
    """Every matrix is that of the operation, its transpose the adjoint, and the ends of the image
    are attained."""
    middles = [x.range.lo / 2 + x.range.hi / 2 for x in call.operands]
    centre, reach = (
        call.function(*middles),
        torch.zeros(call.action.image.shape, dtype=torch.float64),
    )
    slopes = {operand.name: slope for operand, slope in call.action.slopes}
    for number, operand in enumerate(call.operands):
        matrix = differences(call, number)
        if operand.name in slopes:
            slope = slopes[operand.name]
            assert isinstance(slope, Exact)
            torch.testing.assert_close(slope.operator.matrix(), matrix, rtol=0, atol=1e-12)
            torch.testing.assert_close(slope.operator.T.matrix(), matrix.T, rtol=0, atol=1e-12)
        else:
            assert not matrix.any()
        radius = (operand.range.hi - operand.range.lo).flatten() / 2
        reach += (matrix.abs() @ radius).reshape(reach.shape)
    torch.testing.assert_close(call.action.image.lo, centre - reach, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(call.action.image.hi, centre + reach, rtol=1e-12, atol=1e-12)


def _affine_examples(group: str) -> Iterator[Any]:
    """Every example of a module on which its rule answers with exact slopes."""
    for rule in RULES.values():
        for i, example in enumerate(rule.examples if rule.group == group else ()):
            open_mask = any(
                getattr(leaf, "boolean", False) for leaf in pytree.tree_leaves(example.args)
            )
            if not open_mask:
                call = call_of(rule.target, example)
                if all(isinstance(slope, Exact) for _, slope in call.action.slopes):
                    yield pytest.param(call, id=f"{rule.name}-{i}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`affine_call`: the affine examples of the rules that the test module is named after."""
    if "affine_call" in metafunc.fixturenames:
        group = metafunc.module.__name__.rsplit("test_", 1)[-1]
        calls = list(_affine_examples(group))
        assert calls, f"no affine example in {group}"
        metafunc.parametrize("affine_call", calls)


@pytest.fixture
def check_affine() -> Callable[[Call], None]:
    return _check_affine


@pytest.fixture
def act() -> Callable[..., Action]:
    """A rule's answer to a call, operands given by their ranges."""

    def answer(target: Any, *args: Any, pick: int = 0, **kwargs: Any) -> Action:
        leaves, spec = pytree.tree_flatten(
            (args, kwargs), is_leaf=lambda leaf: isinstance(leaf, Interval)
        )
        named = [
            Operand(f"x{i}", v.shape, v) if isinstance(v, Interval) else v
            for i, v in enumerate(leaves)
        ]
        given, named_args = pytree.tree_unflatten(named, spec)
        action = RULES[target](*given, **named_args)[pick]
        return action if isinstance(action, Action) else action_of(action, torch.Size())

    return answer
