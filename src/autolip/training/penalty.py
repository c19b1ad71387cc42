"""The tightest bound as a penalty: a differentiable estimate of the Lipschitz constant, for one
extra pass a step.

LipSDP's relaxation is a maximum (in the form of Burer and Monteiro, see `methods.lipsdp.ascent`),

    K(W) = max over x, u of |y(W; x, u)|,

so by the envelope theorem (Danskin) its gradient in the weights is the partial derivative at the
maximiser.  The maximiser hardly moves from one training step to the next: (x, u) are kept, and
improved by one step of the vector power method a call, whose backward pass gives the gradient as
well.  AutoLip and LipLT are sums of products of norms, each norm a maximum of the same kind.
"""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from autolip.errors import InputError
from autolip.norms import Norm, parse_norms
from autolip.outputs import Output, parse_output
from autolip.regions import Ball, Everywhere, Region
from autolip.training.envelope import envelope
from autolip.training.estimates import ESTIMATES, Estimator
from autolip.training.live import LiveNetwork, evaluating

Read = Callable[[Tensor], tuple[Tensor, Tensor | float]]
"""From all estimates to a value and its derivative in each of them."""


class Penalty(nn.Module):
    """An estimate K of the network's Lipschitz constant, differentiable in its weights: `loss + lam
    * penalty()`.

    Called once a training step it returns a tensor of shape (), in output units per input unit.  It
    is an *estimate*: at a converged state it is the value of the relaxation that `method` solves,
    otherwise it is below that; it never becomes a bound (`Monitor` proves one).  With a `target`
    the result is max(0, log(K / target)), which is 0 for a network that is below it and does not
    collapse the network to a constant.

    `model` is the module that is trained, in any mode; it may be wrapped by `torch.compile` or
    DistributedDataParallel. Batch norms count with their running statistics.  `example_inputs` show
    the shape of one input (or of a batch). `method` is "lipsdp" (the tightest), "liplt" or
    "autolip" (the product of norms); `norm` as in `lipschitz`, of which LipSDP takes l2 and linf
    inputs, l2 outputs, and any output norm where the output is a number; `output` is "all", "3",
    "3-5" or "pairs", for which the result is the largest of all differences.  `columns` is the rank
    of LipSDP's relaxation.  `region` holds the inputs that matter, for operations without finite
    slopes everywhere.

    With `samples` (n, ...) and a `radius`, K is the largest of |f(x) - f(s)| / |x - s| over samples
    s and x within the radius of s: what attention has, which no constant bounds everywhere.  The
    slopes are those of the weights when `around` was last called (at first, here): once an epoch,
    say, with other samples perhaps.  It costs one pass for each sample.

    With `every` = n only each n-th call takes a step, its gradient n times as large; the others
    return the last value without a gradient (lazy regularisation: Karras et al., CVPR 2020), which
    costs an n-th.

    The state (one vector a neuron and column, and the number of calls) is in this module's
    `state_dict`, so that a training that was interrupted goes on with the same bits; `to` works as
    usual.  The model itself is not part of it, nor are slopes around samples: `around` takes them
    anew.

    Raises InputError or UnsupportedOperation, each in one sentence, where the model cannot be
    penalised.

    Source: the regulariser that Virmaux and Scaman (NeurIPS 2018, section 7) ask for; LipSDP of
    Fazlyab et al. (NeurIPS 2019), its gradient by Danskin's theorem.

        >>> import torch
        >>> from torch import nn
        >>> from autolip.training import Penalty
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> penalty = Penalty(model, torch.zeros(1, 8))
        >>> (0.1 * penalty().log()).backward()
        >>> model[0].weight.grad.shape
        torch.Size([16, 8])
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: Tensor | Sequence[Tensor],
        *,
        method: str = "lipsdp",
        norm: str = "l2",
        output: Any = "all",
        columns: int = 4,
        region: Region | None = None,
        samples: Tensor | None = None,
        radius: float | None = None,
        target: float | None = None,
        every: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if method not in ESTIMATES:
            raise InputError(
                f"there is no penalty {method!r}: choose from {', '.join(sorted(ESTIMATES))}"
            )
        if columns < 1:
            raise InputError(f"columns is {columns}: give a number >= 1")
        if every < 1:
            raise InputError(f"every is {every}: give a number of calls >= 1")
        if target is not None and not 0 < target < float("inf"):
            raise InputError(f"the target is {target}: give a finite number > 0")
        p, q = parse_norms(norm)
        inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
        shape = _output_shape(model, inputs)
        asked = parse_output(output)
        readouts = _readouts(asked, shape)
        count = 1 if readouts is None else len(readouts)
        rank = columns if method == "lipsdp" else 1
        balls = _balls(samples, radius, region, inputs[0].dim(), p)
        where, point = balls[0]
        live = LiveNetwork(model, inputs, count * rank, where, method == "lipsdp", point)
        self.target = target
        self.method = method
        self.output = asked
        self.every = every
        self.radius = radius
        self._dim = inputs[0].dim()
        self._norm = p
        self._calls = 0
        self._last: Tensor
        self.register_buffer("_last", torch.zeros(count * len(balls)))
        self.pairs = [(pair.plus, pair.minus) for pair in asked.differences(shape)]
        self._live = live
        self._make: Callable[[LiveNetwork], Estimator] = partial(
            ESTIMATES[method], p=p, q=q, readouts=readouts, rank=rank, seed=seed
        )
        self._asks([live])
        if samples is not None:
            if self.pairs:
                raise InputError("samples are given, and output 'pairs': ask for one at a time")
            self.around(samples)

    def forward(self) -> Tensor:
        """K, or max(0, log(K / target)); the state is improved by one step."""
        return self._called(self._largest)

    def constants(self) -> Tensor:
        """The estimate of each read-out, shape (questions,): one, one for each of `pairs`, or one
        for each sample; one step further."""
        return self._called(_each)

    def _called(self, read: Read) -> Tensor:
        """What is read off the estimates, where a step is due; else off the last ones, without a
        gradient."""
        if self.every > 1:
            self._calls += 1
            if (self._calls - 1) % self.every:
                return read(self._last)[0]
        return self._stepped(read)

    def _stepped(self, read: Read) -> Tensor:
        """What is read off estimates that are one step further."""
        with _without_autocast(self._live.device.type):
            weights, parameters = self._live.weights()
            with torch.no_grad():
                found = [estimator.improved(weights, parameters) for estimator in self._each]
                each = found[0].values if len(found) == 1 else torch.cat([f.values for f in found])
                value, slope = read(each)
            if self.every > 1:
                self._last, slope = each, self.every * slope
            return envelope(value, slope, found, self._names, weights)

    def _largest(self, each: Tensor) -> tuple[Tensor, Tensor | float]:
        """The largest estimate, or how far its logarithm is above the target's; its derivative in
        each of them."""
        if len(each) == 1:
            return self._above(each.view(()))
        largest, at = each.max(0)
        value, slope = self._above(largest)
        return value, slope * nn.functional.one_hot(at, len(each)).to(each)

    def _above(self, constant: Tensor) -> tuple[Tensor, Tensor | float]:
        """The constant, or how far its logarithm is above the target's; its derivative in it."""
        if self.target is None:
            return constant, 1.0
        least = constant.clamp_min(self.target)
        return (least / self.target).log_(), (constant > self.target) / least

    def get_extra_state(self) -> Tensor:
        """How many calls there were: which of the next ones take a step, with `every`."""
        return torch.tensor(self._calls)

    def set_extra_state(self, state: Tensor) -> None:
        """That of a training that goes on."""
        self._calls = int(state)

    def around(self, samples: Tensor) -> None:
        """Slopes from these samples (n, ...) to what lies within the radius of each, by the weights
        of this moment; the vectors stay where there are as many samples as before.

        Raises InputError for a penalty that was made without samples.
        """
        if self.radius is None:
            raise InputError("the penalty was made without samples: give them, and a radius")
        balls = _balls(samples, self.radius, None, self._dim, self._norm)
        before = self.estimators
        self._asks([self._live.around(*ball) for ball in balls])
        for estimator, known in zip(self.estimators, before, strict=False):
            estimator.load_state_dict(known.state_dict(), strict=False)
        self._calls = 0

    def _asks(self, networks: Sequence[LiveNetwork]) -> None:
        """One estimator for each of some slopes."""
        self._each = tuple(map(self._make, networks))
        self.estimators = nn.ModuleList(self._each)
        self._names = tuple(dict.fromkeys(n for live in networks for n in live.learnable))

    def settle(self, steps: int = 200, tolerance: float = 1e-5) -> float:
        """The largest estimate after further steps with the weights as they are: until it hardly
        grows.

        Worth calling once before training; afterwards the state follows the weights.
        """
        before, calm = 0.0, 0
        for _ in range(steps):
            with torch.no_grad():
                value = float(self._stepped(_each).max())
            calm = calm + 1 if abs(value - before) <= tolerance * value else 0
            if calm == 5:
                break
            before = value
        return value


def _each(each: Tensor) -> tuple[Tensor, Tensor | float]:
    """All estimates."""
    return each, 1.0


def _without_autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    """Tensors as precise as they are, for a while."""
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()


def _balls(
    samples: Tensor | None, radius: float | None, region: Region | None, dim: int, p: Norm
) -> list[tuple[Region, Tensor | None]]:
    """Around each sample a ball and its centre; without samples, the region alone."""
    if samples is None:
        if radius is not None:
            raise InputError("a radius is given, but no samples: give them, or a region")
        return [(region or Everywhere(), None)]
    if region is not None or radius is None or not 0 < radius < float("inf"):
        raise InputError("samples need a radius, finite and > 0, and no region")
    if samples.dim() < 1 or not len(samples) or not bool(samples.isfinite().all()):
        raise InputError("samples are a tensor (n, ...) of n >= 1 finite inputs")
    points = samples.detach().cpu().double()
    points = points[:, None] if points.dim() == dim else points
    return [(Ball(point, radius, p), point.contiguous()) for point in points]


def _output_shape(model: nn.Module, inputs: Sequence[Tensor]) -> torch.Size:
    """The shape of the model's output for one input."""
    with evaluating(model), torch.no_grad():
        result = model(*inputs)
    if not isinstance(result, Tensor):
        raise InputError("a penalty needs a model that returns one tensor")
    return result.shape


def _readouts(output: Output, shape: torch.Size) -> Tensor | None:
    """The rows that are applied to the output, or None for all of it."""
    parts: tuple[Output, ...] = output.differences(shape) or (output,)
    operators = [part.readout(shape) for part in parts]
    rows = [operator.matrix() for operator in operators if operator is not None]
    return torch.cat(rows) if rows else None
