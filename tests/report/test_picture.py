"""Images as PNG, read again by pillow."""

import io

import pytest
import torch
from PIL import Image

from autolip.report.picture import is_image, png


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_another_reader_sees_the_pixels(channels: int, mode: str) -> None:
    image = torch.arange(channels * 20, dtype=torch.float64).reshape(1, channels, 4, 5)
    read = Image.open(io.BytesIO(png(image, 0.0, 255.0)))
    assert (read.mode, read.size) == (mode, (5, 4))
    pixels = torch.tensor(list(read.tobytes())).reshape(4, 5, channels).permute(2, 0, 1)
    assert torch.equal(pixels, image[0].long())


def test_the_ends_of_the_scale_are_black_and_white() -> None:
    image = torch.tensor([[[-1.0, 0.0, 1.0, 2.0]] * 4])
    row = list(Image.open(io.BytesIO(png(image, -1.0, 1.0))).tobytes())[:4]
    assert row == [0, 128, 255, 255]
    assert set(Image.open(io.BytesIO(png(image, 0.0, 0.0))).tobytes()) == {128}


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((1, 3, 32, 32), True),
        ((1, 8, 8), True),
        ((2, 1, 8, 8), False),
        ((1, 4, 8, 8), False),
        ((1, 1, 2, 8), False),
        ((8, 8), False),
        ((64,), False),
    ],
)
def test_what_is_an_image(shape: tuple[int, ...], image: bool) -> None:
    assert is_image(torch.Size(shape)) is image
