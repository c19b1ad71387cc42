"""Certificates of samples: one file for each rival of a certified sample, for `autolip check`.

Each says that f_y - f_j is positive on the whole region.  Either it is at least so much at the
sample and changes by at most a calmness modulus times the radius, which LipSDP proves step by step;
or the margin form shows it without ranges on the way.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from autolip.budget import Budget
from autolip.certificates import Certificate
from autolip.certificates.proof import MarginFact
from autolip.errors import InputError, OutputError, Refusal, printable
from autolip.methods import Problem
from autolip.methods.exact.certificate import everywhere, with_output
from autolip.methods.lipsdp.method import LipSDP
from autolip.methods.method import reasoned
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.operators.operator import CPU
from autolip.outputs.difference import Difference
from autolip.ranges import Allowance
from autolip.ranges.forward import known_of
from autolip.regions import Ball, Region
from autolip.regions.clipped import Clipped
from autolip.robustness.classifier import Classifier
from autolip.robustness.margin.unranged import Unranged
from autolip.robustness.request import Request
from autolip.robustness.trial import margins_at
from autolip.robustness.verdict import Verdict
from autolip.rules.lowering import lowered

MOST = 8000
"""Chosen: entries of the input and relus of a network together, beyond which its matrices would
take gigabytes."""


@dataclass(frozen=True)
class Folder:
    """Where certificates are written, for samples of one classifier."""

    path: Path
    classifier: Classifier
    request: Request

    @classmethod
    def made(cls, path: str | Path, classifier: Classifier, request: Request) -> "Folder":
        """The folder, which is made where it is missing; InputError where it holds certificates."""
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = any(path.glob("*.cert"))
        except OSError as error:
            raise OutputError(f"{printable(str(path))} is no folder: {error.strerror}") from error
        if held:
            raise InputError(f"{printable(str(path))} holds certificates already: name another")
        return cls(path, classifier, request)

    def write(self, row: Verdict, x: Tensor, region: Region | None = None) -> bool:
        """The certificates of a certified sample, within its radius or on a region, against all
        rivals or none: whether they were written."""
        around = self.request.region(x, row.radius) if region is None else region
        rivals = self.request.rivals(row.label, self.classifier.classes)
        found = [self._of(row, x, around, rival) for rival in rivals]
        certified = [one for one in found if one is not None]
        if len(certified) < len(found):
            return False
        for rival, certificate in zip(rivals, certified, strict=True):
            certificate.save(self.path / f"sample-{row.index:06d}-{row.label}-{rival}.cert")
        return True

    def _of(self, row: Verdict, x: Tensor, region: Region, rival: int) -> Certificate | None:
        """That of one rival, by LipSDP or by the margin form; None where both are not enough."""
        request, output = self.request, Difference(row.label, rival)
        options = NormOptions(proved_only=True, budget=Budget.of(request.time_budget))
        centre = region.origin(self.classifier.shape)
        graph = self.classifier.graph
        posed = Problem.pose(graph, region, request.norm, Norm.L2, options, centre)
        problem = posed.reading(output.readout(graph.output_shape))
        told = {
            "producer": "autolip",
            "version": version("autolip"),
            "model": self.classifier.name,
            "output": str(output),
            "sample": row.index,
        }
        try:
            calm = self._by_calmness(problem, row.label, rival, told) if _is_ball(region) else None
            return calm or of_margin(problem, told, request.device or CPU)
        except InputError:
            return None

    def _by_calmness(
        self, problem: Problem, label: int, rival: int, told: dict[str, object]
    ) -> Certificate | None:
        """By LipSDP; None where the modulus times the radius is not below the margin."""
        method, centre = LipSDP(), problem.region.origin(self.classifier.shape)
        bound = reasoned(method.bound(problem), problem)
        proof = None if isinstance(bound, Refusal) else bound.proof()
        if isinstance(bound, Refusal) or proof is None:
            return None
        margin = float(margins_at(self.classifier, centre, label, (rival,)).lo[0])
        if not bound.value.value * problem.region.spread(problem.p, centre.shape).value < margin:
            return None
        found = Certificate.of(
            proof, (bound.value.value, 0.0), problem.p, Norm.L2, problem.region.describe(),
            problem.graph, told | {"method": method.name}, centre.flatten().tolist(),
        )  # fmt: skip
        return found.of_margin(margin)


def _is_ball(region: Region) -> bool:
    """Whether a margin at the centre can be claimed to last, distances being the ball's."""
    return isinstance(region, Ball | Clipped)


def of_margin(
    problem: Problem, told: dict[str, object], device: torch.device = CPU
) -> Certificate | None:
    """That the single output is positive on the problem's region, by the margin form; None where
    that is not enough, or where something else than relus bends.

    Raises InputError where the format cannot say it.
    """
    network = everywhere(problem)
    if isinstance(network, Refusal) or problem.scale is not None:
        return None
    graph = lowered(problem.graph)
    prefix = known_of(graph, problem.region, Allowance.within(problem.budget.left))
    rows = problem.readouts[0].matrix()
    forms = Unranged.all_of(graph, prefix, rows, MOST)
    relus = {bend.node: bend for form in forms for bend in form.bends}
    if set(network.names) != set(relus):
        return None
    found = forms[0].searched(0.0, device)
    if found is None:
        return None
    weights, least = found
    parts = {
        name: tuple(
            one[bend.places].reshape(problem.everywhere[name].shape) for one in weights.each
        )
        for name, bend in relus.items()
    }
    shape = problem.graph.input_shape
    size = shape.numel()
    inputs = weights.ball.expand(size)
    fact = MarginFact(least, parts, inputs.reshape(shape))
    constants = with_output(problem, network)
    region = problem.region.describe()
    provenance = told | {"method": "margin form"}
    return Certificate.of_output(
        fact, problem.everywhere, constants, region, problem.graph, provenance
    )


def said(folder: Path, written: int, certified: int) -> str:
    """How many samples have certificates, and why others have none."""
    left = certified - written
    rest = (
        f"; {left} rest on more than LipSDP and the margin form show without ranges on the way"
        if left
        else ""
    )
    return f"{printable(str(folder))} holds certificates of {written} samples{rest}"
