"""A classifier trained for a certified radius, and how many held-out images keep their class within
it, proved: scikit-learn's digits, or MNIST where you have its four files (`--data FOLDER`)."""

import argparse
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

import autolip
from autolip.reproduce.images import load_images
from autolip.training import MarginLoss, Penalty


def options() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with MNIST's files (default: digits)")
    parser.add_argument("--radius", type=float, default=0.5, help="l2, of pixels in [0, 1]")
    parser.add_argument("--widths", type=int, nargs="+", default=[100, 100], help="hidden layers")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=4e-3, help="the largest of the schedule's")
    parser.add_argument("--first", type=int, default=40, help="held-out images that are certified")
    parser.add_argument("--workers", type=int, default=1, help="processes that certify")
    return parser.parse_args()


def network(sizes: list[int]) -> nn.Sequential:
    """An MLP with relu, its layers orthogonal to begin with."""
    layers = list[nn.Module]()
    for before, after in pairwise(sizes):
        linear = nn.Linear(before, after)
        nn.init.orthogonal_(linear.weight)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(model: nn.Module, x: Tensor, y: Tensor, asked: argparse.Namespace) -> None:
    """The margin loss, its radius growing to a tenth above what is asked during half of the
    steps."""
    loss = MarginLoss(Penalty(model, x[:1], output="pairs", every=2), 0.0)
    loss.penalty.settle(30)
    optimiser = torch.optim.Adam(model.parameters())
    steps = asked.epochs * -(-len(x) // asked.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, asked.rate, total_steps=steps)
    for _ in range(asked.epochs):
        for chosen in torch.randperm(len(x)).split(asked.batch):
            loss.radius = 1.1 * asked.radius * min(1.0, 2 * schedule.last_epoch / steps)
            value = loss(model(x[chosen]), y[chosen])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            schedule.step()


if __name__ == "__main__":
    asked = options()
    images = load_images(asked.data, small=True)
    torch.manual_seed(0)
    model = network([images.x[0].numel(), *asked.widths, 10])
    train(model, images.x.flatten(1), images.y, asked)
    model.eval()
    x, y = images.test_x.flatten(1), images.test_y
    right = (model(x).argmax(1) == y).double().mean().item()
    print(f"{images.label}: {right:.2%} of {len(x)} held-out images right")
    print(autolip.lipschitz(model, x[:1], method="lipsdp"))
    found = autolip.certify(
        model, x[: asked.first], y[: asked.first], radius=asked.radius, workers=asked.workers
    )
    print(found.headline)
