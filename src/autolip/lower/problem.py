"""What a search for a lower bound works on: the network as a batched function, and the original to
check it."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.budget import UNLIMITED, WALL, Budget
from autolip.capture.torch.export import Capture
from autolip.errors import Refusal, first_line
from autolip.graph.evaluate import evaluate, evaluate_batch
from autolip.graph.graph import Graph
from autolip.lower.cost import numbers, seconds_per_pass
from autolip.lower.gradients import differentiable, tamed
from autolip.lower.in_units import InUnits
from autolip.norms import Norm
from autolip.operators.algebra import compose
from autolip.operators.norms.rounding import rounded_product
from autolip.operators.operator import CPU, DTYPE, Operator
from autolip.regions import Box, Region
from autolip.rounded import Rounded
from autolip.units import UNITS, Units
from autolip.values import Lower

CHUNK = 2**25
"""Tuned: numbers that one chunk of a batch may compute, in all operations together (256 MiB)."""

PAUSE = 0.2
"""Chosen: seconds between two reports of a search."""

DERIVATIVE = 1e-5
"""Chosen: a secant of this length, relative to the reach, counts as a derivative."""

ROUNDED = 1e-8
"""Chosen: or of this length, relative to the largest inputs, if that is longer."""

WIDE = 100.0
"""Chosen: how far from the example a search goes where the region is unbounded, relative to the
example's scale."""


@dataclass
class LowerProblem:
    """Find x, y in a region with a large ||f(x) - f(y)||_q / ||x - y||_p, or x alone where y is a
    `centre`.

    Where the input has units s, of u and v in place of x = s u and y = s v: the searches' region,
    example and points are u, and what they find is certified as x in `own`, the same problem in the
    user's numbers, whose lengths ||(x - y) / s||_p are those of u - v.

    `graph` is the captured network, `original` the model it came from (in float64 where `exact`),
    `readout` a linear map applied to the output; inputs and outputs that are single numbers are
    vectors of one entry.  `passes` counts forward plus backward passes at batch 1: a forward pass
    alone counts a half.  `wild` says that a derivative was met that is not finite: from then on
    such ones count as 0 where they arise.  `say` hears, several times a second, the steepest slope
    met and the passes made.
    """

    graph: Graph
    original: Callable[[Tensor], Tensor]
    exact: bool
    example: Float[Tensor, "*shape"]
    region: Region
    p: Norm
    q: Norm
    seed: int = 0
    budget: Budget = UNLIMITED
    readout: Operator | None = None
    centre: Float[Tensor, "*shape"] | None = None
    passes: float = 0.0
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)
    steepest: float = 0.0
    said: float = 0.0
    wild: bool = False
    units: Units = UNITS
    users: "LowerProblem | None" = field(default=None, repr=False)
    device: torch.device = CPU
    """Where the searches' passes are made; those of `own` are made on the processor."""
    known: tuple[tuple[Tensor, Tensor], ...] = field(default=(), repr=False)
    """Pairs that were found before: a search begins there too."""

    @staticmethod
    def of(
        capture: Capture,
        region: Region,
        p: Norm,
        q: Norm,
        *,
        seed: int = 0,
        budget: Budget = UNLIMITED,
        centre: Tensor | None = None,
        units: Units = UNITS,
        device: torch.device = CPU,
    ) -> "LowerProblem":
        """The problem for a captured network, in units of its input; those of its output are a
        read-out."""
        exact = capture.reference_dtype is DTYPE
        graph = differentiable(capture.graph)
        example = torch.atleast_1d(capture.example.to(DTYPE))
        fixed = None if centre is None else centre.reshape(example.shape)
        original = capture.reference
        problem = LowerProblem(
            graph, original, exact, example, region, p, q, seed, budget, centre=fixed
        )
        own = replace(problem, units=units)
        inner = own if units.of_input is None else own._in_units(units.of_input)
        return inner if device == CPU else replace(inner, device=device, users=own)

    def _in_units(self, scale: Tensor) -> "LowerProblem":
        factors = torch.atleast_1d(scale)
        return replace(
            self,
            graph=self.graph.scaled(scale),
            original=lambda u: self.original(u * scale),
            example=self.example / factors,
            region=InUnits(self.region, factors),
            centre=None if self.centre is None else self.centre / factors,
            users=self,
        )

    @property
    def scale(self) -> Float[Tensor, "*shape"] | None:
        """The units of the input, in the shape of the example."""
        scale = self.units.of_input
        return None if scale is None else torch.atleast_1d(scale)

    @property
    def own(self) -> "LowerProblem":
        """The problem in the user's own numbers."""
        return self if self.users is None else self.users

    def from_user(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """The user's points as the searches see them."""
        return x if self.users is None or self.scale is None else x / self.scale

    def to_user(
        self, x: Float[Tensor, "*shape"], y: Float[Tensor, "*shape"]
    ) -> tuple[Tensor, Tensor]:
        """A pair that was found in the user's own numbers, moved into the region; y is the given
        point where there is one."""
        if self.users is None or self.scale is None:
            return x, y
        own = self.users
        x, z = own.region.inward(torch.stack([x, y]) * self.scale)
        return x, z if own.centre is None else own.centre

    def keep(self, found: Lower | Refusal) -> None:
        """Remember the pair that attains a bound."""
        if isinstance(found, Lower) and found.witness is not None:
            pair = torch.stack([found.witness.x, found.witness.y])
            x, y = self.from_user(pair.reshape(2, *self.example.shape))
            self.known = (*self.known, (x, y))

    def reading(self, operator: Operator) -> "LowerProblem":
        """The same network followed by a linear read-out; the passes made so far are kept."""
        whole = operator if self.readout is None else compose(operator, self.readout)
        users = None if self.users is None else self.users.reading(operator)
        return replace(self, readout=whole, users=users)

    def within(self, part: float) -> "LowerProblem":
        """The same, with this part of the time that is left."""
        return replace(self, budget=self.budget.within(part)) if self.budget.limited else self

    def function(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *out"]:
        """f(x_i) by the captured graph in float64; differentiable. Costs k/2 passes."""
        self.passes += x.shape[0] / 2
        x = x.reshape(-1, *self.graph.input_shape)
        is_tamed = self.wild and torch.is_grad_enabled()
        graph, place = (self.tamed if is_tamed else self.graph), CPU
        if self.moves:
            graph, place = (self.tamed_there if is_tamed else self.there), self.device
        outputs = evaluate_batch if self.batched else _one_by_one
        return self.read(outputs(graph, x.to(place)).to(CPU))

    def met(self, slope: Float[Tensor, " k"]) -> None:
        """Keep the steepest of the slopes that a search meets, and say so where some time has
        passed."""
        if len(slope):
            self.steepest = max(self.steepest, slope.max().item())
        now = WALL.now()
        if now > self.said + PAUSE:
            self.said = now
            self.say(f"{self.steepest:.6g} after {self.passes:.0f} passes")

    def values(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *out"]:
        """f(x_i) without derivatives, as many at a time as memory allows. Costs k/2 passes."""
        with torch.no_grad():
            return torch.cat([self.function(part) for part in x.split(self.rows)])

    def reference(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*out"]:
        """f(x) by the original model. Costs half a pass."""
        self.passes += 0.5
        output = (
            self.original(x.reshape(self.graph.input_shape))
            .to(DTYPE)
            .reshape(1, *self.graph.output_shape)
        )
        return self.read(output)[0]

    def read(self, output: Float[Tensor, "k *full"]) -> Float[Tensor, "k *out"]:
        """The read-out of a batch of network outputs; numbers as vectors of one entry."""
        read = output if self.readout is None else self.readout.mv(output)
        return read if read.dim() > 1 else read[:, None]

    def reading_error(self, output: Float[Tensor, "*full"]) -> Float[Tensor, "*out"]:
        """What the entries of `read` of one network output may be off by; infinite where nothing
        is known of the read-out's entries."""
        (read,) = self.read(output[None])
        if self.readout is None:
            return torch.zeros_like(read)
        known = rounded_product(self.readout, Rounded.exact(output[None]))
        if isinstance(known, Refusal):
            return torch.full_like(read, math.inf)
        return known.error.reshape(read.shape)

    def generator(self) -> torch.Generator:
        """A fresh generator with the problem's seed."""
        return torch.Generator().manual_seed(self.seed)

    @property
    def expired(self) -> bool:
        """Whether the time budget has ended."""
        return self.budget.expired

    @cached_property
    def batched(self) -> bool:
        """Whether `torch.vmap` runs every operation of the graph; otherwise inputs are evaluated
        one by one."""
        try:
            with torch.no_grad():
                evaluate_batch(self.graph, self.example[None])
        except RuntimeError:
            return False
        return True

    @cached_property
    def moves(self) -> bool:
        """Whether passes are made on the device: another one than the processor, which has all of
        the graph's operations and their derivatives."""
        if self.device == CPU:
            return False
        one = self.example.reshape(1, *self.graph.input_shape).to(self.device).requires_grad_()
        try:
            with torch.enable_grad():
                output = (evaluate_batch if self.batched else _one_by_one)(self.there, one)
                if output.requires_grad:
                    torch.autograd.grad(output.sum(), one)
        except RuntimeError as error:
            why = first_line(error)
            self.say(f"on the processor, for {self.device} cannot: {why}")
            return False
        return True

    @cached_property
    def there(self) -> Graph:
        """The graph on the device."""
        return self.graph.on(self.device)

    @cached_property
    def tamed_there(self) -> Graph:
        """The tamed graph on the device."""
        return self.tamed.on(self.device)

    @cached_property
    def tamed(self) -> Graph:
        """The graph, of which infinite derivatives count as 0."""
        return tamed(self.graph)

    @cached_property
    def rows(self) -> int:
        """How many inputs are evaluated together."""
        return max(1, CHUNK // max(1, self.numbers))

    @cached_property
    def numbers(self) -> int:
        """How many numbers one forward pass computes."""
        return numbers(self.graph)

    @cached_property
    def seconds_per_pass(self) -> float:
        """A forecast for batches, from counting operations: the same on every machine."""
        return seconds_per_pass(self.graph)

    @cached_property
    def free(self) -> Bool[Tensor, "*shape"]:
        """Which entries of the input may vary in the region."""
        return ~self.region.settled(self.example.shape)

    @cached_property
    def spread(self) -> Float[Tensor, "*shape"]:
        """How far each entry of the input typically varies; by the example's scale if the region is
        unbounded."""
        stride = self.region.stride(self.example.shape)
        if bool(stride.isfinite().all()):
            return stride
        return self.example.abs().max().clamp(min=1.0).expand(self.example.shape)

    @cached_property
    def domain(self) -> Region:
        """Where searches move: the region, or a box of `WIDE` times the example's scale if it is
        everything.

        Farther out, rounding would decide which pair is the steepest.
        """
        reach = WIDE * self.spread
        lo, hi = (
            end.clamp(-sys.float_info.max, sys.float_info.max)
            for end in (self.example - reach, self.example + reach)
        )
        return self.region.within(Box(lo, hi))

    @cached_property
    def reach(self) -> float:
        """How far the region extends from its middle, in the input norm."""
        return float(self.p.of_rows(self.spread[None]))

    @cached_property
    def short(self) -> float:
        """The half distance at which a secant counts as a derivative, yet rounding of the points
        does not show."""
        box = self.domain.interval(self.example.shape)
        sizes = box.magnitude()[None]
        magnitude = float(self.p.of_rows(sizes))
        return max(DERIVATIVE * self.reach, min(self.reach / 10, ROUNDED * magnitude))


def counted(amount: float, most: int, least: int = 1) -> int:
    """The whole part of an amount, at most `most`, but at least `least`."""
    return max(least, min(most, int(amount)))


def _one_by_one(graph: Graph, x: Float[Tensor, "k *shape"]) -> Tensor:
    return torch.stack([evaluate(graph, one) for one in x])
