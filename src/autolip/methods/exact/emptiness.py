"""Cells without interior, proved; a linear program only says where to look.

On a cell rows x + offsets >= 0.  With weights y >= 0 for which the sum of y (rows x + offsets) is
below 0 all over the region the cell is empty (Farkas 1902).  On a bounded region that sum is
bounded by the region's support.

Where the input is unbounded the combination of rows has to be 0 exactly.  With one row more than
there are entries such a combination lies near the computed one, enclosed by an approximate inverse
R of the matrix A of the others,

    |y - y'|  <=  ||R (A y' - b)|| / (1 - ||I - R A||)    in the largest entry

(S. M. Rump, Verification methods, Acta Numerica 19, 2010, section 10).  With the sum of y offsets
below 0 the cell is empty; with 0 each of these half-spaces is met with equality all over the cell,
which is part of a hyperplane where one of these rows is not 0.  Such a cell may be left out: those
that remain are closed and dense in the region, almost every line parallel to a given one meets what
was left out in a set of measure 0, and the network is continuous.
"""

from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.norms import Norm
from autolip.operators.operator import DTYPE
from autolip.piecewise.cells import Cells, HalfSpaces
from autolip.regions import Region
from autolip.rounded import Rounded, number, total
from autolip.roundoff import raised

LARGEST_SYSTEM = 40
"""Chosen: half-spaces of which a combination is looked for in rational numbers, at most."""


def is_outside(
    part: HalfSpaces, weights: Float[Tensor, " s"], region: Region, shape: torch.Size
) -> bool:
    """Whether max over the region of the sum of weights (rows x + offsets) is below 0."""
    return highest(torch.zeros(shape.numel(), dtype=DTYPE), part, weights, region, shape) < 0


def highest(
    form: Float[Tensor, " n"],
    part: HalfSpaces,
    weights: Float[Tensor, " s"],
    region: Region,
    shape: torch.Size,
) -> float:
    """At least form x, for every x of the region in the half-spaces: with weights y >= 0, at most
    form x + sum y (rows x + offsets)."""
    y = Rounded.exact(weights.unsqueeze(0))
    line = Rounded.exact(form.unsqueeze(0))
    origin = Rounded.exact(region.origin(shape).reshape(-1, 1))
    offsets = Rounded.exact(part.offsets.unsqueeze(1))
    combined = y @ part.rows + line
    about = y @ (part.rows @ origin + offsets) + line @ origin
    top = region.support(combined.value.reshape(1, *shape))[0].item()
    reach = region.reach(shape).reshape(-1)
    moved = combined.error[0] * reach
    off = raised(moved.sum().item(), len(reach) + 1)
    whole = total([number(top), number(off), about[0, 0]])
    return float(whole.interval().hi)


def has_no_interior(
    cells: Cells,
    case: tuple[Tensor, Tensor],
    cell: HalfSpaces,
    weights: Float[Tensor, " m"],
    cut: tuple[Tensor, Tensor] | None = None,
) -> bool:
    """Whether the half-spaces of a case are proved to have no interior, by weights that show it but
    for rounding; those of the pieces in `cut`, where the others follow.

    As functions of the input, or of the operands of some layer before them: where few of its
    neurons are on, what follows reads so few numbers that a combination of few rows is 0.
    """
    network = cells.network
    support = (weights > 0).nonzero().reshape(-1)
    part, guess = cell[support], weights[support]
    if not len(part) or not bool(guess.isfinite().all()):
        return False
    bounded = network.region.interval(network.input_shape).is_bounded
    if bounded and is_outside(part, guess, network.region, network.input_shape):
        return True
    is_flat = bool((part.rows.value.abs() > part.rows.error).any())
    if is_contradictory(part, guess, is_flat):
        return True
    for base in range(int(part.layers.min()) + 1, 0, -1):
        lifted = cells.of_case(*case, base, cut)
        if lifted is None:
            continue
        numbers = (cell.layers >= base - 1).cumsum(0) - 1
        if is_contradictory(lifted[numbers[support]], guess, is_flat):
            return True
    return False


def is_contradictory(part: HalfSpaces, guess: Float[Tensor, " s"], is_flat: bool) -> bool:
    """Whether weights > 0 near these exist with y rows = 0 and y offsets < 0; or 0, where the
    half-spaces with equality are flat."""
    used = (part.rows.size > 0).any(0)
    rows = part.rows[:, used]
    count, size = rows.value.shape
    if count != size + 1 or not size:
        return _by_fractions(rows, part.offsets, is_flat)
    pivot = int((guess * rows.value.abs().amax(1)).argmax())
    others = torch.arange(count) != pivot
    matrix, last = rows[others].H, rows[[pivot]].H
    inverse, failed = torch.linalg.inv_ex(matrix.value)
    if bool(failed) or not bool(inverse.isfinite().all()):
        return False
    found = enclosed(matrix, -last, inverse)
    if found is None or not bool((found.value > found.error).all()):
        return False
    offsets = Rounded.exact(part.offsets.unsqueeze(0))
    whole = (offsets[:, others] @ found + offsets[:, [pivot]])[0, 0]
    top = whole.value + whole.error
    return bool(top < 0) or (is_flat and bool(top == 0))


def _by_fractions(rows: Rounded, offsets: Tensor, is_flat: bool) -> bool:
    """The same in rational numbers, for rows without error of which one combination, up to a
    factor, is 0."""
    if not rows.is_exact or len(offsets) > LARGEST_SYSTEM:
        return False
    weights = combination([list(map(Fraction, row)) for row in rows.value.tolist()])
    if weights is None or min(weights) <= 0:
        return False
    whole = sum(y * Fraction(b) for y, b in zip(weights, offsets.tolist(), strict=True))
    return whole < 0 or (is_flat and whole == 0)


def combination(rows: list[list[Fraction]]) -> list[Fraction] | None:
    """The weights, the last one 1, for which the sum of weights times rows is 0; None unless there
    are such, and no others."""
    basis = list[tuple[int, list[Fraction], list[Fraction]]]()
    for place, row in enumerate(rows):
        rest, made = list(row), [Fraction(int(place == k)) for k in range(len(rows))]
        for pivot, reduced, weights in basis:
            if factor := rest[pivot]:
                rest = [a - factor * b for a, b in zip(rest, reduced, strict=True)]
                made = [a - factor * b for a, b in zip(made, weights, strict=True)]
        pivot = next((k for k, entry in enumerate(rest) if entry), -1)
        if pivot < 0:
            return made if place == len(rows) - 1 else None
        scale = rest[pivot]
        basis.append((pivot, [a / scale for a in rest], [a / scale for a in made]))
    return None


def enclosed(matrix: Rounded, goal: Rounded, inverse: Float[Tensor, "n n"]) -> Rounded | None:
    """The solutions y of A y = b, for every A and b within the errors; None where the inverse is
    not near enough to show that there are such."""
    near = Rounded.exact(inverse @ goal.value)
    r = Rounded.exact(inverse)
    defect = Rounded.exact(torch.eye(len(inverse), dtype=DTYPE)) - r @ matrix
    norm = defect.lengths(-1, Norm.L1).amax().item()
    if not norm < 0.5:
        return None
    residue = (r @ (matrix @ near - goal)).size.amax().item()
    error = raised(residue / (1 - norm), 3)
    return Rounded(near.value, torch.full_like(near.value, error))
