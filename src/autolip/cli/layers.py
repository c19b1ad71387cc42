"""`autolip layers`: what each layer contributes to the bound, and where it is lost."""

from typing import Any

import click

from autolip.cli import completion
from autolip.cli.network import AskedNetwork
from autolip.cli.options import (
    SecondsType,
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
from autolip.cli.tables import show_table, show_text
from autolip.errors import printable


@click.command()
@click.argument("model", shell_complete=completion.models)
@network_options
@norm_option
@units_options
@output_option
@region_options
@method_option
@random_options
@device_option
@click.option(
    "--time-budget", type=SecondsType(), help="Stop after so long, with what is known: 90, 90s, 2m."
)
def layers(**options: Any) -> int:
    """Say what each layer of MODEL contributes to its bound.

    bound: of the network up to here, by the method whose bound of the whole is the smallest; gain:
    by how much it grows at this layer; attained: how far two inputs, found by gradient ascent, are
    apart here, against how far they are apart as inputs (measured, no bound); loss: the gain
    against theirs; share: of the logarithm of the bound; stable: neurons with one slope alone on
    the region.  Along the main path gains multiply to the bound, losses to the bracket's width.
    """
    network = AskedNetwork.taken(options)
    with progress() as say:
        from autolip.cli.arrays import take_arrays
        from autolip.cli.regions import AskedRegion
        from autolip.estimate import answered
        from autolip.question import AUTOMATIC, Question

        region = AskedRegion.taken(options)
        take_arrays(options)
        method = options.pop("method") or AUTOMATIC
        question = Question.asked(method=method, **options)
        say(f"capturing {network.model}")
        found = network.load(question.output.layer)
        question = question.on(region.around(found.capture.example))
        result = answered(found.capture, question, model=found.name, progress=say)
        told = result.explain()
    from autolip.report.content import headline
    from autolip.report.layers import layer_sheet

    show_text(f"{printable(found.name)}\n{headline(result)}\n")
    show_table(layer_sheet(result, result.layer_list))
    show_text(told)
    return 0
