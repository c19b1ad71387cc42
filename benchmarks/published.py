"""The portfolio beside figures that others published for the same networks.

    python -m benchmarks.published

The networks are those of the external zoo (see tests/external); without it there is nothing to
measure.  Every member runs alone, on a problem of its own, so that its seconds include the norms
that it needs.
"""

import json
import math
import time
from pathlib import Path

import torch

from autolip.capture.torch.export import Capture, capture_model
from autolip.files import write
from autolip.methods import Bound, Problem, method_named
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Upper
from tests.external.zoo_networks import NETWORKS

RESULTS = Path(__file__).parent / "results"
MEMBERS = ("autolip", "nonnegative", "eclipse-fast", "layerwise", "rescaled", "liplt")
PUBLISHED: dict[str, dict[str, str]] = {
    "iris": {"autolip": "17.0820", "liplt": "14.3299", "eclipse-fast": "13.0148"},
    "wine": {"autolip": "5.8616", "liplt": "3.3755", "eclipse-fast": "3.6651"},
    "lipsdp_random": {"autolip": "43.3056"},
    "lipsdp_mnist": {"autolip": "31.5035"},
    "fnn_tanh": {"autolip": "114.106"},
    "fnn_sigmoid": {"autolip": "91.856"},
    "ai2_fnn": {"autolip": "44.828"},
    "mlp_L33_W16": {"autolip": "1.054"},
    "mlp_L65_W16": {"autolip": "1.015", "eclipse-fast": "1.16e-5"},
    "cnn_C9_CH8": {"autolip": "622.0", "liplt": "242.0", "layerwise": "167.9"},
    "cnn_C17_CH16": {"autolip": "46985", "liplt": "5615", "layerwise": "2978"},
}
"""Published values by member."""

EXACT = {"iris": 11.634355135, "wine": 1.743370}
"""Constants known by enumeration or by branch and bound."""


def bounds_of(name: str) -> dict[str, tuple[float, float]]:
    """Value and seconds of every member; infinite where it refuses."""
    factory, shape = NETWORKS[name]
    model = factory()
    capture = capture_model(model, (torch.zeros(shape).to(next(model.parameters()).dtype),))
    return {member: alone(capture, member) for member in MEMBERS}


def alone(capture: Capture, member: str) -> tuple[float, float]:
    """One member's bound and its seconds, on a problem of its own."""
    problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions(delta=1e-11))
    method = method_named(member)
    started = time.process_time()
    found = method.accepts(problem) or method.bound(problem)
    seconds = time.process_time() - started
    proved = isinstance(found, Bound) and isinstance(found.value, Upper)
    return (found.value.value if proved else math.inf), seconds  # type: ignore[union-attr]


def agrees(value: float, published: str) -> bool:
    """Whether a bound, rounded to as many digits as were published, is at most the published
    value."""
    mantissa = published.split("e")[0]
    decimals = len(mantissa.partition(".")[2])
    exponent = int(published.partition("e")[2] or 0)
    return value <= (float(mantissa) + 0.501 * 10.0**-decimals) * 10.0**exponent


def table(measured: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Markdown: our bound (published in brackets), processor seconds below."""
    lines = ["| network | exact | " + " | ".join(MEMBERS) + " |", "|---" * (len(MEMBERS) + 2) + "|"]
    for name, found in measured.items():
        cells = [cell(*found[member], PUBLISHED[name].get(member)) for member in MEMBERS]
        lines.append(f"| {name} | {EXACT.get(name, '')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(value: float, seconds: float, published: str | None) -> str:
    beside = (
        ""
        if published is None
        else f" ({published}{'' if agrees(value, published) else ', MISSED'})"
    )
    return f"{value:.7g}{beside}, {seconds:.2f} s" if math.isfinite(value) else "refused"


def main() -> None:
    """Measure, print, and write benchmarks/results/published.{md,json}."""
    torch.set_num_threads(1)
    measured = {}
    for name in PUBLISHED:
        measured[name] = bounds_of(name)
        print(name, measured[name], flush=True)
    note = (
        "Measured by `python -m benchmarks.published`: one thread, processor seconds, "
        "each member alone with the norms "
        "it needs; published values in brackets.  Convolution chains on images of 12 x "
        "12, published for any size.\n\n"
    )
    write(RESULTS / "published.json", json.dumps(measured, indent=1) + "\n")
    write(
        RESULTS / "published.md",
        "# The portfolio beside published figures\n\n" + note + table(measured),
    )


if __name__ == "__main__":
    main()
