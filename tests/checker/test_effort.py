"""A limit on the work of a check: what it takes is known before, or noticed on the way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import autolip
from autolip import operators
from autolip_check.__main__ import HOLDS, UNREADABLE, main
from autolip_check.check import check
from autolip_check.effort import Effort, TooLong
from autolip_check.lanczos import trust
from autolip_check.maps import Convolution, Dense, Diagonal, Wiring
from autolip_check.proof import Foreseen, Prover
from autolip_check.symbol import symbol
from tests.checker.test_norms import form, path

CONV = {"stride": [2], "padding": [1], "dilation": [1], "groups": 1, "adjoint": False}


def certificate(folder: Path, model: nn.Module, size: tuple[int, ...], method: str) -> Path:
    torch.manual_seed(0)
    file = folder / f"{method}.cert"
    result = autolip.lipschitz(
        model.double(), (torch.zeros(size).double(),), method=method, lower=()
    )
    result.certificate().save(file)
    return file


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def test_multiply_adds_of_maps() -> None:
    assert Dense(np.ones((3, 4)), (2, 4), 0.0).work == 2 * 3 * 4
    assert Diagonal(np.ones(4), (2, 4), 0.0).work == 8
    assert Convolution(np.ones((5, 2, 3)), (2, 9), 0.0, CONV).work == 5 * 5 * 2 * 3
    two = np.array([0, 1])
    assert Wiring(two, two, (4,), (2,)).work == 2 + 4 + 2


def test_a_budget_is_kept_or_refused_before_anything_is_proved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path, chain(), (1, 6), "lipsdp")
    assert main([str(file), "--budget", "60"]) == HOLDS
    monkeypatch.setattr(Prover, "cholesky", lambda self, form: pytest.fail("this is work"))
    assert main([str(file), "--budget", "1e-6"]) == UNREADABLE
    said = capsys.readouterr().err
    assert said.startswith("not checked: its proof takes ") and "--budget" in said


def test_many_steps_are_refused_while_they_are_looked_at(tmp_path: Path) -> None:
    file = certificate(tmp_path, chain(), (1, 6), "autolip")
    with pytest.raises(TooLong):
        check(file, budget=1e-9)
    check(file, budget=1.0)


def test_what_is_not_known_before_is_counted_on_the_way() -> None:
    """Cells of a symbol, and steps of Lanczos."""
    torch.manual_seed(0)
    conv = operators.Convolution(
        torch.randn(3, 2, 3, 3), (2, 9, 9), operators.Geometry((1, 1), (1, 1), (1, 1))
    )
    enough = Effort()
    symbol(path(conv), 100.0, enough)
    trust(form(conv, 100.0), 1e-9, enough)
    assert 1e4 < enough.spent < 1e9
    with pytest.raises(TooLong):
        symbol(path(conv), 100.0, Effort(10.0))
    with pytest.raises(TooLong):
        trust(form(conv, 100.0), 1e-9, Effort(10.0))


def test_a_form_takes_products_and_a_factorisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass through the network for every variable at least, before it is written out."""
    monkeypatch.setattr(Foreseen, "look", lambda self, network: None)
    spent = []
    for width in (8, 64):
        model = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))
        file = certificate(tmp_path, model, (1, 6), "lipsdp")
        with pytest.raises(TooLong) as refused:
            check(file, budget=1e-9)
        spent.append(float(str(refused.value).split()[3]))
    assert spent[0] > 8 * 48e-9 and 6 * spent[0] < spent[1]


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "soon"])
def test_what_is_no_budget(tmp_path: Path, budget: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path / "none.cert"), "--budget", budget])
    assert left.value.code == 2


def test_spending() -> None:
    effort = Effort.of_seconds(1.0)
    effort.spend(9e8)
    with pytest.raises(TooLong):
        effort.spend(2e8)
