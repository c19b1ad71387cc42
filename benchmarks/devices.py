"""A step of the vector power method on the processor and on a GPU: milliseconds for large networks,
random weights.

    python -m benchmarks.devices [NAME ...]     # writes benchmarks/results/devices.md; wants a GPU

Both run the same steps from the same start, in float32; the primal value of the last step is shown
for each.
"""

import sys
import time
from pathlib import Path

import torch

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.files import write
from autolip.graph.fixed import without_fixed
from autolip.methods import Problem
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.vector_power_method import Ascent
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.zoo import architectures

RESULTS = Path(__file__).parent / "results" / "devices.md"
NETWORKS, RANKS, STEPS = ("alexnet", "vgg16", "resnet50"), (4, 16), 4


def measure(ascent: Ascent) -> tuple[float, float]:
    """Milliseconds a step, the first one left out, and the primal value after the last."""
    ascent.step()
    started = time.perf_counter()
    for _ in range(STEPS):
        ascent.step()  # ends with the value on the host: nothing is left in flight
    return 1e3 * (time.perf_counter() - started) / STEPS, ascent.primal


def rows(name: str) -> list[str]:
    """A line per rank."""
    torch.manual_seed(0)
    capture = capture_model(getattr(architectures, name)().eval(), (torch.zeros(1, 3, 224, 224),))
    graph = without_fixed(
        Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions()).lowered
    )
    relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
    if isinstance(relaxation, Refusal):
        raise RuntimeError(f"{name}: {relaxation}")
    lines = []
    for rank in RANKS:
        found = []
        for device in ("cpu", "cuda"):
            place = torch.device(device)
            ascent = Ascent(relaxation, rank, torch.float32, place)
            found.append(measure(ascent))
        (cpu, one), (gpu, other) = found
        lines.append(
            f"| {name} | {rank} | {cpu:.0f} | {gpu:.1f} | {cpu / gpu:.0f} | {one:.6g} | "
            f"{other:.6g} |"
        )
        print(lines[-1], flush=True)
    return lines


def main(names: list[str]) -> None:
    """Measure, and write the table."""
    lines = [line for name in names or NETWORKS for line in rows(name)]
    head = (
        "# A step of the vector power method, by device\n\n"
        f"`python -m benchmarks.devices`: {torch.cuda.get_device_name()}, and "
        f"{torch.get_num_threads()} threads of the"
        f" machine it sits in; float32, images of 224 x 224, torch {torch.__version__}.\n\n"
        "| network | rank | ms a step, processor | ms a step, GPU | ratio | primal, "
        "processor | primal, GPU |\n"
    )
    write(RESULTS, head + "|---" * 7 + "|\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
