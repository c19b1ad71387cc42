"""Certified accuracy of networks that others trained: the share of the first images, and no
certified one falls."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip.capture.torch.export import capture_model
from autolip.norms import Norm
from autolip.regions import Ball
from autolip.robustness.attack import attacked
from autolip.robustness.classifier import Classifier
from autolip.robustness.verdict import Outcome

from .zoo_networks import ZOO, state

pytestmark = [
    pytest.mark.skipif(not ZOO.is_dir(), reason=f"the external zoo {ZOO} is not here"),
    pytest.mark.slow,
]


def loaded(model: nn.Module, path: str) -> nn.Module:
    """The network with the stored tensors, in order."""
    names = list(model.state_dict())
    model.load_state_dict(dict(zip(names, state(path).values(), strict=True)))
    return model.eval()


def mnist_mlp() -> nn.Module:
    layers = (nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    return loaded(nn.Sequential(nn.Flatten(), *layers), "robustness/mnist_mlp.pth")


def cifar10_cnn_c() -> nn.Module:
    layers = (
        nn.Conv2d(3, 8, 4, 2), nn.ReLU(), nn.Conv2d(8, 16, 4, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(576, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    return loaded(nn.Sequential(*layers), "robustness/cifar10_cnn_c.pth")


def images(name: str, count: int) -> tuple[Tensor, Tensor]:
    """The first images, channels first, and their classes."""
    stored = np.load(ZOO / "robustness" / name)
    x = torch.from_numpy(np.moveaxis(stored["x"][:count], -1, 1).copy()).float()
    return x, torch.from_numpy(stored["y"][:count])


def check_nothing_falls(found: autolip.Certified, model: nn.Module, x: Tensor) -> None:
    """Twenty restarts at the radius of every certified sample."""
    classifier = Classifier.of(capture_model(model, (x[:1],)), "a network")
    for row in found.rows:
        if row.outcome is Outcome.CERTIFIED:
            rivals = tuple(j for j in range(10) if j != row.label)
            region = Ball(x[row.index : row.index + 1].double(), row.radius, "l2")
            assert attacked(classifier, region, row.label, rivals, Norm.L2, 20, seed=5) is None


def test_mnist_mlp() -> None:
    """Sixteen of the first thirty images, three of them by the margin form: all that are not
    attacked."""
    x, y = images("mnist_200.npz", 30)
    model = mnist_mlp()
    found = autolip.certify(model, x, y, radius=1.0, time_budget=20)
    assert int(found.certified.sum()) == 16 and "open" not in found.outcome
    assert sum(found.method == "margin form") == 3
    check_nothing_falls(found, model, x)


def test_cifar10_cnn_c() -> None:
    """Normalisation is part of the map, and the radius is that of the pixels."""
    x, y = images("cifar_200.npz", 6)
    model = cifar10_cnn_c()
    mean = [125.3 / 255, 123 / 255, 113.9 / 255]
    found = autolip.certify(model, x, y, radius=24 / 255, mean=mean, std=0.225, time_budget=60)
    assert int(found.certified.sum()) >= 2
    normalised = (x - torch.tensor(mean).reshape(3, 1, 1)) / 0.225
    for row, exact in zip(found.rows, model(normalised).argmax(1).tolist(), strict=True):
        assert row.predicted == exact
