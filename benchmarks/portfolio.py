"""The whole default portfolio on well-known architectures with random weights: bounds, seconds, peak memory.

    python -m benchmarks.portfolio [NAME ...]

Each network runs in a process of its own.  Delta is 1e-6: on images, Lanczos cannot show less than about 1e-11 for
each of the some hundred norms among which it is shared.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NETWORKS = ("alexnet", "resnet50")
DELTA = 1e-6


def measure(name: str) -> dict[str, object]:
    """Every row of the portfolio as plain numbers."""
    import torch

    from autolip.capture.torch_export import capture_model
    from autolip.estimate import bracket
    from autolip.zoo import architectures

    torch.set_num_threads(2)
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    capture = capture_model(getattr(architectures, name)(), (x,))
    started = time.perf_counter()
    result = bracket(capture, model=name, lower=(), delta=DELTA, progress=lambda text: print(text, file=sys.stderr))
    return {
        "network": name,
        "seconds": time.perf_counter() - started,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "winner": None if result.upper is None else result.upper.method,
        "rows": [row.to_dict() for row in result.bounds],
        "notes": list(result.notes),
    }


def table(measured: list[dict[str, object]]) -> str:
    """Markdown: one table a network."""
    parts = []
    for network in measured:
        head = f"## {network['network']}: {network['seconds']:.0f} s, {network['peak_gib']:.1f} GiB at most\n"
        lines = ["| method | upper bound | certainty | seconds | passes |", "|" + "---|" * 5]
        rows: list[dict[str, object]] = network["rows"]  # type: ignore[assignment]
        for row in rows:
            bold = "**" if row["method"] == network["winner"] else ""
            if row["kind"] == "upper":
                value = f"{bold}{float(str(row['value'])):.5g}{bold}"
                lines.append(
                    f"| {row['method']} | {value} | {row['certainty']} | {row['seconds']:.1f} | {row['passes']:.0f} |"
                )
            else:
                lines.append(f"| {row['method']} | - | {row['refusal']} | {row['seconds']:.1f} | {row['passes']:.0f} |")
        parts.append("\n".join([head, *lines, "", *(f"- {note}" for note in network["notes"])]))  # type: ignore[attr-defined]
    return "\n\n".join(parts)


def main(names: list[str]) -> None:
    """Measure, print, and write benchmarks/results/portfolio.md and .json."""
    measured = []
    for name in names or NETWORKS:
        code = f"import json; from benchmarks.portfolio import measure; print(json.dumps(measure({name!r})))"
        output = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
        measured.append(json.loads(output.splitlines()[-1]))
        print(measured[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "portfolio.json").write_text(json.dumps(measured, indent=1) + "\n")
    note = (
        "Measured by `python -m benchmarks.portfolio`: 2 shared cores, float64, random weights, input 224 x 224, "
        "delta 1e-6. Digits are rounded to nearest here.\n\n"
    )
    (RESULTS / "portfolio.md").write_text(
        "# The default portfolio on well-known architectures\n\n" + note + table(measured) + "\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
