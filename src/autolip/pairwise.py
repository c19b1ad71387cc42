"""The bracket of several differences of outputs, of which the largest counts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autolip.budget import Turns
from autolip.errors import Refusal
from autolip.findings import Pair, above, largest_lower
from autolip.lower import LowerProblem
from autolip.methods import Problem
from autolip.methods.differences import differences
from autolip.outputs import Difference
from autolip.portfolio import Found, Portfolio
from autolip.result import Result
from autolip.values import Upper

OWN_RUNS = 45
"""Chosen: pairs of outputs that have a run of their own: as many as ten outputs have."""

SHARES = 20
"""Chosen: into how many parts the time for pairs is divided at most: the largest bounds come
first."""


def bracketed(
    frame: Result,
    problem: Problem,
    search: LowerProblem,
    portfolio: Portfolio,
    pairs: Sequence[Difference],
) -> Result:
    """The bracket of every difference f_i - f_j; the rows shown are those of the largest.

    One walk bounds them all; then each has its own run, the largest first, while there is time, and
    at most `OWN_RUNS` of them: the others keep the first bound.
    """
    known = _known(problem, portfolio, pairs)
    order = sorted(pairs, key=lambda pair: -known[pair].value) if known else list(pairs)
    found = _own_runs(problem, search, portfolio, order)
    rest = order[len(found) :]
    found |= dict.fromkeys(rest, Found(complete=not search.expired))
    found = {pair: found[pair].with_known(known[pair]) if known else found[pair] for pair in pairs}
    notes = (_cut_short(len(rest), len(pairs), search.budget.limited),) if rest else ()
    return _largest(replace(frame, notes=notes), found)


def _known(
    problem: Problem, portfolio: Portfolio, pairs: Sequence[Difference]
) -> dict[Difference, Upper] | None:
    """AutoLip's bound of every pair, where upper bounds are asked for."""
    if not (portfolio.named or portfolio.automatic):
        return None
    turns = Turns.of(problem.budget, 1.0, bool(portfolio.lowers))
    bounds = differences(problem.with_budget(turns.cheap))
    if isinstance(bounds, Refusal):
        return None
    return {pair: bounds[pair.plus, pair.minus] for pair in pairs}


def _own_runs(
    problem: Problem, search: LowerProblem, portfolio: Portfolio, order: Sequence[Difference]
) -> dict[Difference, Found]:
    """A run for each of the first pairs, as long as there is time; for one in any case."""
    count = len(order)
    shared = [method.shared(min(count, OWN_RUNS)) for method in portfolio.automatic]
    portfolio = replace(portfolio, automatic=shared)
    found: dict[Difference, Found] = {}
    for number, pair in enumerate(order[:OWN_RUNS]):
        if number and search.expired:
            break
        readout = pair.readout(problem.slopes.output_shape)
        part = 1 / min(count - number, SHARES)
        posed = problem.reading(readout), search.reading(readout).within(part)
        found[pair] = portfolio.found(*posed, part)
    return found


def _cut_short(alone: int, count: int, limited: bool) -> str:
    """Why some pairs had no run of their own, and what to do."""
    remedy = "a larger time budget goes on" if limited else "name two outputs for more"
    return (
        f"{alone} of {count} pairs have the bound of one walk for all, autolip's, and no "
        f"lower bound: {remedy}"
    )


def _largest(frame: Result, found: Mapping[Difference, Found]) -> Result:
    """The largest upper bound with its rows, the largest lower one, and both for every pair."""
    worst = max(found, key=lambda pair: above(found[pair].upper))
    shown = found[worst].into(frame)
    note = f"the rows are those of the pair with the largest upper bound, {worst}"
    lowers = [each.lower for each in found.values() if each.lower is not None]
    return replace(
        shown,
        lower=largest_lower(lowers),
        pairs=tuple(
            Pair(pair.plus, pair.minus, each.upper, each.lower) for pair, each in found.items()
        ),
        complete=all(each.complete for each in found.values()),
        notes=(*shown.notes, note),
    )
