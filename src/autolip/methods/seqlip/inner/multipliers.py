"""Upper bounds on max_s || A diag(s) B || by one positive multiplier per neuron.

Write s_i = c_i + r_i e_i, |e_i| <= 1.  For unit vectors y, x with p = A^T y and v = B x, and any
t_i > 0,

    y^T A diag(s) B x  =  sum_i s_i p_i v_i  <=  sum_i c_i p_i v_i + r_i (t_i p_i^2 + v_i^2 / t_i) /
    2

                       =  1/2 (y, x)^T M(t) (y, x)  <=  lambda_max(M(t)),

    M(t) = [ A diag(r t) A^T    A diag(c) B      ]
           [ B^T diag(c) A^T    B^T diag(r/t) B  ].

The least of these bounds is that of LipSDP-Neuron for one hidden layer (Fazlyab et al., NeurIPS
2019).

Certificate.  Where the floating-point Cholesky factorisation of the computed S = beta I - M runs to
completion, S + E is positive semidefinite (S. M. Rump, BIT 46, 2006, Theorem 2.3) for an E whose
norm `Gram.slack` bounds, and beta + ||E|| is proved, whatever led to t and beta.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.methods.seqlip.inner.problem import UNDERFLOW, Pair
from autolip.operators.norms.semidefinite import factorisation_error
from autolip.roundoff import dot_error, raised


@dataclass(frozen=True)
class Gram:
    """M(t) of a pair: the matrices and their row norms, shared by many boxes."""

    a: Float[Tensor, "p n"]
    b: Float[Tensor, "n q"]

    @staticmethod
    def of(pair: Pair) -> "Gram":
        return Gram(pair.a, pair.b)

    @property
    def order(self) -> int:
        return self.a.shape[0] + self.b.shape[1]

    def matrix(self, c: Tensor, r: Tensor, t: Tensor) -> Float[Tensor, "k m m"]:
        """M(t), for each of k boxes (k, n)."""
        p = self.a.shape[0]
        m = self.order
        result = c.new_empty(len(c), m, m)
        scaled = self.a * (r * t)[:, None, :]
        result[:, :p, :p] = scaled @ self.a.T
        scaled_b = self.b.T * (r / t)[:, None, :]
        result[:, p:, p:] = scaled_b @ self.b
        centred = self.b.T * c[:, None, :]
        result[:, p:, :p] = centred @ self.a.T
        result[:, :p, p:] = result[:, p:, :p].mT
        return result

    def slack(self, c: Tensor, r: Tensor, t: Tensor, beta: Tensor) -> Float[Tensor, " k"]:
        """At least ||E||: what rounding in M, in beta I - M and in its factorisation can amount to.

        |computed M - M| <= gamma |..| entry by entry, and the norms of the three blocks of absolute
        values are at most sum r t |a|^2, sum r/t |b|^2 and sum |c| |a| |b|; the factorisation and
        the diagonal: at most a share of trace(S).
        """
        n = self.a.shape[1]
        m = self.order
        a2 = self.a.square().sum(0)
        b2 = self.b.square().sum(1)
        of_a = (r * t) @ a2
        of_b = (r / t) @ b2
        diagonal = of_a + of_b
        entries = diagonal + c.abs() @ (a2 * b2).sqrt()
        trace = m * beta + diagonal
        error = dot_error(n, entries) + factorisation_error(m, trace)
        return raised(error, n + m + 10) + UNDERFLOW

    def factorised(
        self, c: Tensor, r: Tensor, t: Tensor, beta: Tensor
    ) -> tuple[Tensor, Bool[Tensor, " k"]]:
        """The Cholesky factors of beta I - M(t), and which factorisations ran to completion."""
        s = self.matrix(c, r, t).neg_()
        s.diagonal(dim1=1, dim2=2).add_(beta[:, None])
        return factorised(s)


def factorised(s: Float[Tensor, "k m m"]) -> tuple[Float[Tensor, "k m m"], Bool[Tensor, " k"]]:
    """Lower Cholesky factors, and which factorisations ran to completion."""
    factor, info = torch.linalg.cholesky_ex(s)
    return factor, (info == 0) & factor.diagonal(dim1=1, dim2=2).isfinite().all(1)
