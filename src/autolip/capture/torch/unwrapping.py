"""The model itself, out of what training puts around it: compilation, replication over devices."""

from collections.abc import Callable
from typing import Any

from torch import nn

from autolip.capture.torch.scripted import SCRIPTED
from autolip.errors import InputError

REPLICATED = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(model: Any) -> nn.Module | Callable[..., Any]:
    """The module or function inside: a wrapper changes how it is run and not what it computes.

    Raises InputError for what is no function of tensors: a class, a state dictionary, a module that
    was never initialised.
    """
    inner = model
    while (wrapped := _inside(inner)) is not None:
        inner = wrapped
    if isinstance(inner, type):
        name = inner.__name__
        raise InputError(f"the model is the class {name}: give one of its objects, {name}(...)")
    if not callable(inner):
        kind = type(inner).__name__
        raise InputError(f"the model is a {kind}: give an nn.Module or a function of tensors")
    return inner


def _inside(model: Any) -> Any:
    """What one layer of wrapping holds; None where there is none."""
    if isinstance(model, SCRIPTED):
        return None
    if isinstance(model, REPLICATED):
        return model.module
    if isinstance(model, nn.Module):
        if "_modules" not in vars(model):
            raise InputError(
                f"{type(model).__name__} is made without super().__init__(): call it "
                "first in __init__"
            )
        return model._modules.get("_orig_mod")
    return getattr(model, "_torchdynamo_orig_callable", None)
