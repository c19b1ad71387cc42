"""What is asked of a network, in one form and checked before the network is looked at."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from autolip.arguments import array, computing, number, plain, positive, probability, shown
from autolip.arguments import seed as checked_seed
from autolip.capture.torch.export import Capture
from autolip.errors import InputError
from autolip.lower import LowerMethod, automatic_searches, lower_named
from autolip.methods import Method, automatic, method_named
from autolip.norms import Norm, parse_norms
from autolip.outputs import All, Output, parse_output
from autolip.regions import Everywhere, Region, as_region
from autolip.secants import ANY, Secants
from autolip.units import UNITS, Units

Choice = str | Method | type[Method] | Sequence[str | Method | type[Method]] | None
LowerChoice = (
    str | LowerMethod | type[LowerMethod] | Sequence[str | LowerMethod | type[LowerMethod]] | None
)
Kind = TypeVar("Kind", Method, LowerMethod)

LARGEST_INPUT = 2**26
"""Chosen: numbers of one input, half a gigabyte of doubles, more than any image."""

ONLY_BY_NAME = inspect.Parameter.KEYWORD_ONLY
"""The kind of an argument that has no place."""

AUTOMATIC = "auto"


@dataclass(frozen=True)
class Question:
    """Bracket sup ||f(x) - f(y)||_q / ||x - y||_p over x, y in a region, of an output of f, by
    these methods, both lengths in `units`; over x alone, where `secants` fix y.

    `methods` and `lowers` were named and give a row each; `automatic` and `searches` are those that
    "auto" adds: a method that refuses is left out, with a note, a search without one.
    """

    p: Norm = Norm.L2
    q: Norm = Norm.L2
    region: Region = Everywhere()
    output: Output = All()
    methods: tuple[Method, ...] = ()
    automatic: tuple[Method, ...] = ()
    lowers: tuple[LowerMethod, ...] = ()
    searches: tuple[LowerMethod, ...] = ()
    time_budget: float | None = None
    """Seconds, from when the network is captured."""
    delta: float = 1e-9
    seed: int | None = None
    secants: Secants = ANY
    units: Units = UNITS
    device: torch.device | None = None
    """Where searches pass through the network; proofs are made on the processor."""

    @classmethod
    def asked(
        cls,
        *,
        norm: Any = "l2",
        region: Any = None,
        secants: Any = "any",
        point: Any = None,
        output: Any = "all",
        method: Choice = AUTOMATIC,
        lower: LowerChoice = AUTOMATIC,
        time_budget: float | None = None,
        delta: float = 1e-9,
        seed: int | None = None,
        input_scale: Any = None,
        output_scale: Any = None,
        device: Any = None,
    ) -> Self:
        """The question that a person means; InputError, in one sentence, where nothing can be
        meant."""
        p, q = parse_norms(norm)
        upper = _listed(method)
        below = _listed(lower)
        if not upper and not below:
            raise InputError(
                "neither a method for an upper bound nor a search for a lower one is "
                "asked for: name one"
            )
        named = [_method(item) for item in upper if not _is_automatic(item)]
        lowers = [_search(item) for item in below if not _is_automatic(item)]
        wanted = automatic(p, q) if any(map(_is_automatic, upper)) else []
        others = automatic_searches() if any(map(_is_automatic, below)) else []
        return cls(
            p,
            q,
            as_region(region),
            parse_output(output),
            tuple(named),
            tuple(method.brief() for method in wanted if method not in named),
            tuple(lowers),
            tuple(search.brief() for search in others if search not in lowers),
            None if time_budget is None else positive(time_budget, "time_budget"),
            probability(delta, "delta"),
            None if seed is None else checked_seed(seed),
            Secants.asked(secants, point),
            Units.asked(input_scale, output_scale),
            computing(device),
        )

    def about(self, capture: Capture) -> Self:
        """The same of a network: its region and units in the shapes of the network's inputs and of
        its output."""
        if self.output.layer not in (None, capture.layer):
            raise InputError(
                f"the network was captured with another output than that of layer "
                f"{self.output.layer}: load it with layer={self.output.layer!r}"
            )
        inputs = capture.varying.by_name
        shape = capture.graph.input_shape
        region = self.region.over(inputs).shaped(shape)
        units = self.units.over(inputs, shape, capture.graph.output_shape)
        return replace(self, region=region, units=units)

    def on(self, region: Region | None) -> Self:
        """The same in a region; where none is given, in its own."""
        return self if region is None else replace(self, region=region)


def _listed(choice: Any) -> list[Any]:
    """None asks for nothing, one thing for a list of it."""
    if choice is None:
        return []
    return list(choice) if isinstance(choice, list | tuple | set | frozenset) else [choice]


def _is_automatic(item: Any) -> bool:
    return isinstance(item, str) and item == AUTOMATIC


def _method(item: Any) -> Method:
    return _checked(_chosen(item, Method, method_named, "autolip"))  # type: ignore[type-abstract]


def _search(item: Any) -> LowerMethod:
    return _checked(_chosen(item, LowerMethod, lower_named, "ascent"))  # type: ignore[type-abstract]


def _checked(item: Kind) -> Kind:
    """The object; InputError where an option of it that is a number by default is none, or NaN, or
    below 0."""
    options: tuple[Field[Any], ...] = fields(item) if is_dataclass(item) else ()
    for option in options:
        value = getattr(item, option.name)
        numeric = any(
            isinstance(one, int | float) and not isinstance(one, bool)
            for one in (value, option.default)
        )
        if (
            numeric
            and value is not None
            and not number(value, f"{option.name} of {item.name}") >= 0
        ):
            raise InputError(f"{option.name} of {item.name} is {shown(value)}: give a number >= 0")
    return item


def _chosen(item: Any, kind: type[Kind], named: Callable[[str], Kind], example: str) -> Kind:
    """The method that a name, a class or an object means."""
    if isinstance(item, kind):
        return item
    if isinstance(item, str):
        return named(item)
    if isinstance(item, type) and issubclass(item, kind):
        try:
            return item()
        except TypeError as error:
            raise InputError(
                f"{item.__name__} cannot be made without options: give an object of it"
            ) from error
    raise InputError(
        f"{shown(item)} is neither a method nor the name of one: give a name, such as {example!r}"
    )


def example_tensors(model: Any, inputs: Any) -> tuple[Any, ...]:
    """The example inputs, one or a sequence of them, or a dictionary by the names of the model's
    arguments; NumPy arrays and lists as tensors of the model's own type, a tuple of whole numbers
    as zeros of that shape, and so where all of several are such tuples.

    What is neither stays as it is: an argument that is no tensor.
    """
    if isinstance(inputs, Mapping):
        shapes = all(map(_is_shape, inputs.values()))
        values = {name: np.zeros(as_shape(x)) if shapes else x for name, x in inputs.items()}
        return example_tensors(model, _in_order(model, values))
    if _is_shape(inputs):
        return (_tensor(model, np.zeros(as_shape(inputs))),)
    if isinstance(inputs, tuple | list) and inputs and all(map(_is_shape, inputs)):
        return tuple(_tensor(model, np.zeros(as_shape(shape))) for shape in inputs)
    arrays = isinstance(inputs, tuple | list) and any(
        isinstance(one, Tensor | np.ndarray) for one in inputs
    )
    several = isinstance(inputs, tuple) or arrays
    listed = tuple(inputs) if several else (inputs,)
    if not listed:
        raise InputError(
            "there are no example inputs: give a tensor of the shape that the model takes"
        )
    if not several and not isinstance(inputs, Tensor | np.ndarray | list | int | float | np.number):
        raise InputError(
            f"the example inputs are {shown(inputs)}: give a tensor, an array, a tuple of them, or "
            "a dictionary by name"
        )
    return tuple(
        _tensor(model, one) if isinstance(one, np.ndarray | list) or not several else one
        for one in listed
    )


def _in_order(model: Any, named: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments in the order of the model's own, with the defaults of those in between."""
    function = model.forward if isinstance(model, nn.Module) else model
    try:
        signature = inspect.signature(function)
        bound = signature.bind(**named)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the model does not take the inputs {', '.join(map(str, named)) or 'of none'}: {error}"
        ) from error
    bound.apply_defaults()
    places = [name for name, one in signature.parameters.items() if one.kind is not ONLY_BY_NAME]
    others = [name for name in named if name not in places]
    if others:
        raise InputError(
            f"the model takes {', '.join(others)} by name only: give a function that passes its "
            "arguments on"
        )
    count = max((places.index(name) + 1 for name in named), default=0)
    return bound.args[:count]


def _is_shape(inputs: Any) -> bool:
    """Whether this is the shape of an input: a tuple of whole numbers above zero."""
    sizes = inputs if isinstance(inputs, tuple) else ()
    return bool(sizes) and all(type(size) is int and size > 0 for size in sizes)


def as_shape(shape: Any) -> tuple[int, ...]:
    """The sizes that are meant by a tuple, a list or a number; InputError for others, and for what
    is too large."""
    given = plain(shape)
    sizes = tuple(given) if isinstance(given, tuple | list) else (given,)
    if not _is_shape(sizes) or math.prod(sizes) > LARGEST_INPUT:
        raise InputError(
            f"{shown(shape)} is not the shape of an input: give whole numbers, such as (1, 3, 8, 8)"
        )
    return sizes


def _tensor(model: Any, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        return torch.from_numpy(np.array(value, dtype=np.int64))
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    own = next(
        (weight.dtype for weight in weights if weight.is_floating_point()),
        torch.get_default_dtype(),
    )
    return array(value, "the example input").to(own)


def varying_inputs(varying: Any) -> tuple[int | str, ...]:
    """The positions or the names of the inputs that vary: one, or a list of several."""
    given = plain(varying)
    several = isinstance(given, list | tuple) and len(given) > 0
    found = tuple(map(plain, given)) if several else (given,)
    for one in found:
        if not isinstance(one, str | int) or isinstance(one, bool):
            raise InputError(
                f"varying is {shown(varying)}: give the position or the name of an input, or a "
                "list of those that vary together"
            )
    return found
