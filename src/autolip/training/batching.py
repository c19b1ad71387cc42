"""Whether a module treats the entries of a batch apart, and its calls on a batch of columns."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from autolip.capture.torch.decompositions import taken_apart
from autolip.capture.torch.export import export
from autolip.errors import InputError
from autolip.training.calls import Constants


def first_sample(example: Tensor, module: nn.Module, fixed: Sequence[Tensor]) -> Tensor:
    """One sample of a batch whose samples the module treats apart; else the whole."""
    if example.dim() < 2 or len(example) == 1 or not _treats_apart(module, example[:2], fixed):
        return example
    return example[:1]


def _treats_apart(module: nn.Module, batch: Tensor, fixed: Sequence[Tensor]) -> bool:
    """Whether every sample's result depends on that sample alone, seen on random samples."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(batch.shape, generator=generator).to(batch.dtype)
    try:
        with torch.no_grad():
            whole = module(drawn, *fixed)
            results = [module(sample[None], *fixed) for sample in drawn]
            apart = torch.cat(results)
    except Exception:  # it takes no other batch size: every column is a whole input
        return False
    return (
        isinstance(whole, Tensor)
        and whole.shape == apart.shape
        and torch.allclose(whole, apart, 1e-3, 1e-5)
    )


def batched_program(
    module: nn.Module, one: Tensor, fixed: Sequence[Tensor], columns: int, single: ExportedProgram
) -> ExportedProgram | None:
    """The module exported for a batch of columns, if it is the same calls with that many first
    entries."""
    if one.dim() < 2 or len(one) != 1:
        return None
    if columns == 1:
        return single
    if not _treats_apart(module, one.expand(2, *one.shape[1:]), fixed):
        return None
    try:
        program = taken_apart(
            export(module, (one.expand(columns, *one.shape[1:]).clone(), *fixed), (0,))
        )
    except InputError:
        return None
    pairs = zip(single.graph.nodes, program.graph.nodes, strict=False)
    same = len(single.graph.nodes) == len(program.graph.nodes)
    varying = Constants(single, fixed, module).varying
    return (
        program
        if same and all(_alike(a, b, columns, a.name in varying) for a, b in pairs)
        else None
    )


def _alike(one: torch.fx.Node, many: torch.fx.Node, columns: int, varies: bool) -> bool:
    """The same call, its result with `columns` first entries in place of one."""
    if (one.op, one.name, one.target) != (many.op, many.name, many.target):
        return False
    a = one.meta.get("val")
    b = many.meta.get("val")
    if not varies or not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return True
    return a.dim() > 0 and a.shape[0] == 1 and tuple(b.shape) == (columns, *a.shape[1:])
