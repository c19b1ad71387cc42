"""The factorisation proves what the dense matrix shows, and nothing else."""

import numpy as np
import pytest
from scipy import linalg

from autolip.methods.lipsdp.proof.factorisation import holds, least_factor, price
from autolip.methods.lipsdp.proof.prove import by_factorisation
from autolip.methods.lipsdp.proof.quadratic_form import Form, form_of
from autolip.methods.lipsdp.statement import Proved
from tests.methods.lipsdp.conftest import mlp, pose, relaxed
from tests.methods.lipsdp.relaxation.test_elimination import network


def least(form: Form) -> float:
    """The least tau for which H + tau diag(weights) >= 0, by the dense matrix."""
    matrix, free = form.matrix.toarray(), form.matrix.shape[0] - form.inputs
    cross, root = matrix[:free, free:], form.weights.numpy() ** 0.5
    schur = (
        cross.T @ linalg.solve(matrix[:free, :free], cross, assume_a="pos") - matrix[free:, free:]
    )
    return float(np.linalg.eigvalsh(schur / root / root[:, None])[-1])


@pytest.mark.parametrize("name", ["dense", "relu", "leaky", "gelu"])
def test_what_is_proved_is_what_the_dense_matrix_shows(name: str) -> None:
    for seed in range(3):
        made = network(name, seed)
        form = form_of(made)
        assert isinstance(form, Form)
        exact, found, proved = least(form), least_factor(form), by_factorisation(made)
        assert found == pytest.approx(exact, rel=1e-9)
        assert isinstance(proved, Proved) and exact <= proved.bound.value**2 <= exact * (1 + 1e-7)
        assert not holds(form, exact * (1 - 1e-9)) and holds(form, exact * (1 + 1e-7))


def test_where_no_value_helps_there_is_no_least_factor() -> None:
    """Multipliers of a hidden layer far too small for the next one."""
    made = network("dense", 0)
    first = next(iter(made.multipliers))
    made.multipliers[first] = made.multipliers[first] * 1e-20
    form = form_of(made)
    assert isinstance(form, Form) and least_factor(form) is None
    assert not holds(form, 1e30)


def test_a_matrix_that_is_known_roughly_needs_a_larger_value() -> None:
    form = form_of(network("dense", 0))
    assert isinstance(form, Form)
    rough = type(form)(form.matrix, 1e-3, form.inputs, form.weights, form.blocks)
    exact, more = least_factor(form), least_factor(rough)
    assert exact is not None and more is not None and more > exact
    assert holds(form, exact * (1 + 1e-7)) and not holds(rough, exact * (1 + 1e-7))


def test_the_price_grows_with_what_is_left_to_factorise(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (relaxed(pose(mlp(4, n, n, n, 2), (1, 4))) for n in (10, 200))
    assert 0 < price(small) < price(large)
