"""The captured graph against the original model, on random inputs: they must agree."""

import torch

from autolip.capture.torch_export import Capture
from autolip.errors import CaptureMismatch
from autolip.graph.evaluate import evaluate
from autolip.operators.operator import DTYPE
from autolip.regions import Everywhere


def replay(capture: Capture, *, trials: int = 3, seed: int = 0) -> float:
    """The largest relative disagreement seen; raises CaptureMismatch if it exceeds what rounding explains."""
    generator = torch.Generator().manual_seed(seed)
    points = Everywhere().sample(trials, capture.example, generator)
    exact = capture.reference_dtype is DTYPE
    tolerance = 1e-8 if exact else 200 * torch.finfo(capture.reference_dtype).eps ** 0.75
    worst = 0.0
    with torch.no_grad():
        for x in (capture.example, *points):
            worst = max(worst, _disagreement(capture, x if exact else x.to(capture.reference_dtype).to(DTYPE)))
    if not worst <= tolerance:
        raise CaptureMismatch(
            f"the captured graph and the original model differ by {worst:.2g} (relative) on a random input, more than"
            f" the {tolerance:.2g} that rounding explains: the model is random or has state, or this is a defect of"
            " autolip; please report it"
        )
    return worst


def _disagreement(capture: Capture, x: torch.Tensor) -> float:
    ours = evaluate(capture.graph, x).reshape(-1)
    theirs = capture.reference(x).reshape(-1).to(DTYPE)
    if ours.shape != theirs.shape:
        return float("inf")
    both_nan = ours.isnan() & theirs.isnan()
    same = both_nan | (ours == theirs)
    gap = torch.where(same, torch.zeros_like(ours), (ours - theirs).abs())
    scale = (
        torch.where(both_nan, torch.zeros_like(theirs), theirs).abs().max().clamp(min=1e-30) if theirs.numel() else 1.0
    )
    return float((gap.nan_to_num(nan=float("inf")).max() / scale).item()) if theirs.numel() else 0.0
