"""AlexNet: the user's weights, a trained convolutional trunk where one is installed, or random
weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from autolip.capture.weights import load_weights, read_weights
from autolip.errors import InputError
from autolip.lower import Annealing, Ascent
from autolip.methods import SeqLip
from autolip.regions import Everywhere
from autolip.reproduce.columns import Column, Track, fill, paper_columns
from autolip.reproduce.outcome import Network, Outcome
from autolip.reproduce.published import ALEXNET
from autolip.reproduce.steps import Steps
from autolip.reproduce.subject import Subject
from autolip.reproduce.training import seeded
from autolip.zoo.architectures import AlexNet

PACKAGE, STORED = "stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth"


@dataclass(frozen=True)
class AlexnetExperiment:
    """How many singular vectors are taken; seconds for every SeqLip and for every search of a lower
    bound.

    `trunk_side`, `side`: of the input images.  At 114 the trunk's first layer has as many neurons,
    64 x 55 x 55, as AlexNet's at 224.
    """

    rank: int = 200
    budget: float = 300.0
    seconds: float = 20.0
    trunk_side: int = 114
    side: int = 224

    @staticmethod
    def quick() -> "AlexnetExperiment":
        """Ten singular vectors, small images, a short search."""
        return AlexnetExperiment(rank=10, budget=5.0, seconds=1.0, trunk_side=32, side=64)

    def columns(self) -> list[Column]:
        """The paper's columns, and ours."""
        greedy = SeqLip("greedy", rank=self.rank, restarts=1, residual=False, seconds=self.budget)
        searches = {
            "annealing": Annealing(seconds=self.seconds),
            "ascent": Ascent(seconds=self.seconds),
        }
        return paper_columns(SeqLip(rank=self.rank, seconds=self.budget), greedy, searches)

    def run(self, steps: Steps, seed: int, track: Track, weights: Path | None = None) -> Outcome:
        """Every column on the network whose weights are available."""
        track("building the network", 0, 1)
        subject = self.subject(weights, seed)
        columns = self.columns()
        return Outcome(
            "alexnet",
            f"{subject.label}, l2 -> l2",
            {"seed": seed, **vars(self)},
            (Network(subject.label, subject.depth, subject.facts),),
            tuple(column.title for column in columns),
            fill([subject], columns, steps, seed, track),
            {column: {subject.label: known["AlexNet"]} for column, known in ALEXNET.items()},
        )

    def subject(self, weights: Path | None, seed: int) -> Subject:
        """AlexNet with the weights in the file, else the installed trunk, else AlexNet with random
        weights."""
        trunk = None if weights is not None else installed_trunk()
        model: nn.Module
        if trunk is not None:
            side = self.trunk_side
            label = "AlexNet's trunk, trained"
            depth = 5
            model = trunk_network(trunk)
            facts = {
                "weights": f"{PACKAGE}, 5 convolutions, anti-aliased pooling",
                "images": f"{side} x {side}",
            }
        else:
            side = self.side
            label = "AlexNet, random weights" if weights is None else "AlexNet, given weights"
            depth = 8
            model = seeded(AlexNet, seed)
            if weights is not None:
                load_weights(model, weights)
            source = f"random, seed {seed}" if weights is None else weights.name
            facts = {"weights": source, "images": f"{side} x {side}"}
        model.eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        example = torch.randn(1, 3, side, side, generator=generator)
        return Subject(label, depth, model, example, Everywhere(), facts=facts)


def installed_trunk() -> Path | None:
    """The weights in the installed package, found without importing it."""
    spec = find_spec(PACKAGE)
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return next((folder / STORED for folder in folders if (folder / STORED).exists()), None)


class Blur(nn.Module):
    """Reflect, then the mean of each channel under a 3 x 3 binomial filter, every second pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.zeros(channels, 1, 3, 3))
        self.pad = nn.ReflectionPad2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(
            self.pad(x), self.get_buffer("filt"), stride=2, groups=x.shape[1]
        )


def trunk_network(path: Path) -> nn.Sequential:
    """The shift-tolerant AlexNet trunk of A. Ghildyal and F. Liu (ECCV 2022), five convolutions,
    from a file of theirs.

    Raises InputError where the weights do not fit.
    """
    model = nn.Sequential(
        nn.Conv2d(3, 64, 11, padding=2), Blur(64), nn.ReLU(), nn.MaxPool2d(3, 1), Blur(64),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 1), Blur(192),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    weights = dict(_numbered(read_weights(path)))
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != wanted:
        raise InputError(
            f"{path} does not hold the five convolutions of AlexNet's trunk: reinstall "
            "stlpips-pytorch"
        )
    model.load_state_dict(weights)
    return model


def _numbered(stored: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """`net.slice2.5.weight` is module 5 of the trunk."""
    for name, value in stored.items():
        parts = name.split(".")
        if parts[0] == "net" and len(parts) == 4:
            yield f"{parts[2]}.{parts[3]}", value
