"""`python -m tests.mutants`: every mutant in a copy of the tree, and whether the tests notice."""

import argparse
import gc
import importlib
import random
import sys
import time
from pathlib import Path

from tests.mutants.listed import mutants
from tests.mutants.running import Trial, run


def main() -> int:
    """Exit code 0 where every mutant is noticed, and the tests pass without them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--few", type=int, default=None, help="so many, chosen at random")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the choice; drawn where it is left out"
    )
    parser.add_argument(
        "--match", default="", help="those with this in their file, old or new text"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--log", type=Path, help="a line here for each; what stands in it as well is left out"
    )
    asked = parser.parse_args()
    chosen = [mutant for mutant in mutants() if asked.match in str(mutant)]
    if asked.few is not None:
        seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
        print(f"mutants: {asked.few} of {len(chosen)}, seed {seed}", flush=True)
        chosen = random.Random(seed).sample(chosen, min(asked.few, len(chosen)))
    started, tried, problems = time.monotonic(), 0, 0
    for trial in run(chosen, asked.workers, _well(asked.log)):
        _note(trial, asked.log)
        tried += trial.mutant is not None
        if trial.problem:
            problems += 1
            print(trial.problem, flush=True)
    print(
        f"mutants: {len(chosen)} chosen, {tried} tried in {time.monotonic() - started:.0f} s, "
        f"{problems} problems",
        flush=True,
    )
    return 1 if problems else 0


def _well(log: Path | None) -> set[str]:
    """The trials in the log that were well."""
    if log is None or not log.exists():
        return set()
    lines = [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
    return {name for state, name, *_ in lines if state == "well"}


def _note(trial: Trial, log: Path | None) -> None:
    if log is not None:
        state = trial.verdict if trial.problem else "well"
        words = (state, trial.name, f"{trial.seconds:.1f} s", trial.failed)
        with log.open("a", encoding="utf-8") as file:
            print(*words, sep="\t", file=file)


LIBRARIES = (
    *("click.testing", "highspy", "jaxtyping", "jinja2", "mpmath", "onnx.reference"),
    *("onnxruntime", "pytest", "rich.console", "rich.progress", "rich.table", "safetensors.torch"),
    *("scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.stats"),
)


def warm() -> None:
    """Load the libraries before the forks: that takes longer than most of the tests. Examples that
    fail are not made smaller: that they fail is all that is asked."""
    import hypothesis
    import torch

    for library in LIBRARIES:
        importlib.import_module(library)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", phases=phases, database=None)
    hypothesis.settings.load_profile("mutants")
    torch.set_num_threads(1)
    torch.export.export(torch.nn.Linear(1, 1), (torch.zeros(1, 1),))
    gc.freeze()


if __name__ == "__main__":
    warm()
    sys.exit(main())
