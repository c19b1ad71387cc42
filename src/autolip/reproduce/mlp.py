"""The paper's MLPs: 4 to 10 layers of 20 neurons on a function of two variables drawn from a
Gaussian process."""

from dataclasses import dataclass

import torch
from torch import nn

from autolip.lower import Annealing, Ascent, BasinHopping, Dataset, Grid, NelderMead, Random
from autolip.methods import SeqLip
from autolip.regions import Box
from autolip.reproduce.columns import Column, Track, fill, paper_columns
from autolip.reproduce.gaussian import GaussianProcess, square_points
from autolip.reproduce.networks import mlp
from autolip.reproduce.outcome import Network, Outcome
from autolip.reproduce.published import MLP
from autolip.reproduce.steps import Steps
from autolip.reproduce.subject import Subject
from autolip.reproduce.training import Recipe, fit, seeded


@dataclass(frozen=True)
class MlpExperiment:
    """What is trained and how hard it is searched; `half` is the half-width of the square of
    inputs, in lengths of the kernel."""

    depths: tuple[int, ...] = (4, 5, 7, 10)
    width: int = 20
    points: int = 15_000
    half: float = 4.0
    recipe: Recipe = Recipe(steps=3000, batch=256, rate=3e-3)
    seconds: float = 4.0

    @staticmethod
    def quick() -> "MlpExperiment":
        """Less training and shorter searches: the whole table in well under two minutes."""
        return MlpExperiment(recipe=Recipe(steps=1000, batch=256, rate=3e-3), seconds=0.5)

    def columns(self) -> list[Column]:
        """The paper's columns, and ours."""
        s = self.seconds
        searches = {
            "data set": Dataset(),
            "random points": Random(seconds=s),
            "grid search": Grid(seconds=s),
            "annealing": Annealing(seconds=s),
            "Nelder-Mead": NelderMead(seconds=s),
            "basin-hopping": BasinHopping(seconds=s),
            "ascent": Ascent(seconds=s),
        }
        return paper_columns(SeqLip("exact", seconds=60), SeqLip("greedy"), searches)

    def run(self, steps: Steps, seed: int, track: Track) -> Outcome:
        """Train the networks and evaluate every column on each."""
        subjects = []
        for number, depth in enumerate(self.depths):
            track(f"{depth} layers: training", number, len(self.depths))
            subjects.append(self.subject(depth, steps, seed))
        columns = self.columns()
        return Outcome(
            "mlp",
            f"MLPs of width {self.width} on a Gaussian process, l2 -> l2",
            {"seed": seed, "half_width": self.half, "points": self.points, **vars(self.recipe)},
            tuple(Network(s.label, s.depth, s.facts) for s in subjects),
            tuple(column.title for column in columns),
            fill(subjects, columns, steps, seed, track),
            MLP,
        )

    def subject(self, depth: int, steps: Steps, seed: int) -> Subject:
        """A trained network with this number of layers."""
        x = square_points(self.points, self.half, seed)
        y = GaussianProcess(seed)(x)
        model = seeded(lambda: mlp(depth, self.width), seed)

        def train() -> dict[str, float]:
            loss = fit(model, x.float(), y.float(), nn.functional.mse_loss, self.recipe, seed)
            return {"squared error": loss, "variance of the data": y.var().item()}

        settings = {
            **vars(self.recipe),
            "depth": depth,
            "width": self.width,
            "points": self.points,
            "half": self.half,
        }
        facts = steps.weights(f"mlp-{depth}-layers", {**settings, "seed": seed}, model, train)
        model.eval().requires_grad_(False)
        square = torch.full((1, 2), self.half)
        return Subject(
            f"{depth} layers",
            depth,
            model,
            torch.zeros(1, 2),
            Box(-square, square),
            x[:, None],
            facts,
        )
