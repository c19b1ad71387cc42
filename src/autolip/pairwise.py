"""The bracket of several differences of outputs, of which the largest counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from autolip.budget import Turns, stopwatch
from autolip.errors import Refusal, attempted
from autolip.findings import Pair, Row, above, largest_lower
from autolip.lower import LowerProblem
from autolip.methods import Problem
from autolip.methods.differences import differences
from autolip.outputs import Difference
from autolip.portfolio import Found, Portfolio
from autolip.result import Result

OWN_RUNS = 45
"""Chosen: pairs of outputs that have a run of their own: as many as ten outputs have."""

SHARES = 20
"""Chosen: into how many parts the time for pairs is divided at most: the largest bounds come
first."""

FEW = 4
"""Chosen: the same for the pairs that decide, where the others are bounded already."""


def bracketed(
    frame: Result,
    problem: Problem,
    search: LowerProblem,
    portfolio: Portfolio,
    pairs: Sequence[Difference],
) -> Result:
    """The bracket of every difference f_i - f_j; the rows shown are those of the largest.

    One walk bounds them all, and methods that bound many at once those that count.  Then there are
    runs, the largest first, while there is time, and at most `OWN_RUNS` of them: of every method
    until the largest bound is that of such a run; after that, or if no method bounds many at once
    of every pair, of the searches for lower bounds alone.  The others keep what they have.
    """
    walked, together = _walked(problem, portfolio, pairs), _together(problem, portfolio, pairs)
    known = {pair: (*walked.get(pair, ()), *together.get(pair, ())) for pair in pairs}
    order = sorted(pairs, key=lambda pair: -_least(known[pair]))
    found = _own_runs(problem, search, portfolio, order, known if together else {})
    rest = order[len(found) :]
    found |= dict.fromkeys(rest, Found(complete=not search.expired))
    every = {pair: _with_rows(found[pair], known[pair]) for pair in pairs}
    notes = (_cut_short(len(rest), len(pairs), search.budget.limited),) if rest else ()
    return _largest(replace(frame, notes=notes), every)


Known = Mapping[Difference, tuple[Row, ...]]
"""What is known of every pair beforehand."""


def _walked(problem: Problem, portfolio: Portfolio, pairs: Sequence[Difference]) -> Known:
    """AutoLip's bound of every pair, where upper bounds are asked for."""
    if not (portfolio.named or portfolio.automatic):
        return {}
    turns = Turns.of(problem.budget, 1.0, portfolio.searches_below)
    bounds = differences(problem.with_budget(turns.cheap))
    if isinstance(bounds, Refusal):
        return {}
    return {pair: (Row("autolip", bounds[pair.plus, pair.minus]),) for pair in pairs}


def _together(problem: Problem, portfolio: Portfolio, pairs: Sequence[Difference]) -> Known:
    """The least of the bounds of methods that have many at once."""
    turns = Turns.of(problem.budget, 1.0, portfolio.searches_below)
    found: dict[Difference, tuple[Row, ...]] = {}
    for method in (*portfolio.named, *portfolio.automatic):
        elapsed = stopwatch()
        posed = problem.with_budget(turns.cheap)
        bounds = attempted(partial(method.of_differences, posed, pairs))
        if isinstance(bounds, Refusal):
            continue
        seconds = elapsed() / max(1, len(bounds))
        for pair, bound in bounds.items():
            row = Row(method.title, bound.value, seconds, notes=bound.notes, proof=bound.proof)
            found[pair] = (min((row, *found.get(pair, ())), key=above),)
    return found


def _least(rows: Sequence[Row]) -> float:
    """The smallest bound; inf where there is none."""
    return min(map(above, rows), default=math.inf)


def _with_rows(found: Found, rows: Sequence[Row]) -> Found:
    for row in rows:
        found = found.with_row(row)
    return found


def _own_runs(
    problem: Problem,
    search: LowerProblem,
    portfolio: Portfolio,
    order: Sequence[Difference],
    known: Known,
) -> dict[Difference, Found]:
    """A run for each of the first pairs, as long as there is time; for one in any case.

    Where something is `known` that was bounded together, the searches alone run as soon as no pair
    to come has a larger bound.
    """
    count = len(order)
    shared = [method.shared(min(count, OWN_RUNS)) for method in portfolio.automatic]
    whole = replace(portfolio, automatic=shared)
    lowers, searches = (
        [searcher.shared(min(count, OWN_RUNS)) for searcher in searchers]
        for searchers in (portfolio.lowers, portfolio.searches)
    )
    short = replace(portfolio, named=(), automatic=(), lowers=lowers, searches=searches)
    found: dict[Difference, Found] = {}
    largest = 0.0
    for number, pair in enumerate(order[:OWN_RUNS]):
        if number and search.expired:
            break
        decided = bool(known) and largest >= _least(known[pair])
        readout = pair.readout(problem.slopes.output_shape)
        part = 1 / min(count - number, SHARES if decided or not known else FEW)
        posed = problem.reading(readout), search.reading(readout).within(part)
        found[pair] = (short if decided else whole).found(*posed, part)
        least = above(_with_rows(found[pair], known.get(pair, ())).upper)
        largest = max(largest, least)
    return found


def _cut_short(alone: int, count: int, limited: bool) -> str:
    """Why some pairs had no run of their own, and what to do."""
    remedy = "a larger time budget goes on" if limited else "name two outputs for more"
    return (
        f"{alone} of {count} pairs have a bound that was had for many at once, and no lower bound: "
        f"{remedy}"
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
