"""A network named on the command line: a shipped one, an ONNX file, a torch.export archive, or
`module:factory`."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from autolip import zoo
from autolip.arguments import nearest
from autolip.budget import stopwatch
from autolip.capture.checks import check_inputs, check_module
from autolip.capture.factory import make_model
from autolip.capture.guarded import users_code
from autolip.capture.inputs import Inputs, Request, named
from autolip.capture.onnx.reading import RUNTIME, OnnxModel, Reference, load_onnx
from autolip.capture.replay import Gap, points_of, widest_gap
from autolip.capture.torch.archive import load_archive
from autolip.capture.torch.export import Capture, capture_model, capture_program
from autolip.capture.torch.unwrapping import unwrapped
from autolip.capture.weights import SUFFIXES, load_weights
from autolip.errors import CaptureMismatch, InputError
from autolip.operators.operator import DTYPE


@dataclass(frozen=True)
class Network:
    """A captured network, the name it goes by, and the inputs that are held fixed, in words."""

    capture: Capture
    name: str
    fixed: dict[str, str]


def load_network(spec: str, request: Request | None = None) -> Network:
    """Capture the network that `spec` names.

    Raises InputError, UnsupportedOperation or CaptureMismatch, each in one sentence.
    """
    elapsed = stopwatch()
    network = _loaded(spec, request or Request())
    return replace(network, capture=replace(network.capture, seconds=elapsed()))


def _loaded(spec: str, asked: Request) -> Network:
    suffix = Path(spec).suffix
    factory = ":" in spec and suffix not in (".onnx", ".pt2")
    if asked.weights is not None and not factory:
        raise InputError(f"weights go with a module:factory, and {spec} is none: leave them out")
    if spec in zoo.names():
        return _shipped(spec, asked)
    if suffix == ".onnx":
        return _onnx(Path(spec), asked)
    if suffix == ".pt2":
        return _archive(Path(spec), asked)
    if factory:
        return _factory(spec, asked)
    if suffix in SUFFIXES:
        raise InputError(
            f"{spec} holds weights without a network: give module:factory and --weights {spec}"
        )
    raise InputError(
        f"no network {spec!r}: {nearest(spec, zoo.names())}give an .onnx or .pt2 file, "
        "module:factory,"
        f" or a shipped network ({', '.join(zoo.names())})"
    )


def _shipped(name: str, asked: Request) -> Network:
    model, examples = zoo.load(name)
    names = list(inspect.signature(model.forward).parameters)
    return _captured(model, Inputs(names, dict(zip(names, examples, strict=True))), asked, name)


def _factory(spec: str, asked: Request) -> Network:
    model = _module(make_model(spec))
    stored = None if asked.weights is None else load_weights(model, asked.weights)
    if asked.evaluation:
        with users_code(f"calling eval() of {spec}"):
            model.eval()
    names, defaults = _parameters(model, asked)
    inputs = Inputs(names, defaults, _dtype(model))
    network = _captured(model, inputs, asked, spec)
    if stored is None:
        return network
    return replace(
        network, capture=replace(network.capture, stored_dtype=str(stored).split(".")[-1])
    )


def _module(model: nn.Module) -> nn.Module:
    """The module inside a compiled or replicated one: its weights have the names that they are
    stored under."""
    inner = unwrapped(model)
    return inner if isinstance(inner, nn.Module) else model


def _captured(model: nn.Module, inputs: Inputs, asked: Request, name: str) -> Network:
    arguments = inputs.arguments(asked)
    places = inputs.indices(asked)
    capture = capture_model(model, arguments, places, asked.outputs, layer=asked.layer)
    return Network(capture, name, inputs.fixed(arguments, asked))


class _Flat(nn.Module):
    """A module as a function of the leaves of its arguments, named ones and nested ones
    included."""

    def __init__(self, module: nn.Module, structure: pytree.TreeSpec) -> None:
        super().__init__()
        self.module = module
        self.structure = structure

    def forward(self, *leaves: Any) -> Any:
        arguments, named_ones = pytree.tree_unflatten(leaves, self.structure)
        return self.module(*arguments, **named_ones)


def _archive(path: Path, asked: Request) -> Network:
    if asked.layer is not None:
        raise InputError(
            f"{path} is an archive, whose layers are taken apart: give the nn.Module to have the "
            f"output of {asked.layer}"
        )
    program = load_archive(path)
    specs = program.graph_signature.input_specs
    names = [str(spec.arg.name) for spec in specs if spec.kind is InputKind.USER_INPUT]
    examples, structure = pytree.tree_flatten(program.example_inputs or ((), {}))
    if len(examples) != len(names):
        raise InputError(
            f"{path} holds no example inputs, so their shapes are not known: write it again"
        )
    check_inputs(examples)
    known_ones = dict(zip(names, examples, strict=True))
    inputs = Inputs(names, known_ones)
    arguments = inputs.arguments(asked)
    module = program.module(check_guards=False)
    check_module(module)
    flat = _Flat(module, structure)
    places = inputs.indices(asked)
    capture = capture_program(program, arguments, places, flat, asked.outputs)
    return Network(capture, path.name, inputs.fixed(arguments, asked))


def _onnx(path: Path, asked: Request) -> Network:
    unnamed = any(name is None for name, _ in asked.shapes)
    names = _onnx_names(path) if unnamed else []
    onnx = load_onnx(path, named(asked.shapes, names), asked.layer)
    names_of = list(onnx.inputs)
    inputs = Inputs(names_of, {}, shapes=onnx.inputs, dtypes=onnx.dtypes)
    arguments = inputs.arguments(asked)
    places = inputs.indices(asked)
    capture = capture_model(onnx.module, arguments, places, asked.outputs, onnx.outputs)
    moving = replace(capture.varying, names=tuple(inputs.names[place] for place in places))
    capture = replace(capture, varying=moving, layer=asked.layer)
    _check_against_others(capture, onnx, arguments)
    return Network(capture, path.name, inputs.fixed(arguments, asked))


def _check_against_others(capture: Capture, onnx: OnnxModel, arguments: Sequence[Tensor]) -> None:
    """The graph against other software on the same file.

    Where the one that decides disagrees, the error says by how much, and what the others make of
    it.
    """
    dtype = onnx.narrowest
    points = [x.to(dtype).to(DTYPE) for x in points_of(capture)]
    gaps: dict[str, Gap] = {}
    failed: InputError | None = None
    for name, reference in onnx.references.items():
        names = list(onnx.inputs)
        function = _original(reference, names, arguments, capture)
        try:
            gaps[name] = widest_gap(capture.graph, function, points, dtype)
        except InputError as error:
            failed = failed or error
            continue
        if gaps[name].explained and len(gaps) == 1:
            return
    if not gaps and failed is not None:
        raise failed
    told = " and ".join(f"{name} by {gap.relative:.2g}" for name, gap in gaps.items())
    allowed = next(iter(gaps.values())).allowed
    hint = (
        "install onnxruntime to decide which is right"
        if RUNTIME not in gaps
        else "please report the file"
    )
    raise CaptureMismatch(
        f"autolip's reading of the ONNX file differs from {told} (relative) on an input, "
        f"more than the {allowed:.2g}"
        f" that rounding explains: {hint}"
    )


def _onnx_names(path: Path) -> list[str]:
    """The inputs that an ONNX file gives no value for, in order."""
    try:
        import onnx

        graph = onnx.load(path, load_external_data=False).graph
    except Exception:
        load_onnx(path)  # says in a sentence what is wrong
        raise
    stored = {initializer.name for initializer in graph.initializer}
    return [value.name for value in graph.input if value.name not in stored]


def _original(
    reference: Reference,
    names: list[str],
    arguments: Sequence[Tensor],
    capture: Capture,
) -> Callable[[Tensor], Tensor]:
    """The file evaluated by other software, as a function of what varies."""
    varying = capture.varying

    def function(x: Tensor) -> Tensor:
        values = {name: value.numpy() for name, value in zip(names, arguments, strict=True)}
        parts = varying.apart(x, x.dtype)
        moved = {name: part.numpy() for name, part in zip(varying.names, parts, strict=True)}
        with users_code("evaluating the ONNX file by other software"):
            outputs = reference(values | moved)
        chosen = [outputs[one.leaf] for one in capture.returned]
        return torch.cat(
            [torch.as_tensor(np.asarray(output, np.float64)).reshape(-1) for output in chosen]
        )

    return function


def _dtype(model: nn.Module) -> torch.dtype:
    """The floating type that the module computes in."""
    return next(
        (weight.dtype for weight in model.parameters() if weight.is_floating_point()), torch.float32
    )


def _parameters(model: nn.Module, asked: Request) -> tuple[list[str], dict[str, Any]]:
    """The inputs of `forward`: those that need a value, and what else was spoken of; the defaults
    of those between them."""
    with users_code(f"reading the arguments of {type(model).__name__}.forward"):
        known = inspect.signature(model.forward).parameters.values()
    names = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in known):
        names += [f"input_{number}" for number in range(len(names), len(asked.shapes))]
    required = {p.name for p in known if p.default is p.empty}
    varying = [asked.varying] if isinstance(asked.varying, str) else asked.varying or ()
    spoken = {name for name, _ in asked.shapes} | set(asked.values or ()) | set(varying)
    unnamed = sum(name is None for name, _ in asked.shapes)
    last = max(
        (i for i, name in enumerate(names) if name in required | spoken or i < unnamed), default=-1
    )
    kept = names[: last + 1]
    free = {p.name: p.default for p in known if p.name not in required | spoken}
    defaults = {name: free[name] for i, name in enumerate(kept) if i >= unnamed and name in free}
    return kept, defaults
