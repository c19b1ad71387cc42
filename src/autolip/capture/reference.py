"""The original model as a function of what varies: in float64 where it can be, else as it
stands."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from autolip.capture.guarded import users_code
from autolip.capture.results import Returned, picked
from autolip.capture.varying import Varying
from autolip.operators.operator import DTYPE

NARROWING = frozenset({"float", "half", "bfloat16"})
Function = Callable[[Tensor], Tensor]


class Promoted(TorchFunctionMode):
    """Every floating-point number is computed in float64, whatever type the model asks for.

    `x.float()` is x, weights that a function closes over are widened, `dtype=torch.float32` means
    float64.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in NARROWING:
            func = Tensor.double
        kept = args[:1] if _writes(name) else ()
        rest, kwargs = pytree.tree_map(_widened, (args[len(kept) :], kwargs or {}))
        result = func(*kept, *rest, **kwargs)
        return result if kept else pytree.tree_map(wide_tensor, result)


def _writes(name: str) -> bool:
    """Whether a function changes its first argument, which must then be that very tensor."""
    private = name.startswith("__") and name.endswith("__")
    return (
        name in ("__setitem__", "__set__", "copy_")
        or name.startswith("__i")
        or (name.endswith("_") and not private)
    )


def _widened(leaf: Any) -> Any:
    if isinstance(leaf, torch.dtype):
        return DTYPE if leaf.is_floating_point else leaf
    return wide_tensor(leaf)


def wide_tensor(leaf: Any) -> Any:
    narrow = isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dtype is not DTYPE
    return torch.Tensor.double(leaf) if narrow else leaf


class _Narrowest(TorchDispatchMode):
    """The least precise floating type that comes out of any operation."""

    def __init__(self) -> None:
        super().__init__()
        self.dtype = DTYPE

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in pytree.tree_leaves((args, kwargs, result)):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                self.dtype = max(self.dtype, leaf.dtype, key=lambda dtype: torch.finfo(dtype).eps)
        return result


def narrowest_type(function: Function, x: Tensor) -> torch.dtype:
    """The least precise floating type met while f(x) is computed."""
    met = _Narrowest()
    with met:
        function(x)
    return met.dtype


@dataclass(frozen=True)
class Original:
    """A model with its arguments as a flat list, some of which vary, and the returned tensors that
    are meant."""

    model: Callable[..., Any]
    arguments: Sequence[Any]
    structure: pytree.TreeSpec
    varying: Varying
    wanted: Sequence[Returned]

    def references(self) -> tuple[Function, torch.dtype, Function | None]:
        """A reference that runs, its precision, and the model in its own precision where that is
        another."""
        example = self.varying.point(self.arguments)
        for mode in (torch.no_grad, torch.enable_grad):  # which some that differentiate rely on
            for make in (lambda: in_double(self.model), lambda: self.model):
                try:
                    exact = self._function(make(), DTYPE, mode)
                    exact(example)
                except KeyboardInterrupt:
                    raise
                except Exception:  # whatever it is that does not work in float64
                    continue
                return exact, DTYPE, self._function(self.model, None, mode)
        native = self._function(self.model, None)
        native(example)
        return native, self.varying.dtype, None

    def _function(
        self,
        model: Callable[..., Any],
        dtype: torch.dtype | None,
        mode: Callable[[], AbstractContextManager[Any]] = torch.no_grad,
    ) -> Function:
        """x -> f(x), in float64 throughout or in the model's own types."""
        fixed = (
            list(self.arguments)
            if dtype is None
            else [wide_tensor(value) for value in self.arguments]
        )

        def function(x: Tensor) -> Tensor:
            values = list(fixed)
            moved = self.varying.apart(x.detach(), dtype)
            for place, value in zip(self.varying.places, moved, strict=True):
                values[place] = value
            arguments = pytree.tree_unflatten(values, self.structure)
            with (
                users_code("running the model"),
                mode(),
                torch.compiler.set_stance("force_eager"),
            ):
                if dtype is None:
                    result = model(*arguments)
                else:
                    with Promoted():
                        result = model(*arguments)
            tensors = [tensor.detach().to(DTYPE) for tensor in picked(result, self.wanted)]
            return (
                tensors[0]
                if len(tensors) == 1
                else torch.cat([tensor.reshape(-1) for tensor in tensors])
            )

        return function


def in_double(model: Any) -> nn.Module:
    """A float64 copy; an RMS norm keeps the eps of the precision it was made for."""
    if not isinstance(model, nn.Module):
        raise TypeError("a function has no copy in float64")
    double = copy.deepcopy(model).cpu()
    for child in double.modules():
        if isinstance(child, nn.RMSNorm) and child.eps is None:
            child.eps = torch.finfo(
                child.weight.dtype if child.weight is not None else torch.float32
            ).eps
    return double.to(DTYPE)
