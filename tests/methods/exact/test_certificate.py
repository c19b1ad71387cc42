"""Trees of exact are accepted by the check, at the bound but for 1e-9.

Covers autolip.methods.exact.certificate and autolip.cli.recapture with it.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip import Ball, Box
from autolip.cli.main import main
from autolip.errors import InputError
from autolip.methods.exact.method import Exact
from autolip.methods.exact.tree import Tree
from autolip.regions import Everywhere, Region
from autolip_check.check import check
from tests.methods.exact.test_method import Pooled, Sorted, chain


def certified(
    model: nn.Module, inputs: int, path: Path, asked: dict[str, object], centre: float = 0.0
) -> list[str]:
    """The kinds of facts in the certificate of the model's constant, once it was accepted."""
    x = torch.full((1, inputs), centre, dtype=torch.float64)
    result = autolip.lipschitz(model, x, method=Exact(), lower=None, **asked)  # type: ignore[arg-type]
    certificate = result.certificate()
    certificate.save(path)
    verdict = check(path)
    assert "deterministically" in verdict.claim and certificate.method == "exact"
    assert result.upper is not None and result.upper.value is not None
    assert result.upper.value <= certificate.value <= result.upper.value * (1 + 2e-9)
    at = certificate.tensors.arrays[certificate.document["proof"][0]["tree"]["at"]]
    return [str(kind) for kind in sorted(set(at.clip(max=0).tolist()))]


@pytest.mark.parametrize("norm", ["l2", "l1", "linf", "l1:l2", "l2:linf"])
@pytest.mark.parametrize("region", [Everywhere(), Box(-1, 0.5), Ball(0.1, 0.7)], ids=str)
def test_chains(norm: str, region: Region, tmp_path: Path) -> None:
    certified(chain(3, 6, 4, 2, seed=3), 3, tmp_path / "x.cert", {"norm": norm, "region": region})


@pytest.mark.parametrize("kind", ["l1", "linf"])
def test_balls_of_other_norms(kind: str, tmp_path: Path) -> None:
    region = Ball(0.2, 0.4, kind)
    certified(chain(5, 8, 6, 1, seed=2), 5, tmp_path / "x.cert", {"region": region})


@pytest.mark.parametrize("output", ["1", "0-1"])
def test_one_output_and_a_difference(output: str, tmp_path: Path) -> None:
    asked = {"output": output, "norm": "linf:l2"}
    certified(chain(3, 6, 4, 2, seed=5), 3, tmp_path / "x.cert", asked)


@pytest.mark.parametrize(("make", "inputs"), [(Sorted, 2), (Pooled, 5)])
@pytest.mark.parametrize("region", [Everywhere(), Box(-1, 0.5)], ids=str)
def test_other_operations(
    make: type[nn.Module], inputs: int, region: Region, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    certified(make().double().eval(), inputs, tmp_path / "x.cert", {"region": region})


def test_entries_that_do_not_move(tmp_path: Path) -> None:
    region = Box([[-1.0, 0.3, -1.0]], [[1.0, 0.3, 1.0]])
    certified(chain(3, 6, 4, 2, seed=3), 3, tmp_path / "x.cert", {"region": region})
    assumed = check(tmp_path / "x.cert").assumed
    assert not any("narrower" in sentence for sentence in assumed), "ranges are the check's own"


def test_cones(tmp_path: Path) -> None:
    """Without biases cells are flat where they are empty."""
    torch.manual_seed(3)
    layers = [nn.Linear(m, n, bias=False) for m, n in ((3, 6), (6, 4), (4, 2))]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).double().eval()
    assert "-3" in certified(model, 3, tmp_path / "x.cert", {})


def test_an_open_tree_certifies_its_bracket(tmp_path: Path) -> None:
    """Ended by its time: what is open is bounded all the same."""
    x = torch.zeros(1, 8, dtype=torch.float64)
    model = chain(8, 20, 20, 1, seed=4)
    result = autolip.lipschitz(model, x, method=Exact(), lower=None, time_budget=1.0)
    assert result.upper is not None and "open" in result.upper.notes[0]
    result.certificate().save(tmp_path / "open.cert")
    assert check(tmp_path / "open.cert").claim


def test_an_interrupted_tree_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that was not seen through is one leaf."""
    children, steps = Tree._children, iter(range(9))

    def interrupted(tree: Tree, halves: list[object]) -> object:
        found = children(tree, halves)  # type: ignore[arg-type]
        if next(steps) == 2:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Tree, "_children", interrupted)
    x = torch.zeros(1, 3, dtype=torch.float64)
    result = autolip.lipschitz(chain(3, 9, 8, 2, seed=4), x, method=Exact(), lower=None)
    assert result.upper is not None and "interrupted" in result.upper.notes[0]
    result.certificate().save(tmp_path / "interrupted.cert")
    assert check(tmp_path / "interrupted.cert").claim


class Folded(nn.Module):
    """A normalisation, whose folded weights are known up to rounding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
        self.layers(torch.randn(50, 2))
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Folded(), "known up to rounding only"),
        (nn.Sequential(nn.Linear(2, 4), nn.PReLU(4), nn.Linear(4, 1)).double().eval(), "prelu"),
    ],
)
def test_what_the_check_would_not_follow(model: nn.Module, why: str) -> None:
    x = torch.zeros(1, 2, dtype=torch.float64)
    result = autolip.lipschitz(model, x, method=Exact(), lower=None)
    with pytest.raises(InputError, match=why):
        result.certificate()


def test_ranges_everywhere_are_found_again(tmp_path: Path) -> None:
    """That a relu after a relu is on follows from cells alone."""
    torch.manual_seed(0)
    layers = (nn.Linear(2, 4), nn.Hardtanh(0.0, 2.0), nn.ReLU(), nn.Linear(4, 1))
    certified(nn.Sequential(*layers).double().eval(), 2, tmp_path / "x.cert", {})


def make() -> nn.Module:
    return chain(2, 5, 4, 1, seed=2)


def other() -> nn.Module:
    """The same slopes with an offset that is another."""
    model = make()
    with torch.no_grad():
        model[2].bias[1] += 1e-9
    return model


def test_the_model_is_captured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = "tests.methods.exact.test_certificate"
    asked = ["--input-shape", "1,2", "--method", "exact", "-o", str(tmp_path / "x.cert")]
    assert main(["estimate", f"{here}:make", *asked]) == 0
    assert main(["check", str(tmp_path / "x.cert"), "--model", f"{here}:make"]) == 0
    assert "captured again" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "x.cert"), "--model", f"{here}:other"]) == 1
    assert "its operand at 0 is not the model's" in capsys.readouterr().err
