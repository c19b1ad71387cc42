"""The regulariser that the paper ends with: each penalty at several weights, and what the networks
are worth."""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from autolip.budget import processor_seconds
from autolip.estimate import lipschitz
from autolip.findings import Row
from autolip.report.content import Sheet
from autolip.report.digits import digits_of
from autolip.reproduce.columns import Cells, Track
from autolip.reproduce.images import Images, load_images
from autolip.reproduce.outcome import Network, Outcome, Stated
from autolip.reproduce.steps import Facts, Steps
from autolip.reproduce.subject import digest
from autolip.reproduce.training import seeded
from autolip.training import Penalty
from autolip.values import Estimate, Lower, Upper, round_up

PRODUCT, TIGHT = "product of norms", "LipSDP"
METHODS = {PRODUCT: "autolip", TIGHT: "lipsdp"}
"""A penalty as the table names it, and as `Penalty` does."""

RADII = (0.1, 0.25, 0.5)
"""Chosen: l2 radii at which the certified accuracy is reported."""

CURVE = tuple(round(0.01 * step, 2) for step in range(101))
"""Radii of the figure, those of the table among them."""

ACCURACY, UPPER, WHOLE, LOWER, SECONDS = "accuracy", "LipSDP", "AutoLip", "attained", "seconds"


def certified(radius: float) -> str:
    """The column of a radius."""
    return f"certified at {radius:g}"


@dataclass(frozen=True)
class RegulariseExperiment:
    """An MLP on digits (or MNIST), trained with cross-entropy + weight x log K, K one of the
    penalties.

    Certified with the global l2 constant: a sample whose margin is above sqrt(2) K r, K proved by
    LipSDP afterwards.
    """

    widths: tuple[int, ...] = (128, 128, 128)
    weights: tuple[float, ...] = (0.01, 0.03, 0.06, 0.1, 0.15)
    epochs: int = 60
    batch: int = 64
    rate: float = 1e-3

    @staticmethod
    def quick() -> "RegulariseExperiment":
        """One weight, fewer epochs."""
        return RegulariseExperiment(weights=(0.1,), epochs=15)

    def run(self, steps: Steps, seed: int, track: Track, folder: Path | None = None) -> Outcome:
        """Train with each penalty at each weight, and prove each network's constant."""
        images = load_images(folder, small=True)
        runs = [("none", 0.0), *((name, weight) for name in METHODS for weight in self.weights)]
        networks = list[Network]()
        cells = Cells()
        curves = dict[str, tuple[float, ...]]()
        for number, (name, weight) in enumerate(runs):
            label = name if not weight else f"{name}, {weight:g}"
            track(label, number, len(runs))
            found = self.trained(name, weight, images, steps, seed)
            networks.append(Network(label, len(self.widths) + 1))
            curves[label] = tuple(found["curve"])
            for column, row in rows_of(found).items():
                cells[column, label] = row
        track("writing", len(runs), len(runs))
        return Regularised(
            "regularise",
            f"Penalties on {images.label}, l2 -> l2",
            {"seed": seed, "images": images.label, **vars(self)},
            tuple(networks),
            tuple(dict.fromkeys(column for column, _ in cells)),
            cells,
            {},
            ("at r: samples that are right, with a margin above sqrt(2) x LipSDP x r",),
            curves=curves,
        )

    def trained(self, name: str, weight: float, images: Images, steps: Steps, seed: int) -> Facts:
        """Accuracy, bracket and certified accuracy of one network."""
        sizes = [images.x[0].numel(), *self.widths, 10]
        layers = seeded(lambda: _mlp(sizes), seed)
        data = digest([images.x, images.y, images.test_x, images.test_y])
        settings = {**vars(self), "weights": weight, "penalty": name, "data": data, "seed": seed}

        def train() -> Facts:
            began = processor_seconds()
            self.fit(layers, name, weight, images, seed)
            return {"seconds": processor_seconds() - began}

        key = f"regularise {name} {weight:g}"
        facts = steps.weights(f"{key} seed {seed}", settings, layers, train)
        layers.eval().requires_grad_(False)
        return steps.numbers(
            f"{key} bounds", settings, lambda: {**facts, **measured(layers, images, seed)}
        )

    def fit(self, model: nn.Module, name: str, weight: float, images: Images, seed: int) -> None:
        """Minimise the cross-entropy plus weight x log K."""
        x = images.x.flatten(1)
        y = images.y
        penalty = Penalty(model, x[:1], method=METHODS[name], seed=seed) if weight else None
        if penalty is not None:
            penalty.settle(50)
        optimiser = torch.optim.Adam(model.parameters(), self.rate)
        generator = torch.Generator().manual_seed(seed)
        model.train()
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(x), generator=generator).split(self.batch):
                loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
                if penalty is not None:
                    loss = loss + weight * penalty().log()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()


def _mlp(sizes: list[int]) -> nn.Sequential:
    layers = [module for a, b in pairwise(sizes) for module in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def measured(model: nn.Module, images: Images, seed: int) -> Facts:
    """Accuracy, the bracket (LipSDP, AutoLip, ascent) and the share of test samples certified at
    each radius."""
    x = images.test_x.flatten(1)
    y = images.test_y
    result = lipschitz(model, x[:1], method=["autolip", "lipsdp"], seed=seed)
    bounds = {row.method: row.value for row in result.bounds if row.kind == "upper"}
    assert result.lower is not None
    upper = bounds["lipsdp"]
    with torch.no_grad():
        logits = model.double()(x.double())
    model.float()
    right = logits.argmax(1) == y
    margin = _margin(logits)
    limit = round_up((Upper(math.sqrt(2)) * Upper(upper or 0.0)).value)
    held = [right & (margin > limit * radius) for radius in CURVE]
    curve = [float(which.double().mean()) for which in held]
    return {
        "accuracy": float(right.double().mean()),
        "lipsdp": upper,
        "autolip": bounds["autolip"],
        "attained": result.lower.value,
        "curve": curve,
    }


def _margin(logits: Tensor) -> Tensor:
    """The largest logit above the next."""
    best = logits.topk(2, 1).values
    return best[:, 0] - best[:, 1]


def rows_of(found: Facts) -> dict[str, Row]:
    """The cells of one network."""
    shares = {radius: found["curve"][CURVE.index(radius)] for radius in RADII}
    return {
        ACCURACY: Stated(ACCURACY, Estimate(found["accuracy"])),
        UPPER: Row(UPPER, Upper(found["lipsdp"])),
        WHOLE: Row(WHOLE, Upper(found["autolip"])),
        LOWER: Row(LOWER, Lower(found["attained"])),
        **{
            certified(radius): Stated(certified(radius), Estimate(share))
            for radius, share in shares.items()
        },
        SECONDS: Stated(SECONDS, Estimate(found["seconds"])),
    }


@dataclass(frozen=True)
class Regularised(Outcome):
    """One network a row: penalties below each other; `curves` are certified accuracies at the radii
    of `CURVE`."""

    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def table(self) -> Sheet:
        """A row for every network, a column for every number."""
        headings = tuple(column.removeprefix("certified ") for column in self.columns)
        rows = tuple(
            (
                network.label,
                *(_written(self.cells[column, network.label]) for column in self.columns),
            )
            for network in self.networks
        )
        return Sheet("", ("penalty, weight", *headings), rows)


def _written(row: Row) -> str:
    answer = row.answer
    return f"{answer.value:.3f}" if isinstance(answer, Estimate) else digits_of(answer, 4)
