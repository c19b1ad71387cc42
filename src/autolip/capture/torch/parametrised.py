"""Weights that are computed anew, and otherwise, on every call: a power iteration that goes on from
where it was."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


def settled(module: nn.Module) -> nn.Module:
    """The module, its weights those of one evaluation where a parametrisation changes what it keeps
    by being evaluated; the same module where none does.

    Such a module is not one function: every call computes with other weights.
    """
    moving = [
        (name, weight)
        for name, inner in module.named_modules()
        if parametrize.is_parametrized(inner)
        for weight in inner.parametrizations
        if _changes_itself(inner, weight)
    ]
    if not moving:
        return module
    plain = copy.deepcopy(module)
    for name, weight in moving:
        inner = plain.get_submodule(name)
        parametrize.remove_parametrizations(inner, weight, leave_parametrized=True)
    return plain


def _changes_itself(module: nn.Module, weight: str) -> bool:
    """Whether evaluating a weight, of a copy, changes what its parametrisation keeps."""
    twin = copy.deepcopy(module)
    before = _kept(twin, weight)
    with torch.no_grad():
        getattr(twin, weight)
    after = _kept(twin, weight)
    return any(not torch.equal(before[name], after[name]) for name in before)


def _kept(module: nn.Module, weight: str) -> dict[str, Tensor]:
    state = module.get_submodule(f"parametrizations.{weight}").state_dict()
    return {name: value.clone() for name, value in state.items()}
