"""Answers as statements about the network as it is."""

import pytest
import torch

from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.solve import Care
from autolip.methods.lipsdp.proof.prove import by_factorisation
from autolip.methods.lipsdp.statement import Proved, Statement
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


@pytest.mark.parametrize("p", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("name", ["dense", "wide input", "skipping", "norms"])
def test_a_statement_is_proved_again_by_other_means(name: str, p: Norm) -> None:
    """On the network as it is, without what is settled: the value, but for rounding."""
    batch = batch_of(pose(*(NETWORKS.get(name) or other(name))).lowered, p)
    outputs = batch.relaxation.graph.output_shape.numel()
    questions = Questions.each(drawn(batch, 3), torch.eye(outputs, dtype=DTYPE))
    found = answered(batch, questions, Care())
    for number, value in enumerate(found.value):
        made = batch.statement(questions, found, number)
        assert isinstance(made, Statement)
        again = by_factorisation(made)
        assert isinstance(again, Proved)
        assert again.bound.value == pytest.approx(float(value), rel=1e-6)
