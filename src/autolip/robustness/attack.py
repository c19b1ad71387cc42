"""Inputs of a region that are given another class: by projected gradient, evaluated afresh.

A. Madry, A. Makelov, L. Schmidt, D. Tsipras and A. Vladu, ICLR 2018, on the margin instead of the
loss (N. Carlini and D. Wagner, 2017).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.norms import Norm
from autolip.regions import Region
from autolip.robustness.classifier import Classifier
from autolip.robustness.trial import margins_at

STEPS = 40
"""Chosen: steps of one restart."""

LENGTH = 2.5
"""Chosen: what all steps of a restart add up to, in radii (Madry et al. take as much)."""


@dataclass(frozen=True)
class Witness:
    """An input of the region that is given another class than the label.

    By the real function, as intervals prove, or by the program in floating point, as a run of it
    shows.
    """

    x: Float[Tensor, "*shape"]
    label: int
    rival: int
    by: str
    """"function" or the type that the program computes in."""


def attacked(
    classifier: Classifier,
    region: Region,
    label: int,
    rivals: tuple[int, ...],
    norm: Norm,
    restarts: int,
    rounding: bool = True,
    seed: int = 0,
) -> Witness | None:
    """A witness; None where none was found, which says nothing.

    `rounding`: inputs that the program alone misclassifies count.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = classifier.shape
    centre = region.origin(shape)
    starts = torch.cat([centre.unsqueeze(0), region.sample(restarts, centre, generator)])
    reach = region.spread(norm, shape).value
    lengths = region.reach(shape) if norm is Norm.LINF else torch.full(shape, reach).double()
    x = starts
    for number in range(STEPS + 1):
        margins, gradient = _margins(classifier, x, label, rivals)
        ends = number in (0, STEPS) and rounding
        chosen = x if ends else x[margins <= 0]
        found = _witness(classifier, region, chosen, label, rivals, rounding)
        if found is not None:
            return found
        if number < STEPS:
            step = _steepest(gradient, norm) * (LENGTH / STEPS * lengths)
            x = region.project(x - step)
    return None


def _margins(
    classifier: Classifier, x: Tensor, label: int, rivals: tuple[int, ...]
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k *shape"]]:
    """The least margin of every input, in float64, and its gradient."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        values = classifier.values(x)
        least = (values[:, label : label + 1] - values[:, list(rivals)]).amin(1)
        (gradient,) = torch.autograd.grad(least.sum(), x)
    return least.detach(), gradient.nan_to_num(0.0)


def _steepest(gradient: Float[Tensor, "k *shape"], norm: Norm) -> Float[Tensor, "k *shape"]:
    """The direction of length 1 along which a linear function rises most."""
    flat = gradient.reshape(len(gradient), -1)
    if norm is Norm.LINF:
        return gradient.sign()
    if norm is Norm.L1:
        largest = flat.abs().argmax(1, keepdim=True)
        direction = torch.zeros_like(flat).scatter(1, largest, flat.gather(1, largest).sign())
        return direction.reshape(gradient.shape)
    length = torch.linalg.vector_norm(flat, dim=1, keepdim=True).clamp(min=1e-300)
    return (flat / length).reshape(gradient.shape)


def _witness(
    classifier: Classifier,
    region: Region,
    x: Float[Tensor, "k *shape"],
    label: int,
    rivals: tuple[int, ...],
    rounding: bool,
) -> Witness | None:
    """The first of these inputs, moved inside and into the program's type, that is a witness."""
    if not len(x):
        return None
    centre = region.origin(classifier.shape)
    nearer = centre + (x - centre) * (1 - 4 * torch.finfo(classifier.dtype).eps)
    inside = region.inward(nearer).to(classifier.dtype)
    places = [label, *rivals]
    real = classifier.values(inside.double())[:, places].detach()
    outputs = classifier.computed(inside)[:, places]
    fooled = (outputs[:, 1:].amax(1) >= outputs[:, 0]) & rounding
    chosen = fooled | (real[:, 1:].amax(1) >= real[:, 0])
    for index in chosen.nonzero().flatten().tolist():
        one = inside[index].double()
        if not region.contains(one):
            continue
        above = margins_at(classifier, one, label, rivals).hi
        if bool((above <= 0).any()):
            return Witness(one, label, rivals[int(above.argmin())], "function")
        if bool(fooled[index]):
            rival = rivals[int(outputs[index, 1:].argmax())]
            return Witness(one, label, rival, str(classifier.dtype).removeprefix("torch."))
    return None
