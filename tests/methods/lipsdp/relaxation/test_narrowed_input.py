"""First layers replaced by square ones: what they reach, exactly."""

import pytest

from autolip.methods.lipsdp.relaxation import narrowed_input
from autolip.methods.lipsdp.relaxation.narrowed_input import covering, narrowed
from autolip.operators import Dense
from autolip.testing.exact import rational
from tests.methods.lipsdp.conftest import mlp, pose
from tests.roundings.rational import minus, product, randn, turned

SEEDS = range(12)


def definite(matrix: list[list[object]]) -> bool:
    """Whether elimination in rational arithmetic meets no negative pivot."""
    rows = [list(row) for row in matrix]
    while rows:
        (pivot, *across), *rest = rows
        if pivot < 0 or (pivot == 0 and any(across)):
            return False
        rows = [
            [x - row[0] * y / pivot if pivot else x for x, y in zip(row[1:], across, strict=True)]
            for row in rest
        ]
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_it_reaches_at_least_as_much(seed: int) -> None:
    """C C^T - W W^T is not negative, in rational arithmetic; nor much."""
    weight = randn(seed, 3, 7)
    if seed % 3 == 0:
        weight[2] = weight[0] + weight[1]
    found = covering(Dense(weight))
    assert found is not None and found.shape == (3, 3)
    over = minus(
        product(rational(found), turned(rational(found))),
        product(rational(weight), turned(rational(weight))),
    )
    assert definite(over)
    assert max(abs(float(x)) for row in over for x in row) < 1e-9


def test_a_wide_layer_stays() -> None:
    assert covering(Dense(randn(0, 5, 4))) is None
    assert covering(Dense(randn(0, 4, 4))) is None


def test_a_network_with_a_narrow_first_layer_has_a_small_input() -> None:
    graph = pose(mlp(12, 4, 3, 2), (1, 12)).lowered
    small = narrowed(graph)
    assert small.input_shape == (4,) and small.output_shape == graph.output_shape
    other = pose(mlp(3, 4, 2), (1, 3)).lowered
    assert narrowed(other) is other


def test_what_cannot_be_proved_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowed_input, "is_semidefinite", lambda statement: False)
    assert covering(Dense(randn(0, 3, 7))) is None
