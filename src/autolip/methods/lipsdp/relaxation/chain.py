"""A network that is one sequence of narrow layers: the layerwise recursion speaks of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.chains import Stretch, stretches
from autolip.graph.views import SlopeGraph
from autolip.methods.layerwise.method import dense_layers, flat_slopes
from autolip.methods.lipsdp.relaxation.constraint import nonlinear
from autolip.rounded import Rounded

WIDEST_CHAIN = 1024
"""Greatest width of a hidden layer whose ellipsoid is kept as a matrix: a choice, 8 MB each."""


@dataclass(frozen=True)
class Chain:
    """Matrices W_1, ..., W_K as `layers`, the slopes [a, b] between them, and the names of the
    nonlinear vertices."""

    layers: Sequence[Rounded]
    slopes: Sequence[tuple[Tensor, Tensor]]
    names: Sequence[str]

    @property
    def work(self) -> float:
        """About the multiply-adds of one recursion."""
        return sum(float(len(layer.value)) ** 3 for layer in self.layers[:-1])


def chain_of(fused: SlopeGraph) -> Chain | None:
    """The network as a chain, if it is one and narrow enough."""
    names = [vertex.name for vertex in nonlinear(fused)]
    for stretch in stretches(fused):
        if _is_whole(fused, stretch) and len(stretch.slopes) == len(names):
            layers = dense_layers(stretch.blocks, WIDEST_CHAIN)
            if not isinstance(layers, Refusal):
                return Chain(layers, [flat_slopes(slopes) for slopes in stretch.slopes], names)
    return None


def _is_whole(fused: SlopeGraph, stretch: Stretch) -> bool:
    return (stretch.source, stretch.sink) == (fused.input, fused.output)
