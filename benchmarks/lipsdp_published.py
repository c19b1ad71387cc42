"""LipSDP at its default tolerance and at 1e-4, beside published optima and exact constants, on
networks of others.

python -m benchmarks.lipsdp_published [NETWORK ...]     # prints the rows; needs the external zoo
"""

import sys
import time

from autolip.methods import AutoLip, Bound, LipSDP, Method, Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Upper
from benchmarks.lipsdp_zoo import capture_of

GOALS = {
    "iris": (11.63537, "exact constant 11.634355"),
    "wine": (1.84696, "exact constant 1.74337"),
    "lipsdp_mnist": (24.36636, ""),
    "fnn_tanh": (89.66410, "optimum"),
    "fnn_sigmoid": (63.69481, "optimum"),
    "ai2_fnn": (23.92827, "optimum"),
    "acasxu_1_1": (88269.0, ""),
    "mnist-net_256x2": (312.43, ""),
    "mlp_L33_W16": (2.349e-4, "optimum"),
    "mlp_L65_W16": (8.473e-9, "optimum"),
}
"""Values of a prototype of the same method, re-checked by eigenvalues, or optima; and what they
are."""


def measured(problem: Problem, method: Method) -> tuple[str, float]:
    """Value or refusal, and processor seconds."""
    started = time.process_time()
    found = method.bound(problem)
    seconds = time.process_time() - started
    if not isinstance(found, Bound) or not isinstance(found.value, Upper):
        return str(found), seconds
    return f"{found.value.value:.7g}", seconds


def main() -> None:
    """One row a network."""
    print(
        "| network | AutoLip | published | | tolerance 1% | s | tolerance 1e-4 | s "
        "|\n|---|---|---|---|---|---|---|---|"
    )
    for name in sys.argv[1:] or GOALS:
        problem = Problem.pose(
            capture_of(name).graph, Everywhere(), Norm.L2, Norm.L2, NormOptions()
        )
        goal, what = GOALS[name]
        product, _ = measured(problem, AutoLip())
        (usual, first), (tight, second) = (
            measured(problem, method)
            for method in (LipSDP(seconds=30.0), LipSDP(tolerance=1e-4, seconds=90.0))
        )
        print(
            f"| `{name}` | {product} | {goal:.7g} | {what} | {usual} | {first:.1f} | "
            f"{tight} | {second:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
