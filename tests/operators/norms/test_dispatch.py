"""Which engines run, in which order, and which answer wins.

Covers autolip.operators.norms.engine too.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from autolip.budget import SPENT, metered
from autolip.errors import AutolipError, Refusal
from autolip.norms import Norm
from autolip.operators import Convolution, Dense, Geometry, Identity, Operator, Traced, compose
from autolip.operators.norms import NormOptions, candidates, operator_norm
from autolip.operators.norms import engine as registry
from autolip.operators.norms.engine import Engine, engine, normal_form
from autolip.values import Certainty, Event, Upper


def anything(operator: Operator) -> bool:
    return True


def conv(size: int, channels: int = 4) -> Convolution:
    weight = torch.randn(
        channels, channels, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return Convolution(weight, (channels, size, size), Geometry((1, 1), (1, 1), (1, 1)))


def norm(operator: Operator, options: NormOptions) -> Upper:
    bound = operator_norm(operator, Norm.L2, Norm.L2, options)
    assert isinstance(bound, Upper)
    return bound


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the engines that run."""
    names: list[str] = []

    def listening(chosen: Engine) -> Engine:
        def function(operator: Operator, options: NormOptions) -> Upper | Refusal:
            names.append(chosen.name)
            return chosen.function(operator, options)

        return replace(chosen, function=function)

    heard = {name: listening(chosen) for name, chosen in registry.ENGINES.items()}
    monkeypatch.setattr(registry, "ENGINES", heard)
    return names


def test_an_exact_answer_ends_the_search(asked: list[str]) -> None:
    norm(Identity((5,)), NormOptions())
    assert asked == ["diagonal"]
    asked.clear()
    norm(conv(6), NormOptions())
    assert asked == ["frobenius", "schur", "finite"]


def test_after_the_deadline_only_cheap_engines_run(asked: list[str]) -> None:
    bound = norm(conv(6), NormOptions(budget=SPENT))
    assert asked == ["frobenius", "schur"]
    assert bound.certainty is Certainty.PROVED


def test_without_materialising_the_symbol_proves_and_lanczos_improves(asked: list[str]) -> None:
    options = NormOptions(finite_size=1)
    small, large = norm(conv(4), options), norm(conv(80), options)
    assert asked.count("symbol") == 2
    assert small.certainty is Certainty.CONFIDENT
    assert large.certainty is Certainty.PROVED
    proved = norm(conv(4), replace(options, proved_only=True))
    assert proved.certainty is Certainty.PROVED and proved.value > small.value


def test_bounds_that_the_norm_attains_are_not_improved_on(asked: list[str]) -> None:
    mean = Traced(lambda x: x.unflatten(0, (-1, 4)).mean(1), (8000,), terms=4, nonnegative=True)
    assert norm(mean, NormOptions(finite_size=1)).value == pytest.approx(0.5, rel=1e-12)
    assert asked == ["frobenius", "schur"]


def test_a_proved_bound_is_not_given_up_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(value: float, random: bool) -> Engine:
        events = frozenset({Event("coin", 0.1)} if random else ())
        function: Callable[..., Upper] = lambda operator, options: Upper(value, events)  # noqa: E731
        return Engine("fake", Norm.L2, Norm.L2, function, anything, products=1, random=random)

    for value, winner in ((0.9999, 1.0), (0.998, 1.0), (0.99, 0.99)):
        engines = {"proved": fake(1.0, False), "random": fake(value, True)}
        monkeypatch.setattr(registry, "ENGINES", engines)
        assert norm(Dense(torch.eye(2)), NormOptions()).value == winner


def test_engines_know_what_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def listen(operator: Operator, options: NormOptions) -> Refusal:
        seen.append(options.known)
        return Refusal("only listening")

    spy = Engine("spy", Norm.L2, Norm.L2, listen, anything, exact=True)
    schur = registry.ENGINES["schur", "l2", "l2"]
    monkeypatch.setattr(registry, "ENGINES", {"schur": schur, "spy": spy})
    norm(Dense(torch.ones(2, 3)), NormOptions())
    assert seen == [pytest.approx(6**0.5)]


def test_two_engines_of_one_name_are_an_error() -> None:
    def again(operator: Operator, options: NormOptions) -> Upper | Refusal:
        """||A||_2 <= inf."""
        return Upper(float("inf"))

    with pytest.raises(AutolipError, match=r"norm engine schur l2 l2 is there already, .*schur: "):
        engine("schur", "l2")(again)


def test_an_engine_without_a_docstring_is_an_error() -> None:
    with pytest.raises(AutolipError, match="has no docstring: its first line is what it claims"):
        engine("silent", "l2")(lambda operator, options: Upper(0.0))


def test_normal_forms_have_the_same_norm(operator: Operator) -> None:
    for p in Norm:
        for q in Norm:
            core, core_p, core_q = normal_form(operator, p, q)
            assert core_p is Norm.L1 or (core_p, core_q) in {
                (Norm.L2, Norm.L2),
                (Norm.L2, Norm.L1),
                (Norm.LINF, Norm.L1),
            }
            turned = (core_p, core_q) == (q.dual, p.dual) != (p, q)
            size = operator.matrix().abs().sum()
            assert core.matrix().abs().sum().item() == pytest.approx(
                size.item(), rel=1e-12, abs=1e-300
            )
            assert turned or (core_p, core_q) == (p, q)


def test_candidates_list_every_engine_with_its_cost() -> None:
    listed = {
        candidate.engine: candidate
        for candidate in candidates(conv(6), Norm.L2, Norm.L2, NormOptions())
    }
    assert {"schur", "frobenius", "finite", "symbol", "lanczos"} <= listed.keys()
    assert listed["schur"].work == 2 * conv(6).work
    assert all(candidate.seconds >= 0 for candidate in listed.values())


def test_the_work_of_proofs_is_counted() -> None:
    dense: Tensor = torch.eye(20, dtype=torch.float64)
    with metered() as meter:
        norm(compose(Dense(dense), Dense(dense + 1)), NormOptions())
    assert meter.work > 20**3
