"""Boolean quadratic problems as Lipschitz constants: the NP-hardness theorem, made tangible.

Virmaux and Scaman (NeurIPS 2018, Theorem 2): the exact Lipschitz constant of a two-layer ReLU
network is NP-hard.

Problem.  Maximise  s^T Q s + g^T s  over s in {0, 1}^n, Q symmetric, any sign.

Step 1, to signs.  With s = (1 + e)/2, e in {-1, 1}^n, and one more sign e_0 so that e may be
replaced by e_0 e,

    s^T Q s + g^T s = constant + (e_0, e)^T C (e_0, e),

    C = [ 0            (Q 1 + g)^T / 4 ]          constant = (1^T Q 1)/4 + (g^T 1)/2,
        [ (Q 1 + g)/4  Q / 4           ]

because e_0 e_i appears where e_i did and e_0^2 = 1.  As e_i^2 = 1, adding z to the diagonal of C
adds z (n + 1) to every value: choose z so that C + z I is positive definite, and factor it, C + z I
= B B^T (Cholesky).

Step 2, to a network.  With m = n + 1,

    f(x) = 1^T relu([B; -B] x) = ||B x||_1,        2 m neurons, m inputs, one output.

Its gradient where no (B x)_i is zero is B^T e, e = sign(B x).  B is invertible, so that every e in
{-1, 1}^m is the sign of some B x, and the Lipschitz constant is

    Lip(f)^2 = max_e ||B^T e||^2 = max_e e^T B B^T e = max_e e^T (C + z I) e.

SeqLip agrees: || [1, ..., 1] diag(s) [B; -B] || = ||B^T (s' - s'')|| with s' - s'' anywhere in [-1,
1]^m is convex, and its maximum is at a vertex of that cube.  Hence  maximum of the problem =
Lip(f)^2 - z (n + 1) + constant,  and the signs e of the pattern, divided by e_0, are its solution.
An algorithm for either constant decides the problem.  []
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from autolip.errors import InputError


@dataclass(frozen=True)
class BooleanQuadratic:
    """Maximise s^T Q s + g^T s over s in {0, 1}^n; Q (n, n) symmetric, g (n), any sign."""

    quadratic: Float[Tensor, "n n"]
    linear: Float[Tensor, " n"]

    def __post_init__(self) -> None:
        q = self.quadratic
        n = len(self.linear)
        if q.shape != (n, n) or not n or not bool(torch.equal(q, q.T)):
            raise InputError(
                f"a symmetric matrix of order {n} >= 1 is needed, not {tuple(q.shape)}: "
                "pass (Q + Q^T) / 2"
            )
        if not bool(q.isfinite().all() and self.linear.isfinite().all()):
            raise InputError("an entry of the problem is not finite")

    def value(self, s: Tensor) -> Float[Tensor, "*k"]:
        """The objective at s (*k, n)."""
        s = s.to(torch.float64)
        return ((s @ self.quadratic.to(s)) * s).sum(-1) + s @ self.linear.to(s)


@dataclass(frozen=True)
class HardNetwork:
    """f(x) = second relu(first x), whose squared Lipschitz constant is the problem's maximum minus
    `offset`."""

    first: Float[Tensor, "2m m"]
    second: Float[Tensor, "1 2m"]
    offset: float

    def maximum(self, lipschitz: float) -> float:
        """The maximum of the problem from the exact Lipschitz constant."""
        return lipschitz**2 + self.offset

    def solution(self, pattern: Float[Tensor, " 2m"]) -> Bool[Tensor, " n"]:
        """A maximiser of the problem from the slopes (0 or 1) that attain the constant."""
        half = len(pattern) // 2
        signs = pattern[:half] - pattern[half:]
        if not bool((signs.abs() == 1).all()):
            raise InputError(
                "a pattern with both or neither of a neuron's two signs attains nothing: "
                "pass a maximiser"
            )
        return (signs * signs[0] > 0)[1:]

    def module(self) -> nn.Sequential:
        """The network in float64."""
        module = nn.Sequential(
            nn.Linear(self.first.shape[1], len(self.first), bias=False, dtype=torch.float64),
            nn.ReLU(),
            nn.Linear(len(self.first), 1, bias=False, dtype=torch.float64),
        )
        for layer, weight in zip((module[0], module[2]), (self.first, self.second), strict=True):
            layer.weight = nn.Parameter(weight.clone())
        return module


def hard_network(problem: BooleanQuadratic) -> HardNetwork:
    """The two-layer ReLU network of 2 (n + 1) neurons whose Lipschitz constant solves the problem.

    Correct up to the rounding of one Cholesky factorisation, of order 1e-14 of the largest
    coefficients: a problem with integer coefficients is solved exactly by rounding.
    """
    q = problem.quadratic.to(torch.float64)
    g = problem.linear.to(torch.float64)
    n = len(g)
    c = torch.zeros(n + 1, n + 1, dtype=torch.float64)
    c[1:, 1:] = q / 4
    c[0, 1:] = c[1:, 0] = (q.sum(1) + g) / 4
    lowest, highest = torch.linalg.eigvalsh(c)[[0, -1]].tolist()
    shift = 0.05 * ((highest - lowest) or 1.0) - lowest
    unit = torch.eye(n + 1, dtype=torch.float64)
    factor = torch.linalg.cholesky(c + shift * unit)
    constant = (q.sum() / 4 + g.sum() / 2).item()
    ones = torch.ones(1, 2 * (n + 1), dtype=torch.float64)
    return HardNetwork(torch.cat([factor, -factor]), ones, constant - shift * (n + 1))
