"""`autolip check`: re-check a certificate with the separate small program."""

from pathlib import Path

import click

from autolip.cli.options import InFile


@click.command()
@click.argument("file", type=InFile())
@click.option(
    "--model",
    type=InFile(),
    metavar="MODEL.onnx",
    help="Say which of its initialisers the weights are.",
)
def check(file: Path, model: Path | None) -> int:
    """Re-check the certificate FILE from scratch, and print what it proves under which assumptions.

    The same as `python -m autolip_check FILE`: a separate program, numpy and the standard library only, that shares
    no code with this one.  Exit codes: 0 the certificate holds, 1 it is rejected,
    2 it is no certificate, or cannot be read.
    """
    from autolip_check.__main__ import main

    return main([str(file), *(["--model", str(model)] if model else [])])
