"""`autolip estimate`: the bracket of one network, as a table or JSON."""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolip.cli.listing import shipped_networks
from autolip.cli.options import FixType, SecondsType, ShapeType
from autolip.cli.progress import progress
from autolip.errors import InputError
from autolip.files import write

if TYPE_CHECKING:
    from autolip.lower import LowerMethod
    from autolip.result import Result

FILE = click.Path(path_type=Path)
NO_BRACKET, ENDED_EARLY = 2, 3


@dataclass(frozen=True)
class Asked:
    """The options of `autolip estimate`."""

    model: str
    input_shape: tuple[tuple[str | None, tuple[int, ...]], ...]
    varying: str | None
    fix: tuple[tuple[str, Path], ...]
    weights: Path | None
    evaluation: bool
    norm: str
    output: str
    center: str | None
    radius: float | None
    ball: str
    box: Path | None
    method: tuple[str, ...]
    lower: tuple[str, ...]
    data: Path | None
    seed: int
    delta: float
    time_budget: float | None
    as_json: bool
    file: Path | None
    refer: bool


@click.command()
@click.argument("model", required=False)
@click.option(
    "--input-shape",
    type=ShapeType(),
    multiple=True,
    help="Shape of the input, batch included: 1,3,32,32. Several inputs: give it once for each, as NAME=1,3.",
)
@click.option("--input", "varying", metavar="NAME", help="The input that varies; the others are held fixed. [first]")
@click.option("--fix", type=FixType(), multiple=True, help="Value of an input that is held fixed. [zeros]")
@click.option(
    "--weights", type=FILE, metavar="FILE", help="Weights for module:factory: .safetensors, or a state dict (.pth)."
)
@click.option("--eval", "evaluation", is_flag=True, help="Call model.eval() on what module:factory returns.")
@click.option("--norm", default="l2", show_default=True, help="l1, l2 or linf, or a pair input:output such as linf:l2.")
@click.option("--output", default="all", show_default=True, help="all, one component I, a difference I-J, or pairs.")
@click.option("--center", metavar="FILE.npy", help="Centre of a ball to stay in, or: example.")
@click.option("--radius", type=float, help="Radius of the ball.")
@click.option("--ball", type=click.Choice(["l2", "linf"]), default="l2", show_default=True, help="Norm of the ball.")
@click.option("--box", type=FILE, metavar="FILE", help="Box to stay in: VNN-LIB bounds, or .npy of shape (2, n).")
@click.option("--method", multiple=True, metavar="NAME", help="Upper bound; may be repeated. [auto]")
@click.option("--lower", multiple=True, metavar="NAME", help="Search for a lower bound; may be repeated. [ascent]")
@click.option(
    "--data", type=FILE, metavar="FILE.npy", help="Inputs (.npy, one a row) for the lower bound named dataset."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--delta", type=float, default=1e-9, show_default=True, help="Failure probability of random bounds.")
@click.option("--time-budget", type=SecondsType(), help="Stop after so long, with what is known: 90, 90s, 2m.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON (docs/json.md).")
@click.option(
    "-o",
    "file",
    type=FILE,
    metavar="FILE",
    help="Write to a file instead: JSON (.json), the upper bound's certificate (.cert), or text.",
)
@click.option("--refer", is_flag=True, help="In a .cert, leave out the weights that the .onnx file holds.")
def estimate(**options: Any) -> int:
    """Bracket the Lipschitz constant of MODEL.

    MODEL is an .onnx file, a torch.export archive (.pt2), module:factory (a function without arguments that returns
    an nn.Module, looked for in the current folder first), or the name of a shipped network.  Without MODEL, the
    shipped networks are listed.

    Exit codes: 0 a bracket, 2 bad input or unsupported, 3 the time budget ended early.
    """
    if options["model"] is None:
        click.echo(shipped_networks())
        return 0
    asked = Asked(**options)
    _check_writable(asked.file)
    _check_refer(asked)
    with progress() as say:
        result = _bracket(asked, say)
    _write(result, asked)
    return _exit_code(result)


def _bracket(asked: Asked, say: Callable[[str], None]) -> "Result":
    """Load, capture, bound; PyTorch is imported here."""
    deadline = None if asked.time_budget is None else time.monotonic() + asked.time_budget
    from autolip.capture.inputs import Request
    from autolip.capture.load import load_network
    from autolip.cli.regions import read_array, read_region
    from autolip.estimate import bracket

    values = {name: read_array(path) for name, path in asked.fix}
    say(f"capturing {asked.model}")
    request = Request(asked.weights, asked.input_shape, asked.varying, values, asked.evaluation)
    network = load_network(asked.model, request)
    region = read_region(asked.center, asked.radius, asked.ball, asked.box, network.capture.example)
    result = bracket(
        network.capture,
        model=network.name,
        norm=asked.norm,
        region=region,
        output=asked.output,
        method=asked.method or "auto",
        lower=_searches(asked, tuple(network.capture.graph.input_shape)),
        deadline=deadline,
        delta=asked.delta,
        seed=asked.seed,
        progress=say,
    )
    return replace(result, assumptions={**result.assumptions, "fixed": network.fixed})


def _searches(asked: Asked, shape: tuple[int, ...]) -> "list[str | LowerMethod]":
    """The searches for lower bounds; --data goes to the one over a data set."""
    from autolip.estimate import DEFAULT_LOWER

    names = list(asked.lower or DEFAULT_LOWER)
    if asked.data is None:
        return [*names]
    from autolip.cli.regions import read_array
    from autolip.lower import Dataset

    data = read_array(asked.data).double()
    if data.dim() == 0 or data.numel() != len(data) * math.prod(shape) or len(data) == 0:
        raise InputError(f"{asked.data} has shape {tuple(data.shape)}: each row must be an input of shape {shape}")
    search = Dataset(data.reshape(len(data), *shape))
    return [*(name for name in names if name != Dataset.name), search]


def _check_writable(file: Path | None) -> None:
    """Before the work, not after it."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise InputError(f"{file} cannot be written: it is a folder, or its folder does not exist")


def _check_refer(asked: Asked) -> None:
    certificate = asked.file is not None and asked.file.suffix == ".cert"
    if asked.refer and not (certificate and asked.model.endswith(".onnx")):
        raise InputError("--refer goes with a certificate (-o FILE.cert) of an .onnx file: leave it out")


def _write(result: "Result", asked: Asked) -> None:
    """The result to a file or the standard output: JSON, a table, plain text, or a certificate."""
    if asked.file is not None and asked.file.suffix == ".cert":
        from autolip.report.digits import digits_up

        certificate = result.certificate()
        certificate.save(asked.file, Path(asked.model) if asked.refer else None)
        click.echo(f"{result!r}\n\n{asked.file} certifies {digits_up(certificate.value)}, by {certificate.method}")
        return
    as_json = asked.as_json or (asked.file is not None and asked.file.suffix == ".json")
    text = json.dumps(result.to_dict(), indent=2, allow_nan=False) if as_json else repr(result)
    if asked.file is not None:
        write(asked.file, text + "\n")
    elif not as_json and sys.stdout.isatty():
        from rich.console import Console

        from autolip.report.table import render_rich

        Console().print(render_rich(result))
    else:
        click.echo(text)


def _exit_code(result: "Result") -> int:
    """0 for a bracket, 3 where the time budget ended early, else 2."""
    if not result.complete:
        return ENDED_EARLY
    missing = [side for side, row in (("upper", result.upper), ("lower", result.lower)) if row is None]
    if missing:
        click.echo(f"autolip: no {' and no '.join(missing)} bound: see the reasons above", err=True)
    return NO_BRACKET if missing else 0
