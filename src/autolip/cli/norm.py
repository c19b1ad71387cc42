"""`autolip norm`: every norm engine on every affine block of a network."""

from typing import TYPE_CHECKING, Any

import click

from autolip.cli import completion
from autolip.cli.network import AskedNetwork
from autolip.cli.options import network_options, norm_option, output_option, random_options
from autolip.cli.progress import progress
from autolip.cli.tables import show_table
from autolip.errors import InputError

if TYPE_CHECKING:
    from autolip.methods import Problem
    from autolip.methods.blocks import BlockNorms
    from autolip.norms import Norm
    from autolip.operators.norms import Candidate, NormOptions
    from autolip.report.content import Sheet


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.option(
    "--module",
    metavar="PATH",
    help="Only the affine blocks that end in this module, such as features.3.",
)
@network_options
@norm_option
@output_option
@click.option(
    "--tolerance",
    type=float,
    default=1e-3,
    show_default=True,
    help="Relative excess the engines aim at.",
)
@random_options
def norm(
    module: str | None,
    norm: str,
    output: Any,
    tolerance: float,
    seed: int | None,
    delta: float,
    **options: Any,
) -> int:
    """Bound the operator norm of every affine block of MODEL, by every engine that takes it.

    Affine neighbours (convolution, batch norm, average pooling, ...) are one block, and the norm is
    that of the composed map.  The smallest bound is marked; below it the power method after 10 and
    100 iterations shows how far from below it is: it is not a bound.
    """
    network = AskedNetwork.taken(options)
    with progress() as say:
        from autolip.arguments import probability
        from autolip.arguments import seed as checked_seed
        from autolip.methods.blocks import block_norms
        from autolip.norms import parse_norms
        from autolip.operators.norms import NormOptions

        p, q = parse_norms(norm)
        if not 0 < tolerance < 1:
            raise InputError(f"tolerance is {tolerance}: give a number strictly between 0 and 1")
        drawn = None if seed is None else checked_seed(seed)
        wanted = NormOptions(delta=probability(delta, "delta"), tolerance=tolerance, seed=drawn)
        say(f"capturing {network.model}")
        problem = _posed(network, output, p, q, wanted)
        sheets = []
        for block in block_norms(problem, module):
            say(block.place)
            sheets.append(sheet(block))
    for one in sheets:
        show_table(one)
    if seed is not None:
        click.echo(
            f"seed {seed}: what is confident is so for networks made without knowledge of it"
        )
    return 0


def _posed(
    network: AskedNetwork, asked: Any, p: "Norm", q: "Norm", options: "NormOptions"
) -> "Problem":
    """The network everywhere, read at the output that was asked for."""
    from autolip.cli.arrays import output_of
    from autolip.methods import Problem
    from autolip.outputs import parse_output
    from autolip.regions import Everywhere

    output = parse_output(output_of(asked))
    graph = network.load(output.layer).capture.graph
    if output.differences(graph.output_shape):
        raise InputError(
            f"norms are those of one output, not of {output}: give all, I, I-J or rows"
        )
    problem = Problem.pose(graph, Everywhere(), p, q, options)
    readout = output.readout(graph.output_shape)
    return problem if readout is None else problem.reading(readout)


def sheet(block: "BlockNorms") -> "Sheet":
    """A block as a table: engines by value, the smallest marked, then the power method."""
    from autolip.methods.blocks import best
    from autolip.report.content import Sheet
    from autolip.report.digits import digits_near

    winner = best(block.engines)
    rows = [_row(found, block.work, found is winner) for found in block.engines]
    for power in block.powers:
        value = digits_near(power.value.value)
        passes = f"{power.work / block.work:.0f}"
        name = f"power method, {power.iterations} iterations"
        rows.append((name, "estimate, from below", value, f"{power.seconds:.2f}", passes))
    into, out = (
        " x ".join(map(str, shape)) for shape in (block.operator.in_shape, block.operator.out_shape)
    )
    caption = f"{block.place}: {into} -> {out}, {block.weights} weights"
    bold = tuple(number for number, found in enumerate(block.engines) if found is winner)
    return Sheet(
        caption,
        ("engine", "certainty", "value", "seconds", "passes"),
        tuple(rows),
        left=2,
        bold=bold,
    )


def _row(found: "Candidate", work: float, best: bool) -> tuple[str, ...]:
    from autolip.errors import Refusal
    from autolip.report.digits import delta_up, digits_up

    name = f"* {found.engine}" if best else f"  {found.engine}"
    cost = (f"{found.seconds:.2f}", f"{found.work / work:.0f}")
    if isinstance(found.bound, Refusal):
        return (name, f"refused: {found.bound}", "", *cost)
    sure = f"confident 1 - {delta_up(found.bound.delta)}" if found.bound.events else "proved"
    return (name, sure, digits_up(found.bound.value), *cost)
