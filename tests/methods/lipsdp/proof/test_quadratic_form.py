"""The form of a statement: the input's own term is left out, and comes back with any value."""

import numpy as np
import pytest
import torch

from autolip.errors import Refusal
from autolip.methods.lipsdp.proof.quadratic_form import Form, form_of
from tests.methods.lipsdp.proof.test_lifted_map import statement
from tests.methods.lipsdp.relaxation.test_elimination import network


@pytest.mark.parametrize("norm", ["l2", "linf:l2", "linf:l1"])
def test_weights_are_the_inputs_own_term(norm: str) -> None:
    """Scaled like the rest of H, to about 1 at the statement's own value; and nothing of x is in H
    itself but what it is coupled with."""
    made = statement(norm)
    form = form_of(made)
    assert isinstance(form, Form) and form.inputs == 4 == len(form.weights)
    square = made.value**2 if made.inputs is None else 1.0
    assert bool(((form.weights * square > 0.49) & (form.weights * square < 2.1)).all())
    assert not bool(form.diagonal[-form.inputs :].any())


def test_the_complement_is_that_of_the_dense_matrix() -> None:
    form = form_of(network("leaky", 1))
    assert isinstance(form, Form)
    diagonal = form.diagonal + 1.0
    found = form.complement(diagonal)
    whole = form.matrix.toarray()
    np.fill_diagonal(whole, diagonal.numpy())
    gone, kept = np.concatenate(form.blocks.eliminated), form.blocks.kept
    cross = whole[np.ix_(gone, kept)]
    expected = whole[np.ix_(kept, kept)] - cross.T @ np.linalg.solve(
        whole[np.ix_(gone, gone)], cross
    )
    assert found is not None
    torch.testing.assert_close(torch.tril(found), torch.tril(torch.from_numpy(expected)))


def test_weights_that_are_not_positive_are_refused() -> None:
    made = statement()
    name = next(iter(made.multipliers))
    made.multipliers[name] = -made.multipliers[name]
    refused = form_of(made)
    assert isinstance(refused, Refusal) and "not positive" in str(refused)
