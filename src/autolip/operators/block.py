"""The linear map of a whole affine subgraph, matrix-free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.operators.algebra import Zero, compose, compound_error
from autolip.operators.diagonal import Identity
from autolip.operators.operator import Operator, V


@dataclass(frozen=True)
class Link:
    """value[target] += operator(value[source])."""

    source: str
    target: str
    operator: Operator


class Block(Operator):
    """The sum over all paths from `source` to `sink` of the products of operators along the path.

    One product costs one application of every link, however many paths there are.
    """

    def __init__(
        self,
        source: str,
        sink: str,
        links: tuple[Link, ...],
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
    ) -> None:
        super().__init__(in_shape, out_shape)
        self.source = source
        self.sink = sink
        self.links = links
        operators = [link.operator for link in links]
        self.relative_error = compound_error(*operators)

    @staticmethod
    def of(
        links: list[Link],
        source: str,
        sink: str,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
    ) -> Operator:
        """The map of these links: a composition where they form one path, 0 where there are none,
        from a value to itself the identity."""
        if source == sink:
            return Identity(in_shape)
        if not links:
            return Zero(in_shape, out_shape)
        if (
            len(links)
            == len({link.target for link in links})
            == len({link.source for link in links})
        ):
            return compose(*(link.operator for link in reversed(links)))
        return Block(source, sink, tuple(links), in_shape, out_shape)

    def _mv(self, x: Tensor) -> Tensor:
        values = pushed(self.links, {self.source: x})
        return values.get(self.sink, x.new_zeros((x.shape[0], *self.out_shape)))

    def _rmv(self, y: Tensor) -> Tensor:
        values = pulled(self.links, {self.sink: y})
        return values.get(self.source, y.new_zeros((y.shape[0], *self.in_shape)))

    @property
    def terms(self) -> int:
        """Errors of all the links add up."""
        return sum(link.operator.terms + 1 for link in self.links)

    def majorant(self) -> Operator | None:
        """Every link by its majorant: the sum over paths of products of absolute values."""
        links: list[Link] = []
        for link in self.links:
            bound = link.operator.majorant()
            if bound is None:
                return None
            links.append(Link(link.source, link.target, bound))
        return Block(self.source, self.sink, tuple(links), self.in_shape, self.out_shape)

    @property
    def is_composite(self) -> bool:
        return True

    def fold(self, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]) -> V:
        values = {self.source: x}
        for link in self.links:
            before = values[link.source]
            term = link.operator.fold(before, leaf, add)
            known = [values[link.target]] if link.target in values else []
            values[link.target] = add([*known, term]) if known else term
        return values[self.sink] if self.sink in values else leaf(self.zero, x)

    @property
    def T(self) -> Operator:
        turned = (Link(link.target, link.source, link.operator.T) for link in reversed(self.links))
        return Block(self.sink, self.source, tuple(turned), self.out_shape, self.in_shape)

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        links = (
            Link(link.source, link.target, link.operator.cast(dtype, device)) for link in self.links
        )
        return Block(self.source, self.sink, tuple(links), self.in_shape, self.out_shape)

    @property
    def zero(self) -> Operator:
        """The zero map between the same spaces: what a block without paths is."""
        return Zero(self.in_shape, self.out_shape)

    def __repr__(self) -> str:
        return f"Block({len(self.links)} links, {tuple(self.in_shape)} -> {tuple(self.out_shape)})"


def between(links: Sequence[Link], source: str, sink: str) -> list[Link]:
    """Those of the links, given in topological order, that lie on a path from source to sink."""
    reached = {source}
    forward = []
    for link in links:
        if link.source in reached and link.target != source:
            reached.add(link.target)
            forward.append(link)
    wanted = {sink}
    kept = []
    for link in reversed(forward):
        if link.target in wanted:
            wanted.add(link.source)
            kept.append(link)
    return kept[::-1]


def pushed(links: Sequence[Link], values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The values given, and what they add along links in topological order."""
    for link in links:
        accumulate(values, link.target, link.operator.mv(values[link.source]))
    return values


def pulled(links: Sequence[Link], values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same by the adjoints, from the last link to the first."""
    for link in reversed(links):
        accumulate(values, link.source, link.operator.rmv(values[link.target]))
    return values


def accumulate(values: dict[str, Tensor], name: str, term: Tensor) -> None:
    """Add a term to the value of that name."""
    values[name] = values[name] + term if name in values else term
