"""A model run on numbers, so that what depends on constants alone is known while it is exported.

The exporter traces without values: `x[:, mask]`, `adjacency.nonzero()` or `if self.flag > 0` have
no shape or no truth for it.  Where no value of an input enters, one run on the example tells them,
and they are constants.
"""

import contextlib
import copy
import functools
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from autolip.capture.places import users_line
from autolip.capture.reference import Promoted, in_double, wide_tensor
from autolip.errors import InputError

READS = frozenset(
    {
        *("item", "tolist", "numpy", "equal", "allclose", "is_nonzero"),
        *(
            "__bool__",
            "__int__",
            "__float__",
            "__index__",
            "__complex__",
            "__array__",
            "__contains__",
        ),
    }
)
"""Functions that turn a tensor's values into values of Python's."""

BRANCHES = frozenset({"__bool__", "__contains__", "is_nonzero", "equal", "allclose"})
"""Those of them that only ask a question."""

SHAPES = frozenset(
    {
        *(
            "__get__",
            "__len__",
            "__repr__",
            "__format__",
            "dim",
            "size",
            "numel",
            "nelement",
            "stride",
            "ndimension",
        ),
        *(
            "is_floating_point",
            "is_complex",
            "is_contiguous",
            "element_size",
            "storage_offset",
            "get_device",
            "type",
        ),
    }
)
"""Functions that the exporter knows the answer of: they look at no value."""

UNKNOWN = object()

Rewrite = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Entry:
    """One call: its name, and the value it has or the call that does the same with known shapes."""

    name: str
    value: Any = UNKNOWN
    instead: Rewrite | None = None


class Recorder(TorchFunctionMode):
    """Puts down every call of a run; what an input's values reach is told apart by the memory it
    lies in."""

    def __init__(self, inputs: list[Tensor], exact: bool) -> None:
        super().__init__()
        self.exact = exact
        self.entries: list[Entry] = []
        self.reached: dict[int, Any] = {}
        for value in inputs:
            self._reach(value)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _name(func)
        depends = any(map(self._is_reached, pytree.tree_leaves((args, kwargs))))
        if depends and name in READS:
            remedy = "use torch.where, or export the branch you mean"
            if name not in BRANCHES:
                remedy = (
                    f"{name.strip('_')} takes numbers out of a tensor, use the functions of "
                    "torch instead"
                )
            raise InputError(
                "the model cannot be exported: its control flow depends on the "
                f"data{users_line(traceback.extract_stack())}; {remedy}"
            )
        instead = self._instead(name, args, kwargs)
        result = func(*args, **kwargs)
        if depends:
            pytree.tree_map(self._reach, (result, args[:1] if name == "__setitem__" else ()))
        if name not in SHAPES:
            known = not depends and instead is None and _is_known(result, self.exact)
            self.entries.append(Entry(name, _kept(result) if known else UNKNOWN, instead))
        return result

    def _reach(self, value: Any) -> None:
        if isinstance(value, Tensor) and value.layout is torch.strided:
            storage = value.untyped_storage()
            self.reached[storage._cdata] = storage

    def _is_reached(self, value: Any) -> bool:
        strided = isinstance(value, Tensor) and value.layout is torch.strided
        return strided and value.untyped_storage()._cdata in self.reached

    def _instead(self, name: str, args: Any, kwargs: Any) -> Rewrite | None:
        """The same call with constant masks and counts as indices; None where there are none."""
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            index = tuple(map(_tensor_of, index))
            masks = [_is_mask(part) and not self._is_reached(part) for part in index]
            return _at(_indices(index, masks)) if any(masks) else None
        mask = args[1] if len(args) > 1 else kwargs.get("mask", kwargs.get("repeats"))
        if not isinstance(mask, Tensor) or self._is_reached(mask):
            return None
        if name == "masked_select":
            shape = torch.broadcast_shapes(args[0].shape, mask.shape)
            return _selected(mask.expand(shape).nonzero(as_tuple=True), shape)
        if name == "repeat_interleave" and mask.numel() > 0:
            return _repeated(mask, args, kwargs)
        return None


def _tensor_of(part: Any) -> Any:
    """An array, or a mask in a list, as the tensor that PyTorch takes it for."""
    if isinstance(part, list) and part and all(isinstance(one, bool) for one in part):
        return torch.tensor(part)
    return torch.from_numpy(part) if isinstance(part, np.ndarray) else part


def _is_mask(part: Any) -> bool:
    return isinstance(part, Tensor) and part.dtype is torch.bool


def _indices(index: tuple[Any, ...], masks: list[bool]) -> tuple[Any, ...]:
    parts: list[Any] = []
    for part, is_mask in zip(index, masks, strict=True):
        parts += part.nonzero(as_tuple=True) if is_mask else [part]
    return tuple(parts)


def _at(index: tuple[Any, ...]) -> Rewrite:
    return lambda func, args, kwargs: func(args[0], index, *args[2:], **kwargs)


def _selected(index: tuple[Tensor, ...], shape: torch.Size) -> Rewrite:
    return lambda func, args, kwargs: args[0].expand(shape)[index]


def _repeated(repeats: Tensor, args: Any, kwargs: Any) -> Rewrite:
    dim = args[2] if len(args) > 2 else kwargs.get("dim")
    size = args[0].numel() if dim is None else args[0].shape[dim]
    index = torch.repeat_interleave(
        torch.arange(size), repeats.expand(size) if repeats.numel() == 1 else repeats
    )
    if dim is None:
        return lambda func, args, kwargs: args[0].reshape(-1).index_select(0, index)
    return lambda func, args, kwargs: args[0].index_select(dim, index)


def _is_known(result: Any, exact: bool) -> bool:
    """Whether a result may stand for the call: numbers of Python's in float64, indices, and what is
    true."""
    leaves = pytree.tree_leaves(result)
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    rounded = any(x.is_floating_point() or x.is_complex() for x in tensors) or (
        not exact and any(isinstance(leaf, float | complex | np.ndarray) for leaf in leaves)
    )
    return bool(leaves) and not rounded


def _kept(result: Any) -> Any:
    return pytree.tree_map(
        lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, result
    )


class ChangedCalls(InputError):
    """Another run made other calls than those recorded."""


class Replayer(TorchFunctionMode):
    """Answers every call with what is known of it, in the order of the record."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__()
        self.entries = iter(entries)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _name(func)
        if name in SHAPES:
            return func(*args, **kwargs)
        entry = next(self.entries, None)
        if entry is None or entry.name != name:
            raise ChangedCalls(
                "the model cannot be exported: two runs on one input did not make the "
                "same calls, and shapes or"
                " branches that depend on constants are known from a run alone; make "
                "them attributes of the model"
            )
        if entry.instead is not None:
            return entry.instead(func, args, kwargs)
        return func(*args, **kwargs) if entry.value is UNKNOWN else _kept(entry.value)


def _name(func: Any) -> str:
    return getattr(func, "__name__", str(func))


def recorded(
    module: nn.Module, arguments: tuple[Any, ...], varying: tuple[int, ...], exact: bool
) -> list[Entry]:
    """The calls of one run on these arguments, in float64 if `exact`, else in the model's own
    types.

    `varying` are the places of the arguments that are no constants.  Raises InputError where a
    branch depends on their values.
    """
    model = in_double(module) if exact else module
    arguments = pytree.tree_map(wide_tensor, arguments) if exact else arguments
    leaves = pytree.tree_leaves([arguments[place] for place in varying])
    recorder = Recorder([leaf for leaf in leaves if isinstance(leaf, Tensor)], exact)
    with torch.no_grad(), Promoted() if exact else contextlib.nullcontext(), recorder:
        model(*arguments)
    return recorder.entries


def concretised(module: nn.Module, entries: list[Entry]) -> nn.Module:
    """The module, answering every call on constants from the record; the given one stays as it
    is."""
    forward = module.forward

    @functools.wraps(forward)
    def known(*args: Any, **kwargs: Any) -> Any:
        with (
            Replayer(entries),
            mock.patch.object(FakeTensor, "tolist", Tensor.tolist),
        ):  # its own asks for items
            return forward(*args, **kwargs)

    twin = copy.copy(module)
    twin.forward = known
    return twin
