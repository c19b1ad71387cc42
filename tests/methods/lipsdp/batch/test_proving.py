"""Proofs together and one by one: the same values, within memory and time."""

import pytest
import torch

from autolip.budget import SPENT
from autolip.methods.lipsdp.batch import proving
from autolip.methods.lipsdp.batch.proving import Claims
from autolip.methods.lipsdp.batch.questions import Answers, Questions
from autolip.methods.lipsdp.batch.solve import Batch, Care
from autolip.norms import Norm
from tests.methods.lipsdp.batch.test_solve import (
    DTYPE,
    NETWORKS,
    answered,
    batch_of,
    drawn,
    other,
)
from tests.methods.lipsdp.conftest import pose

QUICK = Care(rounds=((60, 3e-3),))


def asked(name: str, p: Norm = Norm.L2) -> tuple[Batch, Questions]:
    batch = batch_of(pose(*(NETWORKS.get(name) or other(name))).lowered, p)
    rows = torch.eye(batch.relaxation.graph.output_shape.numel(), dtype=DTYPE)
    return batch, Questions.crossed(drawn(batch, 2), rows.unsqueeze(1))


def claimed(questions: Questions, found: Answers) -> Claims:
    return Claims(questions, found.multipliers, found.inputs, found.value, None)


@pytest.mark.parametrize("p", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("name", ["dense", "skipping"])
def test_one_by_one_the_values_are_the_same(
    name: str, p: Norm, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, questions = asked(name, p)
    together = answered(batch, questions, QUICK)
    monkeypatch.setattr(proving, "MOST_ROWS", 0)
    alone = answered(batch, questions, QUICK)
    torch.testing.assert_close(alone.value, together.value, rtol=1e-2, atol=0.0)
    assert bool((alone.value >= alone.attained).all())


@pytest.mark.parametrize("tile", [1, 200])
def test_how_many_fit_does_not_matter(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, questions = asked("dense")
    whole = answered(batch, questions, QUICK)
    monkeypatch.setattr(proving, "TILE", tile)
    torch.testing.assert_close(answered(batch, questions, QUICK).value, whole.value)


def test_multipliers_that_are_not_feasible_grow_towards_the_input() -> None:
    """Those that are stay; a value is proved of the others too."""
    batch, questions = asked("dense")
    found = answered(batch, questions, QUICK)
    claims = claimed(questions, found)
    first, last = batch.relaxation.constraints
    weak = claims.multipliers[first].clone()
    weak[0] *= 0.5
    values, used = batch.prover.values(
        Claims(questions, {first: weak, last: claims.multipliers[last]}, None, found.value, None)
    )
    assert bool(values.isfinite().all())
    assert bool((used[first][0] > weak[0]).all()) and torch.equal(used[first][1:], weak[1:])
    torch.testing.assert_close(values[1:], found.value[1:])


@pytest.mark.parametrize("most", [0, 3000])
def test_nothing_more_is_proved_once_the_time_is_spent(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, questions = asked("dense")
    claims = claimed(questions, answered(batch, questions, QUICK))
    monkeypatch.setattr(proving, "MOST_ROWS", most)
    monkeypatch.setattr(proving, "TILE", 1)
    found = batch.prover.values(claims, SPENT)
    assert isinstance(found, tuple) and int(found[0].isfinite().sum()) <= 1
