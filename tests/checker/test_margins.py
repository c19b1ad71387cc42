"""Margins by a quadratic form: H by its definition, what is accepted, and what is forged."""

import copy
import hashlib
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

import autolip
from autolip.capture.torch.export import capture_model
from autolip.certificates import Certificate
from autolip.methods import Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.outputs.difference import Difference
from autolip.regions import Ball, Box, Region
from autolip.robustness.certificates import of_margin
from autolip_check.check import check
from autolip_check.container import Rejected, canonical, content, read
from autolip_check.graph import read_network
from autolip_check.margins import Around, margin_of

CENTRE = torch.linspace(-1, 1, 4, dtype=torch.float64).unsqueeze(0)

REGIONS: dict[str, Region] = {
    "l2": Ball(CENTRE, 0.1, "l2"),
    "linf": Ball(CENTRE, 0.05, "linf"),
    "l1": Ball(CENTRE, 0.1, "l1"),
    "box": Box(CENTRE - 0.03, CENTRE + torch.tensor([0.0, 0.02, 0.05, 0.1]).double()),
}


def network() -> nn.Module:
    torch.manual_seed(2)
    layers = (nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    return nn.Sequential(*layers).double().eval()


def certificate(region: Region) -> Certificate:
    """Of the largest output against the next."""
    model = network()
    captured = capture_model(model, (CENTRE,))
    label, rival, _ = model(CENTRE)[0].argsort(descending=True).tolist()
    options = NormOptions(proved_only=True)
    problem = Problem.pose(captured.graph, region, Norm.L2, Norm.L2, options)
    read_out = Difference(label, rival).readout(captured.graph.output_shape)
    found = of_margin(problem.reading(read_out), {"output": f"{label}-{rival}"})
    assert found is not None
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("margins") / "a.cert"
    certificate(REGIONS["l2"]).save(path)
    return path


@pytest.mark.parametrize("kind", REGIONS)
def test_it_holds_where_it_is_said(kind: str, tmp_path: Path) -> None:
    region, path = REGIONS[kind], tmp_path / "a.cert"
    made = certificate(region)
    made.save(path)
    verdict = check(path, budget=60.0)
    least = made.document["claim"]["least"]
    assert verdict.claim.startswith(f"f(x) >= {least!r} for all x in the ")
    assert any("and the output, are" in sentence for sentence in verdict.assumed)
    assert not any("slopes in" in sentence for sentence in verdict.assumed)
    x = region.sample(200, CENTRE, torch.Generator().manual_seed(0))
    values, (label, rival) = (
        network()(x)[:, 0],
        map(int, made.document["provenance"]["output"].split("-")),
    )
    assert 0 < least < float((values[:, label] - values[:, rival]).detach().min())


def test_h_is_what_it_is_defined_to_be(written: Path) -> None:
    """At any values of its variables."""
    document, tensors = read(written)
    (step,) = document["proof"]
    least = document["claim"]["least"]
    form = margin_of(step, read_network(document["graph"], tensors), tensors, least)
    model = network()
    label, rival, _ = model(CENTRE)[0].argsort(descending=True).tolist()
    rng = np.random.default_rng(0)
    for _ in range(5):
        y = rng.normal(size=(1, 1 + 4 + 6 + 5))
        one, d, results = y[0, 0], y[0, 1:5], [y[:, 5:11], y[:, 11:16]]
        x = one * CENTRE.numpy() + d
        total = -(least + form.total) * one**2 + (form.inputs.reshape(-1) * d**2).sum()
        for number, (relu, z) in enumerate(zip(form.relus.values(), results, strict=True)):
            weight, bias = (p.detach().numpy() for p in model[2 * number].parameters())
            v = x @ weight.T + one * bias
            terms = relu.lam * z * (v - z) + relu.mu * (z - v) * one + relu.nu * z * one
            total -= terms.sum()
            x = z
        weight, bias = (p.detach().numpy() for p in model[4].parameters())
        total += one * ((x @ weight.T)[0] + one * bias) @ np.eye(3)[label]
        total -= one * ((x @ weight.T)[0] + one * bias) @ np.eye(3)[rival]
        image = form.whole(y, False)
        assert np.isclose((image * y).sum(), total, rtol=1e-9)
        assert (np.abs(image) <= form.whole(np.abs(y), True) + 1e-12).all()


def given(value: Any, held: Any) -> np.ndarray[Any, Any]:
    """A tensor of a certificate, written by its name or as a number."""
    found = held[value] if isinstance(value, str) else np.full(1, value)
    return np.ascontiguousarray(found)


def forged(path: Path, target: Path, change: Any) -> Path:
    """The certificate after a change of its document and tensors, its hashes made right."""
    document, tensors = read(path)
    document, held = copy.deepcopy(document), dict(tensors)

    def put(array: np.ndarray[Any, Any]) -> str:
        name = content(array)
        held[name] = array
        return name

    change(document, held, put)
    graph = canonical(document["graph"]).encode()
    document["claim"]["network"] = hashlib.sha256(graph).hexdigest()
    target.write_bytes(save(held, {"certificate": canonical(document)}))
    return target


def of_leaf(name: str, place: int, factor: float, addend: float = 0.0) -> Any:
    def change(document: Any, held: Any, put: Any) -> None:
        each = document["proof"][0]["multipliers"]
        key = sorted(each)[name != "first"]
        each[key][place] = put(given(each[key][place], held) * factor + addend)

    return change


def claimed(**changes: Any) -> Any:
    return lambda document, held, put: document["claim"].update(changes)


def region(**changes: Any) -> Any:
    return lambda document, held, put: document["graph"]["region"].update(changes)


def constant(document: Any, held: Any, put: Any) -> None:
    own = document["graph"]["constants"][document["graph"]["output"]]
    own["value"] = (
        own["value"] - 1.0 if isinstance(own["value"], float) else put(held[own["value"]] - 1)
    )


def uncertain(document: Any, held: Any, put: Any) -> None:
    document["graph"]["constants"][document["graph"]["output"]]["error"] = 1.0


def renamed(document: Any, held: Any, put: Any) -> None:
    for vertex in document["graph"]["vertices"]:
        if "relu" in vertex["origin"].get("operation", ""):
            vertex["origin"]["operation"] = "aten.tanh.default"


def without_constants(document: Any, held: Any, put: Any) -> None:
    document["graph"]["constants"].popitem()


FORGERIES: dict[str, tuple[Any, str]] = {
    "a larger margin": (claimed(least=10.0), "H"),
    "a larger ball": (region(radius=3.0), "H"),
    "a ball elsewhere": (region(center=[5.0, 5.0, 5.0, 5.0]), "H"),
    "another output at 0": (constant, "H"),
    "an output that is not known": (uncertain, "H|rounding"),
    "a multiplier below 0": (of_leaf("first", 1, 0.0, -1.0), "negative"),
    "no weight of a product": (of_leaf("second", 0, 1e-9), "H"),
    "other multipliers": (of_leaf("second", 2, 1.0, 100.0), "H"),
    "another function": (renamed, "not known to be linear in pieces"),
    "constants left out": (without_constants, "constants are told"),
    "a probability": (claimed(delta=0.1), "proved or is not"),
    "everywhere": (lambda d, *_: d["graph"].update(region={"kind": "everywhere"}), "no ball"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused(name: str, written: Path, tmp_path: Path) -> None:
    change, reason = FORGERIES[name]
    with pytest.raises(Rejected, match=reason):
        check(forged(written, tmp_path / "b.cert", change))


def test_squares_are_bounded_on_every_region() -> None:
    """At most: attained at a corner of a box, at an axis of a ball."""
    weights = np.array([[0.5, 2.0, 4.0, 1.0]])
    box = Around.of({"kind": "box", "lo": [0.0, 1.0, -1.0, 2.0], "hi": [4.0, 2.0, 5.0, 2.0]})
    assert box.centre == [2.0, 1.5, 2.0, 2.0]
    assert box.total(weights) == Fraction(0.5) * 4 + Fraction(2) / 4 + 4 * 9
    ends = {"kind": "box", "lo": [0.0], "hi": [math.nextafter(0.0, 1.0)]}
    assert Around.of(ends).reach[0] > 0
    for norm, most in (("l1", 36), ("l2", 36), ("linf", 9 * 7.5)):
        ball = {"kind": "ball", "norm": norm, "radius": 3.0, "center": [0.0] * 4}
        assert Around.of(ball).total(weights) == Fraction(most)


def leaky(document: Any, held: Any, put: Any) -> None:
    for vertex in document["graph"]["vertices"]:
        if "relu" in vertex["origin"].get("operation", ""):
            vertex["origin"]["operation"] = "aten.leaky_relu.default"


def test_functions_that_are_linear_in_other_pieces_are_refused(
    written: Path, tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match="is no relu"):
        check(forged(written, tmp_path / "b.cert", leaky))


def test_certify_writes_them_on_boxes(tmp_path: Path) -> None:
    around = lambda x: Box(x - 0.05, x + 0.05)  # noqa: E731
    found = autolip.certify(network(), CENTRE, region=around, certificates=tmp_path / "all")
    files = sorted((tmp_path / "all").iterdir())
    assert found.certified.tolist() == [True] and len(files) == 2
    assert all(check(file).claim.startswith("f(x) >= ") for file in files)
