"""The one verb: `lipschitz(model, inputs)` brackets a Lipschitz constant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from autolip.arguments import array, shown
from autolip.budget import Budget, stopwatch
from autolip.capture.guarded import unended
from autolip.capture.inputs import Request
from autolip.capture.load import Network, load_network
from autolip.capture.replay import replay
from autolip.capture.torch.export import Capture, capture_model
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError
from autolip.findings import CONSTANT, Row, smallest_upper, versions
from autolip.lower import LowerProblem
from autolip.methods import METHODS, Method, Problem, method_named
from autolip.operators.diagonal import Diagonal
from autolip.operators.norms import NormOptions
from autolip.operators.operator import CPU
from autolip.pairwise import bracketed
from autolip.portfolio import Found, Portfolio, Progress
from autolip.quantisation import rounding_error, without_rounding
from autolip.question import (
    AUTOMATIC,
    Choice,
    LowerChoice,
    Question,
    as_shape,
    example_tensors,
    varying_inputs,
)
from autolip.regions import Region
from autolip.result import Result
from autolip.values import ZERO, Lower


@unended()
def lipschitz(
    model: nn.Module | Callable[..., Any] | Network,
    example_inputs: Any = None,
    *,
    norm: Any = "l2",
    region: Region | Mapping[str, Region] | Sequence[Region] | None = None,
    secants: Any = "any",
    point: Any = None,
    input_scale: Any = None,
    output_scale: Any = None,
    output: Any = "all",
    method: Choice = "auto",
    lower: LowerChoice = AUTOMATIC,
    varying: int | str | Sequence[int | str] = 0,
    outputs: int | str | None = None,
    time_budget: float | None = None,
    delta: float = 1e-9,
    seed: int | None = None,
    device: Any = None,
    progress: Progress | None = None,
) -> Result:
    """A bracket on sup ||f(x) - f(y)||_q / ||x - y||_p over x, y in the region.

    `model` is an `nn.Module` in eval mode or a function of tensors, `example_inputs` its arguments
    (tensors or arrays, one, a tuple, or a dictionary by name; shapes are enough), of which
    `varying` (position or name) varies and the others are held fixed; or `model` is what `load`
    returns, which has its inputs. With a list, varying=[0, "state"], several vary together: x is
    then all their entries as one vector, in the norm of that vector. With `secants` "centre" over x
    alone, y being the region's centre or a `point` of it: the calmness modulus. `input_scale` and
    `output_scale` are units of the entries: lengths are those of (x - y) / s and (f(x) - f(y)) / t.
    Each is a number, or numbers above 0 that broadcast to the shape, of several inputs also by
    name; regions and witnesses are in the user's numbers. `norm` is "l2", "l1", "linf", a `Norm`,
    an exponent (2), or a pair: "linf:l2", ("linf", "l2") (input, output); `region` an
    `Everywhere()` (default), `Box` or `Ball`, where several inputs vary of all their entries, or
    {"x": Ball(...), "state": Box(...)} for each; `output` is "all", 3 (one component), (3, 5) or
    "3-5" (the difference of two), "pairs" (all differences), a matrix of rows or an `nn.Linear`
    (that map of them), "layer:features.3" (what that layer returns), or an `Output` of a class of
    your own. Of several tensors that the model returns, `outputs` chooses one by name or number, or
    "all" as one vector. `method` and `lower` are names, classes, objects or lists of them; None: no
    bound on that side. `time_budget` is in seconds, capture apart; `delta` bounds the probability
    that any randomised upper bound fails, over the system's randomness; with a `seed`, over
    networks made without knowing it. Searches pass through the network on a `device`, such as
    "cuda"; proofs stay on the processor. Units: output per input.

    Raises InputError, UnsupportedOperation or CaptureMismatch, each in one sentence.
    """
    question = Question.asked(
        norm=norm, region=region, secants=secants, point=point, output=output, method=method,
        lower=lower, time_budget=time_budget, delta=delta, seed=seed,
        input_scale=input_scale, output_scale=output_scale, device=device,
    )  # fmt: skip
    which = varying_inputs(varying)
    if progress is not None and not callable(progress):
        raise InputError(f"progress is {shown(progress)}: give a function that takes a text")
    network = _network(model, example_inputs, which, outputs, question.output.layer)
    result = answered(network.capture, question, model=network.name, progress=progress, apart=True)
    if not network.fixed:
        return result
    return replace(result, assumptions={**result.assumptions, "fixed": network.fixed})


def _network(
    model: Any,
    example_inputs: Any,
    varying: tuple[int | str, ...],
    outputs: int | str | None,
    layer: str | None,
) -> Network:
    """What `load` returned, or a model captured on its example inputs."""
    if isinstance(model, Network):
        if example_inputs is not None or varying != (0,) or outputs is not None:
            raise InputError("this network has its inputs: give them, and outputs, to autolip.load")
        return model
    if example_inputs is None:
        raise InputError("there are no example inputs: give a tensor, or the shape of one")
    inner = unwrapped(model)
    examples = example_tensors(inner, example_inputs)
    capture = capture_model(inner, examples, varying, outputs, layer=layer)
    return Network(capture, _name(inner), {})


@unended()
def load(
    model: str | Path,
    *,
    input_shape: Any = None,
    varying: str | Sequence[str] | None = None,
    fix: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    evaluation: bool = False,
    outputs: int | str | None = None,
    layer: str | None = None,
) -> Network:
    """The network in an .onnx file or a .pt2 archive, of module:factory, or one that is shipped,
    for `lipschitz`.

    `input_shape` is the shape of its input, or a dictionary of shapes by name, where the file does
    not tell; `varying` names the input that varies, or several (default: the first), `fix` holds
    the values of others (default: zeros); `weights` is a file for module:factory, `evaluation`
    calls its `eval()`; `outputs` chooses among several returned tensors; `layer` is the one whose
    output is meant, by its path in a module or the name of a node or value of an ONNX file.

    Raises InputError, UnsupportedOperation or CaptureMismatch, each in one sentence.

    >>> import autolip
    >>> network = autolip.load("digits-mlp")
    >>> autolip.lipschitz(network, method="frobenius", lower=None).upper.value < 330
    True
    """
    shapes = input_shape if isinstance(input_shape, Mapping) else {None: input_shape}
    asked = {name: as_shape(shape) for name, shape in shapes.items() if shape is not None}
    file = None if weights is None else Path(weights)
    values = {name: _value(value, name) for name, value in (fix or {}).items()}
    request = Request(file, tuple(asked.items()), varying, values, evaluation, outputs, layer)
    return load_network(str(model), request)


def _value(value: Any, name: str) -> Any:
    """A number as it is, anything else as an array."""
    return value if isinstance(value, bool | int | float) else array(value, f"the input {name}")


def _name(model: Any) -> str:
    is_module = isinstance(model, nn.Module)
    return type(model).__name__ if is_module else getattr(model, "__name__", "function")


def bracket(
    capture: Capture, *, model: str, progress: Progress | None = None, **asked: Any
) -> Result:
    """`lipschitz` for a network that is captured already; `asked` are the options of
    `Question.asked`."""
    return answered(capture, Question.asked(**asked), model=model, progress=progress)


def answered(
    capture: Capture,
    question: Question,
    *,
    model: str,
    progress: Progress | None = None,
    apart: bool = False,
) -> Result:
    """The answer to a question about a captured network; a time budget begins once the replay has
    ended.

    Where a network rounds to a grid, no constant bounds it: `apart`, the result is about the
    network without its roundings, and says the error that they add.
    """
    say = progress or _silent
    shape = capture.graph.output_shape
    question = question.about(capture)
    centre = question.secants.centre(question.region, capture.graph.input_shape)
    readout = question.output.readout(shape)
    pairs = question.output.differences(shape)
    say("replaying the captured graph against the model")
    elapsed = stopwatch()
    replay(capture, seed=question.seed or 0)
    seconds = capture.seconds + elapsed()
    budget = Budget.of(question.time_budget)
    captured = capture
    capture = without_rounding(capture) if apart and not pairs else capture
    frame = _frame(capture, question, centre, model, seconds)
    if capture.graph.constant is not None:
        return _constant(frame, Row("constant", ZERO))
    say("slopes of every operation")
    problem, search = _posed(capture, question, centre, budget, say)
    uppers = question.methods, question.automatic
    portfolio = Portfolio(*uppers, question.lowers, question.searches, say)
    if pairs:
        frame = replace(frame, problem=problem)
        return bracketed(frame, problem, search, portfolio, pairs)
    if readout is not None:
        problem = problem.reading(readout)
        search = search.reading(readout)
    found = portfolio.found(problem, search)
    result = found.into(
        replace(frame, problem=problem)
    )  # raises where a bound of 0 contradicts what is attained
    if capture is not captured:
        return replace(result, rounding=rounding_error(captured.graph, problem))
    if result.upper is not None and result.upper.value == 0:
        return _constant(frame, result.upper)
    return result


def _silent(text: str) -> None:
    """The progress that nobody asked for."""


def _posed(
    capture: Capture, question: Question, centre: Tensor | None, budget: Budget, say: Progress
) -> tuple[Problem, LowerProblem]:
    """What methods bound and what searches look for; `delta` is shared out among the norms."""
    p = question.p
    q = question.q
    region = question.region
    options = NormOptions(delta=question.delta, seed=question.seed, budget=budget)
    units = question.units
    problem = Problem.pose(capture.graph, region, p, q, options, centre, units.of_input)
    problem = replace(problem, device=question.device)
    each = replace(options, delta=question.delta / (4 * max(1, problem.maps)))
    search = LowerProblem.of(
        capture, region, p, q, seed=question.seed or 0, budget=budget, centre=centre, units=units,
        device=question.device or CPU,
    )  # fmt: skip
    shares = units.shares()
    if shares is not None:
        share = Diagonal.folded(*shares)
        problem, search = problem.reading(share), search.reading(share)
    return replace(problem, options=each, say=say), search


def compared(
    capture: Capture, question: Question, *, model: str, progress: Progress | None = None
) -> Result:
    """Every method on its own, each with the whole time and its own norms: rows by rising value,
    refusals last."""

    def alone(method: Method) -> Result:
        asked = replace(question, methods=(method,), automatic=(), lowers=(), searches=())
        return answered(capture, asked, model=model, progress=progress)

    runs = [alone(method_named(name)) for name in sorted(METHODS)]
    searched = replace(question, methods=(), automatic=())
    lower = answered(capture, searched, model=model, progress=progress)
    rows = [row for run in runs for row in run.bounds if not isinstance(row.answer, Lower)]
    rows = [*sorted(rows, key=_by_value), *lower.bounds]
    upper = smallest_upper(run.upper for run in runs if run.upper is not None)
    complete = all(run.complete for run in runs)
    return Found(tuple(rows), upper, lower.lower, complete).into(lower)


def _by_value(row: Row) -> tuple[bool, float]:
    return row.value is None, row.value or 0.0


def _frame(
    capture: Capture, question: Question, centre: Tensor | None, model: str, seconds: float
) -> Result:
    """The result without its bounds."""
    options: dict[str, Any] = {"delta": question.delta, "seed": question.seed}
    if question.time_budget is not None:
        options["time_budget"] = question.time_budget
    if question.device is not None:
        options["device"] = str(question.device)
    return Result(
        model=model,
        p=question.p,
        q=question.q,
        region=question.region.describe(),
        centre=None if centre is None else tuple(centre.flatten().tolist()),
        output=question.output,
        units=question.units,
        bounds=(),
        upper=None,
        lower=None,
        assumptions=_assumptions(capture),
        options=options,
        provenance=versions(),
        capture_seconds=seconds,
        graph=capture.graph,
    )


def _constant(frame: Result, upper: Row) -> Result:
    """A network that ignores its input has the constant 0, attained by any two inputs."""
    lower = Row("constant", Lower(0.0))
    return replace(frame, bounds=(upper, lower), upper=upper, lower=lower, notes=(CONSTANT,))


def _assumptions(capture: Capture) -> dict[str, Any]:
    """What the numbers are about: nothing else is claimed."""
    shape = list(capture.graph.input_shape)
    several = len(capture.varying.names) > 1
    named = capture.varying.by_name.items()
    each = [{"name": name, "shape": list(own)} for name, own in named]
    returned = {"returned": " and ".join(map(str, capture.returned))} if capture.choices > 1 else {}
    return {
        "input": capture.input_name,
        "input_shape": shape,
        **({"inputs": each} if several else {}),
        **({} if capture.layer is None else {"layer": capture.layer}),
        "batch": shape[0] if len(shape) > 1 else 1,
        "dtype": capture.stored_dtype,
        "arithmetic": "the real-valued function of the stored weights; constants folded in float64",
        **returned,
    }
