"""Certificates of samples: one file for each rival of a certified sample, for `autolip check`.

Each says that f_y - f_j is positive on the whole region, as it is at least so much at the sample
and changes by at most a calmness modulus times the radius, which LipSDP proves step by step.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from autolip.budget import Budget
from autolip.certificates import Certificate
from autolip.errors import InputError, OutputError, Refusal, printable
from autolip.methods import Problem
from autolip.methods.lipsdp.method import LipSDP
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.outputs.difference import Difference
from autolip.robustness.classifier import Classifier
from autolip.robustness.request import Request
from autolip.robustness.trial import margins_at
from autolip.robustness.verdict import Verdict


@dataclass(frozen=True)
class Folder:
    """Where certificates are written, for samples of one classifier."""

    path: Path
    classifier: Classifier
    request: Request

    @classmethod
    def made(cls, path: str | Path, classifier: Classifier, request: Request) -> "Folder":
        """The folder, which is made where it is missing; InputError where there are certificates
        already, no LipSDP for the norm, or no radii."""
        path = Path(path)
        if request.regions:
            raise InputError("certificates say how far a class holds: give a radius, no region")
        if request.norm is Norm.L1:
            raise InputError("certificates of l1 balls cannot be had: LipSDP bounds nothing there")
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = any(path.glob("*.cert"))
        except OSError as error:
            raise OutputError(f"{printable(str(path))} is no folder: {error.strerror}") from error
        if held:
            raise InputError(f"{printable(str(path))} holds certificates already: name another")
        return cls(path, classifier, request)

    def write(self, row: Verdict, x: Tensor) -> bool:
        """The certificates of a certified sample, against all rivals or none: whether they were
        written."""
        found = [self._of(row, x, rival) for rival in self._rivals(row)]
        certified = [one for one in found if one is not None]
        if len(certified) < len(found):
            return False
        for rival, certificate in zip(self._rivals(row), certified, strict=True):
            certificate.save(self.path / f"sample-{row.index:06d}-{row.label}-{rival}.cert")
        return True

    def _rivals(self, row: Verdict) -> list[int]:
        return self.request.rivals(row.label, self.classifier.classes)

    def _of(self, row: Verdict, x: Tensor, rival: int) -> Certificate | None:
        """That of one rival; None where the modulus times the radius is not below the margin."""
        classifier, request = self.classifier, self.request
        region = request.region(x, row.radius)
        centre = region.origin(classifier.shape)
        options = NormOptions(proved_only=True, budget=Budget.of(request.time_budget))
        posed = Problem.pose(classifier.graph, region, request.norm, Norm.L2, options, centre)
        output = Difference(row.label, rival)
        problem = posed.reading(output.readout(classifier.graph.output_shape))
        method = LipSDP()
        bound = method.bound(problem)
        proof = None if isinstance(bound, Refusal) else bound.proof()
        if isinstance(bound, Refusal) or proof is None:
            return None
        margin = float(margins_at(classifier, centre, row.label, (rival,)).lo[0])
        provenance = {
            "producer": "autolip",
            "version": version("autolip"),
            "model": classifier.name,
            "output": str(output),
            "method": method.name,
            "sample": row.index,
        }
        try:
            found = Certificate.of(
                proof, (bound.value.value, 0.0), request.norm, Norm.L2, region.describe(),
                classifier.graph, provenance, centre.flatten().tolist(),
            )  # fmt: skip
            return found.of_margin(margin)
        except InputError:
            return None


def said(folder: Path, written: int, certified: int) -> str:
    """How many samples have certificates, and why others have none."""
    left = certified - written
    rest = (
        f"; {left} rest on more than LipSDP of single margins, which no file says" if left else ""
    )
    return f"{printable(str(folder))} holds certificates of {written} samples{rest}"
