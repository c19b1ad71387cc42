"""One certificate from file to verdict."""

import hashlib
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from autolip_check.admission import fields_of, finite, list_of, printable
from autolip_check.conclusion import concluded
from autolip_check.container import Array, Document, Rejected, canonical, read, require
from autolip_check.effort import UNLIMITED, Effort
from autolip_check.forms import prove, work_of
from autolip_check.graph import Network, read_network
from autolip_check.margins import margin_of
from autolip_check.onnx import Stored, initializers, numbers_of
from autolip_check.proof import Foreseen, Prover, checked, norms_of
from autolip_check.ranges import derived
from autolip_check.regions import ball_of, point_of, shown
from autolip_check.rows import rows_of
from autolip_check.statement import assumptions
from autolip_check.units import in_units, words

FIELDS = {"format", "version", "claim", "graph", "proof", "provenance"}
"""Defined by the format: those of a document."""

CAPTURED = "f is the network of this graph: its capture from the model was not repeated"
"""Taken from the certificate, unless a model is given."""

RANDOM = "over the checker's random vectors"
"""What the probability of failure is over."""

DIVIDED = "f is the graph before its last operation divides by the output scale"
"""Taken from the certificate: that division is one with the last linear map."""


@dataclass(frozen=True)
class Verdict:
    """What is proved, and under which assumptions: sentences of printable ASCII, a line each."""

    claim: str
    network: str
    assumed: tuple[str, ...]
    region: Document

    def __str__(self) -> str:
        lines = [f"proved: {self.claim}", f"network: {self.network}", "assuming"]
        return "\n".join(lines + [f"  - {sentence}" for sentence in self.assumed])

    def captured(self, sentence: str) -> "Verdict":
        """The same verdict where the network was captured again."""
        return replace(self, assumed=(printable(sentence), *self.assumed[1:]))

    def to_json(self) -> str:
        """The same as JSON, with every number of the region."""
        said = {"claim": self.claim, "network": self.network, "assuming": list(self.assumed)}
        return json.dumps({"proved": True, **said, "region": self.region}, indent=2)


def check(path: Path, model: Path | None = None, budget: float | None = None) -> Verdict:
    """The verdict on a certificate; `budget`: about how many seconds it may take.

    Raises Rejected, with the reason, where it does not hold or is not understood; NotACertificate,
    which is one of them, where there is none to be read.
    """
    document, tensors = read(path)
    stored = initializers(model) if model else {}
    held = {name: array.values for name, array in stored.items()}
    try:
        with np.errstate(all="ignore"):  # what overflows is infinite or NaN, and rejected as that
            return _verdict(document, held | tensors, stored if model else None, budget)
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        MemoryError,
        RuntimeError,
    ) as error:
        raise Rejected(f"not in the format: {type(error).__name__} {error}") from error


def _verdict(
    document: Document,
    tensors: dict[str, Array],
    stored: dict[str, Stored] | None,
    budget: float | None,
) -> Verdict:
    fields_of(document, FIELDS, "the document")
    require(isinstance(document["provenance"], dict), "the provenance is not understood")
    claim = _claim(document["claim"])
    if "least" in claim:
        return _of_output(document, claim, tensors, stored, budget)
    value = finite(claim["value"])
    delta = finite(claim["delta"])
    p, q = norms_of(claim["norms"])
    require(
        claim["certainty"] == ("confident" if delta else "proved"),
        "certainty and delta contradict each other",
    )
    network, digest = _network(document, claim, tensors)
    if "input_scale" in claim:
        network = in_units(network, claim["input_scale"])
    region = document["graph"]["region"]
    point = None
    if "centre" in claim:
        point = point_of(claim["centre"], region, network.size(network.input))
    effort = UNLIMITED if budget is None else Effort.of_seconds(budget)
    rows, steps = rows_of(document["proof"])
    followed = derived(network, point, effort, rows, tensors)
    network = followed.network
    if budget is not None:
        checked(steps, network, tensors, delta, Foreseen(Effort.of_seconds(budget)))
    facts = checked(steps, network, tensors, delta, Prover(effort))
    total = concluded(facts, network, p, q)
    require(total <= value, f"the facts show {_shown(total)}, not {value!r}")
    sentences = [CAPTURED]
    pairs = f"x, y {network.region.words}"
    if point is not None:
        pairs = f"x {network.region.words} and y = {shown(point)}"
        sentences.append("slopes and gains below are those between any such x and this y alone")
    sentences += assumptions(network, followed)
    sentences += [network.region.assumed] if network.region.assumed else []
    if stored is not None:
        sentences += numbers_of(document["graph"], stored)
    sure = f"except with probability {delta!r} {RANDOM}" if delta else "deterministically"
    rise, run = "f(x) - f(y)", "x - y"
    if "input_scale" in claim:
        run = f"(x - y) / {words(claim['input_scale'], 'the input scale')}"
    if "output_scale" in claim:
        rise = f"(f(x) - f(y)) / {words(claim['output_scale'], 'the output scale')}"
        sentences.append(DIVIDED)
    statement = f"||{rise}||_{q} <= {value!r} ||{run}||_{p} for all {pairs}, {sure}"
    if "margin" in claim:
        statement, given = _margin(claim, region, network, statement)
        sentences.insert(1, given)
    said = f"{digest[:16]}, {_size(network)}"
    assumed = tuple(map(printable, sentences))
    return Verdict(printable(statement), printable(said), assumed, region)


def _network(document: Document, claim: Document, tensors: dict[str, Array]) -> tuple[Network, str]:
    """The network of the document, which the claim must be about, and its digest."""
    graph = canonical(document["graph"]).encode()
    digest = hashlib.sha256(graph).hexdigest()
    require(claim["network"] == digest, "the claim is about another network")
    return read_network(document["graph"], tensors), digest


def _of_output(
    document: Document,
    claim: Document,
    tensors: dict[str, Array],
    stored: dict[str, Stored] | None,
    budget: float | None,
) -> Verdict:
    """f stays above a number on the region, by one form, which evaluates f."""
    least = finite(claim["least"])
    require(claim["certainty"] == "proved" and claim["delta"] == 0, "a margin is proved or is not")
    network, digest = _network(document, claim, tensors)
    steps = list_of(document["proof"], "the proof of a margin")
    require(len(steps) == 1, "a margin is proved by one step")
    form = margin_of(steps[0], network, tensors, least)
    if budget is not None:
        Effort.of_seconds(budget).spend(work_of(form))
    prove(form)
    sentences = [CAPTURED, *assumptions(network)]
    if stored is not None:
        sentences += numbers_of(document["graph"], stored)
    statement = f"f(x) >= {least!r} for all x {network.region.words}, deterministically"
    said = f"{digest[:16]}, {_size(network)}"
    assumed = tuple(map(printable, sentences))
    return Verdict(printable(statement), printable(said), assumed, document["graph"]["region"])


def _size(network: Network) -> str:
    """How many operations, on what."""
    shape = " x ".join(map(str, network[network.input].shape)) or "one number"
    return f"{len(network.vertices)} operations on an input of {shape}"


def _margin(claim: Document, region: Document, network: Network, bound: str) -> tuple[str, str]:
    """f > 0 on a ball, from what f is at least at its centre and how much it can change; and what
    is taken for granted of that.  In fractions: margin > value radius."""
    margin = finite(claim["margin"])
    require(not claim.keys() & {"input_scale", "output_scale"}, "a margin is claimed in units")
    ball = ball_of(region)
    require(ball is not None and "centre" in claim, "a margin is claimed of no ball's centre")
    assert ball is not None
    centre, radius, norm = ball
    require(centre == list(map(float, claim["centre"])), "the centre is not the ball's")
    require(norm == claim["norms"][0], "the ball's norm is not the claim's")
    require(network.size(network.output) == 1, "a margin is claimed of several outputs")
    change = Fraction(finite(claim["value"])) * Fraction(radius)
    require(Fraction(margin) > change, f"the margin {margin!r} may be used up within the ball")
    where = network.region.words
    given = f"f(y) >= {margin!r} at the centre y, where f was not evaluated by this check"
    return f"f(x) > 0 for all x {where}, as {bound}", given


def _claim(entry: Any) -> Document:
    """What is claimed; between any two points, or from a centre; of lengths in units,
    or not; of a margin there, or not; or that the output stays above a number."""
    if isinstance(entry, dict) and "least" in entry:
        return fields_of(entry, {"least", "certainty", "delta", "network"}, "the claim")
    fields = {"value", "norms", "certainty", "delta", "network"}
    if isinstance(entry, dict):
        fields |= entry.keys() & {"centre", "margin", "input_scale", "output_scale"}
    return fields_of(entry, fields, "the claim")


def _shown(total: Any) -> str:
    """A fraction as a double, which it may exceed."""
    try:
        return repr(float(total))
    except OverflowError:
        return "infinity"
