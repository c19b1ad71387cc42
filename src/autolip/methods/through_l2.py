"""Questions in l1 and linf answered through l2."""

from dataclasses import dataclass, replace
from typing import ClassVar

from autolip.errors import Refusal
from autolip.methods.method import Bound, Method, Problem, method, method_named
from autolip.norms import EVERY_PAIR, L2_TO_L2, Norm, Pair
from autolip.values import Upper


@method("through-l2")
@dataclass(frozen=True)
class ThroughL2(Method):
    """Upper bound ||I||_{p -> 2} L_2 ||I||_{2 -> q}, L_2 the least l2 -> l2 bound of some methods.

    ||I||_{p -> q} = max(1, n^(1/q - 1/p)) for the n entries of the input that move, or of the
    output: up to sqrt(n) is lost on either side, and yet products of l1 or linf norms often lose
    more.
    """

    methods: tuple[str, ...] = ("autolip", "layerwise", "rescaled", "liplt")
    costly: tuple[str, ...] = ("lipsdp",)
    """Methods that take seconds, for questions that they refuse themselves."""

    name: ClassVar[str] = "through-l2"
    norms: ClassVar[frozenset[Pair]] = EVERY_PAIR - L2_TO_L2
    automatic: ClassVar[float] = 60
    source: ClassVar[str] = "equivalence of norms"

    def is_automatic(self, p: Norm, q: Norm) -> bool:
        """The way through l2 leads nowhere from l2 to l2."""
        return (p, q) in self.norms

    def bound(self, problem: Problem) -> Bound | Refusal:
        inside = replace(problem, p=Norm.L2, q=Norm.L2)
        answers: list[tuple[str, Bound]] = []
        refusals: list[Refusal] = []
        refused = [name for name in self.costly if method_named(name).accepts(problem) is not None]
        for name in (*self.methods, *refused):
            if answers and problem.budget.expired:
                break
            answer = method_named(name).answer(inside)
            if isinstance(answer, Refusal):
                refusals.append(answer)
            elif isinstance(answer.value, Upper):
                answers.append((name, answer))
        if not answers:
            return refusals[0]
        least = Upper.least(
            answer.value for _, answer in answers if isinstance(answer.value, Upper)
        )
        name, best = next(
            (n, a)
            for n, a in answers
            if isinstance(a.value, Upper) and a.value.value == least.value
        )
        n = problem.moving
        m = problem.fused.output_shape.numel()
        into = problem.p.equivalence(Norm.L2, n)
        out = Norm.L2.equivalence(problem.q, m)
        value = into * least * out
        complete = not problem.budget.expired and all(answer.complete for _, answer in answers)
        return Bound(value, best.contributions, (f"l2 bound by {name}", *best.notes), complete)
