"""`python -m tests.fuzz --minutes 30 --seed 1`: random networks against what they attain."""

import argparse
import random
import sys
from pathlib import Path

import torch

from tests.fuzz.campaign import Tally, campaign


def main() -> int:
    """Exit code 0 where no case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--seed",
        type=int,
        default=None,
        help="number of the first network; drawn where it is left out",
    )
    parser.add_argument(
        "--append", type=Path, default=None, help="a file that failures are added to as well"
    )
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    torch.set_num_threads(1)
    print(f"fuzz: {asked.minutes:g} minutes from seed {seed}", flush=True)
    tally = Tally()
    for failure in campaign(seed, 60 * asked.minutes, tally):
        text = f"\n# {failure.kind}, {failure.case.method}: {failure.text}\n{failure.case.source()}"
        print(text, flush=True)
        if asked.append:
            with asked.append.open("a") as file:
                file.write(text)
    print(f"fuzz: {tally}", flush=True)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
