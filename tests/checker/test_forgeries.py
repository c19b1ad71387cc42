"""Whatever single field of a certificate is changed, it is rejected, or proves nothing that was not
true before."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import autolip
from autolip_check.admission import finite
from autolip_check.check import check
from autolip_check.container import Rejected
from tests.checker.conftest import Forgery, at, leaves

Judge = Callable[..., str | None]


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional network, its bound multiplied up from two norms."""
    torch.manual_seed(1)
    layers = (
        nn.Conv2d(1, 2, 3, stride=2),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(18, 3),
        nn.Sigmoid(),
    )
    result = autolip.lipschitz(
        nn.Sequential(*layers).eval(), torch.zeros(1, 1, 7, 7), method="autolip", lower=[]
    )
    path = tmp_path_factory.mktemp("certificates") / "genuine.cert"
    result.certificate().save(path)
    return path


def changed(value: Any) -> list[Any]:
    """What a forger may write in place of a value."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value * (1 - 1e-9), value / 2, value * 2 + 1, -1, "x"]
    return ["l1", "linf", "", 0, None] if value != "l1" else ["l2"]


def test_it_is_accepted_as_it_is(genuine: Path, verdict: Judge) -> None:
    assert check(genuine).claim
    assert verdict(Forgery.of(genuine)) == check(genuine).claim


def is_weaker(path: tuple[Any, ...], value: Any, other: Any) -> bool:
    """Whether a changed claim follows from the original one: |x|_2 <= |x|_1, |y|_inf <= |y|_2."""
    if path == ("claim", "value"):
        return bool(other > value)
    return (path, value, other) in {
        (("claim", "norms", 0), "l2", "l1"),
        (("claim", "norms", 1), "l2", "linf"),
    }


@pytest.mark.slow
def test_no_changed_field_proves_more(genuine: Path, verdict: Judge) -> None:
    """Only the provenance may be changed without being noticed; a claim may be weakened."""
    original = Forgery.of(genuine)
    said, accepted = check(genuine).claim, set[tuple[Any, ...]]()
    for path, value in leaves(original.document):
        for other in changed(value):
            forged = Forgery(copy.deepcopy(original.document), original.tensors)
            at(forged.document, path[:-1])[path[-1]] = other
            if verdict(forged) is not None and other != value:
                accepted.add(path)
                assert path[0] == "provenance" or is_weaker(path, value, other), (
                    f"{path}: {value!r} -> {other!r}"
                )
    assert said == check(genuine).claim
    assert ("claim", "value") in accepted and any(path[0] == "provenance" for path in accepted)


def test_a_smaller_value_is_rejected(genuine: Path, verdict: Judge) -> None:
    forged = Forgery.of(genuine)
    forged.document["claim"]["value"] *= 1 - 1e-9
    assert verdict(forged) is None
    for step in forged.document["proof"]:
        step["value"] *= 1 - 1e-8
    assert verdict(forged) is None


def test_the_facts_leave_no_more_than_rounding(genuine: Path) -> None:
    """The certified value is the bound but for 1e-8."""
    torch.manual_seed(1)
    document = Forgery.of(genuine).document
    values = [step["value"] for step in document["proof"]]
    product = 0.25 * np.prod([*values])
    assert product <= document["claim"]["value"] <= product * (1 + 1e-8)


@pytest.mark.parametrize("careful", [False, True])
def test_a_larger_weight_is_rejected(genuine: Path, verdict: Judge, careful: bool) -> None:
    for name in Forgery.of(genuine).tensors:
        forged = Forgery.of(genuine)
        tensor = forged.tensors[name].reshape(-1)
        tensor[np.abs(tensor).argmax()] *= 1.5
        assert verdict(forged, careful) is None


@pytest.mark.parametrize("field, value", [("hi", 0.5), ("lo", 2.0), ("hi", 1.5)])
def test_other_slopes_are_noticed_or_stated(
    genuine: Path, tmp_path: Path, field: str, value: float
) -> None:
    """A careful forger proves something about another network, and the verdict says what is
    assumed."""
    forged = Forgery.of(genuine)
    edges = [edge for vertex in forged.document["graph"]["vertices"] for edge in vertex["edges"]]
    leaky = next(edge for edge in edges if edge["kind"] == "between")
    leaky[field] = value
    try:
        proved = check(forged.write(tmp_path / "x.cert", careful=True))
    except Rejected:
        return
    assert any(
        "18 of 18 slopes narrower than [0.1, 1], its name's: within" in said
        for said in proved.assumed
    )


@pytest.mark.parametrize("name", ["median", "relu", "sort"])
def test_other_activations_are_noticed_or_stated(genuine: Path, tmp_path: Path, name: str) -> None:
    forged = Forgery.of(genuine)
    for vertex in forged.document["graph"]["vertices"]:
        if vertex["origin"].get("operation") == "aten.sigmoid.default":
            vertex["origin"]["operation"] = f"aten.{name}.default"
    proved = check(forged.write(tmp_path / "x.cert", careful=True))
    said = "has slopes within [0.0, 0.25] (3)"
    if name == "relu":
        said = "has 3 of 3 slopes narrower than [0, 1], its name's: within [0.0, 0.25] (3)"
    assert any(
        f"'aten.{name}.default' at '4 " in sentence and said in sentence
        for sentence in proved.assumed
    )
    assert not any("'aten.sigmoid" in sentence for sentence in check(genuine).assumed)


@pytest.mark.slow
def test_every_byte_counts(genuine: Path, tmp_path: Path) -> None:
    """A flipped bit anywhere in the file is seen, but for those of the provenance."""
    data = genuine.read_bytes()
    size = int.from_bytes(data[:8], "little")
    start, stop = data.index(b'\\"provenance\\"'), data.index(b'\\"version\\":1}')
    said = check(genuine).claim
    for place in np.random.default_rng(0).permutation(len(data))[:400]:
        forged = bytearray(data)
        forged[place] ^= 1 << int(place) % 7
        (tmp_path / "x.cert").write_bytes(bytes(forged))
        try:
            proved = check(tmp_path / "x.cert").claim
        except Rejected:
            continue
        claimed = (
            proved != said
            and "<=" in proved
            and finite(float(proved.split()[2])) >= finite(float(said.split()[2]))
        )
        assert start <= place < stop or claimed or (proved == said and place < 8 + size), (
            f"byte {place}"
        )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"{}",
        (10**12).to_bytes(8, "little") + b"{}",
        b"\x04",
    ],
)
def test_other_files_are_rejected(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.cert").write_bytes(data)
    with pytest.raises(Rejected):
        check(tmp_path / "x.cert")


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="cannot be read"):
        check(tmp_path / "none.cert")
