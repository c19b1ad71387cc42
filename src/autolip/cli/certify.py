"""`autolip certify`: how many samples of a data set are certified at a radius, and how far each
holds."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    InFile,
    NameType,
    OutFile,
    SecondsType,
    device_option,
    network_options,
)
from autolip.cli.progress import progress
from autolip.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from autolip.robustness import Certified
    from autolip.robustness.request import Request

ENDED_EARLY = 3
"""Defined by `autolip certify --help`: exit code."""

FILES = (".csv", ".json", ".txt", ".html", ".parquet")


class NumbersType(click.ParamType):
    """`0.1307`, or `0.491,0.482,0.447`: one number, or one for each channel."""

    name = "NUMBER[,NUMBER...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return [float(part) for part in re.split(r"\s*,\s*", value.strip())]
        except ValueError:
            self.fail(f"{value!r} is no list of numbers: write 0.5 or 0.49,0.48,0.45", param, ctx)


@click.command()
@click.argument("model")
@network_options
@click.option(
    "--data",
    type=InFile(),
    metavar="FILE.npz",
    help="Samples x and their classes y. [a shipped network's held-out images]",
)
@click.option("--radius", type=float, help="Certify at this radius. [the largest of each sample]")
@click.option(
    "--norm",
    type=click.Choice(["l1", "l2", "linf"]),
    help="Norm of the radius; for boxes, of what proofs measure. [l2; for boxes linf]",
)
@click.option(
    "--box",
    type=NumbersType(),
    help="Certify on boxes, no radius: how far each entry goes, one number or one for each.",
)
@click.option("--largest", is_flag=True, help="Find the largest radius of each sample, to 1%.")
@click.option("--first", type=click.IntRange(1), metavar="N", help="Only the first N samples.")
@click.option(
    "--clip",
    type=float,
    nargs=2,
    default=None,
    metavar="LO HI",
    help="The least and the largest value of an entry: 0 1 for pixels.",
)
@click.option("--mean", type=NumbersType(), help="The network is given (x - mean) / std.")
@click.option("--std", type=NumbersType(), help="See --mean; radii are those of x.")
@click.option("--attack", is_flag=True, help="Search for other classes with 20 restarts, not 2.")
@click.option(
    "--each", type=SecondsType(), help="Stop a sample after so long, with what is known: 10, 10s."
)
@device_option
@click.option(
    "--ignore-rounding",
    is_flag=True,
    help="Certify the real function, not the program in floating point.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes of this machine (extra: distributed).",
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Workers of a Dask cluster instead: tcp://HOST:PORT."
)
@click.option("--store", type=NameType(), metavar="FILE", help="Keep what is finished here.")
@click.option("--resume", is_flag=True, help="Go on with what the store holds.")
@click.option(
    "--certificates",
    type=NameType(),
    metavar="DIR",
    help="Write certificates of the certified samples there, for autolip check.",
)
@click.option(
    "-o",
    "file",
    type=OutFile(*FILES),
    metavar="FILE",
    help="Write all rows: a report (.html), .csv, .json, .txt or .parquet.",
)
def certify(**options: Any) -> int:
    """Count the samples whose class is proved to hold within a radius.

    MODEL is named as for `autolip estimate`; its largest output is the class.  A sample is
    certified, attacked (an input with another class was found), open, or misclassified.

    Exit codes: 0 every sample was judged, 2 bad input or unsupported, 3 the time ended early for
    some.
    """
    network = AskedNetwork.taken(options)
    file = options.pop("file")
    with progress() as say:
        found = _certified(network, options, say)
    if file is None:
        click.echo(repr(found))
    else:
        _written(found, file)
    return 0 if found.complete else ENDED_EARLY


def _written(found: "Certified", file: Path) -> None:
    """To the file, and the one line to the standard output: printed in any case."""
    try:
        found.save(file)
    finally:
        click.echo(found.headline)


def _certified(
    network: AskedNetwork, options: dict[str, Any], say: Callable[[str], None]
) -> "Certified":
    """Read what was asked, capture, judge."""
    from autolip.robustness.certify import certified
    from autolip.robustness.classifier import Classifier
    from autolip.robustness.keeping import Keeping
    from autolip.robustness.surroundings import boxes
    from autolip.workers import Pool

    request = _request(options)
    pool = Pool(options["workers"], options["scheduler"])
    keeping = Keeping(pool, options["store"], options["resume"])
    samples, labels = _samples(network.model, options["data"], options["first"])
    say(f"capturing {network.model}")
    found = network.load()
    classifier = Classifier.of(found.capture, found.name, options["mean"], options["std"])
    folder, box = options["certificates"], options["box"]
    around = None if box is None else boxes(box)
    judged = certified(
        found.capture, classifier, samples, labels, request, keeping, say, folder, around
    )
    return replace(judged, provenance={**judged.provenance, **network.origin()})


def _request(options: dict[str, Any]) -> "Request":
    from autolip.robustness.request import Request

    return Request.asked(
        radius=options["radius"],
        norm=options["norm"],
        regions=options["box"] is not None,
        largest=options["largest"],
        clip=options["clip"],
        rounding=not options["ignore_rounding"],
        attack=options["attack"],
        time_budget=options["each"],
        device=options["device"],
    )


def _samples(model: str, data: Path | None, first: int | None) -> "tuple[Tensor, Any]":
    """Samples and classes of the file, or those that a shipped network was tested on."""
    from autolip import zoo

    if data is not None:
        samples, labels = _read(data)
    elif model in zoo.names():
        samples, labels = zoo.held_out()
    else:
        raise InputError(f"there are no samples for {model}: give --data FILE.npz")
    if first is None:
        return samples, labels
    return samples[:first], None if labels is None else labels[:first]


def _read(data: Path) -> "tuple[Tensor, Any]":
    import zipfile

    import numpy as np

    from autolip.robustness.certify import read_data

    try:
        with np.load(data, allow_pickle=False) as arrays:
            return read_data(arrays)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{data} is no .npz file of arrays: write it by numpy.savez") from error
