"""The whole default portfolio on well-known architectures with random weights: bounds, seconds,
peak memory.

    python -m benchmarks.portfolio [NAME ...]

Each network runs in a process of its own, in one thread; seconds are of processor time.  Delta is
1e-6: on images, Lanczos cannot show less than about 1e-11 for each of the some hundred norms among
which it is shared.  Networks that are not named keep what was measured before.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from autolip.files import write

RESULTS = Path(__file__).parent / "results"
NETWORKS = ("alexnet", "resnet50")
DELTA = 1e-6

Measured = dict[str, dict[str, dict[str, object]]]
"""By network and member."""


def measure(name: str) -> Iterator[dict[str, object]]:
    """Every member of the portfolio in its turn, on one problem: norms are found once."""
    import torch

    from autolip.budget import metered
    from autolip.capture.torch.export import capture_model
    from autolip.methods import AUTO, Problem, method_named
    from autolip.norms import Norm
    from autolip.operators.norms import NormOptions
    from autolip.regions import Everywhere
    from autolip.values import Upper
    from autolip.zoo import architectures

    torch.set_num_threads(1)
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    graph = capture_model(getattr(architectures, name)(), (x,)).graph
    options = NormOptions(delta=DELTA / (4 * len(graph.nodes)))
    problem = Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, options)
    for member in AUTO:
        method, started = method_named(member), time.process_time()
        with metered() as meter:
            found = method.accepts(problem) or method.bound(problem)
        value = getattr(found, "value", None)
        yield {
            "member": member,
            "upper": value.value if isinstance(value, Upper) else None,
            "certainty": value.certainty.value if isinstance(value, Upper) else str(found),
            "seconds": time.process_time() - started,
            "passes": meter.work / problem.work_of_one_pass,
            "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }


def table(members: dict[str, dict[str, object]]) -> str:
    """Markdown: a line a member, the least in bold, the share of AutoLip's value beside."""
    lines = [
        "| method | upper bound | of autolip | certainty | CPU seconds | passes |",
        "|" + "---|" * 6,
    ]
    uppers = {
        name: float(str(row["upper"])) for name, row in members.items() if row["upper"] is not None
    }
    for name, row in members.items():
        cost = f"{row['certainty']} | {row['seconds']:.1f} | {row['passes']:.0f} |"
        if name in uppers:
            bold = "**" if uppers[name] == min(uppers.values()) else ""
            share = uppers[name] / uppers["autolip"]
            lines.append(f"| {name} | {bold}{uppers[name]:.5g}{bold} | {share:.4g} | {cost}")
        else:
            lines.append(f"| {name} | - | - | {cost}")
    return "\n".join(lines)


def page(measured: Measured) -> str:
    """One section a network."""
    parts = [
        "# The default portfolio on well-known architectures\n",
        "Measured by `python -m benchmarks.portfolio`: one thread, processor seconds "
        "(capture aside), float64, random "
        "weights, input 224 x 224, delta 1e-6. Digits are rounded to nearest here.",
    ]
    for name, members in measured.items():
        seconds = sum(float(str(row["seconds"])) for row in members.values())
        peak = max(float(str(row["peak_gib"])) for row in members.values())
        parts += [f"\n## {name}: {seconds:.0f} s, {peak:.1f} GiB at most\n", table(members)]
    return "\n".join(parts) + "\n"


def main(names: list[str]) -> None:
    """Measure, print, and write benchmarks/results/portfolio.{md,json}."""
    file = RESULTS / "portfolio.json"
    measured: Measured = json.loads(file.read_text()) if file.exists() else {}
    for name in names or NETWORKS:
        loop = f"for row in measure({name!r}): print(json.dumps(row), flush=True)"
        code = f"import json\nfrom benchmarks.portfolio import measure\n{loop}"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            measured[name] = {}
            for line in process.stdout:
                row = json.loads(line)
                measured[name][row["member"]] = row
                print(name, row, flush=True)
                write(file, json.dumps(measured, indent=1) + "\n")
                write(RESULTS / "portfolio.md", page(measured))


if __name__ == "__main__":
    main(sys.argv[1:])
