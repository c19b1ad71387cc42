"""How many of 200 images are certified, at what price: networks that others trained.

`python -m benchmarks.robustness [NAME ...]` prints a line for each network: of `zoo/robustness`
beside the repository, or where `$AUTOLIP_ZOO` says.  Processor seconds of one core; rounding is
counted.  `--each SECONDS` is the time of an image.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.norms import Norm
from autolip.robustness.attack import attacked
from autolip.robustness.classifier import Classifier
from autolip.robustness.judge import Judge
from autolip.robustness.request import Request
from autolip.robustness.rungs.pairs import constants
from autolip.robustness.verdict import Outcome, Verdict

ZOO = Path(os.environ.get("AUTOLIP_ZOO", Path(__file__).parents[2] / "shared" / "zoo"))

PIXELS = [125.3 / 255, 123.0 / 255, 113.9 / 255]
"""Defined by the networks' authors: means of the channels; all deviations are .225."""

SECONDS = 0.25
"""Chosen: for each image, of global constants."""


def mnist_mlp() -> tuple[Classifier, str, float]:
    """784-100-100-10 at l2 radius 1."""
    layers = (nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    model = loaded(nn.Sequential(nn.Flatten(), *layers), "mnist_mlp")
    captured = capture_model(model, (torch.zeros(1, 1, 28, 28),))
    return Classifier.of(captured, "mnist_mlp"), "mnist_200.npz", 1.0


def cifar10_cnn_c() -> tuple[Classifier, str, float]:
    """Two convolutions and three dense layers at l2 radius 24/255 of the pixels."""
    layers = (
        nn.Conv2d(3, 8, 4, 2), nn.ReLU(), nn.Conv2d(8, 16, 4, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(576, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    captured = capture_model(
        loaded(nn.Sequential(*layers), "cifar10_cnn_c"), (torch.zeros(1, 3, 32, 32),)
    )
    classifier = Classifier.of(captured, "cifar10_cnn_c", PIXELS, 0.225)
    return classifier, "cifar_200.npz", 24 / 255


NETWORKS = {"mnist_mlp": mnist_mlp, "cifar10_cnn_c": cifar10_cnn_c}


def loaded(model: nn.Module, name: str) -> nn.Module:
    """The network with the stored tensors, in order."""
    stored = torch.load(ZOO / "robustness" / f"{name}.pth", weights_only=True, map_location="cpu")
    names = list(model.state_dict())
    model.load_state_dict(dict(zip(names, stored.values(), strict=True)))
    return model.eval()


def judged(name: str, each: float | None) -> str:
    """The line of a network: shares of all outcomes, seconds, certified samples that fell to 20
    restarts."""
    classifier, data, radius = NETWORKS[name]()
    stored = np.load(ZOO / "robustness" / data)
    x = torch.from_numpy(np.moveaxis(stored["x"], -1, 1).copy()).float().double()
    labels = [int(label) for label in stored["y"]]
    request = Request.asked(radius=radius, time_budget=each)
    began = time.process_time()
    known = constants(classifier, Norm.L2, labels, SECONDS * len(x), lambda text: None)
    judge = Judge(classifier, request, known)
    rows = list[Verdict]()
    for index, label in enumerate(labels):
        rows.append(judge.verdict(index, x[index : index + 1], label))
        print(rows[-1].index, rows[-1].outcome.value, rows[-1].method, flush=True)
    seconds = (time.process_time() - began) / len(x)
    counts = {kind: sum(row.outcome is kind for row in rows) for kind in Outcome}
    shares = ", ".join(f"{100 * counts[kind] / len(x):g}% {kind.value}" for kind in Outcome)
    fell = sum(_falls(judge, row, x) for row in rows if row.outcome is Outcome.CERTIFIED)
    return f"{name}, l2 {radius:g}: {shares}; {seconds:.2f} s an image; {fell} fell"


def _falls(judge: Judge, row: Verdict, x: Tensor) -> bool:
    region = judge.request.region(x[row.index : row.index + 1], row.radius)
    rivals = tuple(judge.request.rivals(row.label, judge.classifier.classes))
    found = attacked(judge.classifier, region, row.label, rivals, Norm.L2, 20, seed=11)
    return found is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--each", type=float)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(*[judged(name, asked.each) for name in asked.names], sep="\n")


if __name__ == "__main__":
    main()
