"""From pairs of points to a lower bound that holds: the distance, the original model, the
rounding."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.lower.pairs import Pairs, ends, measured, random_directions
from autolip.lower.problem import LowerProblem
from autolip.lower.rounding import rounding_error
from autolip.lower.witness import Witness
from autolip.norms import Norm, maximiser
from autolip.regions import Region
from autolip.rounded import Rounded
from autolip.roundoff import raised
from autolip.values import Lower, round_down

LADDER = tuple(10.0**-k for k in range(8))
"""Half distances between the two points that are tried, relative to the reach of the region."""

FEW_RUNGS = slice(1, 6, 2)
"""Chosen: of the lengths, only 1e-1, 1e-3 and 1e-5 are tried where a pass is costly."""

COSTLY = 0.1
"""Chosen: seconds from which a pass is costly."""

TRIES = 4
"""Chosen: how many pairs are evaluated by the original model at most."""

CLOSE = 1e-6
"""A proved slope this close to the next candidate's, relatively, ends the evaluations."""


def certified(problem: LowerProblem, found: Pairs) -> Lower | Refusal:
    """The lower bound on the Lipschitz constant that these pairs prove; a Refusal where they prove
    none.

    About each midpoint, along its direction, several distances are tried: short ones reach the
    derivative, long ones lose less to rounding.  The most promising pairs are then evaluated
    afresh, by the original model.
    """
    candidates, score = _ranked(problem, found)
    best: Lower | None = None
    for k in range(min(TRIES, len(score))):
        if best is not None and best.value >= (1 - CLOSE) * float(score[k]):
            break
        best = _larger(best, _users(problem, candidates.x[k], candidates.y[k]))
    if (best is None or not best.value) and bool((found.slope > 0).any()):
        best = _larger(best, _of_chords(problem))
    return best or Refusal(
        "no two different points of the region with finite outputs were found: choose a "
        "region on which the network"
        " is defined, and wide enough to hold several doubles"
    )


def _larger(best: Lower | None, other: Lower | None) -> Lower | None:
    return other if best is None or (other is not None and other.value > best.value) else best


def _users(problem: LowerProblem, x: Tensor, y: Tensor) -> Lower | None:
    """What a pair of the searches proves in the user's own numbers."""
    before = problem.own.passes
    lower = evaluated(problem.own, *problem.to_user(x, y))
    if problem.users is not None:
        problem.passes += problem.users.passes - before
    return lower


def _of_chords(problem: LowerProblem) -> Lower | None:
    """What the first of some random pairs proves that proves anything, for a network that rounding
    leaves nothing of where it is steep: about the example, and all over the region."""
    generator = problem.generator()
    lengths = torch.tensor(LADDER, dtype=torch.float64)
    steps = problem.reach * lengths
    here = problem.example.expand(len(LADDER), *problem.example.shape)
    directions = random_directions(problem, len(LADDER), generator)
    near_x, near_y = ends(problem, here, directions, steps)
    far = problem.region.sample(2 * len(LADDER), problem.example, generator)
    far_x, far_y = far.chunk(2)
    if problem.centre is not None:
        far_y = near_y
    chords = measured(problem, torch.cat([near_x, far_x]), torch.cat([near_y, far_y]))
    best: Lower | None = None
    for chord in range(len(chords.slope)):
        best = _larger(best, _users(problem, chords.x[chord], chords.y[chord]))
        if problem.expired or (best is not None and best.value > 0):
            break
    return best


def evaluated(
    problem: LowerProblem, x: Float[Tensor, "*shape"], y: Float[Tensor, "*shape"]
) -> Lower | None:
    """||f(x) - f(y)||_q / ||(x - y) / s||_p from below, by the original model, of a problem in the
    user's own numbers; None unless both are finite in the region, and y the centre where there is
    one.

    With ||u|| <= 1 in the dual norm of q, ||f(x) - f(y)||_q >= <u, f(x)> - <u, f(y)>, and each of
    the two numbers is known up to its `rounding_error`.  Both the original and the captured graph
    are evaluated; the smaller rise counts. Costs six passes.
    """
    if not (inside(problem.region, x) and inside(problem.region, y)) or torch.equal(x, y):
        return None
    if problem.centre is not None and not torch.equal(y, problem.centre):
        return None
    both = torch.stack([x, y])
    ours = problem.values(both)
    theirs = torch.stack([problem.reference(x), problem.reference(y)]) if problem.exact else ours
    if not bool(ours.isfinite().all() and theirs.isfinite().all()):
        return None
    difference = (ours[0] - ours[1])[None]
    (u,) = maximiser(difference, problem.q.dual)
    at_x = rounding_error(problem, x, u)
    at_y = rounding_error(problem, y, u)
    margin = at_x + at_y
    unit = length_above(u, problem.q.dual) or 1.0
    run = length_above(x - y, problem.p, problem.scale)
    computed = min(_gain(u, ours, 0.0), _gain(u, theirs, 0.0))
    before = computed / unit
    proved = min(_gain(u, ours, margin), _gain(u, theirs, margin))
    rise = proved / unit
    rise = max(0.0, round_down(rise)) if math.isfinite(rise) else 0.0
    lost = 1.0 - rise / before if before > 0 else 0.0
    pair = x, y, problem.p, problem.q, rise, run, lost, _evaluator(problem)
    witness = Witness(*pair, problem.units)
    return Lower(max(0.0, round_down(rise / run)), witness)


def inside(region: Region, x: Float[Tensor, "*shape"]) -> bool:
    """Whether the region says that x is one of its points, and its interval does not contradict
    it."""
    return region.contains(x) and bool(x.isfinite().all()) and region.interval(x.shape).contains(x)


def length_above(v: Tensor, norm: Norm, scale: Tensor | None = None) -> float:
    """An upper bound on ||(v + d) / scale||, for rounding errors |d_i| <= u |v_i|."""
    sizes = v.abs()
    if scale is not None:
        quotient = sizes / scale
        above = quotient.nextafter(torch.full_like(quotient, math.inf))
        sizes = torch.where(sizes == 0, 0.0, above)
    entries = sizes.flatten().tolist()
    lengths = {Norm.L1: math.fsum, Norm.L2: _euclidean, Norm.LINF: _largest}
    return raised(lengths[norm](entries), 4)


def _euclidean(entries: list[float]) -> float:
    return math.hypot(*entries)


def _largest(entries: list[float]) -> float:
    return max(entries, default=0.0)


def _gain(u: Tensor, values: Float[Tensor, "2 *out"], margin: float) -> float:
    """<u, f(x) - f(y)>, lowered by the rounding of its terms and of their sum, and by `margin`."""
    x, y = (Rounded.exact(value) for value in values)
    products = Rounded.exact(u) * (x - y)
    lost = (-products.error).flatten().tolist()
    return round_down(math.fsum([*products.value.flatten().tolist(), *lost, -margin]))


def _ranked(problem: LowerProblem, found: Pairs) -> tuple[Pairs, Float[Tensor, " k"]]:
    """The pairs and their ladders, best first, by the slope less what rounding may explain of
    it."""
    x, y = _ladder(problem, found)
    found_now = measured(problem, x, y)
    pairs = found.joined(found_now)
    x = problem.region.inward(pairs.x)
    y = pairs.y if problem.centre is not None else problem.region.inward(pairs.y)
    pairs = replace(pairs, x=x, y=y)
    best = pairs.steepest(1)
    above_there = problem.values(best.x)
    rise = above_there - problem.values(best.y)
    (u,) = maximiser(rise, problem.q.dual)
    noise = 2 * rounding_error(problem, best.centre[0], u)
    run = problem.p.of_rows(x - y)
    certain = pairs.slope - noise / run
    above = certain.nan_to_num(nan=0.0)
    rising = above.clamp(min=0.0)
    score = rising.where(pairs.slope >= 0, -1.0)
    count = int((score >= 0).sum())
    order = score.argsort(descending=True, stable=True)[:count]
    return Pairs(pairs.x[order], pairs.y[order], pairs.slope[order]), score[order]


def _ladder(problem: LowerProblem, found: Pairs) -> tuple[Tensor, Tensor]:
    """Each pair at several distances about its midpoint."""
    is_costly = problem.seconds_per_pass > COSTLY
    rungs = LADDER[FEW_RUNGS] if is_costly else LADDER
    lengths = torch.tensor(rungs, dtype=torch.float64)
    repeated = lengths.repeat(len(found.slope))
    steps = problem.reach * repeated
    centre = found.centre.repeat_interleave(len(rungs), 0)
    directions = found.direction(problem.p)
    direction = directions.repeat_interleave(len(rungs), 0)
    return ends(problem, centre, direction, steps)


def _evaluator(problem: LowerProblem) -> str:
    if problem.exact:
        return "the original model in float64"
    return "the captured graph in float64 (the original model cannot be converted to it)"
