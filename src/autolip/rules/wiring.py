"""Wiring: operations that copy entries (and sometimes add them), so that their matrices have
entries 0 and 1.

An operation of this kind is entered by one line of the table: the ATen call itself, applied to the
ends of the ranges, gives the image; applied to one operand with everything else at zero, it is the
linear map towards it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.schema import parameters
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.algebra import Zero
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE
from autolip.roundoff import sum_error
from autolip.rules.rule import (
    Action,
    Constant,
    Example,
    Operand,
    Variable,
    add_rule,
    require_constant,
)
from autolip.slopes import Exact, Gain
from autolip.values import INFINITE

aten = torch.ops.aten

CHOOSING = frozenset({"index", "indices", "mask"})
"""Arguments that choose entries: not numbers that are copied."""

MASKED = frozenset({aten.index_put.default, aten.masked_scatter.default})
"""Operations that may choose by a mask, whose entries are no positions."""

STORAGE = frozenset({"dtype", "layout", "device", "pin_memory", "non_blocking", "memory_format"})
"""Arguments that say how a result is stored: not part of the function."""

Substitution = Callable[[Any], Any]


@dataclass(frozen=True)
class Call:
    """A call whose results are sums of entries of its numerical arguments.

    Numerical are the operands, the floating-point tensors, and the plain numbers named in
    `scalars`.  `by` computes the same from the same positional arguments, whatever the layout in
    memory.
    """

    target: Callable[..., Any]
    by: Callable[..., Any]
    arguments: dict[str, Any]
    scalars: tuple[str, ...] = ()

    def results(self, substitute: Substitution) -> tuple[Tensor, ...]:
        """All results, with every numerical argument replaced."""
        schema = [a for a in parameters(self.target) if a.name not in STORAGE]
        positional = [self._replaced(a.name, substitute) for a in schema if not a.kwarg_only]
        named = {a.name: self._replaced(a.name, substitute) for a in schema if a.kwarg_only}
        result = self.by(*positional, **named)
        return (result,) if isinstance(result, Tensor) else tuple(result)

    def _replaced(self, name: str, substitute: Substitution) -> Any:
        argument = self.arguments[name]
        if name in self.scalars:
            return argument if argument is None else substitute(argument)
        return pytree.tree_map(
            lambda leaf: substitute(leaf) if _is_numerical(leaf) else leaf, argument
        )

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The varying arguments, each once."""
        leaves = pytree.tree_leaves(self.arguments)
        return tuple({leaf.name: leaf for leaf in leaves if isinstance(leaf, Operand)}.values())

    def linear_part(self, operand: Operand, number: int) -> Callable[[Tensor], Tensor]:
        """Result `number` as a function of one operand, everything else at zero."""

        def substitute(leaf: Any, t: Tensor) -> Tensor | float:
            if isinstance(leaf, Operand) and leaf.name == operand.name:
                return t
            return t.new_zeros(leaf.shape) if isinstance(leaf, (Operand, Tensor)) else 0.0

        return lambda t: self.results(lambda leaf: substitute(leaf, t))[number]


def _is_numerical(leaf: object) -> bool:
    return isinstance(leaf, Operand) or (isinstance(leaf, Tensor) and leaf.is_floating_point())


def wired(call: Call) -> list[Action]:
    """Exact, with entries 0 and 1, towards every operand, for every result."""
    lows = call.results(_low)
    highs = call.results(_high)
    counts = call.results(_one)
    ranges = zip(lows, highs, counts, strict=True)
    images = [_rounded(call, *each) for each in enumerate(ranges)]
    return [
        Action(_slopes(call, number, values.shape), values) for number, values in enumerate(images)
    ]


def _slopes(call: Call, number: int, shape: torch.Size) -> tuple[tuple[Operand, Exact], ...]:
    return tuple(
        (x, Exact(Incidence(call.linear_part(x, number), x.shape, shape))) for x in call.operands
    )


def _rounded(call: Call, number: int, values: tuple[Tensor, Tensor, Tensor]) -> Interval:
    """The image between the ends' results: exact where entries are copied, widened where they are
    added."""
    lo, hi, count = values
    if not count.numel() or count.max() <= 1:
        return Interval(lo, hi)
    size = call.results(_size)[number]
    slack = sum_error(int(count.max()), size)
    return Interval(lo - slack, hi + slack).widen()


def _one(leaf: Operand | Tensor | float) -> Tensor | float:
    return (
        torch.ones((), dtype=DTYPE).expand(leaf.shape)
        if isinstance(leaf, (Operand, Tensor))
        else 1.0
    )


def _low(leaf: Operand | Tensor | float) -> Tensor | float:
    return leaf.range.lo if isinstance(leaf, Operand) else leaf


def _high(leaf: Operand | Tensor | float) -> Tensor | float:
    return leaf.range.hi if isinstance(leaf, Operand) else leaf


def _size(leaf: Operand | Tensor | float) -> Tensor | float:
    """The largest finite magnitude of every entry."""
    if not isinstance(leaf, Operand):
        return leaf.abs() if isinstance(leaf, Tensor) else abs(leaf)
    size = leaf.range.magnitude()
    return torch.where(size.isfinite(), size, torch.zeros_like(size))


def wiring(
    target: Callable[..., Any],
    *examples: Example,
    claim: str = "copies entries",
    by: Callable[..., Any] | None = None,
    scalars: tuple[str, ...] = (),
) -> None:
    """Enter a wiring operation into the table."""

    def function(**arguments: Any) -> list[Action]:
        choosing = {name: arguments[name] for name in CHOOSING & arguments.keys()}
        if target in MASKED:
            for name, argument in choosing.items():
                for leaf in pytree.tree_leaves(argument):
                    require_constant(**{name: leaf})
        known = arguments | pytree.tree_map(_settled, choosing)
        call = Call(target, by or target, _with_positions(known), scalars)
        varying = [leaf for leaf in pytree.tree_leaves(choosing) if isinstance(leaf, Operand)]
        return _chosen(call, varying) if varying else wired(call)

    function.__doc__ = f"Exact: {claim}."
    add_rule(target, function, examples)


def _settled(leaf: Any) -> Any:
    """An index that is the same all over the region as a constant: its range holds one integer."""
    if not isinstance(leaf, Operand):
        return leaf
    least, most = leaf.range.lo.ceil(), leaf.range.hi.floor()
    return least.long() if bool((least == most).all()) and leaf.range.is_bounded else leaf


def _chosen(call: Call, choosing: Sequence[Operand]) -> list[Action]:
    """By indices that vary with the input: wiring where the region settles them, else a jump."""
    open_ones = [x for x in call.operands if any(x is other for other in choosing)]
    if not open_ones:
        (action,) = wired(call)
        known = [(x, Exact(Zero(x.shape, action.image.shape))) for x in choosing]
        return [Action((*action.slopes, *known), action.image)]
    somewhere = {x.name: torch.zeros(x.shape, dtype=torch.long) for x in open_ones}
    probe = replace(
        call,
        arguments=pytree.tree_map(
            lambda leaf: somewhere.get(getattr(leaf, "name", ""), leaf), call.arguments
        ),
    )
    (values,) = probe.results(_low)
    infinite = dict.fromkeys(Norm, INFINITE)
    slopes = tuple((x, Gain(x.shape, values.shape, infinite)) for x in call.operands)
    return [Action(slopes, Interval.everywhere(values.shape))]


def _with_positions(arguments: dict[str, Any]) -> dict[str, Any]:
    """Boolean masks among `indices` as the positions of their true entries."""
    if not isinstance(arguments.get("indices"), (list, tuple)):
        return arguments
    expanded: list[Tensor | None] = []
    for index in arguments["indices"]:
        is_mask = isinstance(index, Tensor) and index.dtype == torch.bool
        expanded.extend(index.nonzero(as_tuple=True) if is_mask else (index,))
    return arguments | {"indices": expanded}


# The same calls in a form that torch.vmap and its derivative get right
# ------------------------------------------


def _slice_scatter(
    x: Tensor, src: Tensor, dim: int, start: int | None, end: int | None, step: int
) -> Tensor:
    return x.index_copy(dim, torch.arange(x.shape[dim])[start:end:step], src)


def _select_scatter(x: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    return x.index_copy(dim, torch.tensor([index % x.shape[dim]]), src.unsqueeze(dim))


def _scatter(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    return x.scatter(dim, index, src[tuple(slice(size) for size in index.shape)])


def _scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    return x.scatter_add(dim, index, src[tuple(slice(size) for size in index.shape)])


def _masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    places = mask.expand(x.shape).reshape(-1).nonzero().flatten()
    taken = source.reshape(-1)[: len(places)]
    return x.reshape(-1).index_copy(0, places, taken).reshape(x.shape)


# Shapes
# --------------------------------------------------------------------------------------------------

X = Variable(2, 3, 4)

wiring(
    aten.view.default,
    Example(X, [4, -1]),
    by=torch.reshape,
    claim="the same entries in another shape",
)
wiring(
    aten._unsafe_view.default,
    Example(X, [6, 4]),
    by=torch.reshape,
    claim="the same entries in another shape",
)
wiring(aten.reshape.default, Example(X, [3, 8]), claim="the same entries in another shape")
wiring(
    aten.flatten.using_ints,
    Example(X, 1, -1),
    Example(X),
    claim="the same entries in another shape",
)
wiring(aten.unflatten.int, Example(X, -1, [2, 2]), claim="the same entries in another shape")
wiring(aten.unsqueeze.default, Example(X, -2), claim="the same entries in another shape")
wiring(aten.squeeze.default, Example(Variable(1, 3, 1)), claim="the same entries in another shape")
wiring(
    aten.squeeze.dim,
    Example(Variable(1, 3, 1), -1),
    Example(X, 1),
    claim="the same entries in another shape",
)
wiring(
    aten.squeeze.dims, Example(Variable(1, 3, 1), [0, 1]), claim="the same entries in another shape"
)
wiring(aten.permute.default, Example(X, [2, 0, -2]), claim="a permutation")
wiring(aten.transpose.int, Example(X, 0, -1), claim="a permutation")
wiring(aten.t.default, Example(Variable(3, 4)), Example(Variable(3)), claim="a permutation")
wiring(aten.numpy_T.default, Example(X), claim="a permutation")
wiring(aten.mT.default, Example(X), claim="a permutation")
wiring(aten.movedim.int, Example(X, 0, -1), claim="a permutation")
wiring(aten.movedim.intlist, Example(X, [0, 2], [1, 0]), claim="a permutation")
wiring(aten.swapaxes.default, Example(X, 0, -1), claim="a permutation")

# Reordering and repeating
# ---------------------------------------------------------------------------------------

wiring(aten.roll.default, Example(X, [1, -2], [0, 2]), Example(X, [5]), claim="a permutation")
wiring(aten.flip.default, Example(X, [0, -1]), claim="a permutation")
wiring(aten.fliplr.default, Example(X), claim="a permutation")
wiring(aten.flipud.default, Example(X), claim="a permutation")
wiring(aten.rot90.default, Example(X, 3, [1, 2]), claim="a permutation")
wiring(aten.pixel_shuffle.default, Example(Variable(2, 8, 2, 3), 2), claim="a permutation")
wiring(aten.pixel_unshuffle.default, Example(Variable(2, 2, 4, 6), 2), claim="a permutation")
wiring(aten.channel_shuffle.default, Example(Variable(2, 6, 2, 2), 3), claim="a permutation")
wiring(aten.expand.default, Example(Variable(3, 1), [2, -1, 4]))
wiring(aten.broadcast_to.default, Example(Variable(3, 1), [2, 3, 4]))
wiring(aten.repeat.default, Example(X, [2, 1, 1, 3]))
wiring(aten.tile.default, Example(X, [2, 3]))
wiring(aten.repeat_interleave.self_int, Example(X, 2, 1), Example(X, 3))

# Selecting
# --------------------------------------------------------------------------------------------------

wiring(aten.slice.Tensor, Example(X, 1, 1), Example(X, -1, -3, 2**63 - 1, 2))
wiring(aten.select.int, Example(X, 1, -1))
wiring(aten.narrow.default, Example(X, 2, 1, 2))
wiring(aten.index_select.default, Example(X, 1, torch.tensor([2, 0, 2])))
wiring(
    aten.index.Tensor,
    Example(X, [None, torch.tensor([2, 0, 2])]),
    Example(X, [torch.tensor([[0], [1]]), None, torch.tensor([3, -1])]),
    Example(X, [None, torch.tensor([True, False, True])]),
)
wiring(aten.gather.default, Example(X, 1, torch.tensor([[[2, 0], [1, 1]]])))
wiring(aten.take_along_dim.default, Example(X, torch.tensor([[[2]], [[0]]]), 2))
wiring(
    aten.masked_scatter.default,
    Example(X, torch.tensor([[True], [False], [True]]), Variable(5, 4)),
    Example(Constant(3), torch.tensor([True, False, True]), Variable(2)),
    by=_masked_scatter,
)
wiring(aten.take.default, Example(X, torch.tensor([[5, -1], [5, 0]])))
wiring(aten.diagonal.default, Example(X, 1, 1, 2), Example(X))

wiring(aten.split.Tensor, Example(X, 3, -1, pick=1), Example(X, 2, 1, pick=0))
wiring(aten.unsafe_split.Tensor, Example(X, 3, -1, pick=1))
wiring(aten.split_with_sizes.default, Example(X, [1, 3], 2, pick=1))
wiring(aten.chunk.default, Example(X, 2, 1, pick=1))
wiring(aten.unbind.int, Example(X, 1, pick=2))
wiring(aten.unfold.default, Example(X, 2, 3, 1))
wiring(aten.im2col.default, Example(Variable(1, 2, 5, 4), [2, 3], [2, 1], [1, 0], [1, 2]))
wiring(aten.triu.default, Example(X, 1))
wiring(aten.tril.default, Example(X, -1))
wiring(aten.diag_embed.default, Example(X, 1, 0, -1))
wiring(aten.diag.default, Example(Variable(3), 1), Example(Variable(3, 4), -1))
wiring(aten.embedding.default, Example(Variable(4, 3), torch.tensor([[2, 0], [2, 1]])))

# Joining varying and constant parts
# -----------------------------------------------------------------------------

wiring(aten.cat.default, Example([X, Constant(2, 1, 4), X], 1), Example([Constant(3), Variable(2)]))
wiring(aten.stack.default, Example([X, Constant(2, 3, 4), X], -1))
wiring(aten.hstack.default, Example([X, Constant(2, 1, 4)]))
wiring(aten.vstack.default, Example([Constant(4), Variable(2, 4)]))
wiring(aten.dstack.default, Example([X, Constant(2, 3, 1)]))
wiring(aten.block_diag.default, Example([Variable(2, 3), Constant(1, 2), Variable(2)]))
wiring(
    aten.slice_scatter.default,
    Example(X, Variable(2, 2, 4), 1, -3, 2**63 - 1, 2),
    Example(Constant(3), Variable(2), 0, 1),
    by=_slice_scatter,
)
wiring(
    aten.select_scatter.default,
    Example(X, Variable(2, 4), 1, -1),
    Example(X, Constant(2, 3), 2, 0),
    by=_select_scatter,
)
wiring(aten.diagonal_scatter.default, Example(Variable(3, 4), Variable(3), 1))
wiring(
    aten.index_put.default,
    Example(X, [None, torch.tensor([2, 0])], Variable(2, 2, 4)),
    Example(X, [torch.tensor([0, 1]), torch.tensor([2, 1])], Constant(4)),
    Example(X, [torch.tensor([0, 0]), torch.tensor([2, 2])], Variable(2, 4), True),
    Example(X, [None, torch.tensor([True, False, True])], Constant(1)),
)
wiring(aten.scatter.src, Example(X, 1, torch.tensor([[[2, 0]]]), Variable(2, 3, 4)), by=_scatter)
wiring(aten.scatter.value, Example(X, 1, torch.tensor([[[2, 0]]]), 0.7), scalars=("value",))
wiring(aten.index_copy.default, Example(X, 1, torch.tensor([2, 0]), Variable(2, 2, 4)))
wiring(aten.index_fill.int_Scalar, Example(X, 1, torch.tensor([2, 0]), 0.7), scalars=("value",))

# Padding
# --------------------------------------------------------------------------------------------------

wiring(
    aten.pad.default,
    Example(X, [1, 2, 0, 1]),
    Example(X, [1, -1, 2, 0], "constant", 0.7),
    Example(X, [1, 2], "reflect"),
    Example(Variable(2, 2, 3, 4), [2, 1, 0, 3], "replicate"),
    Example(Variable(2, 2, 3, 4), [2, 1, 3, 0], "circular"),
    scalars=("value",),
)
wiring(aten.constant_pad_nd.default, Example(X, [1, -1, 2, 0], 0.7), scalars=("value",))
wiring(aten.reflection_pad1d.default, Example(X, [1, 2]))
wiring(aten.reflection_pad2d.default, Example(X, [1, 2, 0, 2]))
wiring(aten.reflection_pad3d.default, Example(Variable(2, 3, 2, 4), [1, 2, 0, 1, 2, 1]))
wiring(aten.replication_pad1d.default, Example(X, [1, 2]))
wiring(aten.replication_pad2d.default, Example(X, [1, 2, 0, 2]))
wiring(aten.replication_pad3d.default, Example(Variable(2, 3, 2, 4), [1, 2, 0, 1, 2, 1]))

# Enlarging by the nearest entry
# ---------------------------------------------------------------------------------

IMAGE = Variable(1, 2, 3, 4)
VOLUME = Variable(1, 2, 2, 3, 2)

wiring(aten.upsample_nearest1d.default, Example(X, [7]))
wiring(aten.upsample_nearest1d.vec, Example(X, None, [1.5]))
wiring(aten.upsample_nearest2d.default, Example(IMAGE, [7, 2]))
wiring(aten.upsample_nearest2d.vec, Example(IMAGE, None, [2.0, 1.5]), Example(IMAGE, [7, 2], None))
wiring(aten.upsample_nearest3d.default, Example(VOLUME, [3, 5, 1]))
wiring(aten.upsample_nearest3d.vec, Example(VOLUME, None, [2.0, 1.5, 0.5]))
wiring(aten._upsample_nearest_exact1d.vec, Example(X, None, [1.5]))
wiring(
    aten._upsample_nearest_exact2d.vec,
    Example(IMAGE, None, [2.0, 1.5]),
    Example(IMAGE, [7, 2], None),
)
wiring(aten._upsample_nearest_exact3d.vec, Example(VOLUME, None, [2.0, 1.5, 0.5]))

# Adding entries
# -------------------------------------------------------------------------------------------------

SUMS = "sums of entries"

wiring(
    aten.col2im.default,
    Example(Variable(1, 8, 6), [3, 4], [2, 2], [1, 1], [0, 0], [1, 1]),
    claim=SUMS,
)
wiring(
    aten.scatter_add.default,
    Example(X, 1, torch.tensor([[[2], [2]]]), Variable(2, 2, 4)),
    claim=SUMS,
    by=_scatter_add,
)
wiring(aten.sum_to_size.default, Example(X, [3, 1]), claim=SUMS)
wiring(aten.trace.default, Example(Variable(3, 4)), claim=SUMS)
