"""The ideal scenario of the paper: SeqLip over AutoLip against depth, and its theoretical limit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from autolip.budget import stopwatch
from autolip.findings import Row
from autolip.methods.seqlip import (
    IdealLayer,
    ideal_network,
    maximise_greedy,
    pi_limit,
    relax,
    theorem3_bound,
)
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.norms import operator_norm
from autolip.reproduce.columns import Cells, Track
from autolip.reproduce.outcome import Network, Outcome, Stated
from autolip.reproduce.steps import Facts, Steps
from autolip.values import INFINITE, ONE, Certainty, Estimate, Upper

LIMIT, FINITE = "limit, infinite width", "limit, this width"
MEASURES = ("SeqLip", "Greedy SeqLip", "Theorem 3")


@dataclass(frozen=True)
class IdealExperiment:
    """Layers U diag(1, r, ..., r) V^T; every draw is one network, whose first k layers are the
    network of depth k.

    AutoLip is 1 for all of them: the norm of each layer.  The values are means over the draws, in
    units of it.  At r = 0 the maxima are closed (Theorem 3 is exact), so that many more draws cost
    little.
    """

    depths: int = 10
    width: int = 100
    ratios: tuple[float, ...] = (0.5, 0.1, 0.01, 0.0)
    draws: int = 2
    limit_draws: int = 100

    @staticmethod
    def quick() -> "IdealExperiment":
        """Fewer layers and draws."""
        return IdealExperiment(depths=5, draws=1, limit_draws=50)

    def run(self, steps: Steps, seed: int, track: Track) -> Outcome:
        """Every draw at every ratio, then the means."""
        found: dict[float, list[Facts]] = {ratio: [] for ratio in self.ratios}
        tasks = list(self.tasks(seed))
        for number, (ratio, seeds) in enumerate(tasks):
            track(f"r = {ratio:g}, draw {seeds[0] - seed + 1}", number, len(tasks))
            settings = {
                "depths": self.depths,
                "width": self.width,
                "ratio": ratio,
                "seeds": [seeds[0], seeds[-1]],
            }
            found[ratio] += steps.numbers(
                f"ideal-r{ratio:g}",
                settings,
                lambda r=ratio, which=seeds: {"draws": [self.draw(r, s) for s in which]},  # type: ignore[misc]
            )["draws"]
        track("writing", len(tasks), len(tasks))
        return self.outcome(found, seed)

    def tasks(self, seed: int) -> Iterator[tuple[float, range]]:
        """A ratio, and the seeds of the draws that make one step: the slow ones one by one."""
        for ratio in self.ratios:
            if ratio == 0:
                yield ratio, range(seed, seed + self.limit_draws)
            else:
                yield from (
                    (ratio, range(seed + draw, seed + draw + 1)) for draw in range(self.draws)
                )

    def draw(self, ratio: float, seed: int) -> Facts:
        """SeqLip (proved), greedy SeqLip and Theorem 3 of the first k layers of one random network,
        k = 1, 2, ..."""
        layers = [
            _Split.of(layer) for layer in ideal_network(self.depths, self.width, ratio, seed=seed)
        ]
        values: dict[str, Iterator[float]] = {
            "SeqLip": (
                bound.value for bound in prefixes(layers, relax if ratio else theorem3_bound)
            ),
        }
        if ratio:
            values["Greedy SeqLip"] = greedy_prefixes(layers, seed)
            values["Theorem 3"] = (bound.value for bound in prefixes(layers, theorem3_bound))
        found: Facts = {"seconds": {}}
        for measure, each in values.items():
            elapsed = stopwatch()
            found[measure] = list(each)
            found["seconds"][measure] = elapsed()
        return found

    def outcome(self, found: dict[float, list[Facts]], seed: int) -> Outcome:
        """Means over the draws beside the limits."""
        depths = range(1, self.depths + 1)
        networks = tuple(Network(f"{k} layer{'s'[: k > 1]}", k) for k in depths)
        cells: Cells = {}
        spread: dict[tuple[str, str], float] = {}
        for ratio, draws in found.items():
            for measure in (measure for measure in MEASURES if measure in draws[0]):
                for network in networks:
                    values = [draw[measure][network.depth - 1] for draw in draws]
                    key = (column(measure, ratio), network.label)
                    cells[key] = _mean(
                        measure, values, sum(draw["seconds"][measure] for draw in draws)
                    )
                    if len(values) > 1:
                        spread[key] = stdev(values) / math.sqrt(len(values))
        for network in networks:
            finite = Estimate(finite_limit(network.depth, self.width))
            cells[FINITE, network.label] = Stated(FINITE, finite, source="theory")
            limit = Estimate(pi_limit(network.depth))
            cells[LIMIT, network.label] = Stated(LIMIT, limit, source="theory")
        return Outcome(
            "ideal",
            f"Ideal scenario: SeqLip in units of AutoLip, {self.width} neurons a layer",
            {"seed": seed, **{key: value for key, value in vars(self).items() if key != "ratios"}},
            networks,
            tuple(dict.fromkeys(title for title, _ in cells)),
            cells,
            {},
            (
                f"means of {self.draws} network{'s'[: self.draws > 1]}, "
                f"{self.limit_draws} at r = 0",
                *self.remarks(cells, spread, networks),
            ),
            spread,
        )

    def remarks(
        self, cells: Cells, spread: dict[tuple[str, str], float], networks: tuple[Network, ...]
    ) -> Iterator[str]:
        """How far from the expectation the means at r = 0 are, in standard errors."""
        for network in networks[1:]:
            key = column("SeqLip", 0.0), network.label
            if key in spread and (value := cells[key].value) is not None:
                limit = finite_limit(network.depth, self.width)
                yield (
                    f"{network.label}, r = 0: {value:.4g} +- {spread[key]:.2g}, expected "
                    f"at this width {limit:.4g}:"
                    f" {(value - limit) / spread[key]:+.1f} standard errors away; "
                    f"{pi_limit(network.depth):.4g} at"
                    " infinite width"
                )


def column(measure: str, ratio: float) -> str:
    """The title of a column of the ideal scenario."""
    return f"{measure}, r = {ratio:g}"


def finite_limit(layers: int, width: int) -> float:
    """The expectation of SeqLip over AutoLip as r -> 0 at a finite width; tends to pi^-(layers -
    1).

    For independent uniform unit vectors u, v of R^n,  max over s in [0, 1]^n of |<s v, u>|  is (sum
    |u_i v_i| + |<u, v>|) / 2, whose expectation is (n e^2 + e) / 2 with e = E |u_1| = Gamma(n/2) /
    (sqrt(pi) Gamma((n + 1)/2)); and the layers are independent.
    """
    ratio = math.exp(math.lgamma(width / 2) - math.lgamma((width + 1) / 2))
    e = ratio / math.sqrt(math.pi)
    return float(((width * e * e + e) / 2) ** (layers - 1))


@dataclass(frozen=True)
class _Split:
    """A layer as products of stored factors: (U S) V^T = (U S^1/2) (S^1/2 V^T) = U (S V^T), up to
    rounding.

    The network meant is, in real arithmetic, the one with (U S) V^T first, U (S V^T) last, and the
    middle one between.
    """

    whole_below: Tensor
    half_below: Tensor
    half_above: Tensor
    whole_above: Tensor
    left: Upper
    right: Upper

    @staticmethod
    def of(layer: IdealLayer) -> "_Split":
        s = layer.values
        v = layer.v.T
        left = norm_of(layer.u)
        right = norm_of(v)
        return _Split(
            layer.u * s, layer.u * s.sqrt(), s.sqrt()[:, None] * v, s[:, None] * v, left, right
        )


def norm_of(matrix: Tensor) -> Upper:
    """||W||, proved."""
    bound = operator_norm(Dense(matrix), Norm.L2, Norm.L2)
    return bound if isinstance(bound, Upper) and bound.certainty is Certainty.PROVED else INFINITE


Inner = Callable[[Tensor, Tensor, Tensor, Tensor], Upper]


def prefixes(layers: list[_Split], inner: Inner) -> Iterator[Upper]:
    """Upper bounds on the constants of the first 1, 2, ... layers: products of the inner maxima."""
    first = layers[0]
    yield norm_of(first.whole_below) * first.right
    product = ONE
    for k, layer in enumerate(layers[1:], 1):
        below = first.whole_below if k == 1 else layers[k - 1].half_below
        box = (
            torch.zeros(below.shape[0], dtype=below.dtype),
            torch.ones(below.shape[0], dtype=below.dtype),
        )
        yield first.right * product * inner(layer.whole_above, below, *box) * layer.left
        if k + 1 < len(layers):
            product = product * inner(layer.half_above, below, *box)


def greedy_prefixes(layers: list[_Split], seed: int) -> Iterator[float]:
    """The same with the local search: estimates."""

    def inner(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor) -> float:
        return maximise_greedy(a, b, lo, hi, seed=seed, restarts=2)[0].value

    first = layers[0]
    yield torch.linalg.matrix_norm(first.whole_below, 2).item()
    product = 1.0
    for k, layer in enumerate(layers[1:], 1):
        below = first.whole_below if k == 1 else layers[k - 1].half_below
        box = (
            torch.zeros(below.shape[0], dtype=below.dtype),
            torch.ones(below.shape[0], dtype=below.dtype),
        )
        yield product * inner(layer.whole_above, below, *box)
        if k + 1 < len(layers):
            product *= inner(layer.half_above, below, *box)


def _mean(measure: str, values: list[float], seconds: float) -> Row:
    """A mean of upper bounds bounds the mean."""
    if measure == "Greedy SeqLip":
        return Row(measure, Estimate(fmean(values)), seconds=seconds)
    total = Upper(0.0)
    for value in values:
        total = total + Upper(value)
    bound = total * Upper(math.nextafter(1 / len(values), math.inf))
    return Row(measure, bound, seconds=seconds)
