"""Regions and arrays from files."""

import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from autolip.cli.arrays import read_array
from autolip.cli.regions import AskedRegion, read_region
from autolip.errors import InputError
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere

EXAMPLE = torch.zeros(1, 3, dtype=torch.float64)


@pytest.fixture
def saved(tmp_path: Path):
    def save(array: object, name: str = "array.npy") -> Path:
        np.save(tmp_path / name, array)
        return tmp_path / name

    return save


def test_no_option_means_everywhere() -> None:
    assert read_region(None, None, "l2", None) == AskedRegion()
    assert AskedRegion().around(EXAMPLE) is None


def test_ball_around_a_file_or_the_example(saved) -> None:
    ball = read_region(str(saved(np.array([1.0, 2.0, 3.0]))), 0.5, "linf", None).around(EXAMPLE)
    assert isinstance(ball, Ball)
    assert (ball.center.tolist(), ball.radius, ball.norm) == ([1.0, 2.0, 3.0], 0.5, Norm.LINF)
    around = read_region("example", 0.5, "l2", None).around(EXAMPLE)
    assert isinstance(around, Ball) and torch.equal(around.center, EXAMPLE)


def test_box_from_numpy_and_vnnlib(saved, tmp_path: Path) -> None:
    box = read_region(None, None, "l2", saved(np.array([[0.0, 1.0], [2.0, 3.0]]))).around(EXAMPLE)
    assert isinstance(box, Box) and (box.lo.tolist(), box.hi.tolist()) == ([0.0, 1.0], [2.0, 3.0])
    file = tmp_path / "box.vnnlib"
    file.write_text("(assert (>= X_0 0)) (assert (<= X_0 1))", encoding="utf-8")
    box = read_region(None, None, "l2", file).around(EXAMPLE)
    assert isinstance(box, Box) and (box.lo.tolist(), box.hi.tolist()) == ([0.0], [1.0])


@pytest.mark.parametrize("within", [False, True])
def test_a_region_of_any_kind_from_a_file(within: bool, tmp_path: Path) -> None:
    file = tmp_path / "region.json"
    for region in (Ball([1.0, 2.0, 3.0], 0.1, "l1"), Box([0.0, 1.0], [2.0, 3.0]), Everywhere()):
        described = region.describe()
        file.write_text(json.dumps({"region": described} if within else described), "utf-8")
        found = read_region(None, None, "l2", None, file).around(EXAMPLE)
        assert type(found) is type(region) and found.describe() == described


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "region.json is no JSON"),
        ("[" * 100000, "region.json is no JSON"),
        ("3", "region.json: a region is written as an object"),
        ('{"kind": "everywhere", "kind": "box"}', "region.json is no JSON: a name comes twice"),
        ('{"kind": "sphere"}', "region.json: .*sphere"),
        ('{"kind": "box", "lo": 1, "hi": 0}', "region.json: the box is empty"),
    ],
)
def test_a_file_that_holds_no_region(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "region.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        read_region(None, None, "l2", None, tmp_path / "region.json")


@pytest.mark.parametrize(
    ("center", "radius", "box", "reason"),
    [
        ("c.npy", None, None, "both --center and --radius"),
        (None, 1.0, None, "both --center and --radius"),
        ("c.npy", 1.0, Path("b.npy"), "choose one"),
    ],
)
def test_options_that_contradict_each_other(center, radius, box, reason) -> None:
    with pytest.raises(InputError, match=reason):
        read_region(center, radius, "l2", box)


def test_files_that_cannot_be_read(saved, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing.npy cannot be read: No such file"):
        read_array(tmp_path / "missing.npy")
    (tmp_path / "empty.npy").touch()
    with pytest.raises(InputError, match=r"empty.npy is not a .npy file"):
        read_array(tmp_path / "empty.npy")
    (tmp_path / "text.npy").write_text("1 2 3", encoding="utf-8")
    with pytest.raises(InputError, match=r"text.npy is not a .npy file"):
        read_array(tmp_path / "text.npy")
    with pytest.raises(InputError, match=r"objects.npy is not a .npy file of numbers"):
        read_array(saved(np.array([{}, None], dtype=object), "objects.npy"))
    with pytest.raises(InputError, match="complex"):
        read_array(saved(np.array([1j]), "complex.npy"))
    with pytest.raises(InputError, match=r"lower ends and upper ends"):
        read_region(None, None, "l2", saved(np.zeros((3, 4)), "box.npy"))
    (tmp_path / "box.vnnlib").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"box.vnnlib cannot be read as VNN-LIB text"):
        read_region(None, None, "l2", tmp_path / "box.vnnlib")


def test_several_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(2), y=np.zeros(2))
    with pytest.raises(InputError, match="several arrays"):
        read_array(tmp_path / "a.npz")


def test_foreign_byte_order_is_understood(saved) -> None:
    assert read_array(saved(np.array([1.5, 2.5], dtype=">f4"))).tolist() == [1.5, 2.5]


def test_boxes_and_centres_written_out() -> None:
    low, high = Decimal("0.1"), Decimal("0.3")
    box = read_region(None, None, "l2", ((low, high),)).region
    assert isinstance(box, Box)
    ends = box.interval(torch.Size([1, 3]))
    assert Decimal(ends.lo[0, 0].item()) <= low and Decimal(ends.hi[0, 2].item()) >= high
    assert ends.hi[0, 0].item() in (0.3, math.nextafter(0.3, 1))
    two = read_region(None, None, "l2", ((low, high), (-high, low))).region
    assert two.interval(torch.Size([1, 2])).lo[0, 1].item() <= -0.3
    ball = read_region((0.5,), 1.0, "l2", None).around(EXAMPLE)
    assert ball.contains(torch.full((1, 3), 0.5, dtype=torch.float64))
    assert read_region((0.0, 1.0), 1.0, "l2", None).region.center.tolist() == [0.0, 1.0]
    with pytest.raises(InputError, match="is empty: write the lower end first"):
        read_region(None, None, "l2", ((high, low),))
