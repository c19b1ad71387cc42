"""Norms of convolutions: value and seconds of every engine, of exact decompositions, and of what
else is in use.

    python -m benchmarks.norms [--all]
    python -m benchmarks.norms --plot

Writes benchmarks/results/norms.md, and draws its table as benchmarks/results/norms.svg (all that
--plot does; needs the extra `report`).  The competitors are written here from their papers: the
published power method (Virmaux and Scaman 2018, Algorithm 2; from below), sqrt(h w) times the norm
of the reshaped kernel, the best of four such reshapes (Singla and Feizi 2021), and Gram iteration
(Delattre et al. 2023) on the grid of the image, with the factor that makes it valid for zero
padding; its rounding errors are nobody's business but the reader's.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.files import write
from autolip.norms import Norm
from autolip.operators import Convolution, Geometry
from autolip.operators.estimates.gram import gram_convolution_norm, gram_kernel_norm
from autolip.operators.estimates.power import power_method, top_singular
from autolip.operators.norms import NormOptions, candidates
from autolip.operators.norms.symbol.bound import symbol_norm
from autolip.values import Upper

RESULTS = Path(__file__).parent / "results" / "norms.md"
FIGURE = RESULTS.with_suffix(".svg")
FLOOR = 1e-5
"""Smaller excesses, those of exact values among them, are drawn here."""

DRAWN = (
    "finite",
    "symbol",
    "lanczos",
    "Gram iteration, image grid",
    "sqrt(h w)",
    "four reshapes",
    "power method",
)
"""Methods of the table that the figure shows, by the beginnings of their names."""
MATERIALISED = 2500
"""Smaller matrix side up to which the exact norm is computed."""


@dataclass(frozen=True)
class Shape:
    """A square convolution on a square image."""

    out: int
    inp: int
    kernel: int
    image: int
    stride: int = 1
    groups: int = 1

    def operator(self) -> Convolution:
        generator = torch.Generator().manual_seed(0)
        fan = self.inp // self.groups * self.kernel**2
        size = (self.out, self.inp // self.groups, self.kernel, self.kernel)
        weight = torch.randn(size, dtype=torch.float64, generator=generator) / math.sqrt(fan)
        geometry = Geometry((self.stride,) * 2, (self.kernel // 2,) * 2, (1, 1), groups=self.groups)
        return Convolution(weight, (self.inp, self.image, self.image), geometry)

    def __str__(self) -> str:
        extra = f", stride {self.stride}" if self.stride > 1 else ""
        extra += f", {self.groups} groups" if self.groups > 1 else ""
        return (
            f"{self.out}x{self.inp}x{self.kernel}x{self.kernel} on {self.image}x{self.image}{extra}"
        )


SMALL = (
    Shape(16, 16, 3, 8),
    Shape(32, 16, 3, 12, stride=2),
    Shape(64, 3, 11, 63, stride=4),
    Shape(32, 32, 3, 16, groups=32),
    Shape(64, 64, 3, 32),
    Shape(64, 16, 1, 12),
)
LARGE = (
    Shape(128, 128, 3, 32),
    Shape(64, 3, 7, 112, stride=2),
    Shape(256, 256, 3, 28),
    Shape(512, 512, 3, 14),
)
CHANNELS = (16, 32, 64, 128)
MANY_CHANNELS = (256, 512)


@dataclass(frozen=True)
class Row:
    """What one method says: from above (a proof, or with what reservation), or from below."""

    method: str
    kind: str
    value: float
    seconds: float


def timed(function: Callable[[], float | Tensor]) -> tuple[float, float]:
    """Value and seconds, the better of two runs where the first is short."""
    started = time.perf_counter()
    value = float(function())
    seconds = time.perf_counter() - started
    if seconds < 1:
        started = time.perf_counter()
        function()
        seconds = min(seconds, time.perf_counter() - started)
    return value, seconds


def rows(operator: Convolution) -> Iterator[Row]:
    """Every method on one convolution."""
    if min(operator.in_size, operator.out_size) <= MATERIALISED:
        exact = timed(lambda: torch.linalg.matrix_norm(operator.matrix(), 2))
        yield Row("torch.linalg on the matrix", "exact up to rounding", *exact)
    else:
        yield Row(
            "ARPACK (`top_singular`)",
            "from below",
            *timed(lambda: top_singular(operator, 1).values[0]),
        )
    for candidate in candidates(operator, Norm.L2, Norm.L2, NormOptions()):
        if isinstance(candidate.bound, Upper):
            bound = candidate.bound
            yield Row(
                candidate.engine, f"upper, {bound.certainty.value}", bound.value, candidate.seconds
            )
    for iterations in (10, 100, 1000):
        if operator.work * iterations < 2e11:
            value = timed(partial(_power, operator, iterations))
            yield Row(f"power method, {iterations} iterations", "from below", *value)
    yield from competitors(operator)


def _power(operator: Convolution, iterations: int) -> float:
    return power_method(operator, iterations=iterations).value


def competitors(operator: Convolution) -> Iterator[Row]:
    """Bounds from the literature, for the kernels that they are stated for."""
    weight, geometry = operator.weight, operator.geometry
    size = max(operator.out_shape[-1], 2 * weight.shape[-1])
    for iterations in (5, 8):
        gram = timed(
            partial(
                gram_convolution_norm,
                weight,
                grid=size,
                iterations=iterations,
                stride=geometry.stride,
                groups=geometry.groups,
            )
        )
        yield Row(
            f"Gram iteration, image grid, {iterations} iterations", "upper, up to rounding", *gram
        )
    if weight.numel() * 2**8 < 2**27:
        kernel = timed(
            partial(
                gram_kernel_norm,
                weight,
                iterations=4,
                stride=geometry.stride,
                groups=geometry.groups,
            )
        )
        yield Row("Gram iteration on the kernel, 4 iterations", "upper, up to rounding", *kernel)
    if geometry.groups == 1:
        yield Row(
            "sqrt(h w) x reshaped kernel",
            "upper, up to rounding",
            *timed(lambda: reshaped(weight)[0]),
        )
        yield Row("four reshapes", "upper, up to rounding", *timed(lambda: min(reshaped(weight))))


def reshaped(weight: Tensor) -> list[float]:
    """sqrt(h w) ||.||_2 of the four unfoldings of a kernel (Singla and Feizi 2021, Theorem 1)."""
    out, inp, height, width = weight.shape
    unfoldings = (
        weight.reshape(out, inp * height * width),
        weight.permute(0, 2, 1, 3).reshape(out * height, inp * width),
        weight.permute(0, 3, 1, 2).reshape(out * width, inp * height),
        weight.permute(0, 2, 3, 1).reshape(out * height * width, inp),
    )
    return [
        math.sqrt(height * width) * torch.linalg.matrix_norm(matrix, 2).item()
        for matrix in unfoldings
    ]


def side_by_side(channels: int) -> str:
    """The proved bound against a Gram iteration of equal tightness, on 3x3 kernels and 32x32
    images."""
    operator = Shape(channels, channels, 3, 32).operator()
    gram, gram_seconds = timed(
        lambda: gram_convolution_norm(operator.weight, grid=32, iterations=8)
    )
    supremum = proved(operator, NormOptions(tolerance=1e-3)) / (1 + 1e-3)
    tolerance = gram / supremum - 1
    symbol, seconds = timed(lambda: proved(operator, NormOptions(tolerance=tolerance)))
    tight, tight_seconds = timed(lambda: proved(operator, NormOptions(tolerance=1e-3)))
    cells = [f"{gram:.5f}", f"{gram_seconds:.3f}", f"{symbol:.5f}", f"{seconds:.3f}"]
    cells += [f"{seconds / gram_seconds:.2f}", f"{tight:.5f}", f"{tight_seconds:.3f}"]
    return f"| {channels} | " + " | ".join(cells) + " |"


def proved(operator: Convolution, options: NormOptions) -> float:
    bound = symbol_norm(operator, options)
    if isinstance(bound, Refusal):
        raise RuntimeError(str(bound))
    return bound.value


def table(shape: Shape) -> Iterator[str]:
    """One shape: every method, its value over the exact norm (or the largest value from below), its
    seconds."""
    found = list(rows(shape.operator()))
    reference = found[0].value
    for row in found:
        over = f"{row.value / reference:.5f}"
        yield (
            f"| {shape} | {row.method} | {row.kind} | {row.value:.5f} | {over} | "
            f"{row.seconds:.3f} |"
        )


def points(text: str) -> dict[str, list[tuple[float, float]]]:
    """Seconds and distance from the truth, relatively, of every drawn row of the table, by
    method."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in DRAWN}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = next((name for name in DRAWN if len(cells) == 6 and cells[1].startswith(name)), None)
        if name is not None:
            found[name].append((float(cells[5]), max(FLOOR, abs(float(cells[4]) - 1))))
    return found


def draw(text: str) -> None:
    """The table as a figure: excess over the truth against time; the power method's shortfall
    hollow."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "norms"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for marker, (name, pairs) in zip("os^Dv<p", points(text).items(), strict=True):
        below = name == "power method"
        label = f"{name} (below the truth)" if below else name
        x, y = zip(*pairs, strict=True)
        fill = "none" if below else "full"
        axes.plot(x, y, linestyle="", marker=marker, markersize=5, fillstyle=fill, label=label)
    axes.set(
        xscale="log", yscale="log", xlabel="seconds", ylabel="distance from the norm, relative"
    )
    axes.axhline(1e-3, color="lightgray", linewidth=0.8, zorder=0)
    axes.legend(fontsize=7)
    figure.savefig(FIGURE, metadata={"Date": None})
    pyplot.close(figure)


HEAD = """# Norms of convolutions

![excess over the norm against time](norms.svg)

Gaussian kernels, zero padding, float64, {threads} threads; `python -m benchmarks.norms{flags}`.
The ratio is to the first line of each shape: the exact norm, or for large maps the largest value
from below. The symbol engine bounds every image size at once, so on small images it stays above the
finite norm.

| convolution | method | what it is | value | ratio | seconds |
|---|---|---|---|---|---|
"""

SPEED = """
## Proved bound and Gram iteration of equal tightness

3x3 kernels, 32x32 images.  Gram iteration: 8 iterations on the 32x32 grid, with the factor for zero
padding.  The symbol engine is asked for the same excess over the supremum, then for its default of
0.1%.

| channels | Gram iteration | seconds | symbol, as tight | seconds | cost | symbol, 0.1% | seconds |
|---|---|---|---|---|---|---|---|
"""


def main(everything: bool) -> None:
    """Measure, and write the table."""
    shapes = SMALL + LARGE if everything else SMALL
    channels = CHANNELS + MANY_CHANNELS if everything else CHANNELS
    text = HEAD.format(threads=torch.get_num_threads(), flags=" --all" if everything else "")
    for shape in shapes:
        for line in table(shape):
            print(line, flush=True)
            text += line + "\n"
    text += SPEED
    for count in channels:
        line = side_by_side(count)
        print(line, flush=True)
        text += line + "\n"
    RESULTS.parent.mkdir(exist_ok=True)
    write(RESULTS, text)
    draw(text)


if __name__ == "__main__":
    if "--plot" in sys.argv[1:]:
        draw(RESULTS.read_text())
    else:
        main("--all" in sys.argv[1:])
