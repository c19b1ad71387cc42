"""Images for the convolutional networks: MNIST's or Fashion-MNIST's files, or scikit-learn's
digits."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.errors import InputError
from autolip.reproduce.idx import read_idx

SIDE = 28
"""Defined by MNIST: pixels along a side."""

HELD_OUT = 360
"""Chosen: digits kept for the accuracy, of scikit-learn's 1797."""

WHERE = (
    "the four files of MNIST (https://storage.googleapis.com/cvdf-datasets/mnist) or of "
    "Fashion-MNIST"
    " (https://github.com/zalandoresearch/fashion-mnist), train- and "
    "t10k-images-idx3-ubyte, train- and"
    " t10k-labels-idx1-ubyte, each plain or .gz"
)


@dataclass(frozen=True)
class Images:
    """Grey images in [0, 1] and their classes, for training and held out; float32. 28 x 28 unless
    asked otherwise."""

    label: str
    x: Float[Tensor, "n 1 h w"]
    y: Int[Tensor, " n"]
    test_x: Float[Tensor, "m 1 h w"]
    test_y: Int[Tensor, " m"]


def load_images(folder: Path | None, small: bool = False) -> Images:
    """The data set in the folder's IDX files, or the embedded digits; InputError says which file to
    get, and where.

    The digits are enlarged to the size of the others, unless `small`: then they stay 8 x 8.
    """
    return _embedded(small) if folder is None else _from_files(folder)


def _from_files(folder: Path) -> Images:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: put there {WHERE}")
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_file(folder, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_file(folder, f"{part}-labels-idx1-ubyte"))
        if (
            images.dim() != 3
            or images.shape[1:] != (SIDE, SIDE)
            or labels.shape != images.shape[:1]
            or not len(labels)
        ):
            raise InputError(
                f"{folder} holds {part} images of shape {tuple(images.shape)} and labels of shape"
                f" {tuple(labels.shape)}: images of 28 x 28 and one label each are needed"
            )
        if labels.max() > 9:
            raise InputError(
                f"{folder} holds the {part} label {labels.max().item()}: there are ten "
                "classes, 0 to 9"
            )
        parts += [images[:, None].float() / 255, labels.long()]
    return Images(f"{len(parts[1])} images from {folder.name or folder.resolve().name}", *parts)


def _file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise InputError(f"{folder} lacks {name}: put there {WHERE}")


def _embedded(small: bool) -> Images:
    """scikit-learn's digits, 8 x 8, interpolated to 28 x 28 or not; the last of a fixed shuffle are
    held out."""
    if find_spec("sklearn") is None:
        raise InputError(
            "the digits need scikit-learn: pip install 'autolip[report]', or give --data "
            "with MNIST's files"
        )
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    if not small:
        images = torch.nn.functional.interpolate(
            images, size=(SIDE, SIDE), mode="bilinear", align_corners=False
        )
    labels = torch.from_numpy(data.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train = order[:-HELD_OUT]
    test = order[-HELD_OUT:]
    label = f"{len(train)} of scikit-learn's digits" + ("" if small else ", enlarged to 28 x 28")
    return Images(label, images[train], labels[train], images[test], labels[test])
