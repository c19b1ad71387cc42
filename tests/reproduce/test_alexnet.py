"""AlexNet: which weights are taken, and that nothing of the package that holds them is run."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autolip.errors import InputError
from autolip.reproduce import alexnet
from autolip.reproduce.alexnet import AlexnetExperiment, installed_trunk, trunk_network
from autolip.reproduce.steps import Steps


class Small(nn.Module):
    """A stand-in for AlexNet: two convolutions, an overlapping max-pool, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(4, 5, 3, padding=1),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(5 * 3 * 3, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alexnet, "AlexNet", Small)
    monkeypatch.setattr(alexnet, "find_spec", lambda name: None)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed stlpips-pytorch with random weights, which fails when it is imported."""
    folder = tmp_path / "site" / alexnet.PACKAGE
    path = folder / alexnet.STORED
    path.parent.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "slice1.0": (64, 3, 11), "slice1.1": (64, 1, 3),
        "slice2.4": (64, 1, 3), "slice2.5": (192, 64, 5),
        "slice3.8": (192, 1, 3), "slice3.9": (384, 192, 3),
        "slice4.11": (256, 384, 3), "slice5.13": (256, 256, 3),
    }  # fmt: skip
    stored = {
        "scaling_layer.shift": torch.zeros(1, 3, 1, 1),
        "lin0.model.1.weight": torch.zeros(1, 64, 1, 1),
    }
    for name, (out, into, side) in shapes.items():
        weight = (
            torch.randn(out, into, side, side, generator=generator) / (into * side * side) ** 0.5
        )
        if into == 1:
            stored[f"net.{name}.filt"] = weight.abs()
        else:
            stored |= {f"net.{name}.weight": weight, f"net.{name}.bias": torch.zeros(out)}
    torch.save(stored, path)
    monkeypatch.syspath_prepend(folder.parent)
    return path


@pytest.mark.slow
def test_the_whole_table_with_each_kind(small: None, tmp_path: Path) -> None:
    experiment = AlexnetExperiment(rank=4, budget=1.0, seconds=0.05, side=15)
    outcome = experiment.run(Steps(tmp_path), 3, lambda *event: None)
    (network,) = outcome.networks
    assert (
        network.label == "AlexNet, random weights" and network.facts["weights"] == "random, seed 3"
    )
    kinds = {column: outcome.cells[column, network.label].kind for column in outcome.columns}
    assert [kinds[column] for column in ("Frobenius", "AutoLip", "SeqLip")] == ["upper"] * 3
    assert kinds["Greedy SeqLip"] == kinds["greedy with residual"] == "estimate"
    assert kinds["annealing"] == kinds["ascent"] == "lower"
    assert outcome.published == {
        "AutoLip": {network.label: 3.62e7},
        "Greedy SeqLip": {network.label: 5.45e6},
    }


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_the_users_weights_come_first(
    small: None, tmp_path: Path, package: Path, suffix: str
) -> None:
    wanted, path = Small(), tmp_path / f"weights.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(wanted.state_dict(), path)
    subject = AlexnetExperiment(side=15).subject(path, 0)
    assert subject.label == "AlexNet, given weights" and subject.facts["weights"] == path.name
    assert torch.equal(subject.model.state_dict()["classifier.weight"], wanted.classifier.weight)


def test_weights_that_do_not_fit_are_refused(small: None, tmp_path: Path) -> None:
    save_file({"classifier.weight": torch.zeros(6, 45)}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="do not fit the network: the file lacks"):
        AlexnetExperiment(side=15).subject(tmp_path / "weights.safetensors", 0)


def test_the_installed_trunk_is_found_without_importing_it(package: Path) -> None:
    assert installed_trunk() == package
    assert alexnet.PACKAGE not in sys.modules
    subject = AlexnetExperiment(trunk_side=64).subject(None, 0)
    assert subject.label == "AlexNet's trunk, trained" and subject.facts["images"] == "64 x 64"


def test_the_trunk_has_alexnets_neurons_and_its_weights(package: Path) -> None:
    stored, model = torch.load(package, weights_only=True), trunk_network(package)
    x = torch.randn(1, 3, 114, 114, generator=torch.Generator().manual_seed(1))
    blurred = model[1](model[0](x))
    assert blurred.shape == (1, 64, 55, 55) and blurred.numel() == 193_600
    by_hand = nn.functional.conv2d(x, stored["net.slice1.0.weight"], padding=2)
    padded = nn.functional.pad(by_hand, (2, 2, 2, 2), mode="reflect")
    one = nn.functional.conv2d(padded[:, 5:6], stored["net.slice1.1.filt"][5:6], stride=2)
    assert torch.allclose(blurred[:, 5:6], one, atol=1e-5)
    assert torch.equal(model[13].weight, stored["net.slice5.13.weight"])


def test_a_damaged_trunk_is_refused(package: Path) -> None:
    stored = torch.load(package, weights_only=True)
    del stored["net.slice5.13.bias"]
    torch.save(stored, package)
    with pytest.raises(InputError, match="does not hold the five convolutions of AlexNet's trunk"):
        trunk_network(package)
