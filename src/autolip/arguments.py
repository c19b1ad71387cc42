"""What a person passes, in one form: numbers, arrays and names; what cannot be meant is refused in
one sentence."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autolip.errors import InputError, first_line

LARGEST_WHOLE = 2**53
"""Defined: whole numbers up to here are doubles."""

SEEDS = 2**63
"""Defined by PyTorch: seeds are below; its generators take 64 bits with a sign."""

SHOWN = 60
"""Chosen: characters of a value in an error's sentence."""


def number(value: Any, what: str) -> float:
    """The double that is meant by a Python, NumPy or PyTorch number; never a rounded one."""
    if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise InputError(f"{what} is {shown(value)}: give a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if found != value and value == value:
        raise InputError(
            f"{what} is {shown(value)}, which is no double: give {found!r} or a neighbour of it"
        )
    return found


def plain(value: Any) -> Any:
    """A NumPy or PyTorch number or array as Python's own; anything else as it is."""
    if (
        isinstance(value, Tensor | np.ndarray | np.generic)
        and getattr(value, "is_meta", False) is False
    ):
        return value.tolist()
    return value


def computing(value: Any) -> torch.device | None:
    """The device of a name; None for None.  InputError, in one sentence, where doubles cannot be
    computed with on it."""
    if value is None:
        return None
    try:
        device = torch.device(value)
        if device.type == "meta":
            raise RuntimeError("it holds no values")
        torch.ones(1, dtype=torch.float64, device=device).add(1).item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError, ValueError) as error:
        why = first_line(error)
        raise InputError(
            f"device {shown(value)} cannot be computed with here ({why}): leave it out, or give "
            "'cpu'"
        ) from error
    return device


def positive(value: Any, what: str) -> float:
    """A finite number of seconds above 0."""
    found = number(value, what)
    if not 0 < found < math.inf:
        raise InputError(f"{what} is {found}: give a finite number of seconds > 0")
    return found


def probability(value: Any, what: str) -> float:
    """A number strictly between 0 and 1."""
    found = number(value, what)
    if not 0 < found < 1:
        raise InputError(
            f"{what} is {found}: give a probability strictly between 0 and 1, such as 1e-9"
        )
    return found


def seed(value: Any) -> int:
    """A whole number from 0 to 2^63 - 1."""
    if (
        isinstance(value, bool | np.bool_)
        or not isinstance(value, int | np.integer)
        or not 0 <= value < SEEDS
    ):
        raise InputError(f"seed is {shown(value)}: give a whole number from 0 to 2^63 - 1")
    return int(value)


def array(value: Any, what: str) -> Tensor:
    """The doubles that are meant by a number, a nested list, a NumPy array or a tensor: a copy of
    the caller's."""
    if not isinstance(value, Tensor):
        return _doubles(_read(value, what), what)
    if value.layout is not torch.strided or value.is_quantized or value.is_meta:
        raise InputError(f"{what} is a sparse, quantised or meta tensor: give a dense one")
    given = value.detach().cpu()
    return (
        given.to(torch.float64, copy=True)
        if given.is_floating_point()
        else _doubles(given.numpy(), what)
    )


def _read(value: Any, what: str) -> "np.ndarray[Any, Any]":
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"{what} is no array of numbers: give numbers in rows of one length"
        ) from error


def _doubles(given: "np.ndarray[Any, Any]", what: str) -> Tensor:
    """Floating-point numbers of at most 64 bits, and whole numbers that are doubles."""
    if given.dtype.kind not in "fiu" or given.dtype.itemsize > 8:
        raise InputError(
            f"{what} holds values of type {given.dtype}: give floating-point numbers of "
            "at most 64 bits"
        )
    if (
        given.dtype.kind in "iu"
        and given.size
        and max(int(given.max()), -int(given.min())) > LARGEST_WHOLE
    ):
        raise InputError(
            f"{what} holds whole numbers above 2^53, which are no doubles: give "
            "floating-point numbers"
        )
    return torch.from_numpy(np.array(given, dtype=np.float64, order="C"))


def unknown(what: str, name: Any, known: Iterable[str]) -> InputError:
    """No such name: the nearest one, and all of them."""
    names = sorted(known)
    return InputError(
        f"there is no {what} {shown(name)}: {nearest(name, names)}choose from {', '.join(names)}"
    )


def nearest(name: Any, known: Iterable[str]) -> str:
    """The question whether one of these names is meant; nothing where none is near."""
    near = get_close_matches(str(name).lower(), list(known), 1)
    return f"did you mean {near[0]!r}? " if near else ""


def shown(value: Any) -> str:
    """A value in an error's sentence: one line, not longer than it helps."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
