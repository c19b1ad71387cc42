"""Composite operations without a slope set of their own: taken apart until every piece has a rule,
or none can be."""

import operator
import warnings
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.nn.attention import SDPBackend, sdpa_kernel

from autolip.capture.torch.written import FINITE, WRITTEN
from autolip.rules import RULES

ROUNDS = 4
"""Chosen: pieces may be composite again, and nothing in PyTorch is nested deeper."""


def taken_apart(program: ExportedProgram) -> ExportedProgram:
    """The program without mutation, its composites kept whole where they have a rule and decomposed
    where not.

    Attention is decomposed by its formula, not into a fused kernel.  What depends on no input stays
    as it is: it will be evaluated.
    """
    masked = FINITE & _targets(program, beside_constants=True)
    written = {target: made for target, made in WRITTEN.items() if target not in masked}
    known = torch.export.default_decompositions()
    known.update(written)
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("ignore")
        if not _is_whole(program):
            targets = _targets(program)
            program = program.run_decompositions({t: written[t] for t in targets if t in written})
        for _ in range(ROUNDS):
            unknown = {target: known[target] for target in _targets(program) if target in known}
            if not unknown:
                break
            program = program.run_decompositions(unknown)
    return program


def _is_whole(program: ExportedProgram) -> bool:
    """Whether every call on the inputs has a rule and none changes a tensor in place: nothing is
    left to do.

    Tracing the program once more to find that out costs most of the time of a capture.
    """
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    known = all(
        isinstance(target, torch._ops.OpOverload)
        for target in calls
        if target is not operator.getitem
    )
    return known and not any(_changes(target) for target in calls) and not _targets(program)


def _changes(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _targets(program: ExportedProgram, beside_constants: bool = False) -> set[Any]:
    """The operations on the program's inputs that have no rule; or those of them with an operand
    that depends on no input."""
    reached = {
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT
    }
    targets = set()
    for node in program.graph.nodes:
        vary = [operand.name in reached for operand in node.all_input_nodes]
        if node.op == "call_function" and any(vary):
            reached.add(node.name)
            if not (beside_constants and all(vary)):
                targets.add(node.target)
    return {
        target
        for target in targets
        if isinstance(target, torch._ops.OpOverload) and target not in RULES
    }
