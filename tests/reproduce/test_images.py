"""Images: the user's files, or the digits; what is missing is named, with where to get it."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from autolip.errors import InputError
from autolip.reproduce import images
from autolip.reproduce.images import load_images
from tests.reproduce.test_idx import idx


def test_the_digits_are_split_and_enlarged() -> None:
    digits = load_images(None)
    assert digits.x.shape == (1437, 1, 28, 28) and digits.test_x.shape == (360, 1, 28, 28)
    assert digits.x.min() >= 0 and digits.x.max() <= 1
    assert set(digits.y.tolist()) == set(digits.test_y.tolist()) == set(range(10))
    small = torch.nn.functional.avg_pool2d(digits.x[:, :, 2:26, 2:26], 3)
    assert small.std() > 0.2, "enlarged images keep their contrast"


def test_idx_files_are_read_as_images_between_zero_and_one(mnist: Callable[..., Path]) -> None:
    found = load_images(mnist())
    assert found.label == "20 images from tiny"
    assert found.x.shape == (20, 1, 28, 28) and found.x.max() <= 1 and found.x.max() > 0.99
    assert found.y.tolist() == [*range(10)] * 2


def test_a_folder_without_the_files_says_where_to_get_them(mnist: Callable[..., Path]) -> None:
    folder = mnist()
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(
        InputError, match=r"lacks t10k-images-idx3-ubyte: put there the four files of MNIST \(https"
    ):
        load_images(folder)
    with pytest.raises(InputError, match="absent is not a folder: put there the four files"):
        load_images(folder / "absent")


def test_images_of_another_size_are_refused(mnist: Callable[..., Path]) -> None:
    with pytest.raises(
        InputError, match=r"train images of shape \(20, 27, 27\).*28 x 28 and one label each"
    ):
        load_images(mnist(side=27))


def test_labels_that_do_not_fit_are_refused(mnist: Callable[..., Path]) -> None:
    folder = mnist()
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(torch.zeros(19, dtype=torch.uint8)))
    with pytest.raises(InputError, match=r"labels of shape \(19,\)"):
        load_images(folder)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(torch.full((20,), 10, dtype=torch.uint8)))
    with pytest.raises(InputError, match="holds the train label 10: there are ten classes"):
        load_images(folder)


def test_without_scikit_learn_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'autolip\[report\]', or give --data"):
        load_images(None)


@pytest.mark.slow
def test_the_example_of_certified_training_reads_the_files(
    mnist: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "examples" / "certified.py"
    asked = ["--widths", "8", "--epochs", "2", "--batch", "7", "--first", "3", "--radius", "0.1"]
    monkeypatch.setattr(sys, "argv", [str(example), "--data", str(mnist()), *asked])
    runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.startswith("20 images from tiny:") and "% of 20 held-out images right" in printed
    assert " of 3 certified at l2 radius 0.1 " in printed
