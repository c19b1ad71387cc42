"""Every convolution of well-known networks: the bound, a proved one, and how far a vector shows the
norm to reach.

    python -m benchmarks.layers [NAME ...]

Random weights for AlexNet, VGG-16 and ResNet-50; the trained trunks of AlexNet and VGG-16 where
`stlpips-pytorch` is installed.  Each network runs in a process of its own; those that are not named
keep what was measured before.  Seconds are of processor time on one core and leave out the search
from below.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autolip.files import write
from autolip.norms import Norm
from autolip.operators import Convolution, Geometry
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.symbol.wave import reached
from autolip.values import Certainty, Upper
from autolip.zoo import architectures

RESULTS = Path(__file__).parent / "results"
NETWORKS = ("alexnet", "vgg16", "resnet50", "trained alexnet", "trained vgg")
STEPS, ENOUGH = 40, 1.002
"""Lanczos steps from below at most; fewer where the bound is within this factor already."""


def model(name: str) -> nn.Module:
    """The network with this name."""
    if name.startswith("trained "):
        from tests.external import published_trunks

        trunk: nn.Module = getattr(published_trunks, name.removeprefix("trained "))()
        return trunk
    torch.manual_seed(0)
    network: nn.Module = getattr(architectures, name)().eval()
    return network


def convolutions(network: nn.Module) -> Iterator[tuple[str, Convolution]]:
    """Each convolution with the shape of what enters it, for an image of 224 x 224."""
    shapes: dict[str, tuple[int, ...]] = {}
    found = {path: layer for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    for path, layer in found.items():
        layer.register_forward_pre_hook(
            lambda _, inputs, path=path: shapes.update({path: inputs[0].shape[1:]})
        )
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    for path, layer in found.items():
        assert not isinstance(layer.padding, str)
        geometry = Geometry(layer.stride, layer.padding, layer.dilation, groups=layer.groups)
        yield path, Convolution(layer.weight.detach().double(), tuple(shapes[path]), geometry)


def measure(name: str) -> dict[str, object]:
    """Every convolution of one network; plain numbers."""
    torch.set_num_threads(1)
    rows, options = [], NormOptions()
    for path, operator in convolutions(model(name)):
        started = time.process_time()
        bound = operator_norm(operator, Norm.L2, Norm.L2, options)
        seconds = time.process_time() - started
        proved = bound
        if isinstance(bound, Upper) and bound.certainty is not Certainty.PROVED:
            proved = operator_norm(operator, Norm.L2, Norm.L2, NormOptions(proved_only=True))
        both = time.process_time() - started
        if not isinstance(bound, Upper) or not isinstance(proved, Upper):
            raise RuntimeError(f"{path} has no bound: {bound}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        below = reached(operator, STEPS, bound.value / ENOUGH).value
        shape = (
            "x".join(map(str, operator.weight.shape))
            + f" on {operator.in_shape[-2]}x{operator.in_shape[-1]}"
        )
        rows.append(
            (
                path,
                shape,
                bound.certainty.value,
                bound.value,
                proved.value,
                below,
                seconds,
                both,
                peak,
            )
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return {"network": name, "rows": rows}


def table(found: dict[str, Any]) -> str:
    """One network as Markdown: the worst excesses first, then every layer."""
    rows: list[list[Any]] = found["rows"]
    worst, proved = max(r[3] / r[5] for r in rows) - 1, max(r[4] / r[5] for r in rows) - 1
    lines = [
        f"## {found['network']}\n",
        f"{len(rows)} convolutions, {sum(r[6] for r in rows):.0f} s, peak "
        f"{max(r[8] for r in rows):.2f} GiB; bounds at"
        f" most {worst:.2%} above what is reached, proved ones {proved:.2%}.\n",
        "| layer | kernel | bound | certainty | proved | reached | bound / reached | CPU "
        "seconds | and to prove |",
        "|---" * 9 + "|",
    ]
    for path, shape, sure, bound, known, below, seconds, both, _ in rows:
        cells = (
            path,
            shape,
            f"{bound:.6g}",
            sure,
            f"{known:.6g}",
            f"{below:.6g}",
            f"{bound / below:.5f}",
        )
        lines.append("| " + " | ".join(cells) + f" | {seconds:.2f} | {both - seconds:.2f} |")
    return "\n".join(lines) + "\n"


HEAD = """# Norms of every convolution

Images of 224 x 224, float64, one core; `python -m benchmarks.layers`.  Peak memory is that of the
process, weights included.  "Reached": a lower estimate by Lanczos, from a wave at the symbol's
largest frequency.  Where the bound is confident, it was found once more with proofs only: column
"proved", at the price of the last column.

"""


def main(names: list[str]) -> None:
    """Measure each network in its own process; write benchmarks/results/layers.{md,json}."""
    file = RESULTS / "layers.json"
    measured: dict[str, dict[str, object]] = json.loads(file.read_text()) if file.exists() else {}
    for name in names or NETWORKS:
        code = (
            "import json; from benchmarks.layers import measure; "
            f"print(json.dumps(measure({name!r})))"
        )
        output = subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        measured[name] = json.loads(output.splitlines()[-1])
        write(file, json.dumps(measured) + "\n")
        write(
            RESULTS / "layers.md",
            HEAD + "\n".join(table(measured[n]) for n in NETWORKS if n in measured),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
