"""What LipSDP claims of a network: one quadratic form, which is never negative.

Differences obey the constraints of the nonlinear vertices (see constraint).  With multipliers
lam >= 0 let

    H = value^2 |x|^2 - |y|^2 - sum_i lam_i (z_i - a_i v_i) (b_i v_i - z_i)
                              - sum_B lam_B (g^2 |v_B|^2 - |z_B|^2),

v and y affine in the input x and the results z through the graph.  If H >= 0 for all x and z, free
variables, then |y| <= value |x| for every difference: Fazlyab, Robey, Hassani, Morari and Pappas,
NeurIPS 2019, LipSDP-Neuron (their multipliers that couple neurons are wrong: Pauli et al. 2021,
and are not used).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.values import Upper


@dataclass(frozen=True)
class Statement:
    """H >= 0, hence ||y||_q <= value ||x||_p, on the network of a relaxation and in its norms.

    `multipliers` lam are by the name of a nonlinear vertex: of the shape of its `blocks`.  With
    `inputs` = mu (linf input) the first term of H is sum_i mu_i x_i^2, and value^2 >= sum_i mu_i
    times the sum of `outputs`; with `outputs` = nu > 0 (l1 output) the second is sum_j y_j^2 / nu_j
    (1 for nu otherwise, its sum counting as 1).
    """

    relaxation: Relaxation
    multipliers: dict[str, Tensor]
    inputs: Tensor | None
    value: float
    outputs: Tensor | None = None

    def regraded(self, value: float, factor: Callable[[str], float]) -> "Statement":
        """The same at another value: multipliers times a factor each, weights of the input as
        value^2."""
        square = (value / self.value) * (value / self.value)
        multipliers = {name: lam * factor(name) for name, lam in self.multipliers.items()}
        inputs = None if self.inputs is None else self.inputs * square
        return replace(self, value=value, multipliers=multipliers, inputs=inputs)


@dataclass(frozen=True)
class Proved:
    """||y|| <= bound ||x||, and the statement that says so: its value is the bound's."""

    bound: Upper
    statement: Statement
