"""From a failing case to a few lines: greedy, one simplification after the other, as long as the
failure stays."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from autolip.errors import AutolipError
from autolip.outputs import parse_output
from tests.fuzz.attained import Attained
from tests.fuzz.networks import Network, Step
from tests.fuzz.pieces import pieces
from tests.fuzz.places import Place
from tests.fuzz.trials import Case, Failure, Subject

PATIENCE = 30.0
"""Seconds for one failure."""


def failure_of(case: Case, seed: int) -> Failure | None:
    """What is wrong with a case, from the capture on."""
    subject = Subject(case.network, case.onnx, seed)
    if subject.capture is None or isinstance(subject.capture, Failure):
        return subject.capture
    problem = subject.problem(case)
    if problem is None or isinstance(problem, Failure):
        return problem
    if case.output:
        problem = problem.reading(parse_output(case.output).readout(problem.slopes.output_shape))
    return subject.failure(
        case, Attained(case.network, case.place, seed, pieces(case.network, case.place)), problem
    )


def shrunk(failure: Failure, seed: int, patience: float = PATIENCE) -> Failure:
    """The smallest case found with a failure of the same kind."""
    limit, again = time.monotonic() + patience, True
    while again and time.monotonic() < limit:
        again = False
        for simpler in _simpler(failure.case):
            found = _same(failure, simpler, seed)
            if found is not None:
                failure, again = found, True
                break
            if time.monotonic() > limit:
                break
    return failure


def _same(failure: Failure, case: Case, seed: int) -> Failure | None:
    """The failure of a case where it is of the same kind; steps that do not fit each other are no
    case, nor is an output that is not there any more."""
    try:
        found = failure_of(case, seed)
    except (AutolipError, RuntimeError, ValueError, IndexError, TypeError):
        return None
    return found if found is not None and found.kind == failure.kind else None


def _simpler(case: Case) -> Iterator[Case]:
    """Simpler cases, the boldest first."""
    for network in _shorter(case.network):
        yield replace(case, network=network, output=())
        yield replace(case, network=network)
    if case.output:
        yield replace(case, output=())
    if case.onnx:
        yield replace(case, onnx=False)
    if case.place.kind != "everywhere":
        yield replace(case, place=Place.everywhere(case.network.shape))
    if case.place.kind in ("l2", "linf"):
        for centre, radius in (
            (torch.zeros_like(case.place.centre), case.place.radius),
            (case.place.centre, 1.0),
        ):
            if not torch.equal(centre, case.place.centre) or radius != case.place.radius:
                yield replace(case, place=Place.ball(case.place.kind, centre, radius))
    if (case.p, case.q) != ("l2", "l2"):
        yield replace(case, p="l2", q="l2")
    for network in _plainer(case.network):
        yield replace(case, network=network)


def _shorter(network: Network) -> Iterator[Network]:
    """An earlier value as the output, or one step left out."""
    for k in range(1, len(network.steps)):
        yield replace(network, steps=network.steps[:k]).pruned()
    for k in reversed(range(1, len(network.steps) + 1)):
        for operand in dict.fromkeys(network.steps[k - 1].of):
            steps = [_redirected(step, k, operand) for step in network.steps]
            del steps[k - 1]
            if steps:
                yield replace(network, steps=tuple(steps)).pruned()


def _redirected(step: Step, dropped: int, operand: int) -> Step:
    """The step reading `operand` where it read the dropped value; later values are one less."""
    seen = [operand if i == dropped else i for i in step.of]
    return replace(step, of=tuple(i - (i > dropped) for i in seen))


def _plainer(network: Network) -> Iterator[Network]:
    """Weights of zeros and ones, of one digit, or fewer of them."""
    for k, step in enumerate(network.steps):
        for name, weight in step.weights.items():
            for plain in PLAINER:
                simple = plain(weight)
                if not torch.equal(simple, weight):
                    changed = replace(step, weights=step.weights | {name: simple})
                    yield replace(
                        network, steps=(*network.steps[:k], changed, *network.steps[k + 1 :])
                    )


PLAINER: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.zeros_like,
    torch.ones_like,
    torch.round,
    lambda x: (x * 10).round() / 10,
)
