"""The regulariser that the paper ends with: each penalty at several weights, and what the networks
are worth."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean

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
    """An MLP on digits (or MNIST), trained with cross-entropy + weight x max(0, log(K /
    floor)), K one of the penalties.

    Certified with the global l2 constant: a sample whose margin is above sqrt(2) K r, K proved by
    LipSDP afterwards.
    """

    widths: tuple[int, ...] = (128, 128, 128)
    weights: tuple[float, ...] = (0.01, 0.03, 0.06, 0.1, 0.15)
    epochs: int = 60
    batch: int = 64
    rate: float = 1e-3
    floor: float = 1.0
    seeds: int = 5

    @staticmethod
    def quick() -> "RegulariseExperiment":
        """One weight, one seed, fewer epochs."""
        return RegulariseExperiment(weights=(0.1,), epochs=15, seeds=1)

    def run(self, steps: Steps, seed: int, track: Track, folder: Path | None = None) -> Outcome:
        """Train with each penalty at each weight from each seed, and prove each network's
        constant."""
        images = load_images(folder, small=True)
        kinds = [("none", 0.0), *((name, weight) for name in METHODS for weight in self.weights)]
        runs = [(s, *kind) for s in range(seed, seed + self.seeds) for kind in kinds]
        found = dict[str, list[Facts]]()
        for number, (which, name, weight) in enumerate(runs):
            label = _label(name, weight)
            track(f"{label}, seed {which}", number, len(runs))
            found.setdefault(label, []).append(self.trained(name, weight, images, steps, which))
        cells: Cells = {
            (column, label): row
            for label, facts in found.items()
            for column, row in rows_of(facts).items()
        }
        track("writing", len(runs), len(runs))
        return Regularised(
            "regularise",
            f"Penalties on {images.label}, l2 -> l2",
            {"seed": seed, "images": images.label, **vars(self)},
            tuple(Network(label, len(self.widths) + 1) for label in found),
            tuple(dict.fromkeys(column for column, _ in cells)),
            cells,
            {},
            self.remarks(found),
            curves={label: _mean_curve(facts) for label, facts in found.items()},
        )

    def remarks(self, found: dict[str, list[Facts]]) -> tuple[str, ...]:
        """What the columns are, and how often LipSDP's penalty beats the product's."""
        said = ["at r: samples that are right, with a margin above sqrt(2) x LipSDP x r"]
        if self.seeds > 1:
            said.append(f"{self.seeds} seeds: shares and seconds are means, bounds the largest")
        for radius in RADII[1:]:
            pairs = [
                (_share(tight, radius), _share(loose, radius))
                for weight in self.weights
                for tight, loose in zip(
                    found[_label(TIGHT, weight)], found[_label(PRODUCT, weight)], strict=True
                )
            ]
            above = sum(tight > loose for tight, loose in pairs)
            said.append(
                f"at {radius:g}: LipSDP's penalty is above the product's in {above} of {len(pairs)}"
                " weights and seeds"
            )
        return tuple(said)

    def trained(self, name: str, weight: float, images: Images, steps: Steps, seed: int) -> Facts:
        """Accuracy, bracket and certified accuracy of one network."""
        sizes = [images.x[0].numel(), *self.widths, 10]
        layers = seeded(lambda: _mlp(sizes), seed)
        data = digest([images.x, images.y, images.test_x, images.test_y])
        settings = {**vars(self), "weights": weight, "penalty": name, "data": data, "seed": seed}
        del settings["seeds"]

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
        """Minimise the cross-entropy plus weight x max(0, log K): without the floor a constant
        network is the best of all."""
        x = images.x.flatten(1)
        y = images.y
        penalty = (
            Penalty(model, x[:1], method=METHODS[name], target=self.floor, seed=seed)
            if weight
            else None
        )
        if penalty is not None:
            penalty.settle(50)
        optimiser = torch.optim.Adam(model.parameters(), self.rate)
        generator = torch.Generator().manual_seed(seed)
        model.train()
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(x), generator=generator).split(self.batch):
                loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
                if penalty is not None:
                    loss = loss + weight * penalty()
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


def _label(name: str, weight: float) -> str:
    """A row of the table."""
    return f"{name}, {weight:g}" if weight else name


def _share(found: Facts, radius: float) -> float:
    """Of the test samples, those certified at a radius."""
    share: float = found["curve"][CURVE.index(radius)]
    return share


def _mean_curve(found: list[Facts]) -> tuple[float, ...]:
    """Certified accuracy at the radii of `CURVE`, mean over seeds."""
    return tuple(fmean(shares) for shares in zip(*(facts["curve"] for facts in found), strict=True))


def rows_of(found: list[Facts]) -> dict[str, Row]:
    """The cells of one penalty and weight: means over the seeds, the largest of bounds."""

    def mean(column: str, values: Iterable[float]) -> Row:
        return Stated(column, Estimate(fmean(values)))

    def largest(key: str) -> float:
        return max(facts[key] for facts in found)

    return {
        ACCURACY: mean(ACCURACY, (facts["accuracy"] for facts in found)),
        UPPER: Row(UPPER, Upper(largest("lipsdp"))),
        WHOLE: Row(WHOLE, Upper(largest("autolip"))),
        LOWER: Row(LOWER, Lower(largest("attained"))),
        **{
            certified(radius): mean(certified(radius), (_share(facts, radius) for facts in found))
            for radius in RADII
        },
        SECONDS: mean(SECONDS, (facts["seconds"] for facts in found)),
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
