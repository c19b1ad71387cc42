"""Dual ascent on the logarithms of a chain's multipliers, through the layerwise recursion.

The bound of the recursion (see recursion) is a differentiable function of T_1, ..., T_{K-1}.  Each
T_k = exp(theta_k) is taken relative to the trace of its ellipsoid, so that one layer's multipliers
do not rescale the next one's, and is shrunk where it is not feasible.  Adam descends on log
lambda_max(A_K); every value on the way is a bound up to rounding, and the best one is proved
afterwards like any other.  For deep chains, where the power method's tail is slow.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from autolip.budget import A_MULTIPLY_ADD, UNLIMITED, Budget, charge
from autolip.methods.lipsdp.relaxation.chain import Chain
from autolip.methods.lipsdp.statement import Statement
from autolip.rounded import Rounded

LIMIT = 1.96
"""Chosen: greatest lambda_max(T^1/2 A T^1/2) that is kept (2 is where the recursion ends)."""

PATIENCE = 200
"""Chosen: steps without an improvement after which the ascent ends."""

A_LAYER = 1.5e-3
"""Measured: seconds of reference that a step takes for each layer, beside what grows with its
width."""


def polished(
    statement: Statement, goal: float, budget: Budget = UNLIMITED, steps: int = 3000
) -> Statement:
    """The statement with better multipliers, if there are: until the value is below `goal`, or the
    time is up; as it is where the network is no chain."""
    chain = statement.relaxation.chain
    if chain is None:
        return statement
    theta = _start(statement, chain)
    optimiser = torch.optim.Adam(theta, lr=0.05)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.01 ** (1 / steps))
    best = math.inf
    since = 0
    kept = [x.detach().clone() for x in theta]
    for _ in range(steps):
        charge(0.0, A_LAYER * len(chain.layers) + 40 * chain.work * A_MULTIPLY_ADD)
        optimiser.zero_grad()
        value = _recursion(theta, chain)[0]
        if not bool(value.isfinite()):
            break
        since = 0 if value.item() < best - 1e-6 else since + 1
        if value.item() < best:
            best = value.item()
            kept = [x.detach().clone() for x in theta]
        if best < math.log(goal) or since > PATIENCE or budget.expired:
            break
        value.backward()
        torch.nn.utils.clip_grad_norm_(theta, 1.0)
        optimiser.step()
        schedule.step()
    if not math.isfinite(best):
        return statement
    with torch.no_grad():
        value, multipliers = _recursion(kept, chain)
    lam = {
        name: _multiplier(x, value, span)
        for name, x, span in zip(chain.names, multipliers, chain.slopes, strict=True)
    }
    shaped = {name: x.reshape(statement.multipliers[name].shape) for name, x in lam.items()}
    return replace(statement, value=math.exp(value.item()), multipliers=shaped)


def _multiplier(log_t: Tensor, value: Tensor, span: tuple[Tensor, Tensor]) -> Tensor:
    """lam = 2 value^2 T / (b - a)^2."""
    return 2 * torch.exp(2 * value + log_t) / (span[1] - span[0]) ** 2


def _start(statement: Statement, chain: Chain) -> list[Tensor]:
    """theta of the statement's multipliers."""
    theta: list[Tensor] = []
    matrix, logarithm = _normalised(
        chain.layers[0].value @ chain.layers[0].value.T, torch.zeros((), dtype=torch.float64)
    )
    for name, span, layer in zip(chain.names, chain.slopes, chain.layers[1:], strict=True):
        lam = statement.multipliers[name].reshape(-1)
        log_t = (
            torch.log(lam)
            + 2 * torch.log((span[1] - span[0]) / statement.value)
            - math.log(2)
            + logarithm
        )
        theta.append(log_t)
        matrix, logarithm = _normalised(
            _next(matrix, _shrunk(matrix, log_t), span, layer), logarithm
        )
    return [x.clone().requires_grad_() for x in theta]


def _recursion(theta: Sequence[Tensor], chain: Chain) -> tuple[Tensor, list[Tensor]]:
    """The logarithm of the bound, and log T of every layer."""
    zero = torch.zeros((), dtype=torch.float64)
    matrix, logarithm = _normalised(chain.layers[0].value @ chain.layers[0].value.T, zero)
    used = []
    for log_t, span, layer in zip(theta, chain.slopes, chain.layers[1:], strict=True):
        t = _shrunk(matrix, log_t)
        used.append(torch.log(t) - logarithm)
        matrix, logarithm = _normalised(_next(matrix, t, span, layer), logarithm)
    return (torch.linalg.eigvalsh(matrix)[-1].log() + logarithm) / 2, used


def _normalised(matrix: Tensor, logarithm: Tensor) -> tuple[Tensor, Tensor]:
    trace = matrix.trace()
    return matrix / trace, logarithm + torch.log(trace)


def _shrunk(matrix: Tensor, log_t: Tensor) -> Tensor:
    """T, shrunk where it is not feasible."""
    t = torch.exp(log_t)
    root = t.sqrt()
    top = torch.linalg.eigvalsh(root.unsqueeze(1) * matrix * root.unsqueeze(0))[-1]
    return t * torch.clamp(LIMIT / top, max=1.0)


def _next(matrix: Tensor, t: Tensor, span: tuple[Tensor, Tensor], layer: Rounded) -> Tensor:
    """A' of the recursion, in floating point."""
    lo, hi = span
    s = torch.diag(2 * t) - t.unsqueeze(1) * matrix * t.unsqueeze(0)
    skewed = layer.value * lo
    gain = layer.value * (hi - lo) + (skewed @ matrix) * t
    factor, failed = torch.linalg.cholesky_ex(s)
    solved = torch.linalg.solve_triangular(
        factor if not failed.any() else factor * math.nan, gain.T, upper=False
    )
    return solved.T @ solved + skewed @ matrix @ skewed.T
