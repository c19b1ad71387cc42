"""What the program says about a network, held against what the network attains."""

import math
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mpmath import mpf

import autolip
from autolip.budget import Budget
from autolip.capture.load import load_network
from autolip.capture.torch.export import Capture, capture_model
from autolip.errors import CaptureMismatch, InternalError, Refusal
from autolip.estimate import bracket
from autolip.methods import METHODS, Problem, method_named
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.outputs import parse_output
from autolip.values import Upper
from autolip_check.check import check
from tests.fuzz.attained import Attained, Output
from tests.fuzz.networks import HEADER, Network
from tests.fuzz.onnx_files import write
from tests.fuzz.pieces import pieces
from tests.fuzz.places import Place

LIMIT = 0.5
"""Seconds that a method may take."""


@dataclass(frozen=True)
class Case:
    """One configuration."""

    network: Network
    onnx: bool
    place: Place
    p: str
    q: str
    output: Output
    method: str
    certified: bool = False

    @property
    def said(self) -> str:
        """The output as users write it."""
        return "-".join(map(str, self.output)) or "all"

    def source(self) -> str:
        """The case as a program."""
        numbers = f"torch.zeros({self.network.shape}, dtype={self.network.dtype})"
        options = f"norm={f'{self.p}:{self.q}'!r}, region={self.place.code()}, output={self.said!r}"
        call = f"print(autolip.lipschitz(model, {numbers}, {options}, method={self.method!r}))"
        seen = "# captured from an ONNX file\n" if self.onnx else ""
        return f"{seen}{HEADER}import autolip\n\n{self.network.source()}\n{call}\n"


@dataclass(frozen=True)
class Failure:
    """A property that a case does not have."""

    case: Case
    kind: str
    """The property, and the type of an exception: the same after shrinking."""
    text: str


def captured(network: Network, onnx: bool) -> Capture:
    """The network as the program sees it."""
    if not onnx:
        return capture_model(network.module(), (torch.zeros(network.shape, dtype=network.dtype),))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.onnx"
        write(network, path)
        return load_network(str(path)).capture


def guarded(case: Case, what: str, run: Callable[[], Any]) -> Any:
    """The result of a call, None where the program refuses in a sentence, a Failure where anything
    else happens."""
    try:
        return run()
    except (CaptureMismatch, InternalError) as error:
        return Failure(case, f"{what}: {type(error).__name__}", str(error))
    except autolip.AutolipError as error:
        text = str(error)
        whole = text.strip() and "Traceback" not in text
        return None if whole else Failure(case, f"{what}: a refusal without a sentence", repr(text))
    except Exception as error:
        return Failure(case, f"{what}: {type(error).__name__}", str(error)[:500])


class Subject:
    """A network, captured, with what it attains; each is worked out once for many cases."""

    def __init__(self, network: Network, onnx: bool, seed: int) -> None:
        self.network, self.onnx, self.seed = network, onnx, seed
        self.first = Case(network, onnx, Place.everywhere(network.shape), "l2", "l2", (), "autolip")
        self.capture = guarded(self.first, "capture", lambda: captured(network, onnx))

    def problem(self, case: Case) -> Any:
        """The slopes of the network in the case's region."""
        graph, region = self.capture.graph, region_of(case.place)
        return guarded(
            case, "slopes", lambda: Problem.pose(graph, region, Norm.L2, Norm.L2, NormOptions())
        )

    def failure(self, case: Case, attained: Attained, problem: Any) -> Failure | None:
        """What is wrong with one case."""
        if case.certified or case.method == "auto":
            return self.whole(case, attained)
        bound = guarded(case, "method", lambda: _bound(case, problem))
        if isinstance(bound, Failure):
            return bound
        return None if bound is None else self.compared(case, attained, bound)

    def compared(self, case: Case, attained: Attained, bound: float) -> Failure | None:
        if math.isnan(bound):
            return Failure(case, "not a number", "the bound is NaN")
        slope = attained.slope(case.p, case.q, case.output, bound)
        if mpf(bound) >= slope:
            return None
        text = (
            f"{case.method} claims {bound!r}, attained is {float(slope)!r} (relative excess "
            f"{_excess(slope, bound)})"
        )
        return Failure(case, "upper below attained", text)

    def whole(self, case: Case, attained: Attained) -> Failure | None:
        """The bracket as users get it, lower bound by random points, its certificate written and
        checked."""
        result = guarded(case, "bracket", lambda: _bracket(case, self.capture))
        if result is None or isinstance(result, Failure):
            return result
        upper, lower = result.upper, result.lower
        if upper is not None and lower is not None and lower.value > upper.value:
            return Failure(
                case, "lower above upper", f"{lower.value!r} by {lower.method} > {upper.value!r}"
            )
        defects = [
            f"{row.method}: {row.refusal}"
            for row in result.bounds
            if "please report" in (row.refusal or "")
        ]
        if defects:
            return Failure(case, "a row that failed", "; ".join(defects))
        rows = [row for row in result.bounds if row.kind == "upper" and row.value is not None]
        found = [
            self.compared(replace(case, method=row.method), attained, row.value) for row in rows
        ]
        failed = [failure for failure in found if failure is not None]
        if (
            failed
            or not case.certified
            or upper is None
            or math.isinf(upper.value)
            or upper.value == 0
        ):
            return failed[0] if failed else None
        return self.certificate(case, attained, result)

    def certificate(self, case: Case, attained: Attained, result: Any) -> Failure | None:
        """Written, and accepted by the checker."""
        made = guarded(case, "certificate", result.certificate)
        if made is None or isinstance(made, Failure):
            return made
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fuzz.cert"
            made.save(path)
            try:
                check(path)
            except Exception as error:
                return Failure(case, f"check: {type(error).__name__}", f"{made.method}: {error}")
        return self.compared(case, attained, made.value)


def _excess(slope: mpf, bound: float) -> str:
    return f"{float(slope / bound - 1):.3g}" if bound else "infinite"


def _bound(case: Case, problem: Problem) -> float | None:
    """The upper bound of one method; None for refusals and estimates."""
    method = method_named(case.method)
    options = NormOptions(budget=Budget.of(LIMIT))
    posed = replace(problem, p=Norm(case.p), q=Norm(case.q), options=options)
    found = method.accepts(posed) or method.bound(posed)
    if isinstance(found, Refusal) or not isinstance(found.value, Upper):
        return None
    return found.value.value


def _bracket(case: Case, capture: Capture) -> Any:
    norm, region = f"{case.p}:{case.q}", region_of(case.place)
    settings: dict[str, Any] = {"method": case.method, "lower": "random", "time_budget": LIMIT}
    return bracket(capture, model="fuzz", norm=norm, region=region, output=case.said, **settings)


def region_of(place: Place) -> Any:
    """The region in the program's terms."""
    if place.kind == "everywhere":
        return autolip.Everywhere()
    if place.kind == "box":
        return autolip.Box(place.lo, place.hi)
    return autolip.Ball(place.centre, place.radius, Norm(place.kind))


COSTLY = {
    "lipsdp": 0.15,
    "lipsdp-cvxpy": 0.01,
    "seqlip-sdp": 0.1,
    "seqlip-exact": 0.2,
    "auto": 0.04,
}
"""Methods that are tried on a part of the cases only."""


def cases(
    subject: Subject, rng: random.Random, places: int = 2, norms: int = 4
) -> Iterator[tuple[Case, Attained, Any]]:
    """Cases about one captured network, each with what is attained there and the posed problem."""
    size = math.prod(subject.network.shapes[-1])
    for _ in range(places):
        place = Place.draw(rng, subject.network.shape)
        attained = Attained(
            subject.network, place, rng.randrange(2**31), pieces(subject.network, place)
        )
        first = replace(subject.first, place=place)
        problem = subject.problem(first)
        if problem is None or isinstance(problem, Failure):
            yield first, attained, problem
            continue
        outputs: list[Output] = [(), (rng.randrange(size),)]
        if size > 1:
            outputs.append(tuple(rng.sample(range(size), 2)))
        for output in rng.sample(outputs, 2):
            shape = problem.slopes.output_shape
            read = problem if not output else problem.reading(parse_output(output).readout(shape))
            for p, q in rng.sample(
                [(a, b) for a in ("l1", "l2", "linf") for b in ("l1", "l2", "linf")], norms
            ):
                for method in (*METHODS, "auto"):
                    if rng.random() < COSTLY.get(method, 1.0):
                        certified = method in ("auto", "autolip", "lipsdp") and rng.random() < 0.1
                        yield (
                            replace(
                                first, p=p, q=q, output=output, method=method, certified=certified
                            ),
                            attained,
                            read,
                        )
