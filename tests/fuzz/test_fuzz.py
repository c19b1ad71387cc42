"""The fuzz itself: its networks, its slopes, and that it finds and shrinks a bound that is too
small."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from autolip.methods import METHODS, AutoLip, Bound, Problem
from autolip.values import Upper
from tests.fuzz.attained import PAIRS, Attained
from tests.fuzz.campaign import Tally, campaign
from tests.fuzz.drawing import network
from tests.fuzz.networks import Network, Step, digits
from tests.fuzz.onnx_files import writable, write
from tests.fuzz.pieces import pieces
from tests.fuzz.places import Place
from tests.fuzz.trials import captured

NETWORKS = [network(random.Random(seed)) for seed in range(60)]


def dense(weight: Tensor) -> Step:
    return Step(
        "dense", (0,), {}, {"w": weight, "b": torch.zeros(len(weight), dtype=torch.float64)}
    )


def test_many_digits_agree_with_pytorch() -> None:
    for drawn in NETWORKS:
        x = torch.randn(
            drawn.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        wanted = drawn(x)
        exact = drawn.exact(digits(x))
        assert exact.shape == wanted.shape
        found = torch.tensor([float(value) for value in exact.reshape(-1)], dtype=torch.float64)
        torch.testing.assert_close(
            found, wanted.reshape(-1), rtol=1e-9, atol=1e-9 * (1e-300 + float(wanted.abs().max()))
        )


def test_files_hold_the_same_networks(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    written = [
        drawn.single() for drawn in NETWORKS if drawn.dtype == torch.float32 and writable(drawn)
    ]
    assert len(written) > 8
    for drawn in written:
        write(drawn, tmp_path / "x.onnx")
        x = np.random.default_rng(0).normal(size=drawn.shape).astype("float32")
        (found,) = onnxruntime.InferenceSession(tmp_path / "x.onnx").run(None, {"v0": x})
        wanted = drawn(torch.from_numpy(x).double())
        assert found.shape == tuple(wanted.shape)
        scale = float(wanted.abs().max()) + 1e-6
        torch.testing.assert_close(
            torch.from_numpy(np.asarray(found)).double() / scale,
            wanted / scale,
            rtol=1e-3,
            atol=1e-3,
        )


def test_slopes_of_a_matrix_are_its_norms() -> None:
    weight = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0]], dtype=torch.float64)
    model = Network((1, 3), (dense(weight),))
    known = {
        ("l1", "l1"): 4.0,
        ("l1", "l2"): 10.0**0.5,
        ("l1", "linf"): 3.0,
        ("l2", "l2"): torch.linalg.matrix_norm(weight, 2).item(),
        ("l2", "linf"): 11.0**0.5,
        ("linf", "linf"): 5.0,
        ("linf", "l1"): 6.5,
        ("linf", "l2"): (1.5**2 + 5.0**2) ** 0.5,
        ("l2", "l1"): (16.0 + 1.0 + 0.25) ** 0.5,
    }
    for place in (Place.everywhere((1, 3)), Place.ball("l2", torch.ones(1, 3).double(), 0.1)):
        attained = Attained(model, place, 0)
        assert set(known) == set(PAIRS)
        for (p, q), value in known.items():
            slope = attained.slope(p, q, (), value)
            assert value * (1 - 1e-12) <= slope <= value * (1 + 1e-12), (p, q)


def test_every_linear_region_of_a_small_network_is_found() -> None:
    """Three lines in general position cut the plane into seven regions."""
    first = dense(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64))
    first.weights["b"] += torch.tensor([0.0, 0.0, -1.0])
    model = Network((1, 2), (first, Step("relu", (1,))))
    found = pieces(model, Place.everywhere((1, 2)))
    assert found is not None and len(found) == 7


class TooSmall(AutoLip):
    """AutoLip that forgets a tenth wherever something is not affine."""

    def bound(self, problem: Problem) -> Bound:
        found = super().bound(problem)
        assert isinstance(found, Bound) and isinstance(found.value, Upper)
        forgets = any("relu" in str(vertex.operation) for vertex in problem.slopes)
        return Bound(Upper(found.value.value * (0.01 if forgets else 1.0)))


@pytest.mark.slow
def test_a_bound_that_is_too_small_is_found_and_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(METHODS):
        monkeypatch.delitem(METHODS, name)
    monkeypatch.setitem(METHODS, "autolip", TooSmall)
    monkeypatch.setattr("tests.fuzz.trials.COSTLY", {"auto": 0.0})
    failure = next(campaign(0, 60.0, Tally()))
    assert failure.kind == "upper below attained"
    kinds = [step.kind for step in failure.case.network.steps]
    assert "relu" in kinds and len(kinds) <= 3
    assert (failure.case.p, failure.case.q, failure.case.output) == ("l2", "l2", ())
    exec(failure.case.source().rsplit("print", 1)[0], {})


def test_a_network_is_captured_from_both(tmp_path: Path) -> None:
    drawn = next(one for one in NETWORKS if writable(one)).single()
    for onnx in (False, True):
        assert tuple(captured(drawn, onnx).graph.input_shape) == drawn.shape
