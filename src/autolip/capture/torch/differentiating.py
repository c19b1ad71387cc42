"""Models that compute derivatives themselves (`torch.func`, `torch.autograd.grad`): traced until
nothing but operations is left, their backward passes among them.

The exporter does not see into a derivative.  The tracer below it does: it puts down what is
computed, whoever asks for it, on tensors without values, so that no branch is decided unseen.
"""

import functools
import re
from typing import Any

import torch
import torch.fx.traceback
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from autolip.capture.places import kept_lines

SYMPTOM = (
    "functorch tensor|GradTrackingTensor|BatchedTensorImpl|doesn't have storage"
    "|does not require grad|constant's list|has no attribute 'constant'"
)
"""What the exporter says of a model that computes derivatives, or maps functions, itself."""


aten = torch.ops.aten

PRODUCTS = frozenset({aten.mm.default, aten.bmm.default})
VIEWS = frozenset(
    {
        *(aten.t.default, aten.transpose.int, aten.permute.default, aten.view.default),
        *(aten.unsqueeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.expand.default),
        *(aten.alias.default, aten.detach.default, aten._unsafe_view.default),
    }
)
"""What is linear in each operand, and what only rearranges its own; none changes a tensor."""


def differentiates(error: BaseException) -> bool:
    """Whether the exporter failed for that reason."""
    return re.search(SYMPTOM, str(error)) is not None


def check_closed(program: ExportedProgram) -> None:
    """RuntimeError for a program that holds a tensor of inside a derivative as its constant."""
    for name, value in program.constants.items():
        if isinstance(value, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(value):
            raise RuntimeError(f"the constant {name} is a functorch tensor")


def traced(module: nn.Module, inputs: tuple[Any, ...]) -> nn.Module:
    """The operations of `module(*inputs)`, none of which is a derivative, at the lines of the
    user's code that asked for them: with the same names of arguments."""
    given = pytree.tree_map(_without_history, inputs)
    tracer = make_fx(
        module, tracing_mode="fake", _allow_non_fake_inputs=True, record_stack_traces=True
    )
    with torch.enable_grad(), kept_lines():
        program = tracer(*given)
    _without_zeros(program)

    @functools.wraps(module.forward)
    def forward(*given: Any) -> Any:
        with fx.traceback.preserve_node_meta():
            return fx.Interpreter(program).run(*given)

    program.forward = forward
    return program


def _without_zeros(program: fx.GraphModule) -> None:
    """Directions in which nothing moves, and what is linear in one of them, as zeros: of a constant
    weight forward differentiation asks for the derivative as well."""
    still = dict[fx.Node, None]()
    for node in program.graph.nodes:
        linear = node.target in PRODUCTS or node.target in VIEWS
        zero = _is_direction(node) or (linear and any(x in still for x in node.all_input_nodes))
        if zero and not _is_written_to(node):
            still[node] = None
    for node in still:
        value = node.meta["val"]
        with program.graph.inserting_before(node):
            made = {"dtype": value.dtype, "device": value.device}
            zeros = program.graph.call_function(aten.zeros.default, (list(value.shape),), made)
        node.replace_all_uses_with(zeros)
        program.graph.erase_node(node)
    program.graph.lint()
    program.recompile()


def _is_direction(node: fx.Node) -> bool:
    """Whether forward differentiation made it for what does not move: zero, of any shape."""
    spread = node.target is aten.zeros.default and node.args[0] == []
    return spread or node.target is aten._efficientzerotensor.default


def _is_written_to(node: fx.Node) -> bool:
    """Whether a call changes it, or a view of it; what is no call known here might."""
    calls = [user for user in node.users if user.op != "output"]
    return any(_may_write(call.target) or _shares(call) for call in calls)


def _may_write(target: Any) -> bool:
    return not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable


def _shares(view: fx.Node) -> bool:
    """Whether it lies in its operand's memory, and is written to."""
    returned = view.target._schema.returns  # type: ignore[union-attr]
    aliases = any(value.alias_info is not None for value in returned)
    return aliases and _is_written_to(view)


def _without_history(leaf: Any) -> Any:
    return leaf.detach() if isinstance(leaf, Tensor) else leaf
