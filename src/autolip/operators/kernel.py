"""What a convolution is made of: a kernel and a geometry."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """Everything about a convolution but its kernel, as `aten.convolution` takes it."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self) -> None:
        if not self.output_padding:
            object.__setattr__(self, "output_padding", (0,) * len(self.stride))

    @property
    def dims(self) -> int:
        return len(self.stride)

    def arguments(self) -> tuple[object, ...]:
        """The trailing arguments of `aten.convolution` after the bias."""
        return (
            list(self.stride),
            list(self.padding),
            list(self.dilation),
            self.transposed,
            list(self.output_padding),
            self.groups,
        )


@dataclass(frozen=True, eq=False)
class Kernel:
    """The weights of a convolution, laid out as in torch, and its geometry.

    `weight` is (c_out, c_in / groups, *kernel), transposed (c_in, c_out / groups, *kernel).
    """

    weight: Float[Tensor, "a b *kernel"]
    geometry: Geometry
