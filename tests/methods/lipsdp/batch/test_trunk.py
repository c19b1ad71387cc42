"""All read-outs from one proof, against enumeration and against proofs of their own."""

import itertools
from fractions import Fraction

import pytest
import torch
from torch import nn

from autolip.errors import Refusal
from autolip.methods.lipsdp.batch import trunk as module
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.trunk import Trunk, trunk_of
from autolip.norms import Norm
from autolip.slopes import Between
from autolip.testing.exact import rational
from tests.methods.lipsdp.batch.test_solve import (
    DTYPE,
    FINE,
    NETWORKS,
    answered,
    batch_of,
    drawn,
    largest,
    other,
)
from tests.methods.lipsdp.conftest import mlp, pose
from tests.roundings.rational import product, rand, randn, turned


def made(found: Trunk | Refusal) -> Trunk:
    assert isinstance(found, Trunk), found
    return found


def apart(size: int) -> torch.Tensor:
    """The rows of all differences, i < j."""
    rows = []
    for i, j in itertools.combinations(range(size), 2):
        rows.append(torch.eye(size, dtype=DTYPE)[i] - torch.eye(size, dtype=DTYPE)[j])
    return torch.stack(rows)


@pytest.mark.parametrize("seed", range(3))
def test_no_read_out_is_below_what_slopes_attain(seed: int) -> None:
    net = mlp(3, 4, 4, 3, seed=seed)
    weights = [part.weight.detach() for part in net if isinstance(part, nn.Linear)]
    batch = batch_of(pose(net, (1, 3)).lowered)
    slopes = drawn(batch, 3, seed)
    rows = torch.cat([apart(3), randn(seed, 2, 3)])
    values = made(trunk_of(batch, slopes)).values(rows)
    for sample, number in itertools.product(range(3), range(len(rows))):
        own = [Between(s.lo[sample], s.hi[sample]) for s in slopes.values()]
        assert float(values[sample, number]) >= largest(weights, own, rows[number : number + 1])


@pytest.mark.parametrize("p", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("name", ["dense", "skipping", "norms"])
def test_one_proof_is_above_those_of_its_read_outs_but_not_much(name: str, p: Norm) -> None:
    batch = batch_of(pose(*(NETWORKS.get(name) or other(name))).lowered, p)
    slopes = drawn(batch, 2)
    rows = apart(3)
    found = made(trunk_of(batch, slopes))
    single = answered(batch, Questions.crossed(slopes, rows.unsqueeze(1)), FINE)
    values = found.values(rows)
    assert bool((values.flatten() >= single.attained).all())
    largest_alone = single.value.reshape(values.shape).amax(1)
    assert bool((values.amax(1) <= 1.5 * largest_alone).all())
    pairs = found.differences()
    for number, (i, j) in enumerate(itertools.combinations(range(3), 2)):
        torch.testing.assert_close(pairs[:, i, j], values[:, number], rtol=1e-9, atol=0.0)
        torch.testing.assert_close(pairs[:, j, i], values[:, number], rtol=1e-9, atol=0.0)


def test_without_slopes_it_is_the_networks_own() -> None:
    batch = batch_of(pose(*NETWORKS["dense"]).lowered)
    whole = {name: Between(s.lo[:1], s.hi[:1]) for name, s in drawn(batch, 1).items()}
    assert torch.equal(made(trunk_of(batch, {})).matrix, made(trunk_of(batch, whole)).matrix)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_read_is_rounded_upwards(seed: int) -> None:
    """Where w^T A w cancels, and in the root."""
    half = randn(seed, 1, 3, 3) + 2.0**20
    matrix = (half @ half.mT + (half @ half.mT).mT) / 2
    found = Trunk(matrix, rand(seed, 1) + 0.5, {}, None)
    a, ratio = rational(matrix[0]), Fraction(found.ratio.item())
    for rows in (apart(3), randn(seed + 1, 4, 3)):
        values = found.values(rows)[0].tolist()
        for row, value in zip(rational(rows), values, strict=True):
            exact = product(product([row], a), turned([row]))[0][0]
            assert Fraction(value) ** 2 >= ratio * exact
    pairs = found.differences()[0]
    for i, j in itertools.product(range(3), repeat=2):
        exact = a[i][i] + a[j][j] - a[i][j] - a[i][j]
        assert Fraction(pairs[i, j].item()) ** 2 >= ratio * exact


def test_an_ellipsoid_that_is_not_proved_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(pose(*NETWORKS["dense"]).lowered)
    never = lambda whole: torch.zeros(len(whole.value), dtype=torch.bool)  # noqa: E731
    assert isinstance(trunk_of(batch, {}), Trunk)
    proved = module.DualForm.ellipsoids

    def refused(self: object, *given: object) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("autolip.methods.lipsdp.batch.dual_form.are_semidefinite", never)
            return proved(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(module.DualForm, "ellipsoids", refused)
    assert isinstance(trunk_of(batch, {}), Refusal)
