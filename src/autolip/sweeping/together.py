"""Questions that differ in their region alone, answered together: LipSDP in one batch, and pairs of
points of all regions that climb at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.capture.torch.export import Capture
from autolip.errors import Contradiction, Refusal
from autolip.graph.graph import Graph
from autolip.graph.views import SlopeGraph, separated
from autolip.intervals import Interval
from autolip.lower import LowerProblem
from autolip.lower.ascent import Climb
from autolip.lower.certify import certified
from autolip.lower.pairs import Pairs
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.sample import bends_entrywise, entrywise
from autolip.methods.lipsdp.batch.solve import Batch
from autolip.norms import Norm
from autolip.question import Question
from autolip.ranges.forward import known_of
from autolip.regions import Everywhere, Region
from autolip.rules import slopes_on
from autolip.rules.lowering import lowered
from autolip.slopes import Between
from autolip.workers import Failed
from autolip.workers.pool import attempted

STARTS, STEPS = 24, 60
"""Chosen: chains of each region, their steps: on zoo/control within .3% of what calls attain."""

SHOWN = 2
"""Chosen: pairs of each region that are evaluated by the original model."""

GAINED = 0.1
"""Chosen: part of a bracket's width from which single calls are worth their time."""

MOST = 600
"""Chosen: rows of LipSDP's form; beyond, a batch gains nothing on single calls."""

TOGETHER = 64
"""Chosen: questions of a batch, whose forms take hundreds of megabytes at most."""


@dataclass(frozen=True)
class Bracket:
    """Two proved bounds."""

    lower: float
    upper: float

    @property
    def width(self) -> float:
        """How far they are apart, relative to the upper one; 1 where nothing is attained."""
        return 1 - self.lower / self.upper if self.lower else 1.0

    def agreed(self, what: str) -> "Bracket":
        """The same; Contradiction where the lower one is above."""
        if self.lower > self.upper:
            upper, lower = ("lipsdp", self.upper), ("climbing pairs", self.lower)
            raise Contradiction.between(what, upper, lower)
        return self


Single = Callable[[int], Bracket | None]
"""The bracket of one question by a call of its own, None where there is none."""


def brackets(
    capture: Capture, questions: Mapping[int, Question], width: float, single: Single
) -> dict[int, Bracket]:
    """Those of some questions, by their numbers.

    Brackets wider than a relative `width` are left out, for single calls, where one narrows the
    widest of them.

    Raises Contradiction where a bracket's lower bound is above its upper one.
    """
    graph = capture.graph
    if not width or graph.constant is not None:
        return {}
    chosen = {n: one for n, one in questions.items() if _is_plain(graph, one)}
    found: dict[int, Bracket] = {}
    for numbers in _groups(graph, chosen):
        bounds = attempted(_bounds, capture, [chosen[number] for number in numbers])
        if not isinstance(bounds, Refusal | Failed):
            about = (f"output {chosen[n].output} of question {n + 1}" for n in numbers)
            sound = map(Bracket.agreed, bounds, about)
            found |= _kept(dict(zip(numbers, sound, strict=True)), width, single)
    return found


def _bounds(capture: Capture, questions: Sequence[Question]) -> list[Bracket] | Refusal:
    """Of all questions of a group."""
    if len(questions) == 1:
        return Refusal("there is one question alone")
    uppers = _uppers(capture.graph, questions)
    if isinstance(uppers, Refusal):
        return uppers
    return list(map(Bracket, _lowers(capture, questions), uppers))


def _kept(found: dict[int, Bracket], width: float, single: Single) -> dict[int, Bracket]:
    """Without wide ones, where single calls find narrower ones; nor where nothing is attained."""
    sound = {n: one for n, one in found.items() if one.width < 1}
    wide = [number for number, one in sound.items() if one.width > width]
    if not wide:
        return sound
    widest = max(wide, key=lambda number: sound[number].width)
    alone = single(widest)
    if alone is None or alone.width > sound[widest].width * (1 - GAINED):
        return sound
    return {number: one for number, one in sound.items() if number not in wide}


def _is_plain(graph: Graph, question: Question) -> bool:
    """Whether it asks everything of "auto" about any two points of a bounded region."""
    usual = not (question.methods or question.lowers or question.output.layer)
    automatic = bool(question.automatic and question.searches)
    units = (question.units.of_input, question.units.output)
    anyhow = question.time_budget is None and question.device is None and units == (None, None)
    plain = usual and automatic and anyhow and question.secants.kind == "any"
    one = plain and not question.output.differences(graph.output_shape)
    if not one or question.p is Norm.L1 or not question.region.is_bounded(graph.input_shape):
        return False
    return question.q is Norm.L2 or len(_rows(graph, question)) == 1


def _rows(graph: Graph, question: Question) -> Float[Tensor, "m n"]:
    """What is read of the output, flattened."""
    shape = graph.output_shape
    units = torch.eye(shape.numel(), dtype=torch.float64)
    readout = question.output.readout(shape)
    read = units if readout is None else readout.mv(units.reshape(-1, *shape)).flatten(1)
    return read.T.contiguous()


def _groups(graph: Graph, questions: Mapping[int, Question]) -> Iterator[list[int]]:
    """The numbers of questions that have all but their region in common, a batch at a time."""

    def common(number: int) -> tuple[object, ...]:
        one = questions[number]
        rows = _rows(graph, one)
        return one.p.value, one.q.value, one.seed or 0, rows.shape, rows.numpy().tobytes()

    for _, numbers in groupby(sorted(questions, key=common), common):
        listed = list(numbers)
        for start in range(0, len(listed), TOGETHER):
            yield listed[start : start + TOGETHER]


def _uppers(graph: Graph, questions: Sequence[Question]) -> list[float] | Refusal:
    """LipSDP's bounds of all of them; refused where not all that bends acts entry by entry, or
    where matrices are large."""
    pieces = lowered(graph)
    whole = separated(slopes_on(pieces, Everywhere()))
    if not bends_entrywise(whole):
        return Refusal("not everything that bends acts entry by entry")
    batch = Batch.of(whole, questions[0].p)
    if isinstance(batch, Refusal):
        return batch
    if batch.order > MOST:
        return Refusal(f"forms have {batch.order} rows")
    each = [entrywise(_on(pieces, one.region)) for one in questions]
    names = set(batch.relaxation.constraints)
    if any(names != set(slopes) for slopes in each):
        return Refusal("what bends differs from one region to the next")
    slopes = {
        name: Between(*(torch.cat([getattr(one[name], end) for one in each]) for end in ENDS))
        for name in names
    }
    found = batch.solve(Questions.each(slopes, _rows(graph, questions[0])))
    return found if isinstance(found, Refusal) else found.value.tolist()


ENDS = "lo", "hi"


def _on(pieces: Graph, region: Region) -> SlopeGraph:
    known = known_of(pieces, region)
    return separated(slopes_on(pieces, region, known.ranges))


def _lowers(capture: Capture, questions: Sequence[Question]) -> list[float]:
    """What pairs of points attain: chains of all regions, a step of all of them at once."""
    problems = [_problem(capture, one) for one in questions]
    joint = replace(problems[0], region=Stack(tuple(one.region for one in questions)))
    generator = joint.generator()
    none = Pairs.at(joint.example[None][:0])
    starts = [Climb.starting(one, STARTS, STEPS, generator, none) for one in problems]
    found = starts[0].beside(joint, starts[1:]).run()
    lowers = list[float]()
    for number, problem in enumerate(problems):
        own = slice(number * STARTS, (number + 1) * STARTS)
        pairs = Pairs(found.x[own], found.y[own], found.slope[own]).steepest(SHOWN)
        lower = certified(problem, pairs)
        lowers.append(0.0 if isinstance(lower, Refusal) else lower.value)
    return lowers


def _problem(capture: Capture, question: Question) -> LowerProblem:
    seed = question.seed or 0
    problem = LowerProblem.of(capture, question.region, question.p, question.q, seed=seed)
    readout = question.output.readout(capture.graph.output_shape)
    return problem if readout is None else problem.reading(readout)


@dataclass(frozen=True)
class Stack(Region):
    """Several regions for a search: of the rows of a batch the first are in the first one, and so
    on, as many in each."""

    regions: tuple[Region, ...]

    def interval(self, shape: torch.Size) -> Interval:
        boxes = [one.interval(shape) for one in self.regions]
        lo, hi = (torch.stack([getattr(box, end) for box in boxes]) for end in ENDS)
        return Interval(lo.amin(0), hi.amax(0))

    def contains(self, x: Tensor) -> bool:
        return any(one.contains(x) for one in self.regions)

    def project(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.regions))
        return torch.cat([one.project(x) for one, x in zip(self.regions, parts, strict=True)])

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        share = count // len(self.regions)
        return torch.cat([one.sample(share, example, generator) for one in self.regions])

    def describe(self) -> dict[str, object]:
        return {"kind": "stack", "regions": [one.describe() for one in self.regions]}
