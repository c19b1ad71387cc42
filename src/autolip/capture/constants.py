"""Constants of a graph: float64 on the CPU, and what NaN and infinities among them mean."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.capture.checks import LARGEST
from autolip.errors import InputError
from autolip.graph.graph import Place, Ref
from autolip.graph.schema import named
from autolip.operators.operator import DTYPE

aten = torch.ops.aten

MASKS = frozenset(
    {
        *(
            "add",
            "sub",
            "rsub",
            "masked_fill",
            "where",
            "cat",
            "stack",
            "copy",
            "fill",
            "full_like",
            "new_full",
        ),
        *("clamp", "clamp_min", "clamp_max", "hardtanh", "maximum", "minimum", "fmax", "fmin"),
        *(
            "constant_pad_nd",
            "pad",
            "index_put",
            "index_fill",
            "index_copy",
            "scatter",
            "scatter_reduce",
        ),
        *("slice_scatter", "select_scatter", "eq", "ne", "lt", "le", "gt", "ge"),
        *("scaled_dot_product_attention", "_scaled_dot_product_attention_math"),
        "_scaled_dot_product_flash_attention_for_cpu",
    }
)
"""Operations on which an infinite constant is no fault: it masks an entry, or leaves an end
open."""
ORDERS = frozenset({"ord", "p"})
"""Arguments of a norm, for which infinity is the maximum norm."""


SINGLE = frozenset(
    {
        aten.fake_quantize_per_channel_affine.default,
        aten.fake_quantize_per_channel_affine_cachemask.default,
    }
)
"""They take scales in float32 alone; what they round is what the model rounds in its own type."""


def constant(value: Any) -> Any:
    """A value held fixed: floating types of every width become float64 on the CPU, the others
    stay."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach().cpu()
    return value.to(DTYPE) if value.is_floating_point() else value


def of_constants(target: Any, args: Any, kwargs: Any) -> Any:
    """The value of a call on constants alone."""
    if target in SINGLE:
        args = pytree.tree_map(_single, args)
    return pytree.tree_map(constant, target(*args, **kwargs))


def _single(argument: Any) -> Any:
    """A tensor in float32, if that holds its numbers."""
    real = isinstance(argument, Tensor) and argument.is_floating_point()
    return (
        argument.float() if real and torch.equal(argument.float().to(DTYPE), argument) else argument
    )


def check_stored(name: str, value: Tensor) -> None:
    """Raise InputError for NaN in what the model stores."""
    if value.numel() > LARGEST:
        raise InputError(f"{name} has {value.numel():.3g} entries: {LARGEST:.3g} are supported")
    if value.is_floating_point() and bool(value.isnan().any()):
        raise InputError(
            f"weights {name} have {int(value.isnan().sum())} NaN entries: repair or "
            "retrain the model"
        )


def check_arguments(target: Any, args: Any, kwargs: Any, place: Place) -> bool:
    """Whether an infinity masks something; InputError for NaN, and infinities that do not, among
    the constants."""
    packet = getattr(target, "_overloadpacket", target)
    operation = str(packet).removeprefix("aten.")
    masked = False
    for name, value in named(target, args, kwargs).items():
        worst = _worst(value)
        if worst is None or (math.isinf(worst) and name in ORDERS):
            continue
        if math.isnan(worst) or operation not in MASKS:
            raise InputError(
                f"the constant {name!r} of {target} at {place} has the value {worst}: "
                "repair the weight or the"
                " attribute that it comes from"
            )
        masked = True
    return masked


def _worst(value: Any) -> float | None:
    """NaN or an infinity somewhere in an argument, NaN first; None where all is finite."""
    found = [
        _bad(leaf) for leaf in pytree.tree_leaves(value, is_leaf=lambda leaf: isinstance(leaf, Ref))
    ]
    bad = [number for number in found if number is not None]
    return next((number for number in bad if math.isnan(number)), bad[0] if bad else None)


def _bad(leaf: Any) -> float | None:
    if isinstance(leaf, float):
        return None if math.isfinite(leaf) else leaf
    if not isinstance(leaf, Tensor) or not leaf.is_floating_point() or bool(leaf.isfinite().all()):
        return None
    if bool(leaf.isnan().any()):
        return math.nan
    return float(leaf[leaf.isinf()].flatten()[0])
