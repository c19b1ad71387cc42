"""Statements as certificates: accepted with any multipliers that prove them, rejected or loose with
others."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.certificates import Certificate
from autolip.graph.views import SlopeGraph
from autolip.methods import Problem
from autolip.methods.lipsdp import certificate as lipsdp_certificate
from autolip.methods.lipsdp.certificate import LARGEST_FACTORISED, certified
from autolip.methods.lipsdp.proof.prove import by_norm
from autolip.methods.lipsdp.relaxation.constraint import nonlinear
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.outputs import Component
from autolip.regions import Everywhere
from autolip.slopes import Between, Exact
from autolip.values import Upper
from autolip_check import forms, lanczos
from autolip_check.check import check
from autolip_check.container import Array, Rejected
from tests.checker.conftest import Forgery, at, leaves, renamed

Judge = Callable[..., str | None]


def problem_of(model: nn.Module, *shape: int) -> Problem:
    capture = capture_model(model.double().eval(), (torch.zeros(shape, dtype=torch.float64),))
    return Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())


def by_norms(problem: Problem, spare: float = 1.02) -> Statement:
    """The statement for a chain that makes the product of norms: with r the squared gain from z to
    the output, 2 r."""
    square, multipliers = 1.0, dict[str, torch.Tensor]()
    for vertex in reversed(list(problem.fused)):
        for edge in vertex.edges:
            slope = edge.slope
            if isinstance(slope, Exact):
                norm = problem.norm(slope.operator, Norm.L2, Norm.L2)
                assert isinstance(norm, Upper)
                square *= (norm.value * spare) ** 2
            else:
                assert isinstance(slope, Between)
                multipliers[vertex.name] = torch.full(vertex.shape, 2 * square, dtype=torch.float64)
    return Statement(relaxed(problem.lowered), multipliers, None, square**0.5)


def relaxed(graph: SlopeGraph) -> Relaxation:
    relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
    assert isinstance(relaxation, Relaxation)
    return relaxation


def by_entries(model: nn.Sequential, width: int) -> Certificate:
    """One fact about the linf norm of all outputs: of each of them the statement of the network
    without the others."""
    problem, (*hidden, last) = problem_of(model, 1, width), model
    statements = list[Statement]()
    for number, row in enumerate(last.weight.data):
        single = nn.Linear(len(row), 1, bias=False)
        single.weight.data = row[None]
        graph = problem.reading(Component(number).readout(problem.lowered.output_shape)).lowered
        made = by_norms(problem_of(nn.Sequential(*hidden, single), 1, width))
        statements.append(replace(made, relaxation=relaxed(graph)))
    proof, bound = (
        certified(problem.lowered, statements, Norm.LINF),
        max(one.value for one in statements),
    )
    return Certificate.of(
        proof, (bound, 1e-9), Norm.L2, Norm.LINF, {"kind": "everywhere"}, problem.graph, {}
    )


def certificate(
    problem: Problem, statement: Statement, largest: int = LARGEST_FACTORISED
) -> Certificate:
    relaxation = statement.relaxation
    proof = certified(relaxation.graph, [statement], relaxation.q, largest)
    bound = statement.value, 1e-9
    return Certificate.of(
        proof, bound, relaxation.p, relaxation.q, {"kind": "everywhere"}, problem.graph, {}
    )


@pytest.fixture(scope="module")
def dense() -> Problem:
    torch.manual_seed(0)
    layers = nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 3)
    return problem_of(nn.Sequential(*layers), 1, 6)


@pytest.fixture(scope="module")
def genuine(dense: Problem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lipsdp") / "genuine.cert"
    certificate(dense, by_norms(dense)).save(path)
    return path


@pytest.mark.parametrize("largest", [0, LARGEST_FACTORISED])
def test_a_dense_chain(dense: Problem, largest: int, tmp_path: Path) -> None:
    statement = by_norms(dense)
    certificate(dense, statement, largest).save(tmp_path / "x.cert")
    verdict = check(tmp_path / "x.cert")
    assert ("deterministically" in verdict.claim) == (largest > 0)
    assert len(verdict.assumed) == 3, "no slope is taken from the certificate"
    said = float(verdict.claim.split()[4])
    assert statement.value <= said <= statement.value * 1.003


@pytest.mark.parametrize("largest", [0, LARGEST_FACTORISED])
def test_multipliers_that_are_off_are_accepted_once_repaired(
    dense: Problem, largest: int, tmp_path: Path
) -> None:
    exact, generator = by_norms(dense, spare=1.0), torch.Generator().manual_seed(0)
    off = {
        k: lam * torch.exp(torch.randn(lam.shape, generator=generator))
        for k, lam in exact.multipliers.items()
    }
    disturbed = replace(exact, multipliers=off)
    certificate(dense, disturbed, largest).save(tmp_path / "off.cert")
    with pytest.raises(Rejected):
        check(tmp_path / "off.cert")
    repaired = by_norm(disturbed, 0.0, NormOptions())
    assert isinstance(repaired, Proved)
    certificate(dense, repaired.statement, largest).save(tmp_path / "x.cert")
    check(tmp_path / "x.cert")


@pytest.mark.parametrize("largest", [0, LARGEST_FACTORISED])
def test_a_convolutional_chain(largest: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 3, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 2, 3),
        nn.ReLU(),
        nn.Flatten(),
    )
    problem = problem_of(nn.Sequential(*layers, nn.Linear(18, 4)), 1, 1, 9, 9)
    certificate(problem, by_norms(problem), largest).save(tmp_path / "x.cert")
    check(tmp_path / "x.cert")


def test_a_form_on_many_variables_is_raised_by_more(
    dense: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its check takes fewer steps; what the certificate says is the raised value."""
    statement = by_norms(dense)
    few = certificate(dense, statement, 0)
    monkeypatch.setattr(lipsdp_certificate, "MANY", 1)
    many = certificate(dense, statement, 0)
    assert few.value == pytest.approx(statement.value * 1.002, rel=1e-10)
    assert many.value == pytest.approx(statement.value * 1.005, rel=1e-10)


@pytest.mark.parametrize("long", [0, 2**19])
def test_lanczos_takes_its_vectors_together_or_apart(
    dense: Problem, long: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long ones apart; a value that is too small is refused either way."""
    batches, whole = list[int](), forms.Form.whole
    monkeypatch.setattr(lanczos, "LONG", long)

    def seen(form: forms.Form, x: Array, absolute: bool) -> Array:
        batches.append(len(x))
        return whole(form, x, absolute)

    monkeypatch.setattr(forms.Form, "whole", seen)
    statement = by_norms(dense)
    certificate(dense, statement, 0).save(tmp_path / "x.cert")
    check(tmp_path / "x.cert")
    assert (max(batches) > 1) == (long > 0)
    certificate(dense, statement.regraded(statement.value / 1000, lambda _: 1.0), 0).save(
        tmp_path / "low.cert"
    )
    with pytest.raises(Rejected):
        check(tmp_path / "low.cert")


@pytest.mark.slow
def test_a_deep_narrow_chain(tmp_path: Path) -> None:
    """A bound of 1e-9: H is scaled before it is factorised."""
    torch.manual_seed(0)
    layers = [layer for _ in range(30) for layer in (nn.Linear(4, 4), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(4, 4))
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 0.5
    problem = problem_of(model, 1, 4)
    statement = by_norms(problem)
    assert statement.value < 1e-9
    certificate(problem, statement).save(tmp_path / "x.cert")
    check(tmp_path / "x.cert")


def test_a_smaller_value_is_rejected(dense: Problem, genuine: Path, verdict: Judge) -> None:
    """The claim by 1e-9, the fact by what the multipliers leave."""
    forged = Forgery.of(genuine)
    forged.document["claim"]["value"] *= 1 - 1e-6
    assert verdict(forged) is None
    forged = Forgery.of(genuine)
    step = forged.document["proof"][0]
    step["value"] *= 1 - 1e-9
    assert verdict(forged) is None
    step["inputs"] *= (1 - 1e-9) ** 2
    forged.document["claim"]["value"] *= 0.9
    assert verdict(forged) is None


@pytest.mark.parametrize("factor", [0.1, 30.0, -1.0, 0.0])
def test_other_multipliers_are_rejected(genuine: Path, verdict: Judge, factor: float) -> None:
    """One layer's cannot be made much smaller or larger, negated or dropped."""
    original = Forgery.of(genuine)
    for name in original.document["proof"][0]["multipliers"]:
        forged = Forgery(copy.deepcopy(original.document), original.tensors)
        forged.document["proof"][0]["multipliers"][name] *= factor
        assert verdict(forged) is None
        del forged.document["proof"][0]["multipliers"][name]
        assert verdict(forged) is None


def test_random_multipliers_are_rejected_or_loose(dense: Problem, tmp_path: Path) -> None:
    """Accepted only where H >= 0, judged by eigenvalues of H written out by hand."""
    weights = [
        e.slope.operator.matrix()
        for v in dense.fused
        for e in v.edges
        if isinstance(e.slope, Exact)
    ]
    best, accepted = by_norms(dense), 0
    generator = torch.Generator().manual_seed(0)
    for attempt in range(40):
        spread = 0.2 + 0.05 * attempt
        noisy = {
            name: lam
            * torch.exp(
                spread * 0.3 * torch.randn(lam.shape, generator=generator, dtype=torch.float64)
            )
            for name, lam in best.multipliers.items()
        }
        statement = Statement(best.relaxation, noisy, None, best.value * (1 + spread))
        certificate(dense, statement).save(tmp_path / "x.cert")
        first, second = (noisy[vertex.name].flatten().diag() for vertex in nonlinear(dense.lowered))
        mu, (a, b, c) = statement.value**2, weights
        zero = torch.zeros(len(a.T), len(second), dtype=torch.float64)
        rows = [
            [mu * torch.eye(len(a.T)), -a.T @ first / 2, zero],
            [-first @ a / 2, first, -b.T @ second / 2],
            [zero.T, -second @ b / 2, second - c.T @ c],
        ]
        matrix = torch.cat([torch.cat(row, 1) for row in rows])
        positive = torch.linalg.eigvalsh(matrix)[0].item() > 0
        try:
            check(tmp_path / "x.cert")
            accepted += 1
            assert positive
        except Rejected:
            assert torch.linalg.eigvalsh(matrix)[0].item() < 1e-5 * mu
    assert 0 < accepted < 40


@pytest.mark.slow
def test_entries_are_accepted_and_no_changed_field_proves_more(
    tmp_path: Path, verdict: Judge
) -> None:
    """Each of three different outputs has its form: none can be left out, stand for a larger one,
    or be changed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    model[2].weight.data *= torch.tensor([[1.0], [10], [100]])
    by_entries(model, 6).save(tmp_path / "entries.cert")
    original, said = Forgery.of(tmp_path / "entries.cert"), check(tmp_path / "entries.cert").claim
    assert said.startswith("||f(x) - f(y)||_linf") and "deterministically" in said
    (step,) = original.document["proof"]

    def forged(change: Callable[[dict[str, Any]], None]) -> str | None:
        copied = Forgery(copy.deepcopy(original.document), original.tensors)
        change(copied.document["proof"][0])
        return verdict(copied)

    for path, value in leaves(step["entries"]):
        for other in (value / 30, -value, 0, "x", None, [value]):
            assert (
                forged(
                    lambda new, p=path, v=other: at(new["entries"], p[:-1]).__setitem__(p[-1], v)
                )
                is None
            ), path
    for number, entry in enumerate(step["entries"][:2]):
        assert forged(lambda new, n=number: new["entries"].pop(n)) is None
        assert forged(lambda new, e=entry: new.update(entries=[e] * 3)) is None
        assert forged(lambda new, n=number: new["entries"][n].update(outputs=1.0)) is None
        assert forged(lambda new, n=number: new["entries"][n].pop("inputs")) is None
    assert forged(lambda new: new["entries"].append(entry)) is None
    assert forged(lambda new: new["entries"].reverse()) is None
    for field, other in (
        ("norms", ["l2", "l2"]),
        ("norms", ["linf", "linf"]),
        ("by", "lanczos"),
        ("entries", {}),
    ):
        assert forged(lambda new, f=field, v=other: new.update({f: v})) is None
    assert forged(lambda new: new.update(value=new["value"] * (1 - 1e-9))) is None
    assert forged(lambda new: None) == said


def test_no_operation_is_named_like_the_checkers_own(genuine: Path, verdict: Judge) -> None:
    forged = Forgery.of(genuine)
    forged.document = renamed(
        forged.document, {forged.document["graph"]["vertices"][1]["name"]: "||"}
    )
    assert verdict(forged, careful=True) is None
