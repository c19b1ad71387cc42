"""`autolip layers`: what each layer contributes to the bound, and where it is lost."""

from typing import Any

import click

from autolip.cli import completion
from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    SecondsType,
    network_options,
    norm_option,
    output_option,
    random_options,
    region_options,
    units_options,
)
from autolip.cli.progress import progress
from autolip.cli.tables import show_table
from autolip.errors import printable


@click.command()
@click.argument("model", shell_complete=completion.models)
@network_options
@norm_option
@units_options
@output_option
@region_options
@random_options
@click.option(
    "--time-budget", type=SecondsType(), help="Stop after so long, with what is known: 90, 90s, 2m."
)
def layers(**options: Any) -> int:
    """Say what each layer of MODEL contributes to its bound.

    gain: by how much the product bound (AutoLip) grows at this layer; bound: up to here; attained:
    how far two inputs, found by gradient ascent, are apart here, against how far they are apart as
    inputs (measured, no bound); loss: the gain against theirs; share: of the logarithm of the
    product along the main path; stable: neurons with one slope alone on the region.
    """
    network = AskedNetwork.taken(options)
    with progress() as say:
        from autolip.cli.arrays import take_arrays
        from autolip.cli.regions import AskedRegion
        from autolip.estimate import answered
        from autolip.question import Question

        region = AskedRegion.taken(options)
        take_arrays(options)
        question = Question.asked(method="autolip", **options)
        say(f"capturing {network.model}")
        found = network.load(question.output.layer)
        question = question.on(region.around(found.capture.example))
        result = answered(found.capture, question, model=found.name, progress=say)
        told = result.explain()
    from autolip.report.content import headline
    from autolip.report.layers import layer_sheet

    click.echo(f"{printable(found.name)}\n{headline(result)}\n")
    show_table(layer_sheet(result.layer_list))
    click.echo(told)
    return 0
