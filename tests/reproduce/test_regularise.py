"""The table of penalties on a tiny data set: what it says is what was trained."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from autolip.reproduce.figures import pictures
from autolip.reproduce.regularise import (
    ACCURACY,
    CURVE,
    LOWER,
    RADII,
    UPPER,
    WHOLE,
    Regularised,
    RegulariseExperiment,
    certified,
)
from autolip.reproduce.steps import Steps

TINY = RegulariseExperiment(widths=(12,), weights=(0.3,), epochs=2, batch=10, floor=1e-3, seeds=2)


@pytest.fixture
def outcome(mnist: Callable[..., Path], tmp_path: Path) -> Regularised:
    found = TINY.run(Steps(tmp_path / "steps"), 0, lambda *event: None, mnist())
    assert isinstance(found, Regularised)
    return found


@pytest.mark.slow
def test_every_network_has_every_number(outcome: Regularised, mnist: Callable[..., Path]) -> None:
    labels = [network.label for network in outcome.networks]
    assert labels == ["none", "product of norms, 0.3", "LipSDP, 0.3"]
    for label in labels:
        value = {column: outcome.cells[column, label].value or 0.0 for column in outcome.columns}
        assert 0 < value[LOWER] <= value[UPPER] <= value[WHOLE] * (1 + 1e-6)
        shares = [value[certified(radius)] for radius in RADII]
        assert value[ACCURACY] >= shares[0] >= shares[1] >= shares[2]
        assert len(outcome.curves[label]) == len(CURVE)
        assert outcome.curves[label][0] <= value[ACCURACY]
    free, tight = (outcome.cells[UPPER, label].value for label in (labels[0], labels[2]))
    assert tight is not None and free is not None and tight < free
    assert all(len(line) <= 92 for line in outcome.text().splitlines())
    assert set(pictures(outcome)) == {"png", "svg"}


@pytest.mark.slow
def test_finished_networks_are_not_trained_again(
    mnist: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, steps = mnist(), Steps(tmp_path / "steps")
    first = TINY.run(steps, 0, lambda *event: None, folder)

    def never(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(RegulariseExperiment, "fit", never)
    monkeypatch.setattr(torch.optim, "Adam", never)
    again = TINY.run(steps, 0, lambda *event: None, folder)
    assert again.text() == first.text()
