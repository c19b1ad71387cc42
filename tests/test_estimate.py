"""How a result is put together: what contradicts itself, what fails, what a seed takes away."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from autolip import InputError, Lower, Refusal, Upper, lipschitz, load
from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.errors import Contradiction, attempted
from autolip.estimate import _posed, bracket
from autolip.findings import Pair, Row
from autolip.lower import LowerMethod, LowerProblem
from autolip.methods import Bound, Method, Problem
from autolip.question import Question
from autolip.result import Result
from autolip.values import Event


@dataclass(frozen=True)
class Says(Method):
    """A method that answers what it is told to."""

    value: float | Exception
    events: frozenset[Event] = frozenset()

    name: ClassVar[str] = "says"
    source: ClassVar[str] = "a test"

    def bound(self, problem: Problem) -> Bound | Refusal:
        if isinstance(self.value, Exception):
            raise self.value
        return Bound(Upper(self.value, self.events))


@dataclass(frozen=True)
class Finds(LowerMethod):
    """A search that finds what it is told to."""

    value: float | Exception

    name: ClassVar[str] = "finds"
    source: ClassVar[str] = "a test"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        if isinstance(self.value, Exception):
            raise self.value
        return Lower(self.value)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


def steep() -> Callable[[Tensor], Tensor]:
    """No bound of a method of ours lies below 2."""
    inner = network()
    return lambda x: 100 * inner(x)


def asked(**options: Any) -> Result:
    return lipschitz(network(), torch.zeros(1, 3), **options)


@pytest.mark.parametrize("upper", [0.0, 1.0, 2.0 - 2**-52])
@pytest.mark.parametrize("output", ["all", "0", "0-1", "pairs"])
@pytest.mark.parametrize("events", [frozenset[Event](), frozenset({Event("a start", 1e-9)})])
def test_an_upper_bound_below_an_attained_one_is_an_error_that_names_both(
    upper: float, output: str, events: frozenset[Event]
) -> None:
    """A bound of 0 too, which says that the network ignores its input, and one that holds with a
    probability."""
    with pytest.raises(Contradiction, match=r"says bounds .* finds attains 2\.0") as caught:
        lipschitz(
            steep(), torch.zeros(1, 3), method=Says(upper, events), lower=Finds(2.0), output=output
        )
    assert repr(upper) in str(caught.value) and "please report" in str(caught.value)


def test_the_worse_of_two_bounds_does_not_hide_a_contradiction() -> None:
    with pytest.raises(Contradiction, match=r"says bounds .* by 0\.001, and finds attains 0\.4"):
        asked(method=["autolip", Says(0.001)], lower=["random", Finds(0.4)])


def test_equal_bounds_agree() -> None:
    result = asked(method=Says(2.0), lower=Finds(2.0))
    assert (
        result.upper is not None
        and result.lower is not None
        and result.upper.value == result.lower.value == 2
    )


def test_a_result_cannot_be_built_from_rows_that_contradict_each_other() -> None:
    good, bad, low = Row("a", Upper(3.0)), Row("b", Upper(1.0)), Row("c", Lower(2.0))
    plain = asked(method="autolip", lower=())
    assert replace(plain, bounds=(good, low), upper=good, lower=low, pairs=(Pair(0, 1, good, low),))
    with pytest.raises(Contradiction, match=r"b bounds output all by 1\.0"):
        replace(plain, upper=good, bounds=(good, bad, low))
    with pytest.raises(Contradiction, match=r"b bounds output 0-1 by 1\.0"):
        replace(plain, bounds=(), upper=None, pairs=(Pair(0, 1, bad, low),))


@pytest.mark.parametrize(
    "error", [ArithmeticError("two\nlines"), torch.linalg.LinAlgError("no"), KeyError(None)]
)
def test_what_fails_is_a_row_with_its_reason_and_the_others_stay(error: Exception) -> None:
    result = asked(method=[Says(error), "autolip"], lower=[Finds(error), "random"])
    failed = [row for row in result.bounds if row.kind == "refusal"]
    assert [row.method for row in failed] == ["says", "finds"]
    assert all(
        type(error).__name__ in str(row.refusal) and "please report" in str(row.refusal)
        for row in failed
    )
    assert not any("\n" in str(row.refusal) for row in failed)
    assert result.upper is not None and result.upper.method == "autolip"
    assert result.lower is not None and result.lower.method == "random"


def test_errors_meant_for_the_user_pass() -> None:
    with pytest.raises(InputError, match="a smaller one"):
        asked(method=Says(InputError("a smaller one")), lower=())
    with pytest.raises(InputError):
        attempted(lambda: asked(method="autolip", output="7"))


def test_a_seed_weakens_what_is_confident_and_the_result_says_so() -> None:
    confident = Says(2.0, frozenset({Event("a start", 1e-9)}))
    told, fresh = (asked(method=confident, lower=(), seed=seed) for seed in (7, None))
    assert any("seed 7" in note and "without knowledge" in note for note in told.notes)
    assert not any("seed" in note for note in fresh.notes)
    assert told.to_dict()["options"]["seed"] == 7 and fresh.to_dict()["options"]["seed"] is None
    assert not asked(method=Says(2.0), lower=(), seed=7).notes


class Bordered(nn.Module):
    """x + 9 <u, x> u, its first part a convolution with a reflected border."""

    def __init__(self, u: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", u)
        self.register_buffer(
            "kernel", torch.tensor([[[[0, 0.0, 0], [0, 1, 0], [0, 0, 0]]]]).double()
        )

    def forward(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return nn.functional.conv2d(padded, self.kernel) + 9 * (self.u * x).sum() * self.u


def test_a_network_made_for_a_seed_does_not_fool_a_bound_without_one() -> None:
    """I + 9 u u^T has norm 10; a start orthogonal to u sees 1, as one with that seed does, and no
    fresh one."""
    from autolip.operators.norms.lanczos import _random_start

    size, generator = 47 * 47, torch.Generator().manual_seed(0)
    starts = torch.stack([_random_start(size, 0, 0)])
    u = torch.randn(size, dtype=torch.float64, generator=generator)
    for _ in range(2):
        u = u - starts.T @ (starts @ u)
    model = Bordered((u / u.norm()).reshape(1, 1, 47, 47)).eval()
    capture = capture_model(model, (torch.zeros(1, 1, 47, 47, dtype=torch.float64),), 0)
    told, fresh = (
        bracket(capture, model="m", method="autolip", lower=(), seed=seed).upper
        for seed in (0, None)
    )
    assert told is not None and fresh is not None
    assert told.certainty == fresh.certainty == "confident"
    assert told.value is not None and told.value < 2  # why a seed weakens the promise
    assert fresh.value is not None and fresh.value >= 10


class Leaving(nn.Linear):
    def __deepcopy__(self, memo: dict[int, Any]) -> "Leaving":
        raise SystemExit(0)


def test_no_code_of_the_users_ends_the_program_in_silence() -> None:
    with pytest.raises(
        InputError, match=r"the model's own code called sys.exit\(0\): take that call out"
    ):
        lipschitz(Leaving(2, 2), torch.zeros(1, 2), method="autolip", lower=None)


def test_a_network_is_loaded_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """diag(3, 1) from a factory with weights, its input scaled by one that is held fixed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code = "from torch import nn\nclass Net(nn.Linear):\n"
    code += "    def forward(self, x, scale):\n        return scale * super().forward(x)\n"
    (tmp_path / "loaded.py").write_text(code + "def net():\n    return Net(2, 2, bias=False)\n")
    save_file({"weight": torch.diag(torch.tensor([3.0, 1.0]))}, tmp_path / "w.safetensors")
    network = load(
        "loaded:net",
        input_shape={"x": (1, 2)},
        fix={"scale": 2.0},
        weights="w.safetensors",
        evaluation=True,
    )
    result = lipschitz(network, method="autolip", lower="random")
    assert result.upper.value == pytest.approx(6) and result.lower.value == pytest.approx(6)
    assert result.model == "loaded:net" and "scale" in result.assumptions["fixed"]
    with pytest.raises(InputError, match="has its inputs"):
        lipschitz(network, torch.zeros(1, 2))


def test_a_module_needs_inputs_and_a_shape_is_enough() -> None:
    model = nn.Linear(3, 2).eval()
    with pytest.raises(InputError, match="there are no example inputs"):
        lipschitz(model)
    asked = {"method": "autolip", "lower": None}
    by_shape = lipschitz(model, (1, 3), **asked).upper
    assert by_shape.value == lipschitz(model, torch.zeros(1, 3), **asked).upper.value


@pytest.mark.parametrize("spec", ["digits-mpl", "missing.onnx"])
def test_what_cannot_be_loaded_is_said(spec: str) -> None:
    with pytest.raises(InputError):
        load(spec)
    with pytest.raises(InputError, match="is not the shape"):
        load("digits-mlp", input_shape="wide")


def test_the_probability_of_failure_is_shared_out() -> None:
    """Each norm is asked for from two sides, by at most two methods."""
    layers = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)]
    capture = capture_model(nn.Sequential(*layers), (torch.zeros(1, 3),))
    question = Question.asked(delta=1e-3).about(capture)
    problem, _ = _posed(capture, question, None, Budget.of(None), lambda text: None)
    assert problem.maps == 3
    assert 0 < problem.options.delta * 4 * problem.maps <= 1e-3
