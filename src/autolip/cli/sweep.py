"""`autolip sweep`: many questions about one network, with one capture."""

from dataclasses import replace
from typing import Any

import click

from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    InFile,
    NameType,
    OutFile,
    device_option,
    method_option,
    network_options,
    norm_option,
    output_option,
    random_options,
    region_options,
    units_options,
)
from autolip.cli.progress import progress

ENDED_EARLY = 3
"""Defined by `autolip sweep --help`: exit code."""


@click.command()
@click.argument("model")
@click.argument("questions", type=InFile())
@network_options
@norm_option
@units_options
@output_option
@region_options
@method_option
@random_options
@device_option
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
@click.option(
    "--width",
    type=float,
    default=0.03,
    show_default=True,
    help="How wide, relatively, brackets of regions answered together may stay; 0: none is.",
)
@click.option("--store", type=NameType(), metavar="FILE", help="Keep what is finished here.")
@click.option("--resume", is_flag=True, help="Go on with what the store holds.")
@click.option(
    "-o",
    "file",
    type=OutFile(".csv", ".json", ".html"),
    metavar="FILE",
    help="Write all rows: .csv, .json, or a report (.html).",
)
def sweep(**options: Any) -> int:
    """Bracket the Lipschitz constants that QUESTIONS asks for, a line of a CSV file each.

    Its columns: name, norm, output, method, lower, time_budget, delta, seed, device, input_scale,
    output_scale; a box as lo and hi, a ball as center, radius and ball; numbers are separated by
    blanks.  What a line leaves out is as the options say.

    Exit codes: 0 every question was answered, 2 bad input or unsupported, 3 the time ended early
    for some, or some have no answer.
    """
    network = AskedNetwork.taken(options)
    with progress() as say:
        from autolip.cli.arrays import take_arrays
        from autolip.cli.regions import AskedRegion
        from autolip.outputs import parse_output
        from autolip.question import AUTOMATIC
        from autolip.sweeping.answers import swept
        from autolip.sweeping.table import questions_of
        from autolip.workers import Pool

        questions = questions_of(options.pop("questions"))
        pool = Pool(options.pop("workers"), options.pop("scheduler"))
        kept, file = (options.pop("store"), options.pop("resume")), options.pop("file")
        region = AskedRegion.taken(options)
        take_arrays(options)
        method = options.pop("method") or AUTOMATIC
        say(f"capturing {network.model}")
        loaded = network.load(parse_output(options["output"]).layer)
        options["region"] = region.around(loaded.capture.example)
        found = swept(loaded, questions, pool, *kept, say, method=method, **options)
        found = replace(found, provenance={**found.provenance, **network.origin()})
    try:
        if file is not None:
            found.save(file)
    finally:
        click.echo(repr(found))
    return 0 if found.complete else ENDED_EARLY
