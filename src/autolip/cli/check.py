"""`autolip check`: re-check a certificate with the separate small program, and the graph in it
against the model."""

from pathlib import Path
from typing import Any

import click

from autolip.cli.network import AskedNetwork
from autolip.cli.options import InFile, network_options

HOLDS = 0
"""Defined by `autolip check --help`: the exit code of a certificate that holds."""

REJECTED = 1
"""Defined there: that of one that does not."""


@click.command()
@click.argument("file", type=InFile())
@click.option(
    "--model",
    metavar="MODEL",
    help="The model, as for estimate: it is captured again, and the graphs are compared entry "
    "by entry.",
)
@network_options
@click.option(
    "--budget",
    metavar="SECONDS",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Check nothing that would take longer than about this; by default there is no limit.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the verdict as JSON, with all of the region."
)
def check(file: Path, as_json: bool, budget: float | None, **options: Any) -> int:
    """Re-check the certificate FILE from scratch, and print what it proves under which assumptions.

    The same as `python -m autolip_check FILE`: a separate program, numpy and the standard library
    only, that shares no code with this one.  With a model, this program then captures it again, of
    the input and the shape that the certificate names, and compares: all that the certificate has
    otherwise is listed, and it is rejected.

    Exit codes: 0 the certificate holds, 1 it is rejected, 2 it is no certificate, cannot be read,
    or takes longer than the budget.
    """
    from autolip_check.__main__ import judged, told

    asked = None if options["model"] is None else AskedNetwork.taken(options)
    referred = Path(asked.model) if asked is not None and asked.model.endswith(".onnx") else None
    verdict, refusal = judged(file, referred, budget)
    if verdict is None:
        return told(*refusal)
    if asked is not None:
        found = _differences(file, referred, asked)
        if found:
            heading = f"rejected: the graph in {file} is not that of {asked.model}"
            return told("\n  - ".join([heading, *found]), REJECTED)
        verdict = verdict.captured(
            f"f is {asked.model}, captured again: its graph is that of the certificate"
        )
    return told(verdict.to_json() if as_json else str(verdict), HOLDS)


def _differences(file: Path, referred: Path | None, asked: AskedNetwork) -> list[str]:
    """What the graph of an accepted certificate has otherwise than the model's."""
    from autolip.cli.recapture import compared
    from autolip_check.container import read
    from autolip_check.onnx import initializers

    document, tensors = read(file)
    held = (
        {}
        if referred is None
        else {name: stored.values for name, stored in initializers(referred).items()}
    )
    return compared(document, held | tensors, asked)
