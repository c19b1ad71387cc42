"""What is known of a Lipschitz constant: every bound with its direction, certainty and cost."""

import math
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, Self, assert_never

from torch import Tensor

from autolip.certificates import Certificate, Proof
from autolip.errors import Contradiction, InputError, Refusal
from autolip.graph.fingerprint import fingerprint
from autolip.graph.graph import Graph
from autolip.lower.witness import Witness
from autolip.methods import Problem
from autolip.norms import Norm
from autolip.outputs import Output, parse_output
from autolip.units import UNITS, Units
from autolip.values import Certainty, Estimate, Event, Lower, Upper

Answer = Upper | Lower | Estimate | Refusal

CONSTANT = "the output does not depend on the input"

SCHEMA = 1
"""Defined: version of the dictionary and JSON form."""


def versions() -> dict[str, Any]:
    """Of what computes a result."""
    packages = {name: version(name) for name in ("autolip", "torch", "numpy", "scipy")}
    return packages | {"python": platform.python_version()}


def unproved() -> None:
    """The proof of a row that has none."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what a method answered, and what it cost.

    `passes` counts forward plus backward passes of the network's linear operations at batch 1;
    `complete` is False where the time budget ended the work early, or before it began.
    """

    method: str
    answer: Answer
    seconds: float = 0.0
    passes: float = 0.0
    notes: tuple[str, ...] = ()
    complete: bool = True
    proof: Callable[[], Proof | None] = field(default=unproved, repr=False)
    steep: tuple[Tensor, Tensor] | None = field(default=None, repr=False)
    """Pairs of points that the method believes to be steep."""

    @property
    def kind(self) -> str:
        """What the answer is, in a word: upper, lower, estimate or refusal."""
        match self.answer:
            case Upper():
                return "upper"
            case Lower():
                return "lower"
            case Estimate():
                return "estimate"
            case Refusal():
                return "refusal"
            case _:
                assert_never(self.answer)

    @property
    def value(self) -> float | None:
        """The number, None for a refusal."""
        return None if isinstance(self.answer, Refusal) else self.answer.value

    @property
    def certainty(self) -> str | None:
        """How an upper bound is known, None for what is none."""
        return self.answer.certainty.value if isinstance(self.answer, Upper) else None

    @property
    def delta(self) -> float:
        """The probability that an upper bound fails: at most this."""
        return self.answer.delta if isinstance(self.answer, Upper) else 0.0

    @property
    def refusal(self) -> str | None:
        """Why there is no number."""
        return str(self.answer) if isinstance(self.answer, Refusal) else None

    @property
    def witness(self) -> Any:
        """What attains a lower bound."""
        return self.answer.witness if isinstance(self.answer, Lower) else None

    def __getstate__(self) -> dict[str, Any]:
        """A pickled row keeps its numbers; its proof reaches into the network and stays behind."""
        return self.__dict__ | {"proof": unproved, "steep": None}

    def to_dict(self) -> dict[str, Any]:
        """Plain data; infinities as the string "inf", the witness left to the summary, no proof."""
        return {
            "method": self.method,
            "kind": self.kind,
            "value": _plain_number(self.value),
            "certainty": self.certainty,
            "delta": self.delta,
            "seconds": self.seconds,
            "passes": self.passes,
            "refusal": self.refusal,
            "notes": list(self.notes),
        }

    @staticmethod
    def from_dict(stored: dict[str, Any]) -> "Row":
        """The row of its plain data: the same numbers, and no witness."""
        cost = {name: stored[name] for name in ("seconds", "passes")}
        return Row(stored["method"], _answer_of(stored), **cost, notes=tuple(stored["notes"]))


def _answer_of(stored: dict[str, Any]) -> Answer:
    kind = stored["kind"]
    value = stored["value"]
    if kind == "refusal":
        return Refusal(stored["refusal"])
    if kind == "lower":
        return Lower(float(value))
    if kind == "estimate":
        return Estimate(float(value))
    confident = stored["certainty"] == Certainty.CONFIDENT.value
    events = {Event(stored["method"], stored["delta"])} if confident else set[Event]()
    return Upper(float(value), frozenset(events))


def smallest_upper(rows: Iterable[Row]) -> Row | None:
    """The row with the smallest upper bound; its answer knows what the choice among random bounds
    adds to the probability that it fails."""
    uppers = _uppers(rows)
    if not uppers:
        return None
    least = Upper.least(bound for _, bound in uppers)
    row = next(row for row, bound in uppers if bound.value == least.value)
    return replace(row, answer=least)


def largest_lower(rows: Iterable[Row]) -> Row | None:
    """The row with the largest lower bound."""
    lowers = [(row, row.answer.value) for row in rows if isinstance(row.answer, Lower)]
    return max(lowers, key=lambda item: item[1])[0] if lowers else None


def _uppers(rows: Iterable[Row]) -> list[tuple[Row, Upper]]:
    return [(row, row.answer) for row in rows if isinstance(row.answer, Upper)]


def given(*rows: Row | None) -> tuple[Row, ...]:
    """Those that there are."""
    return tuple(row for row in rows if row is not None)


def above(row: Row | None) -> float:
    """The upper bound in a row; infinite where there is none."""
    return row.answer.value if row is not None and isinstance(row.answer, Upper) else math.inf


def below(row: Row | None) -> float:
    """The lower bound in a row; 0 where there is none."""
    return row.answer.value if row is not None and isinstance(row.answer, Lower) else 0.0


@dataclass(frozen=True)
class Pair:
    """The margin between outputs i and j: bounds on the Lipschitz constant of f_i - f_j."""

    i: int
    j: int
    upper: Row | None
    lower: Row | None


@dataclass(frozen=True)
class Findings:
    """A bracket on the Lipschitz constant, and how each side of it was obtained."""

    model: str
    p: Norm
    q: Norm
    region: dict[str, Any]
    output: Output
    bounds: tuple[Row, ...]
    upper: Row | None
    lower: Row | None
    assumptions: dict[str, Any]
    notes: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    complete: bool = True
    """False where the time budget ended early: the bounds hold, tighter ones were not reached."""
    options: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    """What computed it, of which files: versions, hashes, the command."""
    capture_seconds: float = 0.0
    """What capturing the network and replaying it took, before the clock of a time budget
    started."""
    graph: Graph | None = field(default=None, repr=False)
    problem: Problem | None = field(default=None, repr=False)
    """What the methods were asked to bound; None where the output does not depend on the input."""
    centre: tuple[float, ...] | None = field(default=None, repr=False)
    """The point from which all slopes are taken; None for slopes between any two."""
    units: Units = UNITS
    """Those in which lengths of inputs and outputs are taken."""
    rounding: Upper | None = None
    """e where the network rounds to a grid: the bounds are of the network without rounding, and
    |f(x) - f(y)| <= upper |x - y| + e for the network as it is."""

    def __post_init__(self) -> None:
        """Raises Contradiction where an upper bound is below an attained one, of the whole or of
        one pair."""
        _agree(str(self.output), given(*self.bounds, self.upper, self.lower))
        for pair in self.pairs:
            _agree(f"{pair.i}-{pair.j}", given(pair.upper, pair.lower))

    def __getstate__(self) -> dict[str, Any]:
        """A pickled result keeps every number and witness; write its certificate before."""
        return self.__dict__ | {"graph": None, "problem": None, "provenance": self.origin()}

    @property
    def norm_names(self) -> tuple[str, str]:
        """The norms of input and output in words, with units where there are any."""
        return self.units.named(self.p, self.q)

    def certificate(self) -> Certificate:
        """The smallest upper bound whose method puts down why it holds, for `python -m
        autolip_check`.

        Raises InputError where there is none.
        """
        if CONSTANT in self.notes:
            raise InputError(f"nothing to certify: {CONSTANT}, and the constant is 0")
        if self.rounding is not None:
            raise InputError(
                "nothing to certify: the bounds are of the network without its roundings, and a "
                "certificate does not hold the error that they add"
            )
        if self.graph is None:
            raise InputError("a pickled result comes back without a certificate: write it before")
        missing = list[str]()
        for row, bound in sorted(_uppers(self.bounds), key=lambda item: item[1].value):
            try:
                proof = row.proof()
                if proof is not None:
                    return self._certified(row.method, bound.value, proof)
                missing.append(f"{row.method} comes without a proof")
            except InputError as reason:
                missing.append(f"{row.method}: {reason}")
        why = ", ".join(missing) or "there is no upper bound"
        raise InputError(f"nothing to certify: {why}; choose lipsdp or autolip")

    def _certified(self, method: str, value: float, proof: Proof) -> Certificate:
        """The certificate of one method's bound; delta is over the checker's random vectors."""
        assert self.graph is not None
        bound = value, self.options.get("delta", 1e-9)
        known = self.assumptions
        inputs: dict[str, Any] = {
            key: known[key] for key in ("input", "input_shape", "inputs", "layer") if key in known
        }
        provenance = {
            "producer": "autolip",
            "version": version("autolip"),
            "model": self.model,
            "output": self._measured(),
            "method": method,
            "seed": self.options.get("seed"),
            **inputs,
        }
        claimed = self.p, self.q, self.region, self.graph
        return Certificate.of(proof, bound, *claimed, provenance, self.centre, self.units)

    def _measured(self) -> str:
        """The output that the rows are about: of all differences, the one with the largest upper
        bound."""
        if not self.pairs:
            return str(self.output)
        return f"{self.worst_pair.i}-{self.worst_pair.j}"

    @property
    def worst_pair(self) -> Pair:
        """Of all differences of outputs, the one with the largest upper bound."""
        return max(self.pairs, key=lambda pair: above(pair.upper))

    def by_input(self, x: Tensor) -> dict[str, Tensor]:
        """A point, such as one of the witness, input by input, by name and in its shape."""
        known = self.assumptions
        only = {"name": known["input"], "shape": known["input_shape"]}
        inputs = known.get("inputs", [only])
        parts = x.reshape(-1).split([math.prod(one["shape"]) for one in inputs])
        each = zip(inputs, parts, strict=True)
        return {one["name"]: part.reshape(one["shape"]) for one, part in each}

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form (docs/json.md)."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "norm": {"input": self.p.value, "output": self.q.value, **self.units.to_dict()},
            "region": self.region,
            "secants": "any" if self.centre is None else "centre",
            "centre": None if self.centre is None else list(self.centre),
            "output": str(self.output),
            "upper": _summary(self.upper),
            "lower": _summary(self.lower),
            "bounds": [row.to_dict() for row in self.bounds],
            "pairs": [
                {"i": x.i, "j": x.j, "upper": _summary(x.upper), "lower": _summary(x.lower)}
                for x in self.pairs
            ],
            "assumptions": self.assumptions,
            "rounding": _error(self.rounding),
            "notes": list(self.notes),
            "complete": self.complete,
            "capture_seconds": self.capture_seconds,
            "options": self.options,
            "provenance": self.origin(),
        }

    def origin(self) -> dict[str, Any]:
        """`provenance`, with the hash of the captured network where that is at hand."""
        known = {} if self.graph is None else {"network": fingerprint(self.graph)}
        return self.provenance | known

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The findings of `to_dict`: every number and the witness; no proof, and no network.

        Raises InputError where it is no such dictionary, or one of another schema.
        """
        if stored.get("schema") != SCHEMA:
            raise InputError(f"this is no result of schema {SCHEMA}: write one with --json")
        try:
            return cls(**_fields(stored))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the result is damaged: {type(error).__name__} {error}") from error


AS_STORED = (
    "model",
    "region",
    "assumptions",
    "complete",
    "capture_seconds",
    "options",
    "provenance",
)
"""Fields that are written as they are."""


def _fields(stored: dict[str, Any]) -> dict[str, Any]:
    """The fields of findings, from their plain data."""
    rows = tuple(map(Row.from_dict, stored["bounds"]))
    said = stored["norm"]
    norms = Norm(said["input"]), Norm(said["output"])
    units = Units.asked(said.get("input_scale"), said.get("output_scale"))

    def best(summary: dict[str, Any] | None) -> Row | None:
        return None if summary is None else _best(summary, rows, norms, units)

    pairs = (Pair(x["i"], x["j"], best(x["upper"]), best(x["lower"])) for x in stored["pairs"])
    return {name: stored[name] for name in AS_STORED} | {
        "p": norms[0],
        "q": norms[1],
        "units": units,
        "output": parse_output(stored["output"]),
        "bounds": rows,
        "upper": best(stored["upper"]),
        "lower": best(stored["lower"]),
        "rounding": _rounding(stored.get("rounding")),
        "notes": tuple(stored["notes"]),
        "pairs": tuple(pairs),
        "centre": None if stored["centre"] is None else tuple(map(float, stored["centre"])),
    }


def _rounding(stored: dict[str, Any] | None) -> Upper | None:
    if stored is None:
        return None
    answer = _answer_of({"kind": "upper", "method": "rounding", **stored})
    return answer if isinstance(answer, Upper) else None


def _best(
    summary: dict[str, Any], rows: tuple[Row, ...], norms: tuple[Norm, Norm], units: Units
) -> Row:
    """The row that a summary is of, with the witness; without its cost where it is not among the
    rows."""
    kind = "lower" if "witness" in summary else "upper"
    method = summary["method"]
    answer = _answer_of(summary | {"kind": kind})
    if summary.get("witness") is not None:
        answer = Lower(
            float(summary["value"]), Witness.from_dict(summary["witness"], *norms, units)
        )
    alike = (row for row in rows if (row.method, row.kind) == (method, kind))
    return replace(next(alike, Row(method, answer)), answer=answer)


def _agree(output: str, rows: tuple[Row, ...]) -> None:
    """No upper bound may be below a lower one: both are rounded outward, so that no tolerance is
    called for."""
    least = min(rows, key=above, default=None)
    best = max(rows, key=below, default=None)
    if least is not None and best is not None and below(best) > above(least):
        upper, lower = (least.method, above(least)), (best.method, below(best))
        raise Contradiction.between(f"output {output}", upper, lower)


def _error(error: Upper | None) -> dict[str, Any] | None:
    """The error of roundings; None where nothing is rounded."""
    if error is None:
        return None
    certainty = error.certainty.value
    return {"value": _plain_number(error.value), "certainty": certainty, "delta": error.delta}


def _summary(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    summary = {
        "value": _plain_number(row.value),
        "method": row.method,
        "certainty": row.certainty,
        "delta": row.delta,
    }
    if isinstance(row.answer, Lower):
        summary["witness"] = None if row.witness is None else row.witness.to_dict()
    return summary


def _plain_number(value: float | None) -> float | str | None:
    return "inf" if value is not None and math.isinf(value) else value
