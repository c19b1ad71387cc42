"""Composite operations that have no slope set of their own: taken apart before the rules see them."""

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten

TAKEN_APART = (
    aten.einsum.default,
    aten.scaled_dot_product_attention.default,
    aten.lstm.input,
    aten.gru.input,
    aten.rnn_tanh.input,
    aten.rnn_relu.input,
    aten.lstm_cell.default,
    aten.gru_cell.default,
    aten.rnn_tanh_cell.default,
    aten.rnn_relu_cell.default,
)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """The decomposition table for `ExportedProgram.run_decompositions`: only what must go."""
    default = torch.export.default_decompositions()
    return {target: default[target] for target in TAKEN_APART}
