"""The verb of robustness: `certify(model, inputs)` says which samples hold, and how far."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autolip.arguments import array, shown
from autolip.budget import stopwatch
from autolip.capture.guarded import unended
from autolip.capture.load import Network
from autolip.capture.replay import replay
from autolip.capture.torch.export import Capture, capture_model
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError
from autolip.question import example_tensors
from autolip.regions import Region
from autolip.robustness.certificates import Folder, said
from autolip.robustness.certified import Certified
from autolip.robustness.classifier import Classifier, Numbers
from autolip.robustness.keeping import ALONE, Keeping, Sample
from autolip.robustness.request import Request
from autolip.robustness.surroundings import Surroundings, regions_of
from autolip.robustness.verdict import Verdict
from autolip.workers import Pool

Progress = Callable[[str], None]


@unended()
def certify(
    model: nn.Module | Callable[..., Any] | Network,
    inputs: Any,
    labels: Any = None,
    *,
    radius: float | None = None,
    norm: Any = None,
    region: Surroundings | None = None,
    targets: Sequence[int] | None = None,
    largest: bool = False,
    clip: tuple[float, float] | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    rounding: bool = True,
    attack: bool = False,
    time_budget: float | None = None,
    device: Any = None,
    workers: int = 1,
    scheduler: str | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    certificates: str | Path | None = None,
    progress: Progress | None = None,
) -> Certified:
    """Which inputs keep their class within a radius, and up to which radius each does: proved.

    `model` is an `nn.Module` in eval mode or a function of one tensor whose largest output is the
    class, or what `load` returns; `inputs` holds samples (n, ...), each taken as a batch of one;
    `labels` (n,) are their classes (None: those that the model gives).  Without a `radius`, or with
    `largest`, the largest certified radius of each is found, to 1%.  `norm` is "l2" (the default),
    "linf" or "l1"; `targets` are the classes that must not win (None: all others); `clip` the ends
    of entries; `mean` and `std` (one, or one a channel) make the network normalise.  In place of a
    radius a `region` holds all samples, or is a function of a sample, as the network takes it in
    float64, such as `lambda x: autolip.Box(x - w, x + w)`: the class is constant there.

    With `rounding` the program in the model's type keeps the class (`autolip.robustness.program`
    says what is assumed); without, the real function of the stored weights.  `attack` searches with
    20 restarts in place of 2.  `time_budget` is in seconds for each sample, `device` where searches
    pass through the network, such as "cuda".  `workers` are processes of this machine, `scheduler`
    the address of a Dask cluster's; `store` is a file that keeps what is finished, with `resume`
    one that may be there; `certificates` a folder for files of certified samples, one a rival.

    Raises InputError, UnsupportedOperation or CaptureMismatch, each in one sentence.

        >>> from autolip import certify, load, zoo
        >>> images, labels = zoo.held_out()
        >>> certify(load("digits-mlp"), images[1:4], labels[1:4], radius=0.05).certified.tolist()
        [True, True, True]
    """
    request = Request.asked(
        radius=radius, norm=norm, largest=largest, regions=region is not None, clip=clip,
        targets=targets, rounding=rounding, attack=attack, time_budget=time_budget, device=device,
    )  # fmt: skip
    samples = _samples(inputs)
    network = model if isinstance(model, Network) else _network(model, samples)
    classifier = Classifier.of(network.capture, network.name, mean, std)
    keeping = Keeping(Pool(workers, scheduler), store, resume)
    asked = labels, request, keeping, progress, certificates, region
    return certified(network.capture, classifier, samples, *asked)


def _network(model: Any, samples: Tensor) -> Network:
    """The model captured on its first sample."""
    inner = unwrapped(model)
    example = samples[:1].to(_type(inner))
    return Network(capture_model(inner, example_tensors(inner, example)), _name(inner), {})


def _samples(inputs: Any) -> Tensor:
    samples = array(inputs, "the inputs")
    if samples.dim() < 2 or not len(samples):
        raise InputError(
            f"the inputs have shape {tuple(samples.shape)}: give samples along the first axis"
        )
    _check_finite(samples)
    return samples


def certified(
    capture: Capture,
    classifier: Classifier,
    samples: Tensor,
    labels: Any,
    request: Request,
    keeping: Keeping = ALONE,
    progress: Progress | None = None,
    certificates: str | Path | None = None,
    region: Surroundings | None = None,
) -> Certified:
    """`certify` for a network that is captured already."""
    say = progress or (lambda text: None)
    elapsed = stopwatch()
    _check_finite(samples)
    points = fitted(samples, classifier.shape)
    classes = _labels(labels, len(points), classifier.classes)
    _check(points, request, classifier.classes)
    regions = None if region is None else regions_of(region, points)
    request = request.measuring(regions or ())
    folder = None if certificates is None else Folder.made(certificates, classifier, request)
    say("replaying the captured graph against the model")
    replay(capture)
    given = _predicted(classifier, points) if classes is None else classes
    numbers = range(len(points))
    around: Sequence[Region | None] = regions or [None] * len(points)
    listed = [Sample(*one) for one in zip(numbers, points, given, around, strict=True)]
    rows = keeping.judged(classifier, request, listed, say)
    seconds = elapsed()
    notes = _notes(classifier, request, classes is None)
    if folder is not None:
        notes += (_written(folder, rows, listed, say),)
    return Certified(
        classifier.name,
        request.to_dict(),
        rows,
        notes,
        seconds,
        tuple(classifier.shape),
    )


def _written(
    folder: Folder, rows: Sequence[Verdict], samples: Sequence[Sample], say: Progress
) -> str:
    """Certificates of the certified samples, and a sentence on them."""
    chosen = [(row, one) for row, one in zip(rows, samples, strict=True) if row.radius > 0]
    written = 0
    for done, (row, one) in enumerate(chosen):
        say(f"certificates of {done} of {len(chosen)} samples")
        written += folder.write(row, one.x.double(), one.region)
    return said(folder.path, written, len(chosen))


def fitted(samples: Tensor, shape: torch.Size) -> Tensor:
    """The samples in the shape of the network's input: as they are, flat, or with channels last.

    InputError where they have other sizes.
    """
    one = samples.shape[1:]
    inner = [size for size in shape if size != 1]
    plain = [size for size in one if size != 1]
    if plain == inner or (len(one) == 1 and one.numel() == shape.numel()):
        return samples.reshape(len(samples), *shape)
    if len(one) >= 3 and len(shape) >= 3 and (one[-1], *one[:-1]) == tuple(shape[-3:]):
        return samples.movedim(-1, 1).reshape(len(samples), *shape).contiguous()
    raise InputError(
        f"samples of shape {tuple(one)} do not fit inputs of shape {tuple(shape)}: give them so, "
        "flat, or with the channels last"
    )


def _labels(labels: Any, count: int, classes: int) -> list[int] | None:
    """The classes as numbers; None where none are given."""
    if labels is None:
        return None
    given = _listed(labels, count)
    wrong = (given != given.round()) | (given < 0) | (given >= classes)
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise InputError(
            f"label {first} is {given[first].item():g}: the classes are 0 to {classes - 1}"
        )
    return [int(label) for label in given]


def _listed(labels: Any, count: int) -> Tensor:
    """One label for each sample."""
    given = array(labels, "the labels").reshape(-1)
    if len(given) != count:
        raise InputError(f"there are {len(given)} labels for {count} samples: give one for each")
    return given


def _check_finite(samples: Tensor) -> None:
    bad = ~samples.isfinite().flatten(1).all(1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise InputError(f"sample {first} has NaN or infinite entries: give finite numbers")


def _check(points: Tensor, request: Request, classes: int) -> None:
    """InputError where a sample is not within the ends, or a target no class."""
    if request.clip is not None:
        lo, hi = request.clip
        bad = ((points < lo) | (points > hi)).flatten(1).any(1)
        if bool(bad.any()):
            first = int(bad.nonzero()[0])
            raise InputError(
                f"sample {first} has entries outside of [{lo:g}, {hi:g}]: give the least and the "
                "largest value that an entry may have"
            )
    for target in request.targets or ():
        if target >= classes:
            raise InputError(f"there is no class {target}: they are 0 to {classes - 1}")


def _predicted(classifier: Classifier, points: Tensor) -> list[int]:
    return [int(classifier.values(x.unsqueeze(0))[0].argmax()) for x in points]


def _notes(classifier: Classifier, request: Request, predicted: bool) -> tuple[str, ...]:
    """What the rows are about."""
    dtype = str(classifier.dtype).removeprefix("torch.")
    about = (
        f"certified: the program in {dtype} keeps the class, its rounding bounded"
        if request.rounding
        else "certified: the real-valued function keeps the class; the rounding of the program in "
        f"{dtype} is left out"
    )
    own = ("the labels are the classes that the network gives",) if predicted else ()
    return about, *own


def _type(model: Any) -> torch.dtype:
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    own = (weight.dtype for weight in weights if weight.is_floating_point())
    return next(own, torch.get_default_dtype())


def _name(model: Any) -> str:
    is_module = isinstance(model, nn.Module)
    return type(model).__name__ if is_module else getattr(model, "__name__", shown(model))


def read_data(arrays: Any) -> tuple[Tensor, Any]:
    """Samples `x` and labels `y` (None where there are none) of an opened .npz file."""
    if "x" not in arrays:
        raise InputError(f"the data holds {', '.join(arrays) or 'nothing'}: name the samples x")
    samples = _samples(np.asarray(arrays["x"]))
    return samples, _listed(arrays["y"], len(samples)) if "y" in arrays else None
