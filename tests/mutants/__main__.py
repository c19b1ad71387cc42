"""`python -m tests.mutants`: every mutant in a copy of the tree, and whether the tests notice."""

import argparse
import gc
import random
import sys
import time

from tests.mutants.listed import mutants
from tests.mutants.running import run


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
    asked = parser.parse_args()
    chosen = [mutant for mutant in mutants() if asked.match in str(mutant)]
    if asked.few is not None:
        seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
        print(f"mutants: {asked.few} of {len(chosen)}, seed {seed}", flush=True)
        chosen = random.Random(seed).sample(chosen, min(asked.few, len(chosen)))
    started, problems = time.monotonic(), 0
    for trial in run(chosen, asked.workers):
        if trial.problem:
            problems += 1
            print(trial.problem, flush=True)
    print(
        f"mutants: {len(chosen)} tried in {time.monotonic() - started:.0f} s, {problems} problems",
        flush=True,
    )
    return 1 if problems else 0


def warm() -> None:
    """Load the libraries before the forks: that takes longer than most of the tests."""
    import hypothesis  # noqa: F401
    import jaxtyping  # noqa: F401
    import onnx  # noqa: F401
    import safetensors.torch  # noqa: F401
    import scipy.linalg
    import scipy.optimize
    import scipy.sparse  # noqa: F401
    import torch

    torch.set_num_threads(1)
    torch.export.export(torch.nn.Linear(1, 1), (torch.zeros(1, 1),))
    gc.freeze()


if __name__ == "__main__":
    warm()
    sys.exit(main())
