"""The arguments of an operation by the names that its schema gives them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def parameters(target: Callable[..., Any]) -> Sequence[Any]:
    """What the schema says of each argument, in order; nothing of a target without schema."""
    schema = getattr(target, "_schema", None)
    return () if schema is None else schema.arguments


def named(
    target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name; by their number those that have none."""
    names = [argument.name for argument in parameters(target)]
    numbers = map(str, range(len(names), len(args)))
    return dict(zip([*names[: len(args)], *numbers], args, strict=True)) | dict(kwargs)


def completed(
    target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """All arguments that the schema knows, in its order: those of the call, else defaults."""
    given = named(target, args, kwargs)
    return {a.name: given.get(a.name, a.default_value) for a in parameters(target)}
