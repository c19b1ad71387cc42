"""The paper's convolutional networks: 4 to 10 layers on MNIST, Fashion-MNIST or scikit-learn's
digits."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autolip.lower import Annealing, Ascent, Dataset, Random
from autolip.methods import SeqLip
from autolip.regions import Box
from autolip.reproduce.columns import Column, Track, fill, paper_columns
from autolip.reproduce.images import SIDE, Images, load_images
from autolip.reproduce.networks import cnn
from autolip.reproduce.outcome import Network, Outcome
from autolip.reproduce.published import CNN
from autolip.reproduce.steps import Facts, Steps
from autolip.reproduce.subject import Subject, digest
from autolip.reproduce.training import Recipe, fit, seeded


@dataclass(frozen=True)
class CnnExperiment:
    """What is trained and how hard it is searched: seconds for every SeqLip (`budget`) and for
    every lower bound.

    `points` training images are the data set of the lower bounds.
    """

    depths: tuple[int, ...] = (4, 5, 7, 10)
    rank: int = 200
    points: int = 300
    recipe: Recipe = Recipe(steps=1000, batch=64, rate=1e-3)
    budget: float = 120.0
    seconds: float = 5.0

    @staticmethod
    def quick() -> "CnnExperiment":
        """Two depths, less training, fewer singular vectors, shorter searches."""
        return CnnExperiment(
            (4, 5), rank=20, points=20, recipe=Recipe(200, 64, 1e-3), budget=20.0, seconds=0.5
        )

    def columns(self) -> list[Column]:
        """The paper's columns, and ours."""
        s = self.seconds
        searches = {
            "data set": Dataset(),
            "random points": Random(seconds=s),
            "annealing": Annealing(seconds=s),
            "ascent": Ascent(seconds=s),
        }
        greedy = SeqLip("greedy", rank=self.rank, residual=False, restarts=2, seconds=self.budget)
        return paper_columns(SeqLip(rank=self.rank, seconds=self.budget), greedy, searches)

    def run(self, steps: Steps, seed: int, track: Track, folder: Path | None = None) -> Outcome:
        """Train the networks on the images and evaluate every column on each."""
        images = load_images(folder)
        subjects = []
        for number, depth in enumerate(self.depths):
            track(f"{depth} layers: training", number, len(self.depths))
            subjects.append(self.subject(depth, images, steps, seed))
        columns = self.columns()
        return Outcome(
            "cnn",
            f"Convolutional networks on {images.label}, l2 -> l2",
            {
                "seed": seed,
                "images": images.label,
                "rank": self.rank,
                "points": self.points,
                **vars(self.recipe),
            },
            tuple(Network(s.label, s.depth, s.facts) for s in subjects),
            tuple(column.title for column in columns),
            fill(subjects, columns, steps, seed, track),
            CNN,
        )

    def subject(self, depth: int, images: Images, steps: Steps, seed: int) -> Subject:
        """A trained network with this number of layers."""
        model = seeded(lambda: cnn(depth), seed)

        def train() -> Facts:
            loss = fit(model, images.x, images.y, nn.functional.cross_entropy, self.recipe, seed)
            return {
                "cross-entropy": loss,
                "accuracy": accuracy(model, images.test_x, images.test_y),
            }

        data = digest([images.x, images.y, images.test_x, images.test_y])
        settings = {**vars(self.recipe), "depth": depth, "data": data, "seed": seed}
        facts = steps.weights(f"cnn-{depth}-layers", settings, model, train)
        model.eval().requires_grad_(False)
        corner = torch.zeros(1, 1, SIDE, SIDE)
        points = images.x[: self.points, None]
        return Subject(
            f"{depth} layers", depth, model, images.x[:1], Box(corner, corner + 1), points, facts
        )


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of images classified correctly."""
    with torch.no_grad():
        right = sum(
            (model(a).argmax(1) == b).sum().item()
            for a, b in zip(x.split(500), y.split(500), strict=True)
        )
    return right / len(y)
