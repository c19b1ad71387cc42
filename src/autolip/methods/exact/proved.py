"""Proved bounds for many cases at once, whatever made the multipliers.

In a case every neuron has slopes in c + rho [-1, 1]: its result is z = c v + e with |e| <= rho |v|.
With v and y as linear maps of the input x and of all e, for any g, h >= 0 with h rho^2 <= g^2

    |y|^2  <=  |y|^2 + sum (g v)^2 - h e^2  <=  tau |x|^2    where    diag(tau, h) - P^T P >= 0,

P having the rows of y and of all g v.  That matrix is written down with its rounding and shown to
be positive semidefinite by a factorisation that runs to completion.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from autolip.budget import IN_DOUBLE, charge
from autolip.norms import Norm
from autolip.operators.norms.dense import rounded_norms
from autolip.operators.norms.semidefinite import are_semidefinite
from autolip.operators.operator import DTYPE
from autolip.piecewise import signs
from autolip.piecewise.network import Network
from autolip.rounded import Rounded, total
from autolip.roundoff import lowered

ROUNDED = 4
"""Measured, about: products that one product of rounded values takes."""

EXCESSES = (1e-9, 1e-7, 1e-5)
"""Chosen: by how much of itself a value is raised before it is proved, one after another."""


def price(network: Network, p: Norm, q: Norm) -> float:
    """About the seconds of reference that the bounds of one case take, all slopes being free."""
    inputs = int(network.moving.sum())
    free = int((network.first < network.last).sum())
    layers = network.difference_layers
    entries = sum(matrix.value.numel() for layer in layers for matrix in layer.values())
    order, rows = inputs + free, free + len(network.output)
    maps = ROUNDED * inputs * entries
    gram = ROUNDED * order * (entries + order * rows)
    outputs = len(network.output)
    corners = ROUNDED * signs.count_of(p, q, outputs, inputs) * outputs * inputs
    return IN_DOUBLE * (maps + gram + corners + len(EXCESSES) * order**3)


def jacobians(
    network: Network, centre: Float[Tensor, "k n"], radius: Float[Tensor, "k n"]
) -> Rounded:
    """(k, m, n0): every product of slopes in c + rho [-1, 1] with the matrices is within the error.

    Entry by entry: exact but for rounding where all slopes are known.
    """
    size = int(network.moving.sum())
    batch = len(centre)
    values = [Rounded.exact(torch.eye(size, dtype=DTYPE).expand(batch, size, size))]
    slopes = Rounded(centre.unsqueeze(-1), radius.unsqueeze(-1))
    *layers, output = network.difference_layers
    for layer, place in zip(layers, network.places, strict=True):
        v = total([matrix @ values[j] for j, matrix in layer.items()])
        values.append(slopes[:, place] * v)
    return total([matrix @ values[j] for j, matrix in output.items()])


def norms_of(maps: Rounded, p: Norm, q: Norm) -> Float[Tensor, " k"]:
    """At least ||A||_{p -> q} for every A within the error of a batch."""
    axis = signs.axis_of(p, q, *maps.value.shape[-2:])
    if axis is not None:
        return _by_signs(maps, p, q, axis)
    if p is Norm.L1:
        return maps.lengths(-2, q).amax(-1)
    if q is Norm.LINF or maps.value.shape[-2] == 1:
        return maps.lengths(-1, p.dual).amax(-1)
    bounds = rounded_norms(list(map(maps.__getitem__, range(len(maps.value)))))
    return torch.tensor([bound.value for bound in bounds], dtype=DTYPE)


def _by_signs(maps: Rounded, p: Norm, q: Norm, axis: int) -> Float[Tensor, " k"]:
    """The largest length of a combination of rows, or of columns, with signs."""
    across = maps if axis == signs.ROWS else maps.H
    norm = p.dual if axis == signs.ROWS else q
    batch, count, width = across.value.shape
    found = torch.zeros(batch, dtype=DTYPE)
    charge(ROUNDED * batch * 2 ** (count - 1) * count * width)
    for part in signs.combinations(count, batch * width):
        lengths = (Rounded.exact(part) @ across).lengths(-1, norm)
        found = torch.maximum(found, lengths.amax(-1))
    return found


def entry_bounds(
    network: Network, centre: Tensor, radius: Tensor, p: Norm, q: Norm
) -> Float[Tensor, " k"]:
    """At least ||J||_{p -> q} for all slopes of each case, by bounds on the entries of J."""
    maps = jacobians(network, centre, radius)
    if (p, q) == (Norm.L2, Norm.L2) and maps.value.shape[-2] > 1:
        size = Rounded.exact(maps.size)
        return torch.sqrt(_products(size)).nextafter(torch.tensor(math.inf, dtype=DTYPE))
    return norms_of(maps, p, q)


def _products(size: Rounded) -> Tensor:
    """At least ||A||_1 ||A||_inf."""
    columns, rows = (size.lengths(dim, Norm.L1).amax(-1) for dim in (-2, -1))
    return (columns * rows).nextafter(torch.tensor(math.inf, dtype=DTYPE))


def quadratic_bounds(
    network: Network,
    centre: Float[Tensor, "k n"],
    radius: Float[Tensor, "k n"],
    multipliers: Float[Tensor, "k n"],
    wanted: float,
) -> Float[Tensor, " k"]:
    """At least the l2 constant of each case, by its multipliers; infinite where they prove none.

    A bound below `wanted` is proved as `wanted`: that is easier, and enough.
    """
    free = (radius > 0) & (multipliers > 0)
    if bool(((radius > 0) & ~free).any()):
        stuck = ((radius > 0) & ~free).any(1)
        centre, radius, multipliers, free = (x[~stuck] for x in (centre, radius, multipliers, free))
        bounds = torch.full((len(stuck),), math.inf, dtype=DTYPE)
        bounds[~stuck] = quadratic_bounds(network, centre, radius, multipliers, wanted)
        return bounds
    g = (multipliers.sqrt() * radius).where(free, 0.0)
    h = lowered((g / radius.where(free, 1.0)).square(), 3)
    inputs = int(network.moving.sum())
    gram, columns = _gram(network, centre, g, free, inputs)
    weights = torch.ones(len(g), columns, dtype=DTYPE)
    place = inputs + free.cumsum(1) - 1
    case, neuron = free.nonzero(as_tuple=True)
    weights[case, place[case, neuron]] = h[case, neuron]
    return _least_proved(gram, weights, inputs, wanted)


def _gram(
    network: Network, centre: Tensor, g: Tensor, free: Bool[Tensor, "k n"], inputs: int
) -> tuple[Rounded, int]:
    """P^T P, in x and the e of the neurons that are free; a column without a neuron is 0."""
    batch = len(centre)
    count = int(free.sum(1).max()) if free.numel() else 0
    columns = inputs + count
    place: Int64[Tensor, "k n"] = inputs + free.cumsum(1) - 1
    start = torch.eye(inputs, columns, dtype=DTYPE).expand(batch, inputs, columns)
    values, rows = [Rounded.exact(start)], list[Rounded]()
    *layers, output = network.difference_layers
    for layer, where in zip(layers, network.places, strict=True):
        v = total([matrix @ values[j] for j, matrix in layer.items()])
        own = torch.zeros(batch, v.value.shape[1], columns, dtype=DTYPE)
        case, neuron = free[:, where].nonzero(as_tuple=True)
        own[case, neuron, place[:, where][case, neuron]] = 1.0
        scaled = Rounded.exact(centre[:, where].unsqueeze(-1)) * v
        values.append(_beside(scaled, own))
        if len(case):
            rows.append(Rounded.exact(g[:, where].unsqueeze(-1)) * v)
    rows.append(total([matrix @ values[j] for j, matrix in output.items()]))
    whole = Rounded(torch.cat([x.value for x in rows], 1), torch.cat([x.error for x in rows], 1))
    charge(batch * whole.value.shape[1] * columns**2)
    return whole.H @ whole, columns


def _beside(scaled: Rounded, own: Tensor) -> Rounded:
    """c v + e: nothing is added where e stands, for v does not depend on it."""
    return Rounded(scaled.value + own, scaled.error)


def _least_proved(
    gram: Rounded, weights: Float[Tensor, "k c"], inputs: int, wanted: float
) -> Float[Tensor, " k"]:
    """The roots of the least tau for which diag(tau, h) - P^T P >= 0 is proved."""
    guess = _guess(gram.value, weights, inputs)
    proved = torch.full_like(guess, math.inf)
    left = guess.isfinite().nonzero().reshape(-1)
    for excess in EXCESSES:
        value = torch.clamp(guess[left] * (1 + excess), min=wanted)
        diagonal = weights[left].clone()
        diagonal[:, :inputs] = value.square().unsqueeze(-1)
        part = gram[left]
        done = are_semidefinite(Rounded.exact(torch.diag_embed(diagonal)) - part)
        proved[left[done]] = value[done].nextafter(torch.tensor(math.inf, dtype=DTYPE))
        left = left[~done]
        if not len(left):
            break
    return proved


def _guess(gram: Tensor, weights: Tensor, inputs: int) -> Tensor:
    """About the root of the least tau; infinite where no tau will do, and never relied upon."""
    inner = torch.diag_embed(weights[:, inputs:]) - gram[:, inputs:, inputs:]
    factor, failed = torch.linalg.cholesky_ex(inner)
    cross = gram[:, inputs:, :inputs]
    solved = torch.linalg.solve_triangular(factor, cross, upper=False)
    schur = gram[:, :inputs, :inputs] + solved.mT @ solved
    fine = (failed == 0) & schur.isfinite().flatten(1).all(1)
    schur = torch.where(fine[:, None, None], schur, torch.eye(inputs, dtype=DTYPE))
    top = torch.linalg.eigvalsh(schur)[:, -1].clamp_min(0).sqrt()
    return torch.where(fine, top, math.inf)
