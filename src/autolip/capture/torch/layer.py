"""A model up to one of its layers: what that layer returns is the output."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from autolip.arguments import nearest
from autolip.capture.guarded import users_code
from autolip.errors import InputError

WHOLE = "whole_model_around_the_layer"
"""Defined here: the name of the model inside, which places leave out."""


class UpTo(nn.Module):
    """The model's inputs to what one call of the layer returned, before anything else changes
    it."""

    def __init__(self, model: nn.Module, path: str) -> None:
        super().__init__()
        self.add_module(WHOLE, model)
        self.path = path
        self.training = model.training

    @property
    def whole(self) -> nn.Module:
        """The model itself."""
        return self.get_submodule(WHOLE)

    def forward(self, *inputs: Any) -> Any:
        return self.calls(*inputs)[-1]

    def calls(self, *inputs: Any) -> list[Any]:
        """What every call of the layer returns while the model runs."""
        found = list[Any]()

        def keep(module: nn.Module, given: Any, returned: Any) -> None:
            found.append(pytree.tree_map(_kept, returned))

        handle = self.whole.get_submodule(self.path).register_forward_hook(keep)
        try:
            self.whole(*inputs)
        finally:
            handle.remove()
        return found


def _kept(leaf: Any) -> Any:
    """A copy: what follows may write over it."""
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def up_to(model: nn.Module | Callable[..., Any], path: str, inputs: Sequence[Any]) -> UpTo:
    """The model up to the layer of this path.

    Raises InputError where there is none, or where it is not called exactly once.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"a function has no layer {path}: give the nn.Module that it calls")
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(f"a model compiled by torch.jit has no layer {path}: give the nn.Module")
    names = [name for name, _ in model.named_modules() if name]
    if path not in names:
        known = nearest(path, names) or f"the first of {len(names)} are {', '.join(names[:5])}"
        raise InputError(f"the model has no layer {path!r}: {known}".rstrip(" :"))
    found = UpTo(model, path)
    with users_code("running the model"), torch.no_grad():
        count = len(found.calls(*inputs))
    if count != 1:
        how = "is never called by itself" if count == 0 else f"is called {count} times"
        raise InputError(
            f"layer {path} {how}: its output is not one value of the input, so name another"
        )
    return found
