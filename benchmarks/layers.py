"""Every convolution of well-known networks: the bound, a proved one, and how far a vector shows the norm to reach.

    python -m benchmarks.layers [NAME ...]

Random weights for AlexNet, VGG-16 and ResNet-50; the trained trunks of AlexNet and VGG-16 where `stlpips-pytorch` is
installed.  Each network runs in a process of its own and appends its table to benchmarks/results/layers.md.  Seconds
are of processor time on one core and leave out the search from below.
"""

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from autolip.norms import Norm
from autolip.operators import Convolution, Geometry
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.krylov import Krylov
from autolip.operators.norms.symbol_polynomial import symbol_gram
from autolip.operators.norms.symbol_search import Search
from autolip.values import Certainty, Upper
from autolip.zoo import architectures

RESULTS = Path(__file__).parent / "results" / "layers.md"
NETWORKS = ("alexnet", "vgg16", "resnet50", "trained alexnet", "trained vgg")
STEPS, ENOUGH = 80, 1.001
"""Lanczos steps from below at most; fewer where the bound is within this factor already."""


def model(name: str) -> nn.Module:
    """The network with this name."""
    if name.startswith("trained "):
        from tests.external import published_trunks

        trunk: nn.Module = getattr(published_trunks, name.removeprefix("trained "))()
        return trunk
    torch.manual_seed(0)
    return getattr(architectures, name)().eval()  # type: ignore[no-any-return]


def convolutions(network: nn.Module) -> Iterator[tuple[str, Convolution]]:
    """Each convolution with the shape of what enters it, for an image of 224 x 224."""
    shapes: dict[str, tuple[int, ...]] = {}
    found = {path: layer for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    for path, layer in found.items():
        layer.register_forward_pre_hook(lambda _, inputs, path=path: shapes.update({path: inputs[0].shape[1:]}))
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    for path, layer in found.items():
        geometry = Geometry(layer.stride, layer.padding, layer.dilation, groups=layer.groups)
        yield path, Convolution(layer.weight.detach().double(), tuple(shapes[path]), geometry)


def from_below(operator: Convolution, bound: float) -> float:
    """||A||_2 from below, up to rounding: Lanczos from a wave at the frequency where the symbol is largest."""
    gram = lambda v: operator.rmv(operator.mv(v.reshape(1, *operator.in_shape))).flatten()  # noqa: E731
    space = Krylov(gram, wave(operator).flatten(), STEPS)
    while len(space) < STEPS and not space.exhausted and math.sqrt(space.top() if len(space) else 0) * ENOUGH < bound:
        space.step()
    return math.sqrt(space.top())


def wave(operator: Convolution) -> Tensor:
    """A wave under a window that fits the image, its channels from the symbol where those are its smaller side."""
    geometry = operator.geometry
    symbol = symbol_gram(operator.weight, geometry.stride, geometry.dilation, geometry.groups)
    search = Search(symbol, 0)
    summit = search.best()
    channels = search.top(summit.group, summit.frequency)[1].to(torch.complex128)
    inward = geometry.groups == 1 and len(channels) == operator.in_shape[0] < operator.out_shape[0]
    outward = geometry.groups == 1 and len(channels) == operator.out_shape[0]
    shape = operator.in_shape if inward else operator.out_shape
    if not inward and not outward:
        channels = torch.randn(shape[0], generator=torch.Generator().manual_seed(0), dtype=torch.complex128)
    image = channels[:, None, None]
    frequencies = summit.frequency.tolist() or [0.0, 0.0]  # a 1 x 1 kernel has one frequency for all
    for axis, (size, frequency) in enumerate(zip(shape[1:], frequencies, strict=True), start=1):
        place = torch.arange(1, size + 1, dtype=torch.float64)
        factor = torch.polar(torch.sin(math.pi * place / (size + 1)), frequency * place)
        image = image * factor.reshape([-1 if a == axis else 1 for a in range(3)])
    return image.real[None] if inward else operator.rmv(image.real[None])


def measure(name: str) -> dict[str, object]:
    """Every convolution of one network; plain numbers."""
    torch.set_num_threads(1)
    rows, options = [], NormOptions()
    for path, operator in convolutions(model(name)):
        started = time.process_time()
        bound = operator_norm(operator, Norm.L2, Norm.L2, options)
        proved = bound
        if isinstance(bound, Upper) and bound.certainty is not Certainty.PROVED:
            proved = operator_norm(operator, Norm.L2, Norm.L2, NormOptions(proved_only=True))
        seconds = time.process_time() - started
        if not isinstance(bound, Upper) or not isinstance(proved, Upper):
            raise RuntimeError(f"{path} has no bound: {bound}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        below = from_below(operator, bound.value)
        shape = "x".join(map(str, operator.weight.shape)) + f" on {operator.in_shape[-2]}x{operator.in_shape[-1]}"
        rows.append((path, shape, bound.certainty.value, bound.value, proved.value, below, seconds, peak))
        print(rows[-1], file=sys.stderr, flush=True)
    return {"network": name, "rows": rows}


def table(found: dict[str, object]) -> str:
    """One network as Markdown: the worst excesses first, then every layer."""
    rows: list[list] = found["rows"]  # type: ignore[type-arg, assignment]
    worst, proved = max(r[3] / r[5] for r in rows) - 1, max(r[4] / r[5] for r in rows) - 1
    lines = [
        f"## {found['network']}\n",
        f"{len(rows)} convolutions, {sum(r[6] for r in rows):.0f} s, peak {max(r[7] for r in rows):.2f} GiB; bounds at"
        f" most {worst:.2%} above what is reached, proved ones {proved:.2%}.\n",
        "| layer | kernel | bound | certainty | proved | reached | bound / reached | CPU seconds |",
        "|---" * 8 + "|",
    ]
    for path, shape, sure, bound, known, below, seconds, _ in rows:
        cells = (path, shape, f"{bound:.6g}", sure, f"{known:.6g}", f"{below:.6g}", f"{bound / below:.5f}")
        lines.append("| " + " | ".join(cells) + f" | {seconds:.2f} |")
    return "\n".join(lines) + "\n"


HEAD = """# Norms of every convolution

Images of 224 x 224, float64, one core; `python -m benchmarks.layers`.  Peak memory is that of the process, weights
included.  "Reached": a lower estimate by Lanczos, from a wave at the symbol's largest frequency.

"""


def main(names: list[str]) -> None:
    """Measure each network in its own process, and write the tables."""
    text = HEAD
    for name in names or NETWORKS:
        code = f"import json; from benchmarks.layers import measure; print(json.dumps(measure({name!r})))"
        output = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
        text += table(json.loads(output.splitlines()[-1])) + "\n"
        RESULTS.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
