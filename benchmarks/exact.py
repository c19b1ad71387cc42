"""Exact constants beside published ones: `python -m benchmarks.exact FOLDER SECONDS [FILE.md]`.

FOLDER holds the networks of ExLipBaB and LipBaB as .npz files (weight_i, out x in, and bias_i).
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autolip import Box, lipschitz
from autolip.files import write
from autolip.lower.pattern import Pattern
from autolip.methods.exact.method import Exact
from autolip.regions import Everywhere, Region

PUBLISHED: dict[tuple[str, str], str] = {
    ("wine_11-24-24-1_relu", "l2"): "open after 12 h (ExLipBaB)",
    ("iris_4-5-5-3_relu", "l1"): "5.958048912 (LipBaB)",
    ("iris_4-5-5-3_relu", "l2"): "6.771454513",
    ("iris_4-5-5-3_relu", "linf"): "12.605085581",
    ("sd_10-15-10-3_relu", "l1"): "10.412868504, 1.5 s",
    ("sd_10-15-10-3_relu", "l2"): "9.530716922",
    ("sd_10-15-10-3_relu", "linf"): "16.274810805",
    ("sd_10-20-15-10-3_relu", "l1"): "48.048971585, 25 s",
    ("sd_10-20-15-10-3_relu", "l2"): "40.056510164",
    ("sd_10-20-15-10-3_relu", "linf"): "72.285697749",
}
"""Constants in the papers, by network and norm."""

REGIONS: dict[str, Region] = {
    "wine_11-24-24-1_relu": Everywhere(),
    "iris_4-5-5-3_relu": Box(0, 1),
    "sd_10-15-10-3_relu": Box(0, 0.1),
    "sd_10-20-15-10-3_relu": Box(0, 0.1),
}
"""Where they were asked for."""


def network(file: Path) -> tuple[nn.Sequential, torch.Tensor]:
    """A ReLU chain from its matrices, and an input."""
    stored = np.load(file)
    layers = list[nn.Module]()
    count = sum(name.startswith("weight_") for name in stored)
    for number in range(count):
        weight = torch.from_numpy(stored[f"weight_{number}"]).double()
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(torch.from_numpy(stored[f"bias_{number}"]).reshape(-1))
        layers += [linear, nn.ReLU()]
    inputs = stored["weight_0"].shape[1]
    return nn.Sequential(*layers[:-1]).eval(), torch.zeros(1, inputs, dtype=torch.float64)


def rows(folder: Path, seconds: float) -> Iterator[str]:
    """The lines of the table."""
    yield "| network | norm | published | lower | upper | cases | seconds of one core |"
    yield "|---|---|---|---|---|---|---|"
    for (name, norm), published in PUBLISHED.items():
        model, x = network(folder / f"{name}.npz")
        started = time.process_time()
        result = lipschitz(
            model,
            x,
            norm=norm,
            region=REGIONS[name],
            method=Exact(),
            lower=Pattern(seconds=0.1),
            time_budget=seconds,
        )
        taken = time.process_time() - started
        assert result.upper is not None and result.lower is not None
        note = result.upper.notes[0]
        low, high = result.lower.value, result.upper.value
        yield f"| {name} | {norm} | {published} | {low!r} | {high!r} | {note} | {taken:.1f} |"


def main() -> None:
    """Print the table, or write it."""
    folder, seconds, *file = sys.argv[1:]
    text = "# Exact constants\n\n" + "\n".join(rows(Path(folder), float(seconds))) + "\n"
    if file:
        write(Path(file[0]), text)
    else:
        print(text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
