"""Many cases, one network after the other, until the time is over."""

import random
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fuzz.drawing import network
from tests.fuzz.onnx_files import writable
from tests.fuzz.shrinking import shrunk
from tests.fuzz.trials import Failure, Subject, cases

ONNX = 0.5
"""Part of the networks with operators there that are captured from an ONNX file."""

EXAMPLES = 2
"""Failures of one kind, each of another network, that are shrunk and shown."""


@dataclass
class Tally:
    """What was tried: a configuration is a network with norms, a region, an output and a method."""

    networks: int = 0
    files: int = 0
    refused: int = 0
    configurations: int = 0
    certificates: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        seconds = time.monotonic() - self.started
        failed = ", ".join(f"{count} x {kind}" for kind, count in self.failures.items()) or "none"
        return (
            f"{self.configurations} configurations on {self.networks} networks "
            f"({self.files} from ONNX files,"
            f" {self.refused} refused at the capture), {self.certificates} with "
            f"certificates, in {seconds:.0f} s"
            f" ({self.configurations / max(seconds, 1e-9):.0f} a second); failures: {failed}"
        )


def failures(seed: int, tally: Tally) -> Iterator[Failure]:
    """Failures about the network of one seed, the first of each kind; `tally` counts what was
    tried."""
    rng = random.Random(seed)
    drawn = network(rng)
    onnx = rng.random() < ONNX and writable(drawn)
    subject = Subject(drawn.single() if onnx else drawn, onnx, seed)
    tally.networks += 1
    tally.files += onnx
    if subject.capture is None or isinstance(subject.capture, Failure):
        tally.refused += subject.capture is None
        if subject.capture is not None:
            yield subject.capture
        return
    for case, attained, problem in cases(subject, rng):
        tally.configurations += 1
        tally.certificates += case.certified
        refused = problem is None or isinstance(problem, Failure)
        failure = problem if refused else subject.failure(case, attained, problem)
        if failure is not None:
            yield failure


def campaign(seed: int, seconds: float, tally: Tally) -> Iterator[Failure]:
    """Failures of networks number `seed`, `seed` + 1, ... until the time is over: a few of each
    kind, shrunk."""
    limit = time.monotonic() + seconds
    warnings.simplefilter("ignore")
    while time.monotonic() < limit:
        shown = set[str]()
        for failure in failures(seed, tally):
            told = failure.text[:40] if ":" in failure.kind else failure.case.method
            kind = f"{failure.kind} ({told})"
            tally.failures[kind] += 1
            if kind not in shown and tally.shown[kind] < EXAMPLES:
                shown.add(kind)
                tally.shown[kind] += 1
                yield shrunk(failure, seed)
            if time.monotonic() > limit:
                break
        seed += 1
