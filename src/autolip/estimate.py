"""The one verb: `lipschitz(model, inputs)` brackets a Lipschitz constant."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from autolip.arguments import positive, shown
from autolip.budget import Budget, Turns, metered, stopwatch
from autolip.capture.guarded import unended
from autolip.capture.replay import replay
from autolip.capture.torch.export import Capture, capture_model
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError, Refusal, attempted
from autolip.lower import LowerMethod, LowerProblem
from autolip.methods import METHODS, Bound, Method, Problem
from autolip.methods.differences import differences
from autolip.operators.norms import NormOptions
from autolip.outputs import Difference
from autolip.question import (
    DEFAULT_LOWER,
    Choice,
    LowerChoice,
    Question,
    example_tensors,
    varying_input,
)
from autolip.regions import Region
from autolip.result import Pair, Result, Row
from autolip.values import Certainty, Upper

Progress = Callable[[str], None]
OWN_RUNS = 45
"""Pairs of outputs that have a run of their own: as many as ten outputs have."""
SHARES = 20
"""Into how many parts the time for pairs is divided at most: the largest bounds come first."""
CONSTANT = "the output does not depend on the input"
LATE = "the time was spent before its turn came"


@unended()
def lipschitz(
    model: nn.Module | Callable[..., Any],
    example_inputs: Any,
    *,
    norm: Any = "l2",
    region: Region | None = None,
    output: Any = "all",
    method: Choice = "auto",
    lower: LowerChoice = DEFAULT_LOWER,
    varying: int | str = 0,
    outputs: int | str | None = None,
    time_budget: float | None = None,
    delta: float = 1e-9,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """A bracket on sup ||f(x) - f(y)||_q / ||x - y||_p over x, y in the region.

    `model` is an `nn.Module` in eval mode or a function of tensors; `example_inputs` its arguments
    (tensors or arrays), of which `varying` (position or name) varies and the others are held fixed.
    `norm` is "l2", "l1", "linf", a `Norm`, an exponent (2), or a pair: "linf:l2", ("linf", "l2")
    (input, output); `region` an `Everywhere()` (default), `Box` or `Ball`; `output` is "all", 3
    (one component), (3, 5) or "3-5" (the difference of two) or "pairs" (all differences).  Where
    the model returns several tensors, `outputs` chooses one by name or number, or "all" as one
    vector.  `method` and `lower` are names, classes, objects, or lists of them; None: no bound on
    that side.  `time_budget` is in seconds, of which capturing the model takes none; `delta` bounds
    the probability that any randomised upper bound fails, over the system's randomness; with a
    `seed` its vectors are repeatable, and the probability is one for networks made without knowing
    it.  Units: output units per input unit.

    Raises InputError, UnsupportedOperation or CaptureMismatch, each in one sentence.
    """
    question = Question.asked(
        norm=norm, region=region, output=output, method=method, lower=lower, delta=delta, seed=seed
    )
    budget = None if time_budget is None else positive(time_budget, "time_budget")
    which = varying_input(varying)
    if progress is not None and not callable(progress):
        raise InputError(f"progress is {shown(progress)}: give a function that takes a text")
    inner = unwrapped(model)
    capture = capture_model(inner, example_tensors(inner, example_inputs), which, outputs)
    name = (
        type(inner).__name__
        if isinstance(inner, nn.Module)
        else getattr(inner, "__name__", "function")
    )
    return answered(capture, question, model=name, time_budget=budget, progress=progress)


def bracket(
    capture: Capture,
    *,
    model: str,
    time_budget: float | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> Result:
    """`lipschitz` for a network that is captured already; `asked` are the options of
    `Question.asked`."""
    return answered(
        capture, Question.asked(**asked), model=model, time_budget=time_budget, progress=progress
    )


def answered(
    capture: Capture,
    question: Question,
    *,
    model: str,
    time_budget: float | None = None,
    progress: Progress | None = None,
) -> Result:
    """The answer to a question about a captured network; a time budget begins once the replay has
    ended."""
    say = progress or (lambda text: None)
    p, q, output = question.p, question.q, question.output
    delta, seed = question.delta, question.seed
    where = question.region.shaped(capture.graph.input_shape)
    wanted = output.readout(capture.graph.output_shape)
    say("replaying the captured graph against the model")
    elapsed = stopwatch()
    replay(capture, seed=seed or 0)
    capture_seconds = capture.seconds + elapsed()
    budget = Budget.of(time_budget)
    options = {"delta": delta, "seed": seed} | (
        {} if time_budget is None else {"time_budget": time_budget}
    )
    frame = Result(
        model,
        p,
        q,
        where.describe(),
        output,
        (),
        None,
        None,
        _assumptions(capture),
        options=options,
        capture_seconds=capture_seconds,
    )
    if capture.graph.constant is not None:
        return _constant(frame, Row("constant", "upper", 0.0, "proved"))
    say("slopes of every operation")
    norms = NormOptions(delta=delta, seed=seed, budget=budget)
    problem = Problem.pose(capture.graph, where, p, q, norms)
    each = replace(problem.options, delta=delta / (4 * max(1, problem.maps)))
    problem = replace(problem, options=each, say=say)
    search = LowerProblem.of(capture, where, p, q, seed=seed or 0, budget=budget)
    run = _Run(question.methods, question.automatic, question.lowers, say)
    pairs = output.differences(capture.graph.output_shape)
    if pairs:
        return _all_pairs(frame, problem, search, run, pairs)
    if wanted is not None:
        problem, search = problem.reading(wanted), search.reading(wanted)
    found = run.found(problem, search)
    result = replace(
        found.into(frame),
        upper=found.upper,
        lower=found.lower,
        complete=found.complete,
        graph=capture.graph,
    )
    return (
        _constant(frame, found.upper)
        if found.upper is not None and found.upper.value == 0
        else result
    )


def compared(
    capture: Capture,
    *,
    model: str,
    norm: Any = "l2",
    region: Region | None = None,
    output: Any = "all",
    seconds: float = 60.0,
    lower: LowerChoice = DEFAULT_LOWER,
    delta: float = 1e-9,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Every method on its own, each with its own time and its own norms: rows by rising value,
    refusals last."""

    def alone(methods: Choice, lowers: LowerChoice) -> Result:
        limit = positive(seconds, "seconds")
        settings: dict[str, Any] = {
            "norm": norm,
            "region": region,
            "output": output,
            "delta": delta,
            "seed": seed,
        }
        settings |= {"time_budget": limit, "progress": progress}
        return bracket(capture, model=model, method=methods, lower=lowers, **settings)

    runs = [alone(name, []) for name in sorted(METHODS)]
    below = alone([], lower)
    uppers = [run.upper for run in runs if run.upper is not None]
    best = min(uppers, key=lambda row: row.value or 0.0, default=None)
    if best is not None and best.delta > 0:
        best = replace(best, delta=math.fsum(row.delta for row in uppers))
    rows = sorted((row for run in runs for row in run.bounds if row.kind != "lower"), key=_by_value)
    found = _Found((*rows, *below.bounds), best, below.lower, all(run.complete for run in runs), ())
    return replace(
        found.into(below), upper=found.upper, complete=found.complete, graph=capture.graph
    )


def _by_value(row: Row) -> tuple[bool, float]:
    return row.value is None, row.value or 0.0


@dataclass(frozen=True)
class _Found:
    """One bracket: every row, the best upper and the best lower one, whether the budget sufficed,
    remarks."""

    rows: tuple[Row, ...]
    upper: Row | None
    lower: Row | None
    complete: bool
    notes: tuple[str, ...]

    def with_known(self, bound: Upper) -> "_Found":
        """The same, where AutoLip's bound is known beforehand; a choice among random bounds adds up
        what may fail."""
        upper = self.upper
        if upper is None or bound.value < (math.inf if upper.value is None else upper.value):
            row = Row.of("autolip", bound)
            row = replace(
                row, delta=row.delta + (upper.delta if upper is not None and bound.events else 0.0)
            )
            others = (one for one in self.rows if one.method != row.method or one.kind != "upper")
            return replace(self, rows=(row, *others), upper=row)
        both = replace(upper, delta=upper.delta + bound.delta) if upper.delta else upper
        return replace(self, upper=both)

    def into(self, frame: Result) -> Result:
        """The result with these rows."""
        notes = (*frame.notes, *self.notes, *_promise(self.rows, frame.options["seed"]))
        return replace(frame, bounds=self.rows, notes=notes)


@dataclass
class _Run:
    """One bracket in the making: what was asked for, and where to say how far it is."""

    named: Sequence[Method]
    automatic: Sequence[Method]
    """Methods that `auto` adds: those that refuse are left out, with a note."""
    lowers: Sequence[LowerMethod]
    say: Progress

    def found(self, problem: Problem, search: LowerProblem, part: float = 1.0) -> _Found:
        """All that was asked for, with a part of the time left for upper bounds; of those one is
        tried in any case."""
        answers = self._answers(problem, Turns.of(problem.budget, part, bool(self.lowers)))
        rows: list[Row] = []
        uppers: list[tuple[Row, Upper]] = []
        left_out: list[str] = []
        complete = True
        for method, (row, bound) in answers.items():
            if bound is not None:
                complete &= bound.complete
                uppers += [(row, bound.value)] if isinstance(bound.value, Upper) else []
            complete &= row.refusal != LATE
            if row.kind == "refusal" and method in self.automatic:
                left_out.append(f"{method.title} left out: {row.refusal}")
            else:
                rows.append(row)
        rows += [self._lower_row(searcher, search) for searcher in self.lowers]
        complete &= not search.expired
        notes = (*_explained([row for row, _ in uppers] if self.automatic else []), *left_out)
        return _Found(tuple(rows), _best_upper(uppers), _best_lower(rows), complete, notes)

    def _answers(self, problem: Problem, turns: Turns) -> dict[Method, tuple[Row, Bound | None]]:
        """What every method says in its turn, and in a second one where the first was too short."""
        methods = (*self.named, *self.automatic)
        answers: dict[Method, tuple[Row, Bound | None]] = {}
        for number, method in enumerate(methods):
            hurry = method in self.automatic and any(
                later.lasting for later in methods[number + 1 :]
            )
            started = any(_has_bound(bound) for _, bound in answers.values())
            budget = turns.after_the_first(method.lasting, hurry) if started else turns.first
            posed = problem.with_budget(budget)
            late = LATE if started and budget.expired else self._too_dear(method, posed)
            answers[method] = self._upper_row(method, posed, late)
        for method in methods:
            row, bound = answers[method]
            short = (
                not bound.complete if bound is not None else not row.seconds
            )  # cut short, or not begun
            if short and not method.lasting and turns.last.limited and not turns.last.expired:
                posed = problem.with_budget(turns.last)
                again = self._upper_row(method, posed, self._too_dear(method, posed))
                answers[method] = again if again[1] is not None else answers[method]
        return answers

    def _too_dear(self, method: Method, problem: Problem) -> str | None:
        """Why a method that nobody named is left out beforehand."""
        if method not in self.automatic:
            return None
        price = attempted(lambda: method.accepts(problem) or method.price(problem))
        return None if isinstance(price, Refusal) else problem.budget.too_dear(price)

    def _upper_row(
        self, method: Method, problem: Problem, late: str | None
    ) -> tuple[Row, Bound | None]:
        if late is not None:
            return Row(method.title, "refusal", refusal=late), None
        self.say(method.title)
        return upper_row(method, problem)

    def _lower_row(self, searcher: LowerMethod, search: LowerProblem) -> Row:
        title = f"lower bound: {searcher.name}"
        self.say(title)
        search.say, search.steepest = (lambda text: self.say(f"{title}, {text}")), 0.0
        elapsed, before = stopwatch(), search.passes
        found = attempted(lambda: searcher.search(search))
        cost: dict[str, Any] = {"seconds": elapsed(), "passes": search.passes - before}
        if isinstance(found, Refusal):
            return Row(searcher.name, "refusal", refusal=str(found), **cost)
        notes = (
            ("the clock ended the search: with more time it may find more",)
            if search.expired
            else ()
        )
        return Row.of(searcher.name, found, notes=notes, **cost)


def _has_bound(bound: Bound | None) -> bool:
    return bound is not None and isinstance(bound.value, Upper)


def _promise(rows: Sequence[Row], seed: int | None) -> tuple[str, ...]:
    """What a seed takes from the promise of a randomised bound."""
    if seed is None or not any(row.certainty == Certainty.CONFIDENT.value for row in rows):
        return ()
    return (
        f"seed {seed}: the probabilities hold for networks made without knowledge of it; "
        "leave the seed out",
    )


def _explained(uppers: Sequence[Row]) -> tuple[str, ...]:
    """Why the smallest bound was taken: by how much it is below the first one and the next."""
    if len(uppers) < 2:
        return ()
    best, following = sorted(uppers, key=lambda row: row.value or 0.0)[:2]
    compared = [uppers[0], following] if following is not uppers[0] else [following]
    gains = [
        f"{100 * (1 - best.value / row.value):.2g}% below {row.method}"
        for row in compared
        if best.value and row.value and row is not best and math.isfinite(row.value)
    ]
    return (
        (f"auto took {best.method}, the smallest of {len(uppers)} bounds: {', '.join(gains)}",)
        if gains
        else ()
    )


def upper_row(method: Method, problem: Problem) -> tuple[Row, Bound | None]:
    """What a method says about a problem, with what it cost; None for the bound where it
    refuses."""
    elapsed = stopwatch()
    with metered() as meter:
        bound = method.answer(problem)
    seconds, passes = elapsed(), meter.work / problem.work_of_one_pass
    cost: dict[str, Any] = {"seconds": seconds, "passes": passes}
    if isinstance(bound, Refusal):
        return Row(method.title, "refusal", refusal=str(bound), **cost), None
    return Row.of(method.title, bound.value, notes=bound.notes, proof=bound.proof, **cost), bound


def _best_upper(uppers: list[tuple[Row, Upper]]) -> Row | None:
    """The smallest bound; choosing among randomised bounds adds up their failure probabilities."""
    if not uppers:
        return None
    least = Upper.least(bound for _, bound in uppers)
    row = next(row for row, bound in uppers if bound.value == least.value)
    return replace(row, certainty=least.certainty.value, delta=least.delta)


def _best_lower(rows: Sequence[Row]) -> Row | None:
    return max(
        (row for row in rows if row.kind == "lower"), key=lambda row: row.value or 0.0, default=None
    )


def _all_pairs(
    frame: Result,
    problem: Problem,
    search: LowerProblem,
    run: _Run,
    pairs: Sequence[Difference],
) -> Result:
    """The bracket of every difference f_i - f_j; the rows shown are those of the largest.

    One walk bounds them all; then each has its own run, the largest first, while there is time, and
    at most `OWN_RUNS` of them: the others keep the first bound.
    """
    shape = problem.slopes.output_shape
    first = _first_bounds(problem, run, pairs)
    order = sorted(pairs, key=lambda pair: -first[pair].value if first else 0.0)
    run = replace(
        run, automatic=[method.shared(min(len(pairs), OWN_RUNS)) for method in run.automatic]
    )
    found_for: dict[Difference, _Found] = {}
    for number, pair in enumerate(order[:OWN_RUNS]):
        if number and search.expired:
            break
        operator, part = pair.readout(shape), 1 / min(len(pairs) - number, SHARES)
        found = run.found(problem.reading(operator), search.reading(operator).within(part), part)
        found_for[pair] = found.with_known(first[pair]) if first else found
    alone = len(pairs) - len(found_for)
    for pair in order[len(found_for) :]:
        found_for[pair] = _Found((), None, None, not search.expired, ())
        found_for[pair] = found_for[pair].with_known(first[pair]) if first else found_for[pair]
    notes = (_cut_short(alone, len(pairs), not search.budget.limited),) if alone else ()
    return _of_pairs(replace(frame, notes=notes, graph=problem.graph), found_for)


def _cut_short(alone: int, count: int, unlimited: bool) -> str:
    """Why some pairs had no run of their own, and what to do."""
    remedy = "name two outputs for more" if unlimited else "a larger time budget goes on"
    return (
        f"{alone} of {count} pairs have the bound of one walk for all, autolip's, and no "
        f"lower bound: {remedy}"
    )


def _of_pairs(frame: Result, found_for: Mapping[Difference, _Found]) -> Result:
    """The largest upper bound with its rows, the largest lower one, and both for every pair."""
    pairs = [
        Pair(each.plus, each.minus, found_for[each].upper, found_for[each].lower)
        for each in sorted(found_for)
    ]
    worst = max(pairs, key=lambda pair: math.inf if pair.upper is None else pair.upper.value or 0.0)
    best = max(
        (pair.lower for pair in pairs if pair.lower), key=lambda row: row.value or 0.0, default=None
    )
    note = f"the rows are those of the pair with the largest upper bound, {worst.i}-{worst.j}"
    shown = found_for[Difference(worst.i, worst.j)].into(frame)
    return replace(
        shown,
        upper=worst.upper,
        lower=best,
        pairs=tuple(pairs),
        complete=all(found.complete for found in found_for.values()),
        notes=(*shown.notes, note),
    )


def _first_bounds(
    problem: Problem, run: _Run, pairs: Sequence[Difference]
) -> dict[Difference, Upper] | None:
    """AutoLip's bound of every pair, where upper bounds are asked for."""
    if not (run.named or run.automatic):
        return None
    turns = Turns.of(problem.budget, 1.0, bool(run.lowers))
    known = differences(problem.with_budget(turns.cheap))
    if isinstance(known, Refusal):
        return None
    return {pair: known[pair.plus, pair.minus] for pair in pairs}


def _constant(frame: Result, upper: Row) -> Result:
    """A network that ignores its input has the constant 0, attained by any two inputs."""
    lower = Row("constant", "lower", 0.0)
    return replace(frame, bounds=(upper, lower), upper=upper, lower=lower, notes=(CONSTANT,))


def _assumptions(capture: Capture) -> dict[str, Any]:
    """What the numbers are about: nothing else is claimed."""
    shape = list(capture.graph.input_shape)
    returned = {"returned": " and ".join(map(str, capture.returned))} if capture.choices > 1 else {}
    return {
        "input": capture.input_name,
        "input_shape": shape,
        "batch": shape[0] if len(shape) > 1 else 1,
        "dtype": capture.stored_dtype,
        "arithmetic": "the real-valued function of the stored weights; constants folded in float64",
        **returned,
    }
