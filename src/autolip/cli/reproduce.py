"""`autolip reproduce`: the experiments of the paper behind AutoLip and SeqLip."""

from pathlib import Path

import click

from autolip.cli.options import InFile, NameType
from autolip.cli.progress import step_progress

FOLDER = NameType()
NAMES = ("ideal", "mlp", "cnn", "alexnet", "regularise")


@click.command()
@click.argument("experiment", type=click.Choice(NAMES))
@click.option(
    "--out",
    type=FOLDER,
    metavar="DIR",
    help="Folder for results and finished steps. [reproduced/EXPERIMENT]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option(
    "--quick", is_flag=True, help="Smaller settings: one to two minutes of processor time."
)
@click.option(
    "--data",
    type=FOLDER,
    metavar="DIR",
    help="cnn, regularise: IDX files of MNIST or Fashion-MNIST. [small digits]",
)
@click.option(
    "--weights",
    type=InFile(),
    metavar="FILE",
    help="alexnet: torchvision's state dict (.pth) or .safetensors.",
)
def reproduce(
    experiment: str,
    out: Path | None,
    seed: int,
    quick: bool,
    data: Path | None,
    weights: Path | None,
) -> int:
    """Repeat an experiment of the paper behind AutoLip and SeqLip (Virmaux and Scaman, NeurIPS
    2018).

    ideal: random layers whose spectra fall at once, against the theoretical limit.  mlp: 4 to 10
    layers of 20 on a function of two variables.  cnn: 4 to 10 convolutions on digits.  alexnet:
    with the weights given, with a trained trunk where stlpips-pytorch is installed, or random.
    regularise: the estimates as penalties while a network trains, with certified accuracy against
    radius.

    Writes the table as text, JSON and CSV and a figure as PNG and SVG.  Finished steps are kept:
    run the same command again to go on after an interruption.
    """
    from autolip.arguments import seed as checked_seed
    from autolip.reproduce import Request
    from autolip.reproduce import reproduce as run

    folder = out or Path("reproduced") / (f"{experiment}-quick" if quick else experiment)
    with step_progress() as track:
        outcome, paths = run(
            experiment, Request(folder, checked_seed(seed), quick, data, weights), track
        )
    click.echo(outcome.text())
    click.echo("written: " + ", ".join(map(str, paths)))
    return 0
