"""`autolip compare`: every method that accepts a network, in one table and one figure."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolip.cli.options import SecondsType, ShapeType
from autolip.cli.progress import progress
from autolip.errors import InputError
from autolip.files import write

if TYPE_CHECKING:
    from autolip.result import Result

FILE = click.Path(path_type=Path)
FIGURE = Path("comparison.png")


@click.command()
@click.argument("model")
@click.option(
    "--input-shape", type=ShapeType(), multiple=True, help="Shape of the input, batch included, as in estimate."
)
@click.option("--weights", type=FILE, metavar="FILE", help="Weights for module:factory.")
@click.option("--norm", default="l2", show_default=True, help="l1, l2 or linf, or a pair input:output.")
@click.option("--box", type=FILE, metavar="FILE", help="Box to stay in: VNN-LIB bounds, or .npy of shape (2, n).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--delta", type=float, default=1e-9, show_default=True, help="Failure probability of random bounds.")
@click.option("--each", type=SecondsType(), default="60", show_default=True, help="Time for each method: 90, 90s, 2m.")
@click.option("--figure", type=FILE, metavar="FILE", help="The figure, .png or .svg. [comparison.png]")
@click.option("--json", "file", type=FILE, metavar="FILE", help="Write the table as JSON too (docs/json.md).")
def compare(
    model: str,
    input_shape: tuple[tuple[str | None, tuple[int, ...]], ...],
    weights: Path | None,
    norm: str,
    box: Path | None,
    seed: int,
    delta: float,
    each: float,
    figure: Path | None,
    file: Path | None,
) -> int:
    """Run every method on MODEL, each on its own, and compare bounds and seconds.

    One table, smallest upper bound first, with the methods that refuse and why; one figure, bound against seconds,
    where matplotlib is installed (extra: report).  Below the upper bounds, a lower one by gradient ascent.
    """
    _check_figure(figure)
    from autolip.capture.inputs import Request
    from autolip.capture.load import load_network
    from autolip.cli.regions import read_region
    from autolip.estimate import compared

    with progress() as say:
        say(f"capturing {model}")
        network = load_network(model, Request(weights, input_shape))
        region = read_region(None, None, "l2", box, network.capture.example)
        result = compared(
            network.capture,
            model=network.name,
            norm=norm,
            region=region,
            seconds=each,
            seed=seed,
            delta=delta,
            progress=say,
        )
    click.echo(repr(result))
    _write(result, figure, file)
    return 0


def _check_figure(figure: Path | None) -> None:
    """Before the work, not after it."""
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise InputError(f"{figure} is neither .png nor .svg: choose one of the two")
    if figure is not None and find_spec("matplotlib") is None:
        raise InputError("the figure needs matplotlib: pip install 'autolip[report]'")


def _write(result: "Result", figure: Path | None, file: Path | None) -> None:
    """The figure, and the table as JSON where that is asked for."""
    import json

    contents: dict[Path, bytes | str] = {}
    if file is not None:
        contents[file] = json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n"
    if find_spec("matplotlib") is not None:
        from autolip.report.comparison import comparison

        path = figure or FIGURE
        contents[path] = comparison(result)[path.suffix.removeprefix(".")]
    else:
        click.echo("\nno figure: it needs matplotlib, pip install 'autolip[report]'")
    for path, content in contents.items():
        write(path, content)
        click.echo(f"\nwritten: {path}")
