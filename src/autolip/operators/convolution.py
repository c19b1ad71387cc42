"""Convolutions and transposed convolutions of one, two and three dimensions."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.operators.kernel import Geometry, Kernel
from autolip.operators.operator import DTYPE, Operator, largest
from autolip.operators.scaling import along, product


class Convolution(Operator):
    """Zero-padded cross-correlation x -> w * x, or its transpose.

    `weight` is laid out as in torch: (c_out, c_in / groups, *kernel), transposed (c_in, c_out /
    groups, *kernel); `in_shape` is (*batch, c_in, *space) with at most one batch axis;
    `relative_error` as in `Dense`.
    """

    def __init__(
        self,
        weight: Float[Tensor, "a b *kernel"],
        in_shape: tuple[int, ...],
        geometry: Geometry,
        relative_error: float = 0.0,
    ) -> None:
        self.weight = weight.to(DTYPE)
        self.geometry = geometry
        self.relative_error = relative_error
        count = len(in_shape) - geometry.dims - 1
        self._lead = tuple(in_shape[:count])
        of_one = in_shape[len(self._lead) :]
        probe = torch.empty((1, *of_one), device="meta", dtype=DTYPE)
        kernel = self.weight.to("meta")
        out = torch.ops.aten.convolution(probe, kernel, None, *geometry.arguments())
        super().__init__(in_shape, (*self._lead, *out.shape[1:]))

    @staticmethod
    def of(operator: Operator) -> "Convolution | None":
        """The convolution that an operator is, where it knows its kernel."""
        kernel = operator.kernel
        if kernel is None:
            return None
        return Convolution(
            kernel.weight, operator.in_shape, kernel.geometry, operator.relative_error
        )

    def _mv(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, *self.image_shape)
        arguments = self.geometry.arguments()
        out = torch.ops.aten.convolution(flat, self.weight, None, *arguments)
        return out.reshape(-1, *self.out_shape)

    def _rmv(self, y: Tensor) -> Tensor:
        after = self.out_shape[len(self._lead) :]
        flat = y.reshape(-1, *after)
        nothing = self.weight.new_zeros(())
        probe = nothing.expand(flat.shape[0], *self.image_shape)
        pulled = torch.ops.aten.convolution_backward(
            flat, probe, self.weight, None, *self.geometry.arguments(), [True, False, False]
        )[0]
        return pulled.reshape(-1, *self.in_shape)

    def rmv_units(self, units: Float[Tensor, "b *out"]) -> Float[Tensor, "b *in"]:
        """A^T y: the kernel's entries, put where they belong, a hundred times quicker than a
        product."""
        geometry = self.geometry
        flat = units.flatten(1)
        if geometry.transposed or math.prod(self._lead) != 1:
            return self.rmv(units)
        at = flat.argmax(1)
        after = self.out_shape[len(self._lead) :]
        channel, *places = torch.unravel_index(at, after)
        padded = [
            size + 2 * pad for size, pad in zip(self.image_shape[1:], geometry.padding, strict=True)
        ]
        steps = [
            math.prod(padded[axis:]) for axis in range(geometry.dims + 1)
        ]  # of the channel, then of every axis
        width = self.weight.shape[1]
        base = channel * geometry.groups // self.weight.shape[0] * width * steps[0]
        offsets = torch.arange(width) * steps[0]
        for axis, place in enumerate(places):
            base = base + place * (geometry.stride[axis] * steps[axis + 1])
            taps = torch.arange(self.weight.shape[axis + 2]) * (
                geometry.dilation[axis] * steps[axis + 1]
            )
            offsets = (offsets[:, None] + taps).flatten()
        numbers = self.image_shape[0] * steps[0]
        image = units.new_zeros(len(units), numbers)
        image.scatter_(
            1,
            base[:, None] + offsets,
            self.weight[channel].flatten(1) * flat.gather(1, at[:, None]),
        )
        channels = self.image_shape[0]
        image = image.reshape(-1, channels, *padded)
        for axis, (size, pad) in enumerate(
            zip(self.image_shape[1:], geometry.padding, strict=True)
        ):
            image = image.narrow(axis + 2, pad, size)
        return image.reshape(-1, *self.in_shape)

    @property
    def image_shape(self) -> torch.Size:
        """(c_in, *space)."""
        return self.in_shape[len(self._lead) :]

    @property
    def channel_axis(self) -> int:
        return len(self._lead)

    @property
    def terms(self) -> int:
        return max(self.weight.shape[:2]) * math.prod(self.weight.shape[2:])

    @property
    def work(self) -> float:
        positions = self.in_shape if self.geometry.transposed else self.out_shape
        of_a_channel = positions[len(self._lead) + 1 :]
        space = math.prod(of_a_channel) * math.prod(self._lead)
        return float(self.weight.numel() * space)

    @property
    def magnitude(self) -> float:
        """The largest entry of the kernel that meets the image: taps that only see padding do not
        count."""
        kernel = self.weight
        for axis in range(self.geometry.dims):
            kept = self._taps_that_meet_the_image(axis)
            kernel = kernel[(slice(None),) * (axis + 2) + (kept,)]
        return largest(kernel)

    def _taps_that_meet_the_image(self, axis: int) -> list[int]:
        """Offsets of the kernel along a space axis that lie inside the image at some position."""
        geometry = self.geometry
        space = slice(-self.geometry.dims, None)
        read = self.in_shape[space][axis]
        written = self.out_shape[space][axis]
        ends = read, written
        fine, coarse = ends[::-1] if geometry.transposed else ends
        places = torch.arange(coarse) * geometry.stride[axis] - geometry.padding[axis]
        offsets = range(
            0, self.weight.shape[axis + 2] * geometry.dilation[axis], geometry.dilation[axis]
        )
        return [
            tap
            for tap, offset in enumerate(offsets)
            if ((places + offset >= 0) & (places + offset < fine)).any()
        ]

    @property
    def kernel(self) -> Kernel:
        return Kernel(self.weight, self.geometry)

    @property
    def knows_entries(self) -> bool:
        return True

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return Convolution(function(self.weight), self.in_shape, self.geometry, self.relative_error)

    def scaled_outputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        factors = along(scale, self.out_shape, self.channel_axis)
        return self._scaled(factors, relative_error, grouped=self.geometry.transposed)

    def scaled_inputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        factors = along(scale, self.in_shape, self.channel_axis)
        return self._scaled(factors, relative_error, grouped=not self.geometry.transposed)

    def _scaled(
        self, factors: Tensor | None, relative_error: float, grouped: bool
    ) -> "Convolution | None":
        """The kernel with each slice along its first axis scaled, or along its second, which counts
        within groups."""
        if factors is None:
            return None
        ones = [1] * self.geometry.dims
        if not grouped:
            columns = factors.reshape(-1, 1, *ones)
            weight = product(self.weight, columns)
        else:
            groups = self.geometry.groups
            apart = self.weight.unflatten(0, (groups, -1))
            of_inputs = factors.reshape(groups, 1, -1, *ones)
            scaled = product(apart, of_inputs)
            weight = None if scaled is None else scaled.flatten(0, 1)
        return (
            None
            if weight is None
            else Convolution(weight, self.in_shape, self.geometry, relative_error)
        )

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return self._with(weight=self.weight.to(device, dtype))

    def on(self, in_shape: tuple[int, ...]) -> "Convolution":
        """The same kernel on images of another size."""
        return Convolution(self.weight, in_shape, replace(self.geometry), self.relative_error)
