"""One experiment from beginning to end: checks, steps, files."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from autolip.arguments import unknown
from autolip.errors import InputError
from autolip.files import check_folder
from autolip.reproduce.alexnet import AlexnetExperiment
from autolip.reproduce.cnn import CnnExperiment
from autolip.reproduce.columns import Track
from autolip.reproduce.ideal import IdealExperiment
from autolip.reproduce.mlp import MlpExperiment
from autolip.reproduce.outcome import Outcome
from autolip.reproduce.regularise import RegulariseExperiment
from autolip.reproduce.steps import Steps, written


@dataclass(frozen=True)
class Request:
    """What is asked for: the folder for everything written, the seed, the small settings, the
    user's files."""

    out: Path
    seed: int = 0
    quick: bool = False
    data: Path | None = None
    weights: Path | None = None


def _ideal(request: Request, steps: Steps, track: Track) -> Outcome:
    experiment = IdealExperiment.quick() if request.quick else IdealExperiment()
    return experiment.run(steps, request.seed, track)


def _mlp(request: Request, steps: Steps, track: Track) -> Outcome:
    experiment = MlpExperiment.quick() if request.quick else MlpExperiment()
    return experiment.run(steps, request.seed, track)


def _cnn(request: Request, steps: Steps, track: Track) -> Outcome:
    experiment = CnnExperiment.quick() if request.quick else CnnExperiment()
    return experiment.run(steps, request.seed, track, request.data)


def _alexnet(request: Request, steps: Steps, track: Track) -> Outcome:
    experiment = AlexnetExperiment.quick() if request.quick else AlexnetExperiment()
    return experiment.run(steps, request.seed, track, request.weights)


def _regularise(request: Request, steps: Steps, track: Track) -> Outcome:
    experiment = RegulariseExperiment.quick() if request.quick else RegulariseExperiment()
    return experiment.run(steps, request.seed, track, request.data)


EXPERIMENTS: dict[str, Callable[[Request, Steps, Track], Outcome]] = {
    "ideal": _ideal,
    "mlp": _mlp,
    "cnn": _cnn,
    "alexnet": _alexnet,
    "regularise": _regularise,
}


def reproduce(
    name: str, request: Request, track: Track = lambda text, done, total: None
) -> tuple[Outcome, list[Path]]:
    """Run an experiment; the outcome, and the files written: text, JSON, CSV, PNG and SVG.

    Raises InputError, before any work, for options the experiment does not read, and without
    matplotlib.
    """
    _check(name, request)
    outcome = EXPERIMENTS[name](request, Steps(request.out / "steps"), track)
    return outcome, write(outcome, request.out)


def write(outcome: Outcome, folder: Path) -> list[Path]:
    """The outcome's files."""
    from autolip.reproduce.figures import pictures

    texts = {"txt": outcome.text(), "json": outcome.json(), "csv": outcome.csv()}
    contents = {suffix: text.encode() for suffix, text in texts.items()} | pictures(outcome)
    paths = [folder / f"{outcome.experiment}.{suffix}" for suffix in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        written(path, content)
    return paths


def _check(name: str, request: Request) -> None:
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    if request.data is not None and name not in ("cnn", "regularise"):
        raise InputError(
            f"--data holds images for the experiments cnn and regularise; {name} reads "
            "none: leave it out"
        )
    if request.weights is not None and name != "alexnet":
        raise InputError(
            f"--weights holds AlexNet's weights; the experiment {name} reads none: leave it out"
        )
    check_folder(request.out)
    if find_spec("matplotlib") is None:
        raise InputError("the figures need matplotlib: pip install 'autolip[report]'")
