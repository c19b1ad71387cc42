"""From a PyTorch model to a graph: `torch.export` at ATen level, constants folded in float64."""

import contextlib
import inspect
import io
import logging
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from autolip.budget import stopwatch
from autolip.capture.checks import check_inputs, check_module
from autolip.capture.guarded import told, users_code
from autolip.capture.places import kept_lines, users_line
from autolip.capture.reference import Original
from autolip.capture.results import Choice, Returned
from autolip.capture.torch.builder import Builder
from autolip.capture.torch.concrete import ChangedCalls, concretised, recorded
from autolip.capture.torch.decompositions import taken_apart
from autolip.capture.torch.differentiating import SYMPTOM, check_closed, differentiates, traced
from autolip.capture.torch.layer import UpTo, up_to
from autolip.capture.torch.parametrised import settled
from autolip.capture.torch.scripted import SCRIPTED, check_parts, exportable
from autolip.capture.torch.unwrapping import unwrapped
from autolip.capture.varying import Varying, Which, listed
from autolip.errors import AutolipError, InputError
from autolip.graph.composites import recognised
from autolip.graph.graph import Graph
from autolip.graph.passes import explicit_broadcasts, with_mixtures

SYMPTOMS = {
    "SparseTensorImpl|SparseCsrTensorImpl": "it holds sparse tensors: make them dense, .to_dense()",
    SYMPTOM: (
        "it computes derivatives, or maps functions, itself (torch.autograd, torch.func): "
        "write what they compute as operations"
    ),
    "data is not allocated yet": (
        "it makes a tensor of numbers taken out of others: use torch.stack or torch.cat"
    ),
}
"""What a user can do about errors of the exporter's that do not tell."""


@dataclass(frozen=True)
class Capture:
    """A network as a graph of what varies, and the original to compare it with.

    `varying` are the inputs that vary, of several the graph's input is all their entries.
    `reference` is the original model as a function of that: in float64 if it can be
    computed so, else in the precision `reference_dtype`; `native` is the original in its own
    precision where that is another. `returned` are the tensors it stands for, out of `choices` that
    the model returns.
    """

    graph: Graph
    reference: Callable[[Tensor], Tensor]
    reference_dtype: torch.dtype
    example: Tensor
    varying: Varying
    stored_dtype: str
    native: Callable[[Tensor], Tensor] | None = None
    returned: tuple[Returned, ...] = ()
    choices: int = 1
    layer: str | None = None
    """Whose output it is; None: the model's own."""
    seconds: float = 0.0
    """What reading and capturing took."""

    @property
    def input_name(self) -> str:
        """What varies, in words."""
        return str(self.varying)


class _FunctionModule(nn.Module):
    """A plain function as a module, for the exporter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def capture_model(
    model: nn.Module | Callable[..., Any],
    inputs: Sequence[Any],
    varying: Which = 0,
    outputs: Choice = None,
    output_names: Sequence[str] = (),
    layer: str | None = None,
) -> Capture:
    """Capture `model(*inputs)` as a function of one input, or of several together, the others held
    fixed at the given values.

    Fixed arguments may be numbers of Python's, or nested.  `outputs` chooses among several returned
    tensors, by name or number; "all" takes all as one vector.  `output_names` are their names where
    the model does not tell them.  With a `layer`, the path of one, what it returns is captured.

    Raises InputError for what cannot be analysed (training mode, NaN weights, data-dependent
    control flow, ...).
    """
    elapsed = stopwatch()
    inner = unwrapped(model)
    module = inner if isinstance(inner, nn.Module) else _FunctionModule(inner)
    arguments = tuple(_argument(value) for value in inputs)
    with users_code("looking at the model"):
        check_module(module)
        module = settled(module)
    check_inputs(arguments)
    check_parts(module)
    if layer is not None:
        module = up_to(module if isinstance(inner, nn.Module) else inner, layer, arguments)
    source = exportable(inner, arguments) if isinstance(module, SCRIPTED) else module
    program = export(source, arguments, _places(source, arguments, varying))
    capture = capture_program(program, arguments, varying, module, outputs, output_names)
    return replace(capture, layer=layer, seconds=elapsed())


def _argument(value: Any) -> Any:
    """NumPy's arrays and numbers as PyTorch's and Python's."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value.item() if isinstance(value, np.generic) else value


def _places(module: nn.Module, inputs: tuple[Any, ...], varying: Which) -> tuple[int, ...]:
    """Which arguments may vary, for all that is known before the export: the others are
    constants."""
    function = _called(module)
    with contextlib.suppress(ValueError, TypeError):  # a builtin without a signature
        names = list(inspect.signature(function).parameters)
        places = [names.index(one) if one in names else one for one in listed(varying)]
        known = [place for place in places if isinstance(place, int) and 0 <= place < len(inputs)]
        if len(known) == len(places):
            return tuple(known)
    return tuple(range(len(inputs)))


def export(module: nn.Module, inputs: tuple[Any, ...], varying: tuple[int, ...]) -> ExportedProgram:
    """`torch.export`, its failures in one sentence.

    Where shapes or branches depend on constants it needs their values: a second attempt knows them
    from a run. `varying` are the places of the arguments that are no constants.
    """
    try:
        program = _exported(module, inputs)
        if not _is_symbolic(program):
            return program
        first: BaseException | None = None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        first = error
    try:
        if first is not None and differentiates(first):
            return _by_trace(module, inputs)
        return _known(module, inputs, varying)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _refusal(first or error, error) from error


def _by_trace(module: nn.Module, inputs: tuple[Any, ...]) -> ExportedProgram:
    """The program of a model that computes derivatives."""
    with _silence(), _unchecked():
        operations = traced(module, inputs)
    return _exported(operations, inputs)


def _known(module: nn.Module, inputs: tuple[Any, ...], varying: tuple[int, ...]) -> ExportedProgram:
    """The program, with what a run in float64 told; by one in the model's own types where that
    makes other calls."""
    try:
        return _by_run(module, inputs, varying, exact=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, AutolipError) and not isinstance(error, ChangedCalls):
            raise
        return _by_run(module, inputs, varying, exact=False)


def _by_run(
    module: nn.Module, inputs: tuple[Any, ...], varying: tuple[int, ...], exact: bool
) -> ExportedProgram:
    with _silence(), _unchecked():
        entries = recorded(module, inputs, varying, exact)
    program = _exported(concretised(module, entries), inputs)
    if _is_symbolic(program):
        raise InputError("the model cannot be exported: the shape of a tensor depends on the data")
    return program


def _exported(module: nn.Module, inputs: tuple[Any, ...]) -> ExportedProgram:
    eager = torch.compiler.set_stance("force_eager")
    with _silence(), _unchecked(), kept_lines(), eager:
        program = torch.export.export(module, inputs)
    check_closed(program)
    return program


def _is_symbolic(program: ExportedProgram) -> bool:
    """Whether a shape or a number in the program is unknown."""
    leaves = pytree.tree_leaves([node.meta.get("val") for node in program.graph.nodes])
    sizes = [size for leaf in leaves if isinstance(leaf, Tensor) for size in leaf.shape]
    return any(
        isinstance(x, torch.SymInt | torch.SymFloat | torch.SymBool) for x in (*leaves, *sizes)
    )


def _refusal(first: BaseException, second: BaseException) -> AutolipError:
    """Why the model cannot be exported, by the attempt that says more."""
    if isinstance(second, AutolipError) and (
        _on_data(first) or not isinstance(second, ChangedCalls)
    ):
        return second
    if isinstance(first, SystemExit):
        return InputError(
            f"the model cannot be exported: it calls sys.exit({first.code!r}), take that call out"
        )
    known = next(
        (said for pattern, said in SYMPTOMS.items() if re.search(pattern, f"{first}\n{second}")),
        None,
    )
    return InputError(f"the model cannot be exported: {known or _first_sentence(first)}")


@contextlib.contextmanager
def _unchecked() -> Iterator[None]:
    """Distributions do not check their arguments: that would be control flow, and changes no
    value."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No warnings, no graph and no traceback of the exporter's own where it fails: one sentence
    tells it all."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def capture_program(
    program: ExportedProgram,
    inputs: Sequence[Any],
    varying: Which = 0,
    module: nn.Module | None = None,
    outputs: Choice = None,
    output_names: Sequence[str] = (),
) -> Capture:
    """Capture an exported program; `module` is the original it came from (default: the program's
    own)."""
    try:
        program = taken_apart(program)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        raise _refusal(error, error) from error
    _refuse_mutation(program)
    leaves, structure = pytree.tree_flatten(tuple(inputs))
    names = _input_names(program, module, inputs)
    moving = Varying.among(leaves, names, _indices(varying, names, inputs))
    graph, wanted, count = Builder(program, leaves, moving, outputs, output_names).build()
    graph = explicit_broadcasts(recognised(with_mixtures(graph)))
    cpu = [leaf.detach().cpu() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    original = Original(
        module if module is not None else program.module(), cpu, structure, moving, wanted
    )
    reference, dtype, native = original.references()
    stored = next(
        (str(p.dtype) for p in program.state_dict.values() if p.is_floating_point()),
        str(moving.dtype),
    )
    return Capture(
        graph,
        reference,
        dtype,
        moving.point(cpu),
        moving,
        stored.split(".")[-1],
        native,
        tuple(wanted),
        count,
    )


def _refuse_mutation(program: ExportedProgram) -> None:
    for output in program.graph_signature.output_specs:
        if output.kind is OutputKind.BUFFER_MUTATION:
            raise InputError(
                f"the model changes its buffer {output.target} while it runs"
                " (batch norm in training mode?): call model.eval()"
            )
        if output.kind is OutputKind.USER_INPUT_MUTATION:
            raise InputError(
                f"the model changes its input {output.target} in place: clone it first"
            )


def _input_names(
    program: ExportedProgram, module: nn.Module | None, inputs: Sequence[Any]
) -> list[str]:
    """The inputs as the user names them, those inside a nested argument one by one."""
    specs = program.graph_signature.input_specs
    names = [str(spec.arg.name) for spec in specs if spec.kind is InputKind.USER_INPUT]
    if not isinstance(module, _FunctionModule | UpTo) or len(names) != len(inputs):
        return names
    with contextlib.suppress(ValueError, TypeError):  # a builtin without a signature
        parameters = inspect.signature(_called(module)).parameters
        named = [p for p in parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        given = [p.name for p in named]
        return given[: len(names)] + names[len(given) :]
    return names


def _indices(varying: Which, names: list[str], inputs: Sequence[Any]) -> list[int]:
    """Where the inputs that vary stand among the leaves of the arguments; InputError where one
    comes twice."""
    places = [_index_of(one, names, inputs) for one in listed(varying)]
    twice = [names[place] for place in places if places.count(place) > 1]
    if twice or not places:
        which = f"input {twice[0]} comes twice among" if twice else "no input is among"
        raise InputError(f"{which} those that vary: name each once")
    return places


def _called(module: nn.Module) -> Callable[..., Any]:
    """The user's own code, whose arguments have names."""
    if isinstance(module, _FunctionModule):
        return module.function
    return module.whole.forward if isinstance(module, UpTo) else module.forward


def _index_of(varying: int | str, names: list[str], inputs: Sequence[Any]) -> int:
    """Where an input stands among the leaves of the arguments."""
    if isinstance(varying, int) and 0 <= varying < len(inputs):
        return sum(len(pytree.tree_leaves(value)) for value in inputs[:varying])
    if isinstance(varying, str) and varying in names:
        return names.index(varying)
    raise InputError(f"there is no input {varying!r}: the model's inputs are {', '.join(names)}")


def _on_data(error: BaseException) -> bool:
    """Whether the exporter lacked the value of something."""
    return "data-dependent" in str(error) or "DataDependent" in type(error).__name__


def _first_sentence(error: BaseException) -> str:
    """The part of an exporter's message that a user can act on."""
    text = str(error).strip()
    if _on_data(error):
        place = re.search(r'File "([^"]*/)?([^"/]+)", line (\d+), in forward', text)
        where = f" ({place.group(2)}:{place.group(3)})" if place else ""
        return (
            f"its control flow depends on the data{where}; use torch.where, or export the "
            "branch you mean"
        )
    unknown = re.search(r"Found <class '([^']+)'> in output", text)
    if unknown:
        return (
            f"it returns a {unknown.group(1).rsplit('.', 1)[-1]}: return its tensors (its "
            "mean, its logits, ...)"
        )
    return told(error) + users_line(traceback.extract_tb(error.__traceback__))
