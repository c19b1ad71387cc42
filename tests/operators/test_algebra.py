"""Compositions and sums against dense matrices, and what is merged into known kinds."""

import pytest
import torch
from torch import Tensor

from autolip.budget import metered
from autolip.operators import (
    Block,
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Geometry,
    Identity,
    Incidence,
    Link,
    Operator,
    Zero,
    add,
    compose,
)
from autolip.operators.algebra import without_isometries


def random(*shape: int) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64
    )


CONV = Convolution(random(4, 3, 3, 3), (3, 5, 5), Geometry((2, 2), (1, 1), (1, 1)))
BATCH_NORM = Diagonal(random(4, 1, 1), CONV.out_shape)


def assert_product(product: Operator, *factors: Operator) -> None:
    expected = torch.linalg.multi_dot([factor.matrix() for factor in factors])
    torch.testing.assert_close(product.matrix(), expected, rtol=1e-12, atol=1e-300)


def test_batch_norm_folds_into_convolutions_on_either_side() -> None:
    after = compose(BATCH_NORM, CONV)
    before = compose(CONV, Diagonal(random(3, 1, 1), CONV.in_shape))
    assert isinstance(after, Convolution) and isinstance(before, Convolution)
    assert after.relative_error >= 2**-53
    assert_product(after, BATCH_NORM, CONV)
    assert_product(before, CONV, Diagonal(random(3, 1, 1), CONV.in_shape))


def test_scalings_along_other_axes_stay_outside() -> None:
    mask = Diagonal(random(4, 3, 3), CONV.out_shape)
    product = compose(mask, CONV)
    assert isinstance(product, Composition)
    assert_product(product, mask, CONV)


def scalar(value: float) -> Diagonal:
    return Diagonal(torch.tensor(value, dtype=torch.float64), (2,))


def test_products_that_underflow_are_not_merged() -> None:
    product = compose(scalar(1e-200), scalar(1e-200))
    assert isinstance(product, Composition)
    assert compose(scalar(1e300), scalar(1e-200), scalar(1e-200)).matrix()[
        0, 0
    ].item() == pytest.approx(1e-100)
    assert isinstance(compose(scalar(1e-320), scalar(0.5)), Composition)


def test_products_that_overflow_are_not_merged() -> None:
    assert isinstance(compose(scalar(1e200), scalar(1e200)), Composition)


def test_zero_absorbs() -> None:
    product = compose(BATCH_NORM, Zero(CONV.in_shape, CONV.out_shape))
    assert isinstance(product, Zero)
    assert (product.in_shape, product.out_shape) == (CONV.in_shape, CONV.out_shape)


def test_neighbours_must_fit() -> None:
    with pytest.raises(ValueError, match="cannot compose"):
        compose(Dense(random(2, 3)), Dense(random(4, 5)))
    with pytest.raises(ValueError, match="cannot add"):
        add(Dense(random(2, 3)), Dense(random(3, 3)))


def test_sums_against_matrices() -> None:
    parts = (Dense(random(3, 3)), Diagonal(random(3), (3,)), Identity((3,)))
    torch.testing.assert_close(
        add(*parts).matrix(), sum((part.matrix() for part in parts[1:]), parts[0].matrix())
    )


def test_isometries_are_dropped_at_both_ends() -> None:
    flip = Incidence(lambda x: x.flip(0), (6,))
    signs = Diagonal(torch.tensor([1.0, -1.0, 1.0]), (3,))
    dense = Dense(random(3, 6))
    assert without_isometries(Composition((signs, dense, flip))) is dense
    kept = compose(
        Diagonal(torch.tensor([1.0, 2.0, 1.0]), (3,)), Incidence(lambda x: x.flip(0), (3,))
    )
    assert without_isometries(kept).matrix().abs().max() == 2


def test_adjoints_keep_their_structure() -> None:
    links = (Link("x", "a", CONV), Link("a", "y", CONV.T), Link("x", "y", Identity(CONV.in_shape)))
    block = Block("x", "y", links, CONV.in_shape, CONV.in_shape)
    for operator in (compose(BATCH_NORM, CONV).T, Dense(random(2, 3)), block, add(CONV, CONV)):
        assert type(operator.T.T) is type(operator)
        torch.testing.assert_close(operator.T.matrix(), operator.matrix().T)


def test_a_fold_with_vectors_is_the_product() -> None:
    links = (Link("x", "a", CONV), Link("a", "y", CONV.T), Link("x", "y", Identity(CONV.in_shape)))
    block = compose(
        Diagonal(random(3, 5, 5), CONV.in_shape),
        Block("x", "y", links, CONV.in_shape, CONV.in_shape),
    )
    x = random(2, 3, 5, 5)
    folded = block.fold(
        x, lambda leaf, v: leaf.mv(v), lambda terms: torch.stack(list(terms)).sum(0)
    )
    torch.testing.assert_close(folded, block.mv(x))


def test_a_fold_counts_paths() -> None:
    one = Identity((2,))
    ladder = [Link(f"{i}", f"{i + 1}", one) for i in range(5) for _ in range(2)]
    assert (
        Block("0", "5", tuple(ladder), (2,), (2,)).fold(1, lambda leaf, count: count, sum) == 2**5
    )


def test_work_is_counted_once_per_product() -> None:
    with metered() as outer:
        with metered() as meter:
            add(CONV, CONV).mv(random(2, 3, 5, 5))
            CONV.T.mv(random(1, 4, 3, 3))
        assert meter.work == 5 * CONV.work == 5 * 4 * 3 * 9 * 9
    assert outer.work == meter.work


def test_terms_of_composites_cover_those_of_all_their_parts() -> None:
    """An entry of A B x is a sum of as many rounded products as both factors have: errors of the
    factors add up."""
    a, b = Dense(random(3, 5)), Dense(random(5, 4))
    links = (Link("x", "h", b), Link("h", "y", a), Link("x", "y", Dense(random(3, 4))))
    assert Composition((a, b)).terms >= a.terms + b.terms
    assert add(a, Dense(random(3, 5))).terms >= 2 * a.terms
    assert Block("x", "y", links, (4,), (3,)).terms >= a.terms + b.terms + 5


def test_the_adjoint_of_inexact_entries_is_as_inexact() -> None:
    for operator in (Dense(random(2, 3), relative_error=0.1), Diagonal(random(3), (3,), 0.1)):
        for turned in (operator.T, operator.T.T, Composition((operator, Identity((3,)))).T):
            assert turned.relative_error >= 0.1


def test_diagonals_that_cancel_are_not_one_of_small_relative_error() -> None:
    """1 + 2^-60 - 1 is computed as 0: no relative error explains that."""
    total = add(
        *(
            Diagonal(torch.tensor([value], dtype=torch.float64), (1,))
            for value in (1.0, 2.0**-60, -1.0)
        )
    )
    computed, size = total.matrix().item(), total.majorant()
    assert size is not None
    allowed = (
        total.relative_error * size.matrix().item() + total.terms * 2.0**-52 * size.matrix().item()
    )
    assert abs(computed - 2.0**-60) <= allowed


def test_an_entry_that_is_read_twice_makes_no_isometry() -> None:
    twice = Incidence(lambda x: x[[0, 0]], (2,))
    assert not twice.is_isometry
    kept = without_isometries(Composition((twice, Dense(random(2, 2)))))
    assert torch.linalg.matrix_norm(kept.matrix(), 2) == pytest.approx(
        2**0.5 * random(2, 2)[0].norm().item()
    )


def test_without_links_a_value_is_itself_and_others_are_0() -> None:
    assert isinstance(Block.of([], "x", "x", (3,), (3,)), Identity)
    assert isinstance(Block.of([], "x", "y", (3,), (2,)), Zero)
