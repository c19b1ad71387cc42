"""Small trained networks that ship with the package, and the held-out digit images they were tested
on.

>>> from autolip import zoo
>>> zoo.names()
('digits-mlp', 'digits-tanh', 'digits-conv', 'digits-resnet', 'digits-attention')
>>> model, inputs = zoo.load("digits-conv")
>>> model(*inputs).shape
torch.Size([1, 10])

All of them were trained by `scripts/train_zoo.py`; `index.json` beside this file records how. The
images are from E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository (1998), in the copy that scikit-learn ships.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from autolip.errors import InputError
from autolip.zoo.networks import FACTORIES

__all__ = ["Description", "describe", "digits", "held_out", "load", "names"]

FOLDER = Path(__file__).parent

DARKEST = 16
"""Defined by the data set: the stored pixels are integers from 0 to this; the networks see them
divided by it, in [0, 1]."""


@dataclass(frozen=True)
class Description:
    """What is known about one shipped network."""

    name: str
    summary: str
    accuracy: float
    """Fraction of the held-out images classified correctly, in float32, measured after training."""
    parameters: int
    input_shape: tuple[int, ...]
    source: str
    """How it was trained."""


def names() -> tuple[str, ...]:
    """The names of the shipped networks, simplest first."""
    return tuple(FACTORIES)


def load(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The trained network `name` in evaluation mode, and one held-out image (1, 1, 8, 8); both
    float32.

    The random number generators are left as they were. Raises InputError where there is no such
    network.
    """
    _require_known(name)
    with torch.device("meta"):
        network = FACTORIES[name]()
    network.to_empty(device="cpu").load_state_dict(load_file(FOLDER / f"{name}.safetensors"))
    return network.eval(), (digits()[:1],)


def describe(name: str) -> Description:
    """Summary, accuracy, size and origin of the network `name`.

    Raises InputError where there is no such network.
    """
    _require_known(name)
    return _descriptions()[name]


def digits() -> Float[Tensor, "50 1 8 8"]:
    """Fifty held-out images in [0, 1], float32: a data set for lower bounds and examples."""
    return held_out()[0][:50]


def held_out() -> tuple[Float[Tensor, "n 1 8 8"], Int[Tensor, " n"]]:
    """Every image no network was trained on, in [0, 1], float32, and the digit each one shows."""
    stored = load_file(FOLDER / "digits.safetensors")
    return stored["images"].float() / DARKEST, stored["labels"].long()


def _require_known(name: str) -> None:
    """Raises InputError, listing the names, unless `name` is a shipped network."""
    if name not in names():
        raise InputError(
            f"no shipped network is called {name!r}; choose one of {', '.join(names())}"
        )


@cache
def _descriptions() -> dict[str, Description]:
    networks = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))["networks"]
    return {
        name: Description(name=name, **(entry | {"input_shape": tuple(entry["input_shape"])}))
        for name, entry in networks.items()
    }
