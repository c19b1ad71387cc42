"""Steps: computed once for each setting, whatever interrupts, and never from a file that is not
theirs."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from autolip.errors import InputError
from autolip.reproduce.steps import Steps, written


class Counted:
    """A step that counts how often it is computed."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, object]:
        self.times += 1
        return {"value": 0.1 + self.times}


def test_a_step_is_computed_once_for_each_setting(tmp_path: Path) -> None:
    compute = Counted()
    first = Steps(tmp_path).numbers("A b", {"seed": 0, "size": (2, 3)}, compute)
    again = Steps(tmp_path).numbers("A b", {"size": (2, 3), "seed": 0}, compute)
    assert first == again == {"value": 1.1}
    assert compute.times == 1
    assert Steps(tmp_path).numbers("a/../'b, c", {"seed": 1, "size": (2, 3)}, compute) == {
        "value": 2.1
    }
    assert sorted(file.name.rpartition("-")[0] for file in tmp_path.iterdir()) == [
        "a-..-b-c",
        "a-b",
    ]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"settings": {"seed": 0}}', "null"])
def test_a_damaged_or_foreign_step_is_computed_again(tmp_path: Path, damage: str) -> None:
    compute = Counted()
    Steps(tmp_path).numbers("step", {"seed": 0}, compute)
    (file,) = tmp_path.iterdir()
    file.write_text(damage)
    assert Steps(tmp_path).numbers("step", {"seed": 0}, compute) == {"value": 2.1}
    assert json.loads(file.read_text())["result"] == {"value": 2.1}


def test_an_interrupted_step_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> dict[str, object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Steps(tmp_path).numbers("step", {}, interrupted)
    assert list(tmp_path.iterdir()) == []


def test_weights_are_trained_once_and_come_back_bit_by_bit(tmp_path: Path) -> None:
    model, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    compute = Counted()
    facts = Steps(tmp_path).weights("net", {"seed": 0}, model, compute)
    assert Steps(tmp_path).weights("net", {"seed": 0}, fresh, compute) == facts == {"value": 1.1}
    assert torch.equal(fresh.weight, model.weight) and torch.equal(fresh.bias, model.bias)
    assert Steps(tmp_path).weights("net", {"seed": 1}, fresh, compute) == {"value": 2.1}


def test_a_pickle_in_place_of_weights_is_not_loaded(tmp_path: Path) -> None:
    model, compute = nn.Linear(3, 2), Counted()
    Steps(tmp_path).weights("net", {}, model, compute)
    (file,) = tmp_path.iterdir()

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("unpickled",))

    file.write_bytes(pickle.dumps(Trap()))
    Steps(tmp_path).weights("net", {}, model, compute)
    assert compute.times == 2


def test_infinite_numbers_do_not_enter_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Steps(tmp_path).numbers("step", {}, lambda: {"value": float("inf")})


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .* choose another folder with --out"):
        written(tmp_path / "file" / "below", b"")
