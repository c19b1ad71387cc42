"""The linear map of a whole affine subgraph, matrix-free."""

from dataclasses import dataclass

from torch import Tensor

from autolip.operators.operator import Operator


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

    def _mv(self, x: Tensor) -> Tensor:
        values = {self.source: x}
        for link in self.links:
            _accumulate(values, link.target, link.operator.mv(values[link.source]))
        return values.get(self.sink, x.new_zeros((x.shape[0], *self.out_shape)))

    def _rmv(self, y: Tensor) -> Tensor:
        values = {self.sink: y}
        for link in reversed(self.links):
            _accumulate(values, link.source, link.operator.rmv(values[link.target]))
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

    def __repr__(self) -> str:
        return f"Block({len(self.links)} links, {tuple(self.in_shape)} -> {tuple(self.out_shape)})"


def _accumulate(values: dict[str, Tensor], name: str, term: Tensor) -> None:
    values[name] = values[name] + term if name in values else term
