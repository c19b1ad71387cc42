"""`autolip check`: re-check a certificate with the separate small program, and the graph in it against the model."""

from pathlib import Path
from typing import Any

import click

from autolip.cli.options import FixType, InFile, ShapeType

HOLDS, REJECTED = 0, 1


@click.command()
@click.argument("file", type=InFile())
@click.option(
    "--model",
    metavar="MODEL",
    help="The model, as for estimate: it is captured again, and the graphs are compared entry by entry.",
)
@click.option("--input-shape", type=ShapeType(), multiple=True, help="Shape of an input of the model.")
@click.option("--input", "varying", metavar="NAME", help="The input that varies. [as in the certificate]")
@click.option("--fix", type=FixType(), multiple=True, help="Value of an input that is held fixed. [zeros]")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON, with all of the region.")
def check(file: Path, model: str | None, as_json: bool, **asked: Any) -> int:
    """Re-check the certificate FILE from scratch, and print what it proves under which assumptions.

    The same as `python -m autolip_check FILE`: a separate program, numpy and the standard library only, that shares
    no code with this one.  With a model, this program then captures it again and compares: all that the certificate
    has otherwise is listed, and it is rejected.

    Exit codes: 0 the certificate holds, 1 it is rejected, 2 it is no certificate, or cannot be read.
    """
    from autolip_check.__main__ import judged, told

    referred = Path(model) if model is not None and model.endswith(".onnx") else None
    verdict, refusal = judged(file, referred)
    if verdict is None:
        return told(*refusal)
    if model is not None:
        found = _differences(file, referred, model, asked)
        if found:
            return told("\n  - ".join([f"rejected: the graph in {file} is not that of {model}", *found]), REJECTED)
        verdict = verdict.captured(f"f is {model}, captured again: its graph is that of the certificate")
    return told(verdict.to_json() if as_json else str(verdict), HOLDS)


def _differences(file: Path, referred: Path | None, model: str, asked: dict[str, Any]) -> list[str]:
    """What the graph of an accepted certificate has otherwise than the model's."""
    from autolip.capture.inputs import Request
    from autolip.cli.recapture import compared
    from autolip.cli.regions import read_array
    from autolip_check.container import read
    from autolip_check.onnx import initializers

    document, tensors = read(file)
    held = {} if referred is None else {name: stored.values for name, stored in initializers(referred).items()}
    values = {name: read_array(path) for name, path in asked["fix"]}
    request = Request(shapes=asked["input_shape"], varying=asked["varying"], values=values)
    return compared(document, held | tensors, model, request)
