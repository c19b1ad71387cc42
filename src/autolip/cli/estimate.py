"""`autolip estimate`: the bracket of one network, as a table or in a file."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolip.cli import completion
from autolip.cli.listing import shipped_networks
from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    DecimalType,
    InFile,
    OutFile,
    SecondsType,
    device_option,
    method_option,
    network_options,
    norm_option,
    output_option,
    random_options,
    region_options,
    secants_options,
    units_options,
)
from autolip.cli.progress import progress
from autolip.errors import InputError
from autolip.files import write
from autolip.report.content import headline
from autolip.report.formats import CERTIFICATE, FORMATS, check_drawable, suffix_of

if TYPE_CHECKING:
    from torch import Tensor

    from autolip.cli.regions import AskedRegion
    from autolip.lower import LowerMethod
    from autolip.question import Question
    from autolip.result import Result

ABOVE, NO_BRACKET, ENDED_EARLY = 1, 2, 3
"""Defined by `autolip estimate --help`: exit codes."""


@dataclass(frozen=True)
class Delivery:
    """How the result is given: on the standard output as text or JSON, or in a file."""

    as_json: bool
    file: Path | None
    refer: bool

    @staticmethod
    def taken(options: dict[str, Any]) -> "Delivery":
        """From all of a command's options."""
        return Delivery(**{name: options.pop(name) for name in Delivery.__dataclass_fields__})

    def check(self, model: str) -> None:
        """InputError where the options contradict each other; called before the work."""
        suffix = None if self.file is None else suffix_of(self.file, (*FORMATS, CERTIFICATE))
        check_drawable(suffix)
        if self.refer and not (suffix == CERTIFICATE and model.endswith(".onnx")):
            raise InputError(
                "--refer goes with a certificate (-o FILE.cert) of an .onnx file: leave it out"
            )
        if self.as_json and suffix not in (None, ".json"):
            raise InputError(f"--json and {self.file} are two formats: leave one of them out")

    def give(self, result: "Result", model: Path) -> None:
        """To the file or the standard output: where the file fails, the bracket is printed all the
        same."""
        if self.file is None:
            show(result, self.as_json)
            return
        suffix = suffix_of(self.file, (*FORMATS, CERTIFICATE))
        try:
            if suffix == CERTIFICATE:
                _certify(result, self.file, model if self.refer else None)
            else:
                write(self.file, FORMATS[suffix](result))
                click.echo(f"{headline(result)}\nwritten: {self.file}")
        except InputError:
            show(result, self.as_json)
            raise


def _certify(result: "Result", file: Path, model: Path | None) -> None:
    """Write the certificate, then print the bracket with what it certifies."""
    from autolip.report.digits import digits_up

    certificate = result.certificate()
    certificate.save(file, model)
    click.echo(
        f"{result!r}\n\n{file} certifies {digits_up(certificate.value)}, by {certificate.method}"
    )


@click.command()
@click.argument("model", required=False, shell_complete=completion.models)
@network_options
@norm_option
@units_options
@output_option
@region_options
@secants_options
@method_option
@click.option(
    "--lower",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.searches,
    help="Search for a lower bound; may be repeated. [auto]",
)
@click.option(
    "--data",
    type=InFile(),
    metavar="FILE.npy",
    help="Inputs (.npy, one a row) for the lower bound named dataset.",
)
@random_options
@device_option
@click.option(
    "--time-budget", type=SecondsType(), help="Stop after so long, with what is known: 90, 90s, 2m."
)
@click.option(
    "--at-most",
    type=DecimalType(),
    metavar="NUMBER",
    help="Exit with 1 where the upper bound is larger: for continuous integration.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON (docs/json.md).")
@click.option(
    "-o",
    "file",
    type=OutFile(*FORMATS, CERTIFICATE),
    metavar="FILE",
    help="Write to a file instead: a report (.html), text (.txt), .json, .csv, .tex, a figure "
    "(.svg, .pdf, .png), or the upper bound's certificate (.cert).",
)
@click.option(
    "--resume",
    type=InFile(),
    metavar="FILE.tree",
    help="Go on with a search of --method exact that was ended: its tree is in FILE.tree, beside "
    "the FILE of -o.",
)
@click.option(
    "--refer", is_flag=True, help="In a .cert, leave out the weights that the .onnx file holds."
)
def estimate(**options: Any) -> int:
    """Bracket the Lipschitz constant of MODEL.

    MODEL is an .onnx file, a torch.export archive (.pt2), module:factory (a function without
    arguments that returns an nn.Module, looked for in the current folder first), or the name of a
    shipped network.  Without MODEL, the shipped networks are listed.

    Exit codes: 0 a bracket, 1 the upper bound is above --at-most, 2 bad input or unsupported, 3 the
    time budget ended early.
    """
    if options["model"] is None:
        click.echo(shipped_networks())
        return 0
    network = AskedNetwork.taken(options)
    delivery = Delivery.taken(options)
    limit = options.pop("at_most")
    with progress() as say:
        from autolip.cli.regions import AskedRegion

        region = AskedRegion.taken(options)
        delivery.check(network.model)
        store = _stored(options, delivery.file)
        result = _bracket(network, region, options, say)
    delivery.give(result, Path(network.model))
    if store is not None:
        _forgotten(store)
    return exit_code(result) if limit is None else _within(result, limit)


def _bracket(
    network: AskedNetwork,
    region: "AskedRegion",
    options: dict[str, Any],
    say: Callable[[str], None],
) -> "Result":
    """Read what was asked, capture, bound; all but the region's shape is checked before the network
    is looked at."""
    from autolip.estimate import answered

    data = options.pop("data")
    samples = None if data is None else _samples(data)
    question = _question(options)
    say(f"capturing {network.model}")
    found = network.load(question.output.layer)
    question = question.on(region.around(found.capture.example))
    if samples is not None:
        shape = tuple(found.capture.graph.input_shape)
        question = replace(question, lowers=_searches(question.lowers, samples, data, shape))
    result = answered(found.capture, question, model=found.name, progress=say, apart=True)
    return replace(
        result,
        notes=(*region.notes, *result.notes),
        assumptions={**result.assumptions, "fixed": found.fixed},
        provenance={**result.provenance, **network.origin()},
    )


def _stored(options: dict[str, Any], file: Path | None) -> Path | None:
    """The file in which the method exact keeps its tree, which it is told: that of --resume, or one
    beside the file of -o."""
    resumed = options.pop("resume")
    keeps = "exact" in options["method"] and options["output"] != "pairs"
    if resumed is not None and not keeps:
        raise InputError(
            "--resume goes on with the search of --method exact for one output, or one map of them"
        )
    if not keeps or (resumed is None and file is None):
        return None
    from autolip.methods.exact.kept import ENDING, check_free
    from autolip.methods.exact.method import Exact

    store = resumed or Path(f"{file}{ENDING}")
    check_free(store, resumed is not None)
    kept = Exact(store=store, resume=resumed is not None)
    options["method"] = [kept if name == "exact" else name for name in options["method"]]
    return store


def _forgotten(store: Path) -> None:
    """Of a search that is finished nothing is left to go on with."""
    from autolip.methods.exact.kept import forget

    forget(store)


def _question(options: dict[str, Any]) -> "Question":
    """What is asked, everywhere for the time being."""
    from autolip.cli.arrays import read_point, take_arrays
    from autolip.question import AUTOMATIC, Question

    options["point"] = read_point(options["point"])
    take_arrays(options)
    method = options.pop("method") or AUTOMATIC
    lower = options.pop("lower") or AUTOMATIC
    return Question.asked(method=method, lower=lower, **options)


def _samples(file: Path) -> "Tensor":
    """The inputs of --data; InputError where they are no finite numbers."""
    from autolip.cli.arrays import read_array

    samples = read_array(file).double()
    if not bool(samples.isfinite().all()):
        raise InputError(f"{file} has NaN or infinite entries: give finite numbers")
    return samples


def _searches(
    lowers: "tuple[LowerMethod, ...]", samples: "Tensor", file: Path, shape: tuple[int, ...]
) -> "tuple[LowerMethod, ...]":
    """The searches for lower bounds, that over the data set with the inputs of --data."""
    from autolip.lower import Dataset

    count = len(samples) if samples.dim() else 0
    if count == 0 or samples.numel() != count * math.prod(shape):
        raise InputError(
            f"{file} has shape {tuple(samples.shape)}: each row must be an input of shape {shape}"
        )
    others = [search for search in lowers if not isinstance(search, Dataset)]
    return (*others, Dataset(samples.reshape(count, *shape)))


def show(result: "Result", as_json: bool = False) -> None:
    """The result on the standard output: JSON, a table on a terminal, else plain text."""
    if not as_json and sys.stdout.isatty():
        from rich.console import Console

        from autolip.report.table import render_rich

        Console().print(render_rich(result))
    else:
        click.echo(FORMATS[".json" if as_json else ".txt"](result), nl=False)


def _within(result: "Result", limit: Decimal) -> int:
    """0 where the upper bound is at most the limit, whatever ended early; 1 where it is not."""
    if result.upper is None or result.upper.value is None:
        return exit_code(result)
    if result.rounding is not None:
        click.echo(
            "autolip: the network rounds to a grid and jumps: no constant bounds it", err=True
        )
        return ABOVE
    if Decimal(result.upper.value) <= limit:
        return 0
    click.echo(f"autolip: the upper bound is above --at-most {limit}", err=True)
    return ABOVE


def exit_code(result: "Result") -> int:
    """0 for a bracket, 3 where the time budget ended early with a bound, else 2."""
    missing = [
        side for side, row in (("upper", result.upper), ("lower", result.lower)) if row is None
    ]
    if not missing:
        return 0 if result.complete else ENDED_EARLY
    click.echo(f"autolip: no {' and no '.join(missing)} bound: see the reasons above", err=True)
    return NO_BRACKET if result.complete or len(missing) == 2 else ENDED_EARLY
