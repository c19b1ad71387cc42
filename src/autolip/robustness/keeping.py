"""The samples of a data set, judged by one process or many; what is finished stays in a file."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from autolip.budget import stopwatch
from autolip.errors import InputError
from autolip.graph.fingerprint import fingerprint
from autolip.regions import Region
from autolip.robustness.classifier import Classifier
from autolip.robustness.judge import Judge
from autolip.robustness.request import Request, sample_digest
from autolip.robustness.rungs import ladder
from autolip.robustness.rungs.pairs import constants
from autolip.robustness.verdict import Outcome, Verdict
from autolip.values import Upper
from autolip.workers import Failed, Pool, Store

A_SAMPLE = 0.25
"""Tuned on zoo/robustness/mnist_mlp: seconds for each sample that global constants may take."""

MOST = 60.0
"""Chosen: seconds that they may take at most."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    """One input and its class; its number in the data set."""

    index: int
    x: Float[Tensor, "*shape"]
    label: int
    region: Region | None = None
    """Where the class must hold; None: within the radius that is asked about."""

    @property
    def digest(self) -> str:
        """A name for it that no other one has, whatever its number."""
        about = None if self.region is None else self.region.describe()
        return sample_digest(self.x, self.label, about)


@dataclass(frozen=True)
class Keeping:
    """Who judges, and where the rows are kept (None: nowhere)."""

    pool: Pool = Pool()
    store: str | Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.store is None:
            raise InputError("to resume there must be a store: name its file")

    def judged(
        self, classifier: Classifier, request: Request, samples: Sequence[Sample], say: Say
    ) -> tuple[Verdict, ...]:
        """The row of every sample, in order; those that the store holds as they are there."""
        with self._opened() as store:
            keys = _keys(classifier, request, samples) if store is not None else {}
            rows = _stored(store, keys, samples)
            missing = [sample for sample in samples if sample.index not in rows]
            known = _constants(classifier, request, missing, say)
            judge = Judge(classifier, request, known)
            pace = stopwatch()
            results = self.pool.results(_verdict, judge, missing)
            for done, (number, found) in enumerate(results, 1):
                row = _row(missing[number], found)
                rows[row.index] = row
                if store is not None and row.outcome is not Outcome.FAILED:
                    store.put(keys[row.index], row.to_dict())
                left = pace() / done * (len(missing) - done)
                held = sum(one.radius > 0 for one in rows.values())
                say(
                    f"{len(rows)} of {len(samples)} samples, {held} certified, about {left:.0f} s "
                    "left"
                )
        return tuple(rows[sample.index] for sample in samples)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Store | None]:
        if self.store is None:
            yield None
            return
        with Store.opened(self.store, self.resume) as store:
            yield store


ALONE = Keeping()
"""This process, and no file."""


def _verdict(judge: Judge, sample: Sample) -> Verdict:
    return judge.verdict(sample.index, sample.x, sample.label, sample.region)


def _row(sample: Sample, found: Any) -> Verdict:
    """The verdict, or the row of a sample that has none."""
    if isinstance(found, Failed):
        outcome = Outcome.FAILED
        return Verdict(sample.index, sample.label, -1, outcome, reason=found.reason, complete=False)
    assert isinstance(found, Verdict)
    return found


def _keys(classifier: Classifier, request: Request, samples: Sequence[Sample]) -> dict[int, str]:
    """What a store knows each row by: the network, its type, the request, the ladder of this
    version, and the sample."""
    network = f"{fingerprint(classifier.graph)} {classifier.dtype}"
    rungs = ", ".join(f"{one.name} at {one.place:g}" for one in ladder())
    about = f"{network} {request.digest} {version('autolip')}: {rungs}"
    named = {one.index: f"{about} {one.digest}" for one in samples}
    return {index: hashlib.sha256(name.encode()).hexdigest() for index, name in named.items()}


def _stored(
    store: Store | None, keys: Mapping[int, str], samples: Sequence[Sample]
) -> dict[int, Verdict]:
    """The rows that are there already, under the numbers that their samples have now."""
    rows = dict[int, Verdict]()
    for sample in samples if store is not None else ():
        found = store.get(keys[sample.index]) if store is not None else None
        if found is not None:
            rows[sample.index] = Verdict.from_dict(found | {"index": sample.index})
    return rows


def _constants(
    classifier: Classifier, request: Request, samples: Sequence[Sample], say: Say
) -> dict[tuple[int, int], Upper]:
    """Global constants, in a time that so many samples are worth."""
    if not samples:
        return {}
    each = A_SAMPLE if request.time_budget is None else min(A_SAMPLE, request.time_budget)
    seconds = min(MOST, each * len(samples))
    say("global constants")
    labels = [one.label for one in samples]
    return constants(classifier, request.norm, labels, seconds, say, request.device)
