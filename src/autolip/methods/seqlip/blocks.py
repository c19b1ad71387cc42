"""Norms of block matrices from norms of their blocks, and the low-rank version of SeqLip made
sound.

For a layer M = P Q + F with E leading directions in P Q and a residual ||F|| <= f (the singular
values left out, and the rounding of the decomposition with them), M = [P, sqrt(f) I] [Q; F /
sqrt(f)] exactly.  Between this layer and the next, M' = P' Q' + F', the slopes D act in

    || [Q'; F'/sqrt(f')] D [P, sqrt(f) I] ||  <=  || [ ||Q' D P||          ||Q'|| d sqrt(f) ] ||
                                                  || [ sqrt(f') d ||P||    sqrt(f f') d     ] ||

with d the largest slope.  Only the first block is a search; the others are small where f is. At the
two ends the whole spectrum goes to the side of D: M = [P, f I] [Q; F/f] for the first layer, [P,
F/f] [Q; f I] for the last.  There sqrt(f) is replaced by f, and the bound is multiplied by one on
||[Q; F/f]||, ||[P, F/f]||, which is one for an exact truncation and has to be proved for a computed
one.
"""

import math

from autolip.methods.seqlip.inner.problem import ldexp
from autolip.roundoff import raised
from autolip.values import Upper, round_up


def block_bound(leading: Upper, right: Upper, lower: Upper, residual: Upper) -> Upper:
    """Upper bound on ||[[P, Q], [R, T]]||_2, given bounds on ||P||, ||Q||, ||R||, ||T||.

    The norm of a block matrix is at most that of the matrix of the norms of its blocks, and this
    grows with every entry.  For two by two, with non-negative entries p, q, r, t,

        || [[p, q], [r, t]] || = (hypot(p + t, q - r) + hypot(p - t, q + r)) / 2.
    """
    entries = (leading, right, lower, residual)
    events = frozenset().union(*(bound.events for bound in entries))
    p, q, r, t = (bound.value for bound in entries)
    largest = max(p, q, r, t)
    if math.isinf(largest) or largest == 0:
        return Upper(largest, events)
    exponent = math.frexp(largest)[1]
    value = block_norm(*(math.ldexp(x, -exponent) for x in (p, q, r, t)))
    return Upper(ldexp(raised(value, 5), exponent, round_up, math.inf), events)


def block_norm(p: float, q: float, r: float, t: float) -> float:
    """|| [[p, q], [r, t]] ||_2 for p, q, r, t >= 0, up to four roundings."""
    return (math.hypot(p + t, q - r) + math.hypot(p - t, q + r)) / 2


def truncated_bound(
    inner: Upper, below: tuple[Upper, Upper], above: tuple[Upper, Upper], slope: Upper
) -> Upper:
    """Upper bound on the maximum over D between two truncated layers.

    `inner`: on max ||Q' D P||; `below`: (||P||, what its residual direction is scaled by: sqrt(f),
    or f at the first layer); `above`: (||Q'||, likewise); `slope`: the largest |s_i|.
    """
    (p, f), (q, g) = below, above
    return block_bound(inner, q * slope * f, g * slope * p, f * g * slope)


def frobenius_bound(
    inner: Upper, below: tuple[Upper, Upper], above: tuple[Upper, Upper], slope: Upper
) -> Upper:
    """The same with the Frobenius norm of the matrix of norms in place of its norm.

    For one leading direction (E = 1) this is Theorem 3 of the paper: with scales f, g and
    || P ||^2 = s_1 - s_2, || Q' ||^2 = s_1' - s_2' as `split` makes them, its square is s_1 s_1'
    times (1 - r)(1 - r') m^2 + r + r' - r r'.
    """
    (p, f), (q, g) = below, above
    left_over_below = q * slope * f
    left_over_above = g * slope * p
    both = f * g * slope
    entries = (inner, left_over_below, left_over_above, both)
    total = entries[0] * entries[0]
    for entry in entries[1:]:
        total = total + entry * entry
    return total.sqrt()
