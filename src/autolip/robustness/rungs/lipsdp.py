"""LipSDP on secants from the sample: all differences of two outputs in one batch.

|f_y(x) - f_j(x) - (f_y(c) - f_j(c))| <= K_j |x - c|, with K_j the calmness modulus at the sample c on
the region (Rockafellar and Wets, Variational Analysis, 1998, section 8.F), bounded by LipSDP-Neuron
(Fazlyab, Robey, Hassani, Morari, Pappas, NeurIPS 2019) on the slopes that secants from c leave.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, separated
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.solve import Batch
from autolip.norms import Norm
from autolip.regions import Everywhere
from autolip.robustness.classifier import Classifier
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial
from autolip.rules import slopes_on
from autolip.slopes import Between

CAREFUL = 1 - 1e-9
"""Chosen: how much less is wanted than what would be enough, so that rounding does not decide."""


@rung("lipsdp", place=40)
def lipsdp(trial: Trial) -> None:
    """The margins at the sample, less what LipSDP lets them move.

    Nothing from l1 balls, and where a gain has no bound.
    """
    if trial.norm is Norm.L1:
        return
    centred = centred_slopes(trial)
    wanted = (trial.there - trial.needed) / trial.reach.value * CAREFUL
    found = solved(trial, centred, differences(trial), wanted)
    if not isinstance(found, Refusal):
        trial.calm_all(found)


def centred_slopes(trial: Trial) -> SlopeGraph:
    """The network with the secants from the sample on the region."""
    classifier = trial.classifier
    centre = trial.region.origin(classifier.shape)
    slopes = slopes_on(classifier.lowered, trial.region, trial.prefix.ranges, centre)
    return separated(slopes)


def differences(trial: Trial) -> Float[Tensor, "rivals classes"]:
    """e_y - e_j for every rival."""
    rows = torch.zeros(len(trial.rivals), trial.classifier.classes, dtype=torch.float64)
    rows[:, trial.label] = 1.0
    rows[torch.arange(len(rows)), list(trial.rivals)] = -1.0
    return rows


def solved(
    trial: Trial,
    centred: SlopeGraph,
    rows: Float[Tensor, "k classes"],
    wanted: Float[Tensor, " k"],
) -> Float[Tensor, " k"] | Refusal:
    """Proved constants of linear functions of the output, infinite where nothing is proved."""
    slopes = _entrywise(centred)
    batch = _shared(trial.classifier, trial.norm, slopes)
    if batch is None:
        slopes = {}
        own = Batch.of(centred, trial.norm)
        if isinstance(own, Refusal):
            return own
        batch = own
    questions = Questions(slopes, rows.unsqueeze(1), torch.zeros(len(rows), dtype=torch.long))
    found = batch.solve(questions, wanted=wanted, budget=trial.budget)
    return found if isinstance(found, Refusal) else found.value


def _entrywise(graph: SlopeGraph) -> dict[str, Between]:
    """The slopes of every operation that acts entry by entry, one sample of them."""
    found = dict[str, Between]()
    for vertex in graph:
        edge = vertex.only_edge
        if edge is not None and isinstance(edge.slope, Between):
            found[vertex.name] = Between(edge.slope.lo.unsqueeze(0), edge.slope.hi.unsqueeze(0))
    return found


def _shared(classifier: Classifier, norm: Norm, slopes: dict[str, Between]) -> Batch | None:
    """The relaxation that serves all samples: where all that bends acts entry by entry, wherever
    the input is."""
    key = ("lipsdp", norm)
    if key not in classifier.kept:
        graph = separated(slopes_on(classifier.lowered, Everywhere()))
        bends = {vertex.name for vertex in graph if not vertex.is_affine}
        found = Batch.of(graph, norm) if bends == set(_entrywise(graph)) else None
        classifier.kept[key] = None if isinstance(found, Refusal) else found
    batch: Batch | None = classifier.kept[key]
    if batch is None or set(batch.relaxation.constraints) != set(slopes):
        return None
    return batch
