"""What the checker eliminates: S is the Schur complement of H, and H the quadratic form, entry by
entry."""

import numpy as np
import pytest
import torch

from autolip.capture.torch.export import capture_model
from autolip.certificates import Certificate
from autolip.graph.fixed import without_fixed
from autolip.methods import Problem
from autolip.methods.lipsdp.certificate import certified, order_of
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip_check import proof
from autolip_check.check import check
from autolip_check.forms import Form
from tests.certificates.test_lipsdp import CASES


@pytest.fixture(scope="module", params=["residual", "blocks", "convolutional"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Statement, Form]:
    """A statement with random multipliers, and the form that the checker makes of its
    certificate."""
    factory, shape = CASES[request.param]
    model = factory()
    capture = capture_model(model.double().eval(), (torch.zeros(shape, dtype=torch.float64),))
    problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    graph, generator = without_fixed(problem.lowered), torch.Generator().manual_seed(0)
    relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
    assert isinstance(relaxation, Relaxation)
    lam = {
        name: 2 + torch.rand(item.blocks, generator=generator).double()
        for name, item in relaxation.constraints.items()
    }
    made = Statement(relaxation, lam, None, 1.5)
    path, seen = tmp_path_factory.mktemp("forms") / "x.cert", list[Form]()
    facts = certified(graph, [made], Norm.L2)
    Certificate.of(
        facts, (9.0, 1e-9), Norm.L2, Norm.L2, {"kind": "everywhere"}, problem.graph, {}
    ).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "prove", seen.append)
        check(path)
    return made, seen[0]


def test_s_is_the_schur_complement_of_h(case: tuple[Statement, Form]) -> None:
    _, form = case
    n, kept = len(form.kept), form.kept
    whole, rest = form.whole(np.eye(n), False), form.product(np.eye(int(kept.sum())), False)
    own = whole[np.ix_(~kept, ~kept)]
    assert (own == np.diag(form.weights[~kept])).all() and 0 < kept.sum() < n
    cross = whole[np.ix_(kept, ~kept)]
    np.testing.assert_allclose(
        rest, whole[np.ix_(kept, kept)] - cross / form.weights[~kept] @ cross.T, atol=1e-12
    )
    assert (form.product(np.eye(int(kept.sum())), absolute=True) >= np.abs(rest) - 1e-12).all()


def test_t_is_coupled_with_what_the_output_is_made_of(case: tuple[Statement, Form]) -> None:
    """By -y, so that -|y|^2 / nu is what the elimination of t leaves, and with nothing else."""
    _, form = case
    n, size = len(form.kept), form.sizes[form.sink]
    whole, rows = form.whole(np.eye(n), False), np.eye(n)[:, : n - size]
    free = {
        name: rows[:, s].reshape(n, *form.network[name].shape)
        for name, s in spans(form).items()
        if name != form.sink
    }
    y = form.section.act(free)[form.sink].reshape(n, -1)[: n - size]
    np.testing.assert_allclose(whole[: n - size, n - size :], -y, atol=1e-12)
    np.testing.assert_allclose(whole[n - size :, n - size :], np.eye(size))
    np.testing.assert_allclose(whole, whole.T, atol=1e-12)


def spans(form: Form) -> dict[str, slice]:
    stops = np.cumsum(list(form.sizes.values()))
    return {
        name: slice(stop - size, stop)
        for (name, size), stop in zip(form.sizes.items(), stops, strict=True)
    }


def test_the_order_is_foreseen(case: tuple[Statement, Form]) -> None:
    made, form = case
    assert form.kept.sum() == order_of(made.relaxation)
