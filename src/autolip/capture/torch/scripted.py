"""What torch.jit has compiled: graphs of TorchScript, written as modules that can be exported."""

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from autolip.errors import InputError

SCRIPTED = (torch.jit.ScriptModule, torch.jit.ScriptFunction)


def exportable(script: Any, arguments: Sequence[Any]) -> nn.Module:
    """A module of the same operations as a scripted, traced or frozen one on these arguments.

    Raises InputError where PyTorch's converter does not know an operation.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            from torch._export.converter import TS2EPConverter  # private: it may go

            return TS2EPConverter(script, tuple(arguments)).convert().module()
    except KeyboardInterrupt:
        raise
    except Exception as error:
        first = "call model.eval() first, or " if getattr(script, "training", False) else ""
        raise InputError(
            "the model is compiled by torch.jit, and PyTorch cannot convert its graph"
            f" ({type(error).__name__}): {first}give the nn.Module or function that it was"
            " made from"
        ) from error
    finally:
        logging.disable(before)


def check_parts(module: nn.Module) -> None:
    """InputError for a compiled part of a model that is not compiled itself."""
    if isinstance(module, SCRIPTED):
        return
    for path, child in module.named_modules():
        if isinstance(child, SCRIPTED):
            raise InputError(
                f"{path} is compiled by torch.jit inside of a model that is not: compile the whole"
                " model, torch.jit.script(model), or give the module that the part was made from"
            )
