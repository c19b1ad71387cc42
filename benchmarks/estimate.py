"""Seconds, network passes and peak memory of a bracket on well-known architectures with random
weights.

    python -m benchmarks.estimate [NAME ...]

Each network runs in a process of its own, so that peak memory is its own.  Beside AutoLip stands
the published way to get the same number: one power iteration per linear layer (Virmaux and Scaman
2018, Algorithm 2), run until its value is within 0.1% of our bound, or until it has taken
`PATIENCE` times as long as our bound of that layer.  That value comes from below and is not a
bound.  Seconds are of processor time.
"""

import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

from autolip.files import write

RESULTS = Path(__file__).parent / "results"
PATIENCE = 1.0
NETWORKS = ("alexnet", "vgg16", "resnet50", "mobilenet_v2", "vit_b_16")


def measure(name: str) -> dict[str, object]:
    """One bracket; returns plain numbers."""
    import torch

    from autolip.capture.torch.export import capture_model
    from autolip.estimate import bracket
    from autolip.norms import Norm
    from autolip.regions import Ball, Everywhere
    from autolip.zoo import architectures

    torch.set_num_threads(1)
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    started = time.perf_counter()
    capture = capture_model(getattr(architectures, name)(), (x,))
    captured = time.perf_counter() - started
    region = Ball(x, 1e-3, norm=Norm.LINF) if name == "vit_b_16" else Everywhere()
    started = time.process_time()
    result = bracket(capture, model=name, region=region, method="autolip", lower=())
    seconds, upper = time.process_time() - started, result.upper
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lower = bracket(capture, model=name, region=region, method=()).lower
    return {
        "network": name,
        "region": "linf ball, 1e-3" if name == "vit_b_16" else "everywhere",
        "operations": len(capture.graph.nodes),
        "capture_seconds": captured,
        "upper": math.inf if upper is None else upper.value,
        "certainty": None if upper is None else upper.certainty,
        "notes": result.bounds[0].notes,
        "upper_seconds": seconds,
        "upper_passes": result.bounds[0].passes,
        "lower": 0.0 if lower is None else lower.value,
        "peak_gib": peak,
        **power_methods(capture, region),
    }


def power_methods(capture: object, region: object, accuracy: float = 1e-3) -> dict[str, object]:
    """The published power method on every affine block: passes and seconds to come within
    `accuracy` of our bound."""
    from autolip.budget import metered
    from autolip.methods import Problem
    from autolip.norms import Norm
    from autolip.operators.norms import NormOptions
    from autolip.slopes import Exact
    from autolip.values import Upper

    problem = Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions())  # type: ignore[attr-defined, arg-type]
    operators = [
        e.slope.operator for v in problem.fused for e in v.edges if isinstance(e.slope, Exact)
    ]
    late, work, seconds = 0, 0.0, 0.0
    for operator in operators:
        started = time.process_time()
        target = problem.norm(operator, Norm.L2, Norm.L2)
        if not isinstance(target, Upper):
            continue
        middle = time.process_time()
        with metered() as meter:
            late += not _reaches(
                operator, target.value / (1 + accuracy), PATIENCE * (middle - started)
            )
        seconds, work = seconds + time.process_time() - middle, work + meter.work
    passes = work / problem.work_of_one_pass
    return {
        "power_seconds": seconds,
        "power_passes": passes,
        "power_not_there": late,
        "blocks": len(operators),
    }


def _reaches(operator: object, goal: float, seconds: float) -> bool:
    """Whether power iteration sees a norm of `goal` within so many seconds of processor time."""
    import torch

    x = torch.randn((1, *operator.in_shape), dtype=torch.float64)  # type: ignore[attr-defined]
    started = time.process_time()
    while time.process_time() < started + seconds:
        y = operator.mv(x / x.norm())  # type: ignore[attr-defined]
        if y.norm().item() >= goal:
            return True
        x = operator.rmv(y)  # type: ignore[attr-defined]
        if x.norm() == 0:
            return goal == 0
    return False


def table(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table."""
    head = (
        "| network | region | operations | upper | certainty | CPU seconds | passes | "
        "lower | peak GiB |"
        " power method: CPU seconds | passes | blocks not within 0.1% when stopped |\n|"
        + "---|"
        * 12
    )
    line = (
        "| {network} | {region} | {operations} | {upper:.5g} | {certainty} | "
        "{upper_seconds:.1f} | {upper_passes:.0f} |"
        " {lower:.4g} | {peak_gib:.2f} | {power_seconds:.1f} | {power_passes:.0f} | "
        "{power_not_there} of {blocks} |"
    )
    return "\n".join([head, *(line.format(**row) for row in rows)])


def main(names: list[str]) -> None:
    """Measure, print, and write benchmarks/results/estimate.{md,json}; networks not named keep what
    was measured."""
    file = RESULTS / "estimate.json"
    measured: dict[str, dict[str, object]] = json.loads(file.read_text()) if file.exists() else {}
    for name in names or NETWORKS:
        code = (
            "import json; from benchmarks.estimate import measure; "
            f"print(json.dumps(measure({name!r})))"
        )
        output = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
        measured[name] = json.loads(output.splitlines()[-1])
        print(measured[name], flush=True)
        write(file, json.dumps(measured, indent=1) + "\n")
        rows = [measured[name] for name in NETWORKS if name in measured]
        write(RESULTS / "estimate.md", HEAD + table(rows) + "\n")


HEAD = """# Brackets on well-known architectures

Measured by `python -m benchmarks.estimate`: AutoLip with affine parts fused, one thread, float64,
random weights (`torch.manual_seed(0)`), input 1 x 3 x 224 x 224.  Seconds are of processor time,
replay and slopes included, capture not; peak memory is that of the process up to the bound.  Beside
it the published way to the same number, one power iteration per affine block (Virmaux and Scaman
2018, Algorithm 2), until within 0.1% of our bound there or for as long as our bound took there: its
values come from below and are no bounds.

"""


if __name__ == "__main__":
    main(sys.argv[1:])
