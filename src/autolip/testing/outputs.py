"""The law of an output kind: what it measures is one linear map of what a network returns, and it
is read as it is written."""

import torch

from autolip.errors import InputError
from autolip.outputs import KINDS, Output
from autolip.testing.operators import check_operator
from autolip.testing.violation import LawViolation


def check_output(output: Output, shape: torch.Size) -> None:
    """Every answer of an output, for a network that returns this shape.

    * Its read-out takes a tensor of the shape, and is one matrix (`check_operator`); none is the
      identity.
    * Its differences are outputs of the same shape, and there are none beside a read-out.
    * It has a subject, and a text that no other kind reads.

    Raises LawViolation.
    """
    readout = output.readout(shape)
    parts = output.differences(shape)
    if readout is not None:
        _require(readout.in_shape == shape, output, f"must read what has the shape {tuple(shape)}")
        _require(not parts, output, "is one map or several differences, not both")
        check_operator(readout)
    for part in parts:
        check_output(part, shape)
    _require(bool(output.subject.strip()), output, "must say what its bounds are bounds of")
    _require(bool(str(output).strip()), output, "must be written somehow")
    readings = {kind: _read(kind, str(output)) for kind in KINDS.values()}
    others = [kind for kind, meant in readings.items() if meant not in (None, output)]
    names = ", ".join(kind.__name__ for kind in others)
    _require(not others, output, f"is written as what means another output to {names}")


def _read(kind: type[Output], text: str) -> Output | None:
    try:
        return kind.read(text)
    except InputError:
        return None


def _require(holds: bool, output: Output, law: str) -> None:
    if not holds:
        raise LawViolation(f"the output '{output}' ({type(output).__name__}) {law}")
