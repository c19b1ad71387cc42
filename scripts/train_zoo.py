"""Trains the networks in `autolip.zoo` on scikit-learn's digits; writes weights, held-out images
and index.

    python scripts/train_zoo.py [--folder DIRECTORY]

The same seed, PyTorch and machine give the same bytes: one thread, deterministic kernels. The split
is fixed before training and the held-out part is used once, for the accuracy in the index; nothing
was selected on it.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from autolip import zoo
from autolip.zoo.networks import FACTORIES

SEED = 0
HELD_OUT = 360
BATCH = 64


@dataclass(frozen=True)
class Recipe:
    """AdamW on the cross-entropy, the rate falling from `rate` to zero along half a cosine."""

    epochs: int
    rate: float
    decay: float

    def __str__(self) -> str:
        rate = f"rate {self.rate} to 0 along half a cosine"
        return f"AdamW, {self.epochs} epochs, batches of {BATCH}, {rate}, weight decay {self.decay}"


RECIPES = {
    "digits-mlp": Recipe(epochs=60, rate=3e-3, decay=1e-1),
    "digits-tanh": Recipe(epochs=60, rate=3e-3, decay=1e-1),
    "digits-conv": Recipe(epochs=30, rate=3e-3, decay=1e-1),
    "digits-resnet": Recipe(epochs=30, rate=3e-3, decay=1e-1),
    "digits-attention": Recipe(epochs=60, rate=3e-3, decay=1e-1),
}


@dataclass(frozen=True)
class Split:
    """Images (n, 1, 8, 8), whole numbers 0..16 as bytes, and labels (n,), for training and held
    out."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def split_digits() -> Split:
    """scikit-learn's 1797 digits, each class divided in the same proportion."""
    data = load_digits()
    images = torch.from_numpy(data.images).to(torch.uint8)[:, None]
    labels = torch.from_numpy(data.target).to(torch.uint8)
    train, test = train_test_split(
        range(len(labels)), test_size=HELD_OUT, stratify=labels.numpy(), random_state=SEED
    )
    return Split(images[train], labels[train], images[test], labels[test])


def to_input(images: Tensor) -> Tensor:
    return images.float() / zoo.DARKEST


def train(network: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
    """Minimises the cross-entropy in place and leaves the network in evaluation mode."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)
    network.train()
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimiser.step()
        schedule.step()
    network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    return (network(images).argmax(1) == labels).double().mean().item()


def trained(name: str, split: Split) -> tuple[nn.Module, dict[str, Any]]:
    """The network `name` after training, and its entry in the index."""
    torch.manual_seed(SEED)
    network, recipe = FACTORIES[name](), RECIPES[name]
    train(network, to_input(split.train_images), split.train_labels.long(), recipe)
    return network, {
        "summary": (FACTORIES[name].__doc__ or "").strip(),
        "accuracy": round(
            accuracy(network, to_input(split.test_images), split.test_labels.long()), 6
        ),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "input_shape": [1, *split.test_images.shape[1:]],
        "source": f"scripts/train_zoo.py on scikit-learn's digits: {recipe}; seed {SEED}",
    }


def data_entry(split: Split) -> dict[str, Any]:
    """Where the images come from and how they were divided."""
    return {
        "origin": "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository (1998), as in scikit-learn's load_digits",
        "pixels": f"whole numbers 0..{zoo.DARKEST}, divided by {zoo.DARKEST} before they enter a "
        "network",
        "split": f"sklearn train_test_split, stratified by class, random_state={SEED}",
        "trained_on": len(split.train_labels),
        "held_out": len(split.test_labels),
    }


def write(folder: Path) -> None:
    """Trains every network and writes weights, held-out images and index into `folder`."""
    split = split_digits()
    held_out = {"images": split.test_images, "labels": split.test_labels}
    (folder / "digits.safetensors").write_bytes(save(held_out))
    entries = {}
    for name in zoo.names():
        start = time.perf_counter()
        network, entries[name] = trained(name, split)
        (folder / f"{name}.safetensors").write_bytes(save(network.state_dict()))
        print(
            f"{name:18} {entries[name]['accuracy']:.2%} {time.perf_counter() - start:6.1f} s",
            flush=True,
        )
    index = {
        "torch": torch.__version__,
        "seed": SEED,
        "data": data_entry(split),
        "networks": entries,
    }
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the networks that ship with autolip.")
    parser.add_argument(
        "--folder",
        type=Path,
        default=zoo.FOLDER,
        help="where to write; the package itself by default",
    )
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
