"""Which of the tensors that a model returns is looked at: its only one, one by name or number, or
all as one vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.errors import InputError

Choice = int | str | None
ALL = "all"


@dataclass(frozen=True)
class Returned:
    """One tensor that a model returns: what it is called, and its place among everything that is
    returned."""

    name: str
    leaf: int
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name or 'the output'} of shape {self.shape}"


def names_of(structure: pytree.TreeSpec) -> list[str]:
    """A name for everything in a nested result: `logits`, `0`, `1.hidden`."""
    numbered = pytree.tree_unflatten(range(structure.num_leaves), structure)
    paths, _ = pytree.tree_flatten_with_path(numbered)
    return [".".join(map(_step, path)) for path, _ in paths]


def _step(key: Any) -> str:
    return str(
        next(
            value
            for name in ("key", "idx", "name")
            if (value := getattr(key, name, None)) is not None
        )
    )


def chosen(returned: Sequence[Returned], choice: Choice) -> list[Returned]:
    """The tensors that are meant: one, unless the choice is "all".

    Raises InputError where there are several and none is chosen, or where there is none of that
    name or number.
    """
    if not returned:
        raise InputError("the model returns no tensor: nothing can be bounded")
    if choice == ALL or (choice is None and len(returned) == 1):
        return list(returned)
    listed = ", ".join(_listed(number, one) for number, one in enumerate(returned))
    if choice is None:
        first = returned[0].name
        raise InputError(
            f"the model returns {len(returned)} tensors ({listed}): choose one by name or "
            "number with"
            f" outputs={first!r} (on the command line --outputs {first}), or "
            "outputs='all' for all as one vector"
        )
    by_name = [one for one in returned if one.name == str(choice)]
    if by_name:
        return by_name[:1]
    number = int(choice) if str(choice).isdecimal() else -1
    if not 0 <= number < len(returned):
        raise InputError(f"the model returns no tensor {choice!r}: it returns {listed}")
    return [returned[number]]


def _listed(number: int, one: Returned) -> str:
    return str(one) if one.name == str(number) else f"{number}: {one}"


def picked(result: Any, chosen: Sequence[Returned]) -> list[Tensor]:
    """The chosen tensors out of what a call returned."""
    leaves = pytree.tree_leaves(result)
    return [leaves[one.leaf] for one in chosen]
