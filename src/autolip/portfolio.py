"""One bracket: what each of several methods and searches answers, one after another."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autolip.budget import Turns, metered, stopwatch
from autolip.errors import NothingThere, Refusal, attempted
from autolip.findings import Row, above, given, largest_lower, smallest_upper
from autolip.lower import LowerMethod, LowerProblem
from autolip.lower.certify import certified
from autolip.lower.pairs import measured
from autolip.methods import Method, Problem
from autolip.result import Result
from autolip.values import Certainty, Upper

Progress = Callable[[str], None]


@dataclass(frozen=True)
class NotBegun(Refusal):
    """Why a method was not asked."""


CLOSED = 2e-6
"""Chosen: relative gap between the bounds up to which "auto" begins no search."""

LATE = NotBegun("the time was spent before its turn came")


@dataclass(frozen=True)
class Found:
    """One bracket: every row, the best upper and the best lower one, whether the budget sufficed,
    remarks."""

    rows: tuple[Row, ...] = ()
    upper: Row | None = None
    lower: Row | None = None
    complete: bool = True
    notes: tuple[str, ...] = ()

    def with_row(self, row: Row) -> "Found":
        """The same, where a bound is known beforehand; a choice among random bounds adds up what
        may fail."""
        best = smallest_upper(given(self.upper, row))
        if self.upper is not None and above(self.upper) <= above(row):
            return replace(self, upper=best)
        others = (one for one in self.rows if (one.method, one.kind) != (row.method, "upper"))
        return replace(self, rows=given(best, *others), upper=best)

    def into(self, frame: Result) -> Result:
        """The result with these rows."""
        return replace(
            frame,
            bounds=self.rows,
            upper=self.upper,
            lower=self.lower,
            complete=self.complete,
            notes=(*frame.notes, *self.notes, *_promise(self.rows, frame.options["seed"])),
        )


@dataclass(frozen=True)
class Portfolio:
    """Who is asked for a bracket, and where to say how far it is."""

    named: Sequence[Method]
    automatic: Sequence[Method]
    """Methods that `auto` adds: those that refuse are left out, with a note."""
    lowers: Sequence[LowerMethod]
    searches: Sequence[LowerMethod]
    """Searches that `auto` adds, as long as the bounds do not meet: those that refuse are left
    out, unless there is no other row."""
    say: Progress

    @property
    def searches_below(self) -> bool:
        """Whether a lower bound is asked for."""
        return bool(self.lowers or self.searches)

    def found(self, problem: Problem, search: LowerProblem, part: float = 1.0) -> Found:
        """All that was asked for, with a part of the time left for upper bounds; of those one is
        tried in any case."""
        turns = Turns.of(problem.budget, part, self.searches_below)
        answers = self._again(problem, turns, self._first(problem, turns))
        left_out = [
            f"{method.title} left out: {row.refusal}"
            for method, row in answers.items()
            if self._is_left_out(method, row) and not isinstance(row.answer, NothingThere)
        ]
        uppers = [row for method, row in answers.items() if not self._is_left_out(method, row)]
        lowers = self._below(smallest_upper(uppers), uppers, search)
        complete = all(row.complete for row in answers.values()) and not search.expired
        notes = (*_explained(uppers if self.automatic else []), *left_out)
        return Found(
            (*uppers, *lowers), smallest_upper(uppers), largest_lower(lowers), complete, notes
        )

    def _is_left_out(self, method: Method, row: Row) -> bool:
        return method in self.automatic and isinstance(row.answer, Refusal)

    def _first(self, problem: Problem, turns: Turns) -> dict[Method, Row]:
        """What every method says, one after another."""
        methods = (*self.named, *self.automatic)
        answers: dict[Method, Row] = {}
        for number, method in enumerate(methods):
            others = any(later.lasting for later in methods[number + 1 :])
            hurry = method in self.automatic and others
            started = any(isinstance(row.answer, Upper) for row in answers.values())
            budget = turns.after_the_first(method.lasting, hurry) if started else turns.first
            posed = problem.with_budget(budget)
            if started and budget.expired:
                answers[method] = Row(method.title, LATE, complete=False)
            else:
                answers[method] = self._asked(method, posed)
        return answers

    def _again(self, problem: Problem, turns: Turns, first: dict[Method, Row]) -> dict[Method, Row]:
        """The same after a second turn of those that were cut short, or not begun."""
        answers = dict(first)
        for method, row in first.items():
            short = not row.complete or isinstance(row.answer, NotBegun)
            if short and not method.lasting and turns.last.limited and not turns.last.expired:
                again = self._asked(method, problem.with_budget(turns.last))
                answers[method] = row if isinstance(again.answer, Refusal) else again
        return answers

    def _asked(self, method: Method, problem: Problem) -> Row:
        """A method's row; one that nobody named and that would take too long is left out
        beforehand."""
        dear = self._too_dear(method, problem) if method in self.automatic else None
        if dear is not None:
            return Row(method.title, NotBegun(dear))
        self.say(method.title)
        return upper_row(method, problem)

    def _too_dear(self, method: Method, problem: Problem) -> str | None:
        price = attempted(lambda: method.accepts(problem) or method.price(problem))
        return None if isinstance(price, Refusal) else problem.budget.too_dear(price)

    def _below(self, upper: Row | None, uppers: Sequence[Row], search: LowerProblem) -> list[Row]:
        """The rows of lower bounds; every search knows what was found before it."""
        if not self.searches_below:
            return []
        shown = [self._evaluated(row, search) for row in uppers if row.steep is not None]
        named = [self._searched(searcher, search) for searcher in self.lowers]
        others = list[Row]()
        for searcher in self.searches:
            if _closed(upper, largest_lower((*named, *others, *shown))):
                break
            others.append(self._searched(searcher, search))
        attained = [row for row in others if not isinstance(row.answer, Refusal)]
        return [*named, *(attained or others[-1:]), *shown]

    def _searched(self, searcher: LowerMethod, search: LowerProblem) -> Row:
        """A search's row, with what it cost."""
        title = f"lower bound: {searcher.name}"
        self.say(title)
        search.say = lambda text: self.say(f"{title}, {text}")
        search.steepest = 0.0
        elapsed = stopwatch()
        before = search.passes
        found = attempted(lambda: searcher.search(search))
        search.keep(found)
        cost: dict[str, Any] = {"seconds": elapsed(), "passes": search.passes - before}
        if not search.expired:
            return Row(searcher.name, found, **cost)
        note = "the clock ended the search: with more time it may find more"
        notes = () if isinstance(found, Refusal) else (note,)
        return Row(searcher.name, found, notes=notes, complete=False, **cost)

    def _evaluated(self, row: Row, search: LowerProblem) -> Row:
        """The lower bound that pairs of points show which a method for upper ones has met."""
        assert row.steep is not None
        x, y = map(search.from_user, row.steep)
        elapsed, before = stopwatch(), search.passes
        found = attempted(lambda: certified(search, measured(search, x, y)))
        search.keep(found)
        return Row(row.method, found, seconds=elapsed(), passes=search.passes - before)


def upper_row(method: Method, problem: Problem) -> Row:
    """What a method says about a problem, with what it cost."""
    elapsed = stopwatch()
    with metered() as meter:
        bound = method.answer(problem)
    passes = meter.work / problem.work_of_one_pass
    cost: dict[str, Any] = {"seconds": elapsed(), "passes": passes}
    if isinstance(bound, Refusal):
        return Row(method.title, bound, **cost)
    return Row(
        method.title,
        bound.value,
        notes=bound.notes,
        complete=bound.complete,
        proof=bound.proof,
        steep=bound.steep,
        **cost,
    )


def _closed(upper: Row | None, lower: Row | None) -> bool:
    """Whether bounds meet: a search could add next to nothing."""
    if upper is None or lower is None or lower.value is None:
        return False
    return lower.value >= above(upper) * (1 - CLOSED)


def _promise(rows: Sequence[Row], seed: int | None) -> tuple[str, ...]:
    """What a seed takes from the promise of a randomised bound."""
    if seed is None or not any(row.certainty == Certainty.CONFIDENT.value for row in rows):
        return ()
    return (
        f"seed {seed}: the probabilities hold for networks made without knowledge of it; "
        "leave the seed out",
    )


def _explained(rows: Sequence[Row]) -> tuple[str, ...]:
    """Why the smallest bound was taken: by how much it is below the first one and the next."""
    uppers = [row for row in rows if isinstance(row.answer, Upper)]
    if len(uppers) < 2:
        return ()
    best, following = sorted(uppers, key=above)[:2]
    compared = [uppers[0], following] if following is not uppers[0] else [following]
    gains = [
        f"{100 * (1 - above(best) / above(row)):.2g}% below {row.method}"
        for row in compared
        if row is not best and above(best) > 0 and math.isfinite(above(row))
    ]
    if not gains:
        return ()
    taken = f"auto took {best.method}, the smallest of {len(uppers)} bounds"
    return (f"{taken}: {', '.join(gains)}",)
