"""`autolip compare`: every method that accepts a network, in one table and one figure."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolip.cli import completion
from autolip.cli.estimate import exit_code, show
from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    OutFile,
    SecondsType,
    device_option,
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
from autolip.files import check_writable, write
from autolip.report.formats import FORMATS, check_drawable, suffix_of

if TYPE_CHECKING:
    from autolip.result import Result

FIGURE = Path("comparison.png")


@click.command()
@click.argument("model", shell_complete=completion.models)
@network_options
@norm_option
@units_options
@output_option
@region_options
@secants_options
@random_options
@device_option
@click.option(
    "--each",
    type=SecondsType(),
    default="60",
    show_default=True,
    help="Time for each method: 90, 90s, 2m.",
)
@click.option(
    "--figure",
    type=OutFile(".png", ".svg"),
    metavar="FILE",
    help="The figure, .png or .svg. [comparison.png]",
)
@click.option(
    "--json", "as_json", type=OutFile(".json"), metavar="FILE", help="The same as -o FILE.json."
)
@click.option(
    "-o",
    "file",
    type=OutFile(*FORMATS),
    metavar="FILE",
    help="Write the table too: a report (.html), .txt, .json, .csv, .tex, a figure (.svg, .pdf, "
    ".png).",
)
def compare(
    each: float,
    figure: Path | None,
    as_json: Path | None,
    file: Path | None,
    **options: Any,
) -> int:
    """Run every method on MODEL, each on its own, and compare bounds and seconds.

    One table, smallest upper bound first, with the methods that refuse and why; one figure, bound
    against seconds, where matplotlib is installed (extra: report).  Below the upper bounds, a lower
    one by gradient ascent.
    """
    check_drawable("" if file is None else suffix_of(file, tuple(FORMATS)))
    drawn = _checked_figure(figure)
    network = AskedNetwork.taken(options)
    with progress() as say:
        from autolip.cli.arrays import read_point, take_arrays
        from autolip.cli.regions import AskedRegion
        from autolip.estimate import compared
        from autolip.outputs import Pairs
        from autolip.question import Question

        region = AskedRegion.taken(options)
        options["point"] = read_point(options["point"])
        take_arrays(options)
        question = Question.asked(time_budget=each, **options)
        if question.output == Pairs():
            raise InputError(
                "a comparison is of one constant: give one output or a difference instead of pairs"
            )
        say(f"capturing {network.model}")
        found = network.load(question.output.layer)
        question = question.on(region.around(found.capture.example))
        result = compared(found.capture, question, model=found.name, progress=say)
    result = replace(
        result,
        notes=(*region.notes, *result.notes),
        provenance={**result.provenance, **network.origin()},
    )
    show(result)
    _write(result, drawn, [path for path in (as_json, file) if path is not None])
    return exit_code(result)


def _checked_figure(figure: Path | None) -> Path | None:
    """Where the figure goes, None where it cannot be drawn and nobody asked for it; looked at
    before the work."""
    drawable = find_spec("matplotlib") is not None
    if figure is not None and not drawable:
        raise InputError("the figure needs matplotlib: pip install 'autolip[report]'")
    if drawable:
        check_writable(figure or FIGURE)
    return figure or FIGURE if drawable else None


def _write(result: "Result", figure: Path | None, files: list[Path]) -> None:
    """The figure, and the table where that is asked for."""
    contents: dict[Path, bytes | str] = {
        path: FORMATS[suffix_of(path, tuple(FORMATS))](result) for path in files
    }
    if figure is not None:
        from autolip.report.comparison import comparison

        contents[figure] = comparison(result)[figure.suffix.lower().removeprefix(".")]
    else:
        click.echo("\nno figure: it needs matplotlib, pip install 'autolip[report]'")
    for path, content in contents.items():
        write(path, content)
        click.echo(f"\nwritten: {path}")
