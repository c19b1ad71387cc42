"""`autolip estimate`: the bracket of one network, as a table or in a file."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolip.cli.listing import shipped_networks
from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    InFile,
    OutFile,
    SecondsType,
    network_options,
    norm_option,
    random_options,
    region_options,
)
from autolip.cli.progress import progress
from autolip.errors import InputError
from autolip.files import write
from autolip.report.formats import CERTIFICATE, FORMATS, suffix_of

if TYPE_CHECKING:
    from torch import Tensor

    from autolip.cli.regions import AskedRegion
    from autolip.lower import LowerMethod
    from autolip.question import Question
    from autolip.result import Result

NO_BRACKET, ENDED_EARLY = 2, 3
"""Defined by `autolip estimate --help`: exit codes."""


@dataclass(frozen=True)
class Asked:
    """The options of `autolip estimate` besides those about the network."""

    output: str
    norm: str
    method: tuple[str, ...]
    lower: tuple[str, ...]
    data: Path | None
    seed: int | None
    delta: float
    time_budget: float | None
    as_json: bool
    file: Path | None
    refer: bool


@click.command()
@click.argument("model", required=False)
@network_options
@norm_option
@click.option(
    "--output",
    default="all",
    show_default=True,
    help="all, one component I, a difference I-J, or pairs.",
)
@region_options
@click.option(
    "--method", multiple=True, metavar="NAME", help="Upper bound; may be repeated. [auto]"
)
@click.option(
    "--lower",
    multiple=True,
    metavar="NAME",
    help="Search for a lower bound; may be repeated. [ascent]",
)
@click.option(
    "--data",
    type=InFile(),
    metavar="FILE.npy",
    help="Inputs (.npy, one a row) for the lower bound named dataset.",
)
@random_options
@click.option(
    "--time-budget", type=SecondsType(), help="Stop after so long, with what is known: 90, 90s, 2m."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON (docs/json.md).")
@click.option(
    "-o",
    "file",
    type=OutFile(*FORMATS, CERTIFICATE),
    metavar="FILE",
    help="Write to a file instead: text (.txt), .json, .csv, .html, or the upper bound's "
    "certificate (.cert).",
)
@click.option(
    "--refer", is_flag=True, help="In a .cert, leave out the weights that the .onnx file holds."
)
def estimate(**options: Any) -> int:
    """Bracket the Lipschitz constant of MODEL.

    MODEL is an .onnx file, a torch.export archive (.pt2), module:factory (a function without
    arguments that returns an nn.Module, looked for in the current folder first), or the name of a
    shipped network.  Without MODEL, the shipped networks are listed.

    Exit codes: 0 a bracket, 2 bad input or unsupported, 3 the time budget ended early.
    """
    if options["model"] is None:
        click.echo(shipped_networks())
        return 0
    network = AskedNetwork.taken(options)
    with progress() as say:
        from autolip.cli.regions import AskedRegion

        region = AskedRegion.taken(options)
        asked = Asked(**options)
        _check(asked, network)
        result = _bracket(asked, network, region, say)
    _deliver(result, asked, network)
    return exit_code(result)


def _check(asked: Asked, network: AskedNetwork) -> None:
    """What the options say about the file, before the work."""
    suffix = None if asked.file is None else suffix_of(asked.file, (*FORMATS, CERTIFICATE))
    if asked.refer and not (suffix == CERTIFICATE and network.model.endswith(".onnx")):
        raise InputError(
            "--refer goes with a certificate (-o FILE.cert) of an .onnx file: leave it out"
        )
    if asked.as_json and suffix not in (None, ".json"):
        raise InputError(f"--json and {asked.file} are two formats: leave one of them out")


def _bracket(
    asked: Asked, network: AskedNetwork, region: "AskedRegion", say: Callable[[str], None]
) -> "Result":
    """Read what was asked, capture, bound."""
    from autolip.estimate import answered

    data = _data(asked)
    question = _question(asked)
    say(f"capturing {network.model}")
    found = network.load()
    question = replace(
        question,
        region=region.around(found.capture.example) or question.region,
        lowers=_searches(question.lowers, data, asked, tuple(found.capture.graph.input_shape)),
    )
    result = answered(
        found.capture, question, model=found.name, time_budget=asked.time_budget, progress=say
    )
    return replace(
        result,
        notes=(*region.notes, *result.notes),
        assumptions={**result.assumptions, "fixed": found.fixed},
    )


def _question(asked: Asked) -> "Question":
    """Everything but the region, checked before the network is looked at."""
    from autolip.question import AUTOMATIC, DEFAULT_LOWER, Question

    return Question.asked(
        norm=asked.norm,
        output=asked.output,
        method=asked.method or AUTOMATIC,
        lower=asked.lower or DEFAULT_LOWER,
        delta=asked.delta,
        seed=asked.seed,
    )


def _data(asked: Asked) -> "Tensor | None":
    if asked.data is None:
        return None
    from autolip.cli.regions import read_array

    data = read_array(asked.data).double()
    if not bool(data.isfinite().all()):
        raise InputError(f"{asked.data} has NaN or infinite entries: give finite numbers")
    return data


def _searches(
    lowers: "tuple[LowerMethod, ...]", data: "Tensor | None", asked: Asked, shape: tuple[int, ...]
) -> "tuple[LowerMethod, ...]":
    """The searches for lower bounds; --data goes to the one over a data set."""
    if data is None:
        return lowers
    from autolip.lower import Dataset

    if data.dim() == 0 or data.numel() != len(data) * math.prod(shape) or len(data) == 0:
        raise InputError(
            f"{asked.data} has shape {tuple(data.shape)}: each row must be an input of "
            f"shape {shape}"
        )
    others = [search for search in lowers if not isinstance(search, Dataset)]
    return (*others, Dataset(data.reshape(len(data), *shape)))


def _deliver(result: "Result", asked: Asked, network: AskedNetwork) -> None:
    """Give the result to its file or the standard output: where the file fails, the bracket is
    printed all the same."""
    if asked.file is None:
        show(result, asked.as_json)
        return
    suffix = suffix_of(asked.file, (*FORMATS, CERTIFICATE))
    try:
        if suffix == CERTIFICATE:
            _certify(result, asked.file, Path(network.model) if asked.refer else None)
        else:
            write(asked.file, FORMATS[suffix](result))
    except InputError:
        show(result, asked.as_json)
        raise


def _certify(result: "Result", file: Path, model: Path | None) -> None:
    """Write the certificate, then print the bracket with what it certifies."""
    from autolip.report.digits import digits_up

    certificate = result.certificate()
    certificate.save(file, model)
    click.echo(
        f"{result!r}\n\n{file} certifies {digits_up(certificate.value)}, by {certificate.method}"
    )


def show(result: "Result", as_json: bool = False) -> None:
    """The result on the standard output: JSON, a table on a terminal, else plain text."""
    if not as_json and sys.stdout.isatty():
        from rich.console import Console

        from autolip.report.table import render_rich

        Console().print(render_rich(result))
    else:
        click.echo(FORMATS[".json" if as_json else ".txt"](result), nl=False)


def exit_code(result: "Result") -> int:
    """0 for a bracket, 3 where the time budget ended early with a bound, else 2."""
    missing = [
        side for side, row in (("upper", result.upper), ("lower", result.lower)) if row is None
    ]
    if not missing:
        return 0 if result.complete else ENDED_EARLY
    click.echo(f"autolip: no {' and no '.join(missing)} bound: see the reasons above", err=True)
    return NO_BRACKET if result.complete or len(missing) == 2 else ENDED_EARLY
