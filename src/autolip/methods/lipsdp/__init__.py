"""LipSDP by the vector power method: the ascent, the statement it finds, and its proof."""

from autolip.methods.lipsdp.statement import (
    Constraint,
    Statement,
    block_shape,
    constraint,
    nonlinear,
)

__all__ = ["Constraint", "Statement", "block_shape", "constraint", "nonlinear"]
