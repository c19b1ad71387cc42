"""Weights from files: never unpickled, never truncated, mismatches in one sentence."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autolip.capture.weights import load_weights, read_weights
from autolip.errors import InputError


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()


@pytest.mark.parametrize("wrapper", [None, "state_dict", "net", "model"])
def test_state_dictionaries_bare_and_wrapped(
    network: nn.Module, tmp_path: Path, wrapper: str | None
) -> None:
    state = {name: value + 1 for name, value in network.state_dict().items()}
    torch.save(state if wrapper is None else {"epoch": 3, wrapper: state}, tmp_path / "w.pth")
    assert load_weights(network, tmp_path / "w.pth") is torch.float32
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"state_dict": [state]},
        lambda state: [state],
        lambda state: {"epoch": 3, "model": {"state_dict": state, "config": 1}},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {
            "model": {f"module._orig_mod.{name}": value for name, value in state.items()}
        },
    ],
)
def test_lists_of_one_nested_wrappers_and_prefixes(
    network: nn.Module, tmp_path: Path, wrapped
) -> None:
    state = {name: value + 1 for name, value in network.state_dict().items()}
    torch.save(wrapped(state), tmp_path / "w.pth")
    load_weights(network, tmp_path / "w.pth")
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weight: weight.to(torch.complex64) + 1j, "holds 0.weight as torch.complex64"),
        (
            lambda weight: torch.full_like(weight, 2**25 + 1, dtype=torch.int64),
            "holds 0.weight as torch.int64",
        ),
        (
            lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
            "quantized or sparse",
        ),
        (lambda weight: weight.to_sparse(), "quantized or sparse"),
        (lambda weight: (weight + 1j).requires_grad_(), "holds 0.weight as torch.complex64"),
        (lambda weight: weight.to("meta"), "holds 0.weight without its numbers"),
    ],
)
def test_no_part_of_a_weight_is_dropped(
    network: nn.Module, tmp_path: Path, change, reason: str
) -> None:
    state = dict(network.state_dict())
    state["0.weight"] = change(state["0.weight"])
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=reason):
        load_weights(network, tmp_path / "w.pth")


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn, torch.complex64])
def test_other_types_whose_numbers_are_the_same_are_taken(
    network: nn.Module, tmp_path: Path, dtype
) -> None:
    state = dict(network.state_dict())
    state["0.weight"] = torch.tensor([[1.0, -2.0, 3.0], [0.0, 4.0, 5.0]])
    torch.save(state | {"0.weight": state["0.weight"].to(dtype)}, tmp_path / "w.pth")
    load_weights(network, tmp_path / "w.pth")
    assert torch.equal(network.state_dict()["0.weight"], state["0.weight"])


def test_an_archive_that_inflates_is_refused_by_its_declared_size(
    network: nn.Module, tmp_path: Path
) -> None:
    torch.save({"0.weight": torch.zeros(2**25)}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as plain,
        zipfile.ZipFile(tmp_path / "z.pth", "w") as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="would inflate from"):
        read_weights(tmp_path / "z.pth")


def test_a_tensor_that_is_larger_than_what_is_stored_is_refused(tmp_path: Path) -> None:
    torch.save({"0.weight": torch.zeros(1).expand(10**9)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="more than it stores"):
        read_weights(tmp_path / "w.pth")


class Careless:
    """Says so where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemError('unpickled')",)


def archived(path: Path, state: object) -> Path:
    """What Stable-Baselines3 saves: pickles beside the policy's state dictionary."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", pickle.dumps(Careless()))
        for name, content in (("policy.optimizer.pth", Careless()), ("policy.pth", state)):
            with archive.open(name, "w") as record:
                torch.save(content, record)
    return path


def test_the_policy_in_an_archive(network: nn.Module, tmp_path: Path) -> None:
    state = {name: value + 1 for name, value in network.state_dict().items()}
    load_weights(network, archived(tmp_path / "ppo.zip", state))
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)


def test_objects_in_an_archive_are_refused_and_not_executed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="objects are never unpickled"):
        read_weights(archived(tmp_path / "ppo.zip", Careless()))


def test_a_policy_that_inflates_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inner.pth", "w") as inner:
        inner.writestr("archive/data/0", bytes(2**27), zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "ppo.zip", "w") as archive:
        archive.write(tmp_path / "inner.pth", "policy.pth")
    with pytest.raises(InputError, match="would inflate from"):
        read_weights(tmp_path / "ppo.zip")


def test_safetensors(network: nn.Module, tmp_path: Path) -> None:
    state = {name: value + 1 for name, value in network.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    load_weights(network, tmp_path / "w.safetensors")
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)


def test_double_weights_make_a_double_network(network: nn.Module, tmp_path: Path) -> None:
    state = {name: value.double() / 3 for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    assert load_weights(network, tmp_path / "w.pt") is torch.float64
    assert torch.equal(network.state_dict()["0.weight"], state["0.weight"])


def test_missing_unexpected_and_misshapen_weights_in_one_sentence(
    network: nn.Module, tmp_path: Path
) -> None:
    state = dict(network.state_dict())
    state["0.weight"] = torch.zeros(3, 3)
    del state["0.bias"], state["1.weight"]
    state |= {f"extra.{i}": torch.zeros(1) for i in range(5)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError) as caught:
        load_weights(network, tmp_path / "w.pth")
    assert str(caught.value).endswith(
        "do not fit the network: the file lacks 0.bias, 1.weight; it has no place for "
        "extra.0, extra.1, extra.2 and"
        " 2 more; it has the shapes 0.weight (3, 3) for (2, 3)"
    )


class Malicious:
    def __reduce__(self):
        return (open, ("executed.txt", "w"))


@pytest.mark.parametrize(
    "save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))]
)
def test_pickled_objects_are_refused_and_not_executed(
    save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save({"0.weight": Malicious()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"save model.state_dict\(\) instead"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "executed.txt").exists()


def test_a_whole_model_is_refused(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"objects are never unpickled: save model.state_dict\(\)"):
        read_weights(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\x00" * 100, b"PK\x03\x04 truncated", b"not weights at all"]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_empty_and_damaged_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"(never unpickled|damaged)") as caught:
        read_weights(file)
    assert "\n" not in str(caught.value)


def test_a_truncated_file(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "w.pth")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_weights(tmp_path / "absent.pth")
    with pytest.raises(InputError, match="cannot be read"):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="is not a weights file: give one of"):
        read_weights(tmp_path / "weights.npy")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(InputError, match="holds no state dictionary"):
        read_weights(tmp_path / "tensor.pth")
    torch.save({"epoch": 3, "w": torch.zeros(3)}, tmp_path / "mixed.pth")
    with pytest.raises(InputError, match="holds epoch, not a tensor each"):
        read_weights(tmp_path / "mixed.pth")
