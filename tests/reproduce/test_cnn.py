"""The table of convolutional networks on a tiny data set."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from autolip.reproduce import cnn
from autolip.reproduce.cnn import CnnExperiment, accuracy
from autolip.reproduce.published import CNN
from autolip.reproduce.steps import Steps
from autolip.reproduce.training import Recipe

TINY = CnnExperiment((4,), rank=6, points=2, recipe=Recipe(3, 10, 1e-3), budget=1.0, seconds=0.05)


def small(layers: int) -> nn.Module:
    """Two convolutions with as many inputs and outputs as the paper's."""
    assert layers == 4
    return nn.Sequential(nn.Conv2d(1, 3, 5, stride=4), nn.ReLU(), nn.Conv2d(3, 10, 6), nn.Flatten())


@pytest.mark.slow
def test_every_column_is_there_with_its_kind(
    mnist: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cnn, "cnn", small)
    outcome = TINY.run(Steps(tmp_path / "steps"), 0, lambda *event: None, mnist())
    kinds = {column: outcome.cells[column, "4 layers"].kind for column in outcome.columns}
    assert kinds == {
        **dict.fromkeys(("Frobenius", "AutoLip", "Theorem 3", "SeqLip"), "upper"),
        "Greedy SeqLip": "estimate",
        "greedy with residual": kinds["greedy with residual"],
        **dict.fromkeys(("data set", "random points", "annealing", "ascent"), "lower"),
    }
    assert kinds["greedy with residual"] in ("estimate", "upper"), (
        "the product of norms where that is smaller"
    )
    assert set(CNN) <= set(outcome.columns)
    value = {column: outcome.value(column, "4 layers") or 0.0 for column in outcome.columns}
    assert value["Greedy SeqLip"] < value["greedy with residual"] <= value["SeqLip"] * (1 + 1e-9)
    assert value["SeqLip"] <= value["AutoLip"] * (1 + 1e-6) < value["Frobenius"]
    assert outcome.title == "Convolutional networks on 20 images from tiny, l2 -> l2"
    assert 0 <= outcome.networks[0].facts["accuracy"] <= 1


def test_accuracy_counts_the_right_answers() -> None:
    x = torch.eye(10).repeat(120, 1)[:, None]
    model = nn.Flatten()
    labels = torch.arange(10).repeat(120)
    labels[::4] = (labels[::4] + 1) % 10
    assert accuracy(model, x, labels) == pytest.approx(0.75)
